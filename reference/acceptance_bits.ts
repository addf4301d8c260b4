/**
 * Comparisons bit by bit.
 *
 * @module
 */
import type { Check } from "./check.ts";
import { bitsView, decode, DTYPE_BYTES } from "./dtypes.ts";
import type { AppendInputs } from "./inputs.ts";

/**
 * Compares the cache after an `append` with the expected one: every bit, so neither a value, nor the poison of slots that
 * were not to be written, may differ.
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
  for (let i = 0; i < wanted.length; i++) {
    if (got[i] !== wanted[i] && mismatches++ === 0) first = i;
  }
  const common = { name: "cache", elements: wanted.length, mismatches };
  if (first < 0) return { ...common, passed: true };
  const W = shape.R + shape.Dr;
  const physical = Math.floor(first / (shape.page * W));
  const slot = Math.floor(first / W) % shape.page;
  const { sequence, token } = ownerOf(inputs, physical, slot);
  const size = DTYPE_BYTES[dtype];
  const value = (bytes: Uint8Array) => decode(bytes.slice(first * size, (first + 1) * size), dtype)[0];
  const e = value(expected), a = value(actual);
  const hex = (bits: number) => `0x${bits.toString(16).padStart(2 * size, "0")}`;
  const where = sequence < 0 ? `page ${physical}, owned by nobody` : `token ${token} of sequence ${sequence}`;
  const finite = Number.isFinite(a) && Number.isFinite(e);
  return {
    ...common,
    passed: false,
    message: `${mismatches} of ${wanted.length} elements differ; the first, element ${first % W} of ${where}, is ` +
      `${hex(got[first])} (${a}) instead of ${hex(wanted[first])} (${e})`,
    worst: {
      sequence,
      token,
      dim: first % W,
      page: physical,
      actual: Number.isFinite(a) ? a : String(a),
      expected: Number.isFinite(e) ? e : String(e),
      ...(finite ? { absError: Math.abs(a - e) } : {}),
      bound: 0,
    },
  };
}

/** A copy where the bytes start at an odd place, as read-backs may. */
function aligned(bytes: Uint8Array): Uint8Array {
  return bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
}

/** Sequence and token that a slot of a page belongs to; −1 and −1 for a page that nobody owns. */
function ownerOf({ shape, cacheLoc, cuNumPages }: AppendInputs, physical: number, slot: number) {
  const entry = cacheLoc.indexOf(physical);
  if (entry < 0) return { sequence: -1, token: -1 };
  let sequence = 0;
  while (cuNumPages[sequence + 1] <= entry) sequence++;
  return { sequence, token: (entry - cuNumPages[sequence]) * shape.page + slot };
}

/** Checks that memory which the kernel may only read holds the bytes it held before; the check is `<name>_unchanged`. */
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
