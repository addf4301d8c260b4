/**
 * Seeded inputs in the model's terms, before absorption: those of `project` and `prefill`, and what those of `mla` are
 * made of. As for `attend`, the same shape, kind and seed give the same bytes everywhere, and memory that no kernel may
 * read holds NaN: unused slots and pages of the cache, and the padding rows of the inputs.
 *
 * The weight is N(0, 1)/√R in the dtype `weight`, so that keys and values of every head are N(0, 1) where latents are.
 *
 * | kind | exposes |
 * |---|---|
 * | `normal` | wrong sums, scale, rope, dims, heads: tokens are N(0, 1), logits have a standard deviation of {@linkcode LOGIT_DEVIATION}; of `project`, N(0, 1) |
 * | `large` | wrong scale, exponentials without max subtraction: the queries of `normal` times {@linkcode LARGE_QUERY} |
 * | `equal` | padding that counts in the denominator, lost tokens: queries are 0, so every weight is 1/n; of `project`, every value is 1 |
 * | `seed` | what the tests of TensorRT-LLM's pull request 12519 expose, with their values: queries and new rope keys N(0, 1)/√Dn, new latents N(0, 1)/√R, tokens cached before the call N(0, 1) |
 *
 * @module
 */
import { DTYPE_BYTES, encodeInto } from "./dtypes.ts";
import { cachedBefore, type CacheFill, fillPages } from "./fill_pages.ts";
import { type KeyRange, LOGIT_DEVIATION, scaleNewTokens, STREAM } from "./input_kinds.ts";
import { allocatePages, pageTableOf, poisonedCache } from "./paging.ts";
import { fillNormal, streamKey } from "./random.ts";
import { queryStarts } from "./rows.ts";
import { type InputKind, type PrefillShape, PROJECTED_KINDS, type ProjectShape, total } from "./shapes.ts";

/** Factor of the queries of `large`: FlashInfer's tests of its CUTLASS kernel use the same to expose wrong scales. */
export const LARGE_QUERY = 100;

/** Inputs of one `project`. */
export interface ProjectInputs {
  /** Problem size. */
  readonly shape: ProjectShape;
  /** `q_nope` `[tokens, H, Dn]` of part `q`, `latent` `[tokens, H, R]` of part `v`. */
  readonly x: Float32Array;
  /** `kv_b_proj` `[H·(Dn+Dv), R]`, elements of `shape.weight`: per head Dn rows W_k, then Dv rows W_v. */
  readonly kvB: Uint8Array;
}

/** Inputs of one `prefill`. */
export interface PrefillInputs {
  /** Problem size. */
  readonly shape: PrefillShape;
  /** Queries without position `[Σq + padding, H, Dn]`. */
  readonly qNope: Float32Array;
  /** Rope part of the queries `[Σq + padding, H, Dr]`. */
  readonly qPe: Float32Array;
  /** `kv_b_proj` `[H·(Dn+Dv), R]`, elements of `shape.weight`: per head Dn rows W_k, then Dv rows W_v. */
  readonly kvB: Uint8Array;
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

/**
 * Makes seeded inputs of `project`.
 *
 * @throws {RangeError} If the operation has no inputs of that kind.
 */
export function makeProjectInputs(shape: ProjectShape, kind: InputKind, seed: number): ProjectInputs {
  requireKind("project", kind);
  const { part, tokens, H, R, Dn } = shape;
  const x = new Float32Array(tokens * H * (part === "q" ? Dn : R));
  const deviation = kind === "seed" ? 1 / Math.sqrt(part === "q" ? Dn : R) : kind === "large" ? LARGE_QUERY : 1;
  if (kind === "equal") x.fill(1);
  else fillNormal(x, streamKey(seed, STREAM.qNope), { scale: deviation });
  return { shape, x, kvB: makeWeight(shape, seed) };
}

/**
 * Makes seeded inputs of `prefill`.
 *
 * @param filled A cache that {@linkcode fillPrefillCache} has filled, in parts elsewhere. @default {made here}
 * @throws {RangeError} If the operation has no inputs of that kind.
 */
export function makePrefillInputs(
  shape: PrefillShape,
  kind: InputKind,
  seed: number,
  filled?: Uint8Array<ArrayBufferLike>,
): PrefillInputs {
  requireKind("prefill", kind);
  const allocation = allocatePages(shape.kv, shape.page, streamKey(seed, STREAM.pages));
  const cache = filled ?? poisonedCache(shape, allocation.pages);
  if (!filled) fillPrefillCache(shape, { kind, seed, cache });
  const { qNope, qPe } = makeModelQueries(shape, kind, seed);
  return {
    shape,
    qNope: withPadding(qNope, shape.padding * shape.H * shape.Dn),
    qPe: withPadding(qPe, shape.padding * shape.H * shape.Dr),
    kvB: makeWeight(shape, seed),
    cache,
    pages: allocation.pages,
    ...pageTableOf(allocation),
    kvLen: Int32Array.from(shape.kv),
    cuSeqlen: queryStarts(shape),
  };
}

/** Writes the tokens of a cache of `prefill`. Parts may be filled in any order, and at once. */
export function fillPrefillCache(shape: PrefillShape, { kind, seed, cache, part }: CacheFill): void {
  const allocation = allocatePages(shape.kv, shape.page, streamKey(seed, STREAM.pages));
  fillPages({ shape, allocation, counts: shape.kv, cached: cachedBefore(shape), cache, part }, (range) => {
    fillTokens(shape, kind, seed, range);
  });
}

/**
 * Refuses kinds that only `attend` has.
 *
 * @throws {RangeError} If `kind` is none of {@linkcode PROJECTED_KINDS}.
 */
export function requireKind(operation: string, kind: InputKind): void {
  if (!PROJECTED_KINDS.includes(kind)) {
    throw new RangeError(`Cannot make ${operation} inputs of kind "${kind}": it has ${PROJECTED_KINDS.join(", ")}`);
  }
}

/** Sizes of a weight. */
export type WeightShape = Pick<ProjectShape, "H" | "R" | "Dn" | "Dv" | "weight">;

/** `kv_b_proj` `[H·(Dn+Dv), R]`, N(0, 1)/√R rounded to the dtype `weight`. */
export function makeWeight({ H, R, Dn, Dv, weight }: WeightShape, seed: number): Uint8Array<ArrayBuffer> {
  const perHead = (Dn + Dv) * R;
  const bytes = new Uint8Array(H * perHead * DTYPE_BYTES[weight]);
  const values = new Float32Array(perHead);
  for (let h = 0; h < H; h++) {
    fillNormal(values, streamKey(seed, STREAM.kvB), { start: h * perHead, scale: 1 / Math.sqrt(R) });
    const at = h * perHead * DTYPE_BYTES[weight];
    encodeInto(values, bytes.subarray(at, at + perHead * DTYPE_BYTES[weight]), weight);
  }
  return bytes;
}

/** Writes the keys (latent, then rope part) of consecutive tokens of one sequence. */
export function fillTokens(shape: PrefillShape, kind: InputKind, seed: number, range: KeyRange): void {
  fillNormal(range.keys, streamKey(seed, STREAM.keys), { start: range.batchToken * (shape.R + shape.Dr) });
  if (kind === "seed") scaleNewTokens(shape, range);
}

/** Queries of the whole batch, without padding rows: `qNope` `[Σq, H, Dn]`, `qPe` `[Σq, H, Dr]`. */
export function makeModelQueries(
  shape: PrefillShape,
  kind: InputKind,
  seed: number,
): { qNope: Float32Array<ArrayBuffer>; qPe: Float32Array<ArrayBuffer> } {
  const { H, Dn, Dr, scale } = shape;
  const rows = total(shape.q) * H;
  const qNope = new Float32Array(rows * Dn);
  const qPe = new Float32Array(rows * Dr);
  if (kind === "equal") return { qNope, qPe };
  // A scale of zero makes every logit zero whatever the query.
  const normal = LOGIT_DEVIATION / Math.sqrt(Dn + Dr) / (scale === 0 ? 1 : scale);
  const deviation = kind === "seed" ? 1 / Math.sqrt(Dn) : kind === "large" ? LARGE_QUERY * normal : normal;
  fillNormal(qNope, streamKey(seed, STREAM.qNope), { scale: deviation });
  fillNormal(qPe, streamKey(seed, STREAM.qPe), { scale: deviation });
  return { qNope, qPe };
}

/** `values` followed by `elements` NaN: padding rows, which no kernel may use. */
export function withPadding(values: Float32Array<ArrayBuffer>, elements: number): Float32Array<ArrayBuffer> {
  if (elements === 0) return values;
  const padded = new Float32Array(values.length + elements).fill(NaN);
  padded.set(values);
  return padded;
}
