/**
 * The work that an operation cannot avoid: the same for every kernel of it.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import { type AppendShape, type AttendShape, total } from "../reference/shapes.ts";

/** Pairs of query and key that `shape` attends to: the causal rule, bottom-right aligned, leaves `kv − q + i + 1` to query i. */
export function attendedPairs({ q, kv, causal }: Pick<AttendShape, "q" | "kv" | "causal">): number {
  return total(q.map((queries, b) => {
    if (!causal) return queries * kv[b];
    const visible = Array.from({ length: queries }, (_, i) => Math.max(0, kv[b] - queries + i + 1));
    return total(visible);
  }));
}

/**
 * Floating-point operations of `attend`: `2·H·(2R+Dr)` for each attended pair of query and key.
 *
 * @example One head, one key, R = 512, Dr = 64
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(attendFlops({ H: 1, R: 512, Dr: 64, q: [1], kv: [1], causal: true }), 2 * (512 + 64 + 512));
 * ```
 */
export function attendFlops(shape: Pick<AttendShape, "H" | "R" | "Dr" | "q" | "kv" | "causal">): number {
  return 2 * shape.H * (2 * shape.R + shape.Dr) * attendedPairs(shape);
}

/**
 * Bytes that `attend` must move: every input read once — queries, the cached tokens of all sequences, their page-table
 * entries and lengths — and every output written once. Pages that sequences share count for each of them.
 */
export function attendMinBytes({ H, R, Dr, q, kv, page, cache }: AttendShape): number {
  const rows = total(q) * H;
  const entries = total(kv.map((n) => Math.ceil(n / page)));
  const queries = 4 * rows * (R + Dr);
  const outputs = 4 * rows * R + 4 * rows;
  return queries + total(kv) * (R + Dr) * DTYPE_BYTES[cache] + 4 * entries + 4 * kv.length + outputs;
}

/**
 * Bytes that `append` must move: the new latents and rope keys in f32, `cu_seqlen`, `cu_num_pages`, `input_pos` and the
 * entries of `cache_loc` that are used, each read once; the cache elements written once.
 */
export function appendMinBytes({ B, R, Dr, q, kv, page, cache }: AppendShape): number {
  const tokens = total(q);
  const entries = q.map((n, b) => n === 0 ? 0 : Math.ceil(kv[b] / page) - Math.floor((kv[b] - n) / page));
  return tokens * (R + Dr) * (4 + DTYPE_BYTES[cache]) + 4 * (3 * B + 2) + 4 * total(entries);
}

/** An operation on a shape: what a case says about its work. */
export type Work =
  | { readonly operation: "attend"; readonly shape: AttendShape }
  | { readonly operation: "append"; readonly shape: AppendShape };

/** Bytes that the operation must move, equal for all its kernels. */
export function minBytes(work: Work): number {
  return work.operation === "attend" ? attendMinBytes(work.shape) : appendMinBytes(work.shape);
}

/** Floating-point operations of the operation; `append` has none. */
export function workFlops(work: Work): number {
  return work.operation === "attend" ? attendFlops(work.shape) : 0;
}
