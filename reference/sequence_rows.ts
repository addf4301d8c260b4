/**
 * Rows of a batch with the keys of their sequences, decoded from the paged cache.
 *
 * @module
 */
import { decodeInto, DTYPE_BYTES } from "./dtypes.ts";
import { placeOf, queryStarts } from "./rows.ts";
import type { AttendShape } from "./shapes.ts";

/** A batch of sequences in a paged cache. */
export interface CachedBatch {
  /** Problem size. */
  readonly shape: AttendShape;
  /** Latent cache `[pages, page, R+Dr]`, elements of `shape.cache`. */
  readonly cache: Uint8Array;
  /** Physical pages of the cache. */
  readonly pages: number;
  /** Physical pages of each sequence `[B, tableWidth]`. */
  readonly pageTable: Int32Array;
  /** Entries per row of the page table. */
  readonly tableWidth: number;
}

/** Consecutive entries of a list of rows that belong to one sequence. */
export interface SequenceRows {
  /** First entry. */
  readonly first: number;
  /** Entry after the last. */
  readonly end: number;
  /** Tokens that each row sees `[end − first]`. */
  readonly seen: readonly number[];
  /** Keys of the sequence `[max(seen), R+Dr]`, latent part first; overwritten by the next sequence. */
  readonly keys: Float64Array;
}

/**
 * Goes through `rows` in runs of one sequence, whose keys are decoded once. Only slots of tokens that some row sees are
 * read.
 *
 * @throws {RangeError} If a row does not exist, or a page that must be read lies outside the cache.
 */
export function* rowsBySequence(batch: CachedBatch, rows: Int32Array): Generator<SequenceRows> {
  const { shape } = batch;
  const W = shape.R + shape.Dr;
  const starts = queryStarts(shape);
  let keys = new Float64Array(0);
  for (let first = 0, end = 0; first < rows.length; first = end) {
    const seen: number[] = [];
    let place = placeOf(shape, starts, rows[end]);
    const sequence = place.sequence;
    let longest = 0;
    while (place.sequence === sequence) {
      seen.push(place.seen);
      longest = Math.max(longest, place.seen);
      if (++end === rows.length) break;
      place = placeOf(shape, starts, rows[end]);
    }
    if (keys.length < longest * W) keys = new Float64Array(longest * W);
    const own = keys.subarray(0, longest * W);
    gatherKeys(batch, sequence, own);
    yield { first, end, seen, keys: own };
  }
}

/** Decodes the first `keys.length / (R+Dr)` tokens of a sequence, page by page. */
function gatherKeys({ shape, cache, pages, pageTable, tableWidth }: CachedBatch, sequence: number, keys: Float64Array) {
  const { page } = shape;
  const W = shape.R + shape.Dr;
  const size = DTYPE_BYTES[shape.cache];
  const tokens = keys.length / W;
  for (let token = 0; token < tokens; token += page) {
    const physical = pageTable[sequence * tableWidth + token / page];
    if (!(physical >= 0 && physical < pages)) {
      throw new RangeError(
        `Cannot read token ${token} of sequence ${sequence}: its page is ${physical}, the cache has pages 0…${
          pages - 1
        }`,
      );
    }
    const count = Math.min(page, tokens - token);
    const at = physical * page * W * size;
    decodeInto(cache.subarray(at, at + count * W * size), shape.cache, keys.subarray(token * W, (token + count) * W));
  }
}
