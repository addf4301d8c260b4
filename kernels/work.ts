/**
 * The work that an operation cannot avoid: the same for every kernel of it.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import { attendFlops } from "../reference/rows.ts";
import {
  type AppendShape,
  type AttendShape,
  type MlaShape,
  type PrefillShape,
  type ProjectShape,
  total,
} from "../reference/shapes.ts";
import { projectFlops, projectMinBytes } from "./work_project.ts";

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
  | { readonly operation: "append"; readonly shape: AppendShape }
  | { readonly operation: "project"; readonly shape: ProjectShape }
  | { readonly operation: "prefill"; readonly shape: PrefillShape }
  | { readonly operation: "mla"; readonly shape: MlaShape };

/** Bytes that the operation must move, equal for all its kernels. */
export function minBytes(work: Work): number {
  switch (work.operation) {
    case "attend":
      return attendMinBytes(work.shape);
    case "append":
      return appendMinBytes(work.shape);
    case "project":
      return projectMinBytes(work.shape);
    default:
      throw new Error("not yet");
  }
}

/** Floating-point operations of the operation; `append` has none. */
export function workFlops(work: Work): number {
  switch (work.operation) {
    case "attend":
      return attendFlops(work.shape);
    case "append":
      return 0;
    case "project":
      return projectFlops(work.shape);
    default:
      throw new Error("not yet");
  }
}
