/**
 * Comparisons bit by bit.
 *
 * @module
 */
import type { Check } from "./check.ts";

import { bitsView, decode, type Dtype, DTYPE_BYTES } from "./dtypes.ts";
import { appendEdges } from "./edges.ts";
import { elementFigures } from "./element.ts";
import { locateErrors, MAX_SHARE, OUT_OF_PLACE } from "./error_map.ts";
import type { AppendInputs } from "./inputs.ts";

/** Elements of a cache as bits. */
type Bits = ReturnType<typeof bitsView>;

/** Bits of a dtype that are all set in NaN and ±∞ alone. */
const EXPONENT: Readonly<Record<Dtype, number>> = { f32: 0x7f800000, f16: 0x7c00, bf16: 0x7f80 };

/**
 * Compares the cache after an `append` with the expected one: every bit, so neither a value, nor the poison of slots
 * that were not to be written, may differ.
 *
 * @throws {RangeError} If the caches differ in size.
 */
export function checkCache(inputs: AppendInputs, expected: Uint8Array, actual: Uint8Array): Check {
  const { shape } = inputs;
  const dtype = shape.cache;
  const wanted = bitsView(expected, dtype);
  const got = bitsView(aligned(actual), dtype);
  if (got.length !== wanted.length) {
    throw new RangeError(`Cannot compare a cache of ${got.length} elements with an expected one of ${wanted.length}`);
  }
  let mismatches = 0, first = -1;
  // Nearly always all words are equal, of which a cache of hundreds of megabytes has half as many as elements.
  for (let i = equalElements(expected, got, dtype); i < wanted.length; i++) {
    if (got[i] !== wanted[i] && mismatches++ === 0) first = i;
  }
  const common = { name: "cache", elements: wanted.length, mismatches };
  return first < 0
    ? { ...common, passed: true }
    : { ...common, passed: false, ...tellFirst(inputs, got, wanted, { first, mismatches }) };
}

/** Elements at the beginning that are equal, found by words: some that follow may be as well. */
function equalElements(expected: Uint8Array, got: Bits, dtype: Dtype): number {
  if (expected.byteOffset % 4 !== 0 || got.byteOffset % 4 !== 0) return 0;
  const words = Math.floor(expected.byteLength / 4);
  const [a, b] = [expected, got].map(({ buffer, byteOffset }) => new Uint32Array(buffer, byteOffset, words));
  let equal = 0;
  while (equal < words && a[equal] === b[equal]) equal++;
  return equal * 4 / DTYPE_BYTES[dtype];
}

/** Why two caches are not the same: the first element that differs, and where the others lie. */
function tellFirst(
  inputs: AppendInputs,
  got: Bits,
  wanted: Bits,
  { first, mismatches }: { readonly first: number; readonly mismatches: number },
): Partial<Check> {
  const { shape } = inputs;
  const W = shape.R + shape.Dr;
  const place = cachePlaces(inputs);
  const { slot: _, ...at } = { ...place(Math.floor(first / W)), dim: first % W };
  const actual = valueOf(got[first], shape.cache), expected = valueOf(wanted[first], shape.cache);
  const hex = (bits: number) => `0x${bits.toString(16).padStart(2 * DTYPE_BYTES[shape.cache], "0")}`;
  const where = at.sequence < 0 ? `page ${at.page}, owned by nobody` : `token ${at.token} of sequence ${at.sequence}`;
  const mask = EXPONENT[shape.cache];
  const isFinite = (bits: number) => (bits & mask) !== mask;
  const share = (i: number) => {
    if (got[i] === wanted[i]) return 0;
    return isFinite(got[i]) && isFinite(wanted[i]) ? MAX_SHARE : OUT_OF_PLACE;
  };
  const { told, edgesOf } = locateErrors({
    rows: wanted.length / W,
    width: W,
    place,
    share,
    edges: appendEdges(shape),
  });
  // Where every bit counts no element is worse than the first.
  const element = { ...at, ...elementFigures(actual, expected, 0), ...edgesOf(at) };
  return {
    message: `${mismatches} of ${wanted.length} elements differ; the first, element ${at.dim} of ${where}, is ` +
      `${hex(got[first])} (${actual}) instead of ${hex(wanted[first])} (${expected})`,
    worst: element,
    first: element,
    ...told,
  };
}

function valueOf(bits: number, dtype: Dtype): number {
  const bytes = new Uint8Array(DTYPE_BYTES[dtype]);
  bitsView(bytes, dtype)[0] = bits;
  return decode(bytes, dtype)[0];
}

/** A copy where the bytes start at an odd place, as read-backs may. */
function aligned(bytes: Uint8Array): Uint8Array {
  return bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
}

/** Places of the slots of the cache, page by page; sequence and token are −1 in a page that nobody owns. */
function cachePlaces({ shape, pages, cacheLoc, cuNumPages }: AppendInputs) {
  const entries = new Int32Array(pages).fill(-1);
  const last = cuNumPages[shape.B];
  // Where a page has several owners, the first is named.
  for (let entry = last - 1; entry >= 0; entry--) entries[cacheLoc[entry]] = entry;
  return (row: number) => {
    const page = Math.floor(row / shape.page), slot = row % shape.page;
    const entry = entries[page];
    if (!(entry >= 0)) return { sequence: -1, token: -1, page, slot };
    let sequence = 0;
    while (cuNumPages[sequence + 1] <= entry) sequence++;
    return { sequence, token: (entry - cuNumPages[sequence]) * shape.page + slot, page, slot };
  };
}

/**
 * Checks that memory which the kernel may only read holds the bytes it held before; the check is `<name>_unchanged`.
 */
export function checkUnchanged(name: string, before: Uint8Array, after: Uint8Array): Check {
  let mismatches = Math.abs(before.length - after.length);
  let first = mismatches > 0 ? Math.min(before.length, after.length) : -1;
  for (let i = Math.min(before.length, after.length) - 1; i >= 0; i--) {
    if (before[i] !== after[i]) {
      mismatches++;
      first = i;
    }
  }
  const passed = mismatches === 0;
  const message = `${mismatches} bytes of ${name} changed, the first at ${first}: it is an input`;
  return { name: `${name}_unchanged`, passed, ...(passed ? {} : { message }), elements: before.length, mismatches };
}
