/**
 * Seeded inputs of `mla`, one call or a flow. Kinds and values are those of `model_inputs.ts`.
 *
 * Values belong to tokens, not to calls: the same flow cut into other steps has the same queries and the same keys, so
 * its outputs and the cache that it leaves are the same.
 *
 * @module
 */
import { cachedBefore, type CacheFill, fillPages, moveToTies } from "./fill_pages.ts";
import { callsOf } from "./flow.ts";
import { STREAM } from "./input_kinds.ts";
import { cutIntoCalls, type MlaCallInputs } from "./mla_calls.ts";
import { fillTokens, makeModelQueries, makeWeight, requireKind } from "./model_inputs.ts";
import { allocatePages, poisonedCache } from "./paging.ts";
import { streamKey } from "./random.ts";
import { queryStarts } from "./rows.ts";
import { type InputKind, type MlaShape, total } from "./shapes.ts";

export type { MlaCallInputs } from "./mla_calls.ts";
export {
  LARGE_QUERY,
  makePrefillInputs,
  makeProjectInputs,
  type PrefillInputs,
  type ProjectInputs,
} from "./model_inputs.ts";

/** Inputs of `mla`. */
export interface MlaInputs {
  /** Shape of the flow. */
  readonly shape: MlaShape;
  /** `kv_b_proj` `[H·(Dn+Dv), R]`, elements of `shape.weight`: per head Dn rows W_k, then Dv rows W_v. */
  readonly kvB: Uint8Array;
  /** Latent cache before the first call `[pages, page, R+Dr]`, elements of `shape.cache`. */
  readonly cache: Uint8Array;
  /** Physical pages of the cache. A sequence keeps its own throughout the flow. */
  readonly pages: number;
  /** The calls in order. */
  readonly calls: readonly MlaCallInputs[];
}

/**
 * Makes seeded inputs of `mla`. Of the new keys every 61st value lies in the exact middle between two values of the
 * cache's dtype, as for `append`.
 *
 * @param filled A cache that {@linkcode fillMlaCache} has filled, in parts elsewhere. @default {made here}
 * @throws {RangeError} If the operation has no inputs of that kind, or the steps do not fit the shape.
 */
export function makeMlaInputs(
  shape: MlaShape,
  kind: InputKind,
  seed: number,
  filled?: Uint8Array<ArrayBufferLike>,
): MlaInputs {
  requireKind("mla", kind);
  const calls = callsOf(shape);
  const allocation = allocatePages(shape.kv, shape.page, streamKey(seed, STREAM.pages));
  const cache = filled ?? poisonedCache(shape, allocation.pages);
  if (!filled) fillMlaCache(shape, { kind, seed, cache });
  const tensors = { ...makeModelQueries(shape, kind, seed), ...makeNewKeys(shape, kind, seed) };
  return {
    shape,
    kvB: makeWeight(shape, seed),
    cache,
    pages: allocation.pages,
    calls: cutIntoCalls(shape, calls, allocation, tensors),
  };
}

/**
 * Writes the tokens that are in the cache before the first call of `mla`. Parts may be filled in any order, and at
 * once; they count these tokens alone.
 */
export function fillMlaCache(shape: MlaShape, { kind, seed, cache, part }: CacheFill): void {
  const allocation = allocatePages(shape.kv, shape.page, streamKey(seed, STREAM.pages));
  const cached = cachedBefore(shape);
  const first = tokenStarts(shape);
  fillPages({ shape, allocation, counts: cached, cached, cache, part }, (range) => {
    fillTokens(shape, kind, seed, { ...range, batchToken: first[range.sequence] + range.token });
  });
}

/** Number of each sequence's first token in the batch, cached and new ones counted. */
function tokenStarts({ B, kv }: MlaShape): Int32Array {
  return queryStarts({ B, q: kv });
}

/** The keys of all new tokens of the flow. */
function makeNewKeys(shape: MlaShape, kind: InputKind, seed: number) {
  const { R, Dr, q, kv } = shape;
  const W = R + Dr;
  const tokens = total(q);
  const compressedKv = new Float32Array(tokens * R);
  const kpe = new Float32Array(tokens * Dr);
  const keys = new Float32Array(W);
  const first = tokenStarts(shape);
  let row = 0;
  for (let b = 0; b < shape.B; b++) {
    const cached = kv[b] - q[b];
    for (let token = cached; token < kv[b]; token++, row++) {
      fillTokens(shape, kind, seed, { keys, sequence: b, token, batchToken: first[b] + token, cached });
      compressedKv.set(keys.subarray(0, R), row * R);
      kpe.set(keys.subarray(R), row * Dr);
    }
  }
  moveToTies(compressedKv, shape.cache);
  moveToTies(kpe, shape.cache);
  return { compressedKv, kpe };
}
