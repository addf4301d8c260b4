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
import { appendMinBytes } from "./work_append.ts";
import { prefillFlops, prefillMinBytes } from "./work_prefill.ts";
import { mlaFlops, mlaMinBytes } from "./work_mla.ts";
import { projectFlops, projectMinBytes } from "./work_project.ts";

export { appendMinBytes } from "./work_append.ts";

/**
 * Bytes that `attend` must move: every input read once — queries, the cached tokens of all sequences that have a query,
 * their page-table entries, all lengths — and every output written once. Pages that sequences share count for each of
 * them.
 */
export function attendMinBytes({ H, R, Dr, q, kv, page, cache }: AttendShape): number {
  const rows = total(q) * H;
  const asked = kv.filter((_, b) => q[b] > 0);
  const entries = total(asked.map((n) => Math.ceil(n / page)));
  const queries = 4 * rows * (R + Dr);
  const outputs = 4 * rows * R + 4 * rows;
  return queries + total(asked) * (R + Dr) * DTYPE_BYTES[cache] + 4 * entries + 4 * kv.length + outputs;
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
    case "prefill":
      return prefillMinBytes(work.shape);
    case "mla":
      return mlaMinBytes(work.shape);
    default:
      return work satisfies never;
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
    case "prefill":
      return prefillFlops(work.shape);
    case "mla":
      return mlaFlops(work.shape);
    default:
      return work satisfies never;
  }
}
