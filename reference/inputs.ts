/**
 * Seeded inputs of `attend` and `append`; `model_inputs.ts` has those of the other operations. The same shape, kind and
 * seed give the same bytes on every machine and for every kernel.
 *
 * Memory that no kernel may read is poisoned from the start: unused slots of last pages, pages that nobody owns and,
 * for `append`, slots not yet written hold NaN bits of the dtype; unused page-table entries are hostile (`paging.ts`).
 *
 * @module
 */
import { type AppendShape, type AttendShape, type InputKind, total } from "./shapes.ts";
import { decode, DTYPE_BYTES } from "./dtypes.ts";
import { cachedBefore, type CacheFill, fillPages, moveToTies, placeSpecials } from "./fill_pages.ts";
import { fillKeys, makeQueries, STREAM } from "./input_kinds.ts";
import { allocatePages, pageTableOf, poisonedCache } from "./paging.ts";
import { fillNormal, streamKey } from "./random.ts";
import { queryStarts } from "./rows.ts";

export { cachedBefore, type CacheFill, type TokenRange } from "./fill_pages.ts";

/** Inputs of one `attend`. */
export interface AttendInputs {
  /** Problem size. */
  readonly shape: AttendShape;
  /** Absorbed queries `[Σq, H, R]`. */
  readonly qLatent: Float32Array;
  /** Rope part of the queries `[Σq, H, Dr]`. */
  readonly qPe: Float32Array;
  /** Latent cache `[pages, page, R+Dr]`, elements of `shape.cache`. */
  readonly cache: Uint8Array;
  /** Physical pages of the cache. */
  readonly pages: number;
  /** Physical pages of each sequence `[B, tableWidth]`. */
  readonly pageTable: Int32Array;
  /** Entries per row of the page table. */
  readonly tableWidth: number;
  /** Tokens in the cache of each sequence `[B]`. */
  readonly kvLen: Int32Array;
  /** First query token of each sequence, and the end `[B+1]`. */
  readonly cuSeqlen: Int32Array;
}

/** Inputs of one `append`. */
export interface AppendInputs {
  /** Problem size. */
  readonly shape: AppendShape;
  /** New latents `[Σq, R]`. */
  readonly compressedKv: Float32Array;
  /** New rope keys `[Σq, Dr]`. */
  readonly kpe: Float32Array;
  /** First new token of each sequence, and the end `[B+1]`. */
  readonly cuSeqlen: Int32Array;
  /** First entry in `cacheLoc` of each sequence, and the end `[B+1]`. */
  readonly cuNumPages: Int32Array;
  /** Physical pages, sequence-major `[Σpages]`. */
  readonly cacheLoc: Int32Array;
  /** Tokens already in the cache of each sequence, `kv − q` `[B]`. */
  readonly inputPos: Int32Array;
  /** Latent cache before the call `[pages, page, R+Dr]`, elements of `shape.cache`. */
  readonly cache: Uint8Array;
  /** Physical pages of the cache. */
  readonly pages: number;
}

/**
 * Makes seeded inputs of `attend`; `input_kinds.ts` says what each kind exposes.
 *
 * @param filled A cache that {@linkcode fillAttendCache} has filled, in parts elsewhere. @default {made here}
 */
export function makeAttendInputs(
  shape: AttendShape,
  kind: InputKind,
  seed: number,
  filled?: Uint8Array<ArrayBufferLike>,
): AttendInputs {
  const { R, Dr, page } = shape;
  const W = R + Dr;
  const allocation = allocatePages(shape.kv, page, streamKey(seed, STREAM.pages));
  const cache = filled ?? poisonedCache(shape, allocation.pages);
  if (!filled) fillAttendCache(shape, { kind, seed, cache });
  const bytesPerToken = W * DTYPE_BYTES[shape.cache];
  const keyOf = (b: number, token: number): Float32Array => {
    const physical = allocation.owned[allocation.starts[b] + Math.floor(token / page)];
    const at = (physical * page + token % page) * bytesPerToken;
    return decode(cache.subarray(at, at + bytesPerToken), shape.cache);
  };
  const { qLatent, qPe } = makeQueries(shape, kind, seed, keyOf);
  const { pageTable, tableWidth } = pageTableOf(allocation);
  return {
    shape,
    qLatent,
    qPe,
    cache,
    pages: allocation.pages,
    pageTable,
    tableWidth,
    kvLen: Int32Array.from(shape.kv),
    cuSeqlen: queryStarts(shape),
  };
}

/** Writes the tokens of a cache of `attend`. Parts may be filled in any order, and at once. */
export function fillAttendCache(shape: AttendShape, { kind, seed, cache, part }: CacheFill): void {
  const allocation = allocatePages(shape.kv, shape.page, streamKey(seed, STREAM.pages));
  fillPages({ shape, allocation, counts: shape.kv, cached: cachedBefore(shape), cache, part }, (range) => {
    fillKeys(shape, kind, seed, range);
  });
}

/**
 * Makes seeded inputs of `append`: values N(0, 1), of which every 61st is moved to the exact middle between two values
 * of the cache's dtype, where rounding to nearest must take the even one, and every 29th is −0, a NaN, ∞, subnormal or
 * beyond the range of the dtype.
 */
export function makeAppendInputs(shape: AppendShape, seed: number): AppendInputs {
  const { B, R, Dr } = shape;
  const allocation = allocatePages(shape.kv, shape.page, streamKey(seed, STREAM.pages));
  const cache = poisonedCache(shape, allocation.pages);
  const inputPos = Int32Array.from({ length: B }, (_, b) => shape.kv[b] - shape.q[b]);
  const counts = [...inputPos];
  fillPages({ shape, allocation, counts, cached: counts, cache }, ({ keys, batchToken }) => {
    fillNormal(keys, streamKey(seed, STREAM.keys), { start: batchToken * (R + Dr) });
  });
  const tokens = total(shape.q);
  const compressedKv = new Float32Array(tokens * R);
  const kpe = new Float32Array(tokens * Dr);
  fillNormal(compressedKv, streamKey(seed, STREAM.compressedKv));
  fillNormal(kpe, streamKey(seed, STREAM.kpe));
  moveToTies(compressedKv, shape.cache);
  moveToTies(kpe, shape.cache);
  placeSpecials(compressedKv);
  placeSpecials(kpe);
  return {
    shape,
    compressedKv,
    kpe,
    cuSeqlen: queryStarts(shape),
    cuNumPages: allocation.starts,
    cacheLoc: allocation.owned,
    inputPos,
    cache,
    pages: allocation.pages,
  };
}
