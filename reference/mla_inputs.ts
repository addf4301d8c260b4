/**
 * Seeded inputs of `mla`, one call or a flow. Kinds and values are those of `model_inputs.ts`.
 *
 * Values belong to tokens, not to calls: the same flow cut into other steps has the same queries and the same keys, so its
 * outputs and the cache that it leaves are the same.
 *
 * @module
 */
import { callsOf, type MlaCall } from "./flow.ts";
import { STREAM } from "./input_kinds.ts";
import { cachedBefore, type CacheFill, fillPages, moveToTies } from "./inputs.ts";
import { fillTokens, makeModelQueries, makeWeight, requireKind, withPadding } from "./model_inputs.ts";
import { allocatePages, type PageAllocation, poisonedCache } from "./paging.ts";
import { streamKey } from "./random.ts";
import { queryStarts } from "./rows.ts";
import { type InputKind, type MlaShape, pagesOf, total } from "./shapes.ts";

export {
  LARGE_QUERY,
  makePrefillInputs,
  makeProjectInputs,
  type PrefillInputs,
  type ProjectInputs,
} from "./model_inputs.ts";

/** Inputs of one call of `mla`. T is the sum of the call's q, P the padding, whose rows hold NaN. */
export interface MlaCallInputs {
  /** Shape and sequences of the call. */
  readonly call: MlaCall;
  /** Queries without position `[T+P, H, Dn]`. */
  readonly qNope: Float32Array;
  /** Rope part of the queries `[T+P, H, Dr]`. */
  readonly qPe: Float32Array;
  /** New latents `[T+P, R]`. */
  readonly compressedKv: Float32Array;
  /** New rope keys `[T+P, Dr]`. */
  readonly kpe: Float32Array;
  /** First new token of each sequence present, and the end `[B+1]`. */
  readonly cuSeqlen: Int32Array;
  /** First entry in `cacheLoc` of each sequence present, and the end `[B+1]`. */
  readonly cuNumPages: Int32Array;
  /** Physical pages of the sequences present, those that they need after the call, sequence-major `[Σpages]`. */
  readonly cacheLoc: Int32Array;
  /** Tokens already in the cache of each sequence present `[B]`. */
  readonly inputPos: Int32Array;
  /** Tokens in the cache of each sequence present after the call `[B]`. */
  readonly kvLen: Int32Array;
}

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

/** What all calls of a flow draw from: values of every new token, sequence-major. */
export interface FlowTensors {
  /** `[Σq, H, Dn]` */
  readonly qNope: Float32Array;
  /** `[Σq, H, Dr]` */
  readonly qPe: Float32Array;
  /** `[Σq, R]` */
  readonly compressedKv: Float32Array;
  /** `[Σq, Dr]` */
  readonly kpe: Float32Array;
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
 * Writes the tokens that are in the cache before the first call of `mla`. Parts may be filled in any order, and at once;
 * they count these tokens alone.
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

/** The inputs of each call, from the values of all new tokens of the flow. */
export function cutIntoCalls(
  shape: MlaShape,
  calls: readonly MlaCall[],
  { starts, owned }: PageAllocation,
  tensors: FlowTensors,
): MlaCallInputs[] {
  const { H, R, Dn, Dr, page } = shape;
  // The next new token of each sequence, among all of the flow.
  const next = queryStarts(shape);
  return calls.map((call) => {
    const { q, kv, padding } = call.shape;
    const ranges = call.sequences.map((b, i) => [next[b], next[b] += q[i]] as const);
    const rows = (values: Float32Array, width: number) => {
      const cut = new Float32Array(total(q) * width);
      let at = 0;
      for (const [from, to] of ranges) {
        cut.set(values.subarray(from * width, to * width), at);
        at += (to - from) * width;
      }
      return withPadding(cut, padding * width);
    };
    const pages = call.sequences.map((b, i) => owned.subarray(starts[b], starts[b] + pagesOf(kv[i], page)));
    return {
      call,
      qNope: rows(tensors.qNope, H * Dn),
      qPe: rows(tensors.qPe, H * Dr),
      compressedKv: rows(tensors.compressedKv, R),
      kpe: rows(tensors.kpe, Dr),
      cuSeqlen: queryStarts(call.shape),
      cuNumPages: queryStarts({ B: pages.length, q: pages.map((own) => own.length) }),
      cacheLoc: Int32Array.from(pages.flatMap((own) => [...own])),
      inputPos: Int32Array.from(kv, (tokens, i) => tokens - q[i]),
      kvLen: Int32Array.from(kv),
    };
  });
}
