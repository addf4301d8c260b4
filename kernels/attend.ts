/**
 * What the `attend` kernels have in common: which shapes they take, their buffers, and the merge of splits.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import { type AttendShape, type CacheShape, LAYOUTS, total } from "../reference/shapes.ts";
import mergeText from "./attend_merge.wgsl" with { type: "text" };
import type { BufferRole, BufferSpec, CacheLayout, DeviceTraits, DispatchSpec, Tuning } from "./kernel.ts";
import { MAX_SPLITS } from "./splits.ts";
import { composeWgsl, foldWorkgroups } from "./wgsl.ts";
import { mergeWords, mostSplits, type WorkList } from "./work_list.ts";

/** Rope widths that the kernels are verified for. */
export const ROPE_WIDTHS: readonly number[] = [0, 16, 32, 64];

export const MAX_HEADS = 65536;

/**
 * Lengths stay below the offset of rows that see every token; rows are counted in u32 with room for a block's padding.
 */
const MAX_COUNT = 2 ** 30;

/** Smallest normal f32: what is smaller a GPU may take for 0. */
export const MIN_NORMAL_F32 = 2 ** -126;

const MERGE_THREADS = 64;
/** Splits that a thread of the merge reads at a time. */
const MERGE_STEP = 8;
/** Bytes of workgroup memory of the merge: a maximum, a sum of weights and four elements for each thread. */
const MERGE_BYTES = 24 * MERGE_THREADS;

/**
 * Threads that share the splits of one place of a merge: few splits are summed by one, many would take it too long.
 */
function mergeGroups(splits: number): number {
  return splits <= 8 ? 1 : splits <= 32 ? 4 : 16;
}

/** Why no cache of this form can be read or written, undefined when it can. Shared by all operations with a cache. */
export function refuseCache(
  { B, R, Dr, page, cache, layout = "combined" }: CacheShape & { B: number },
): string | undefined {
  if (!(Number.isInteger(B) && B >= 1)) return `B=${B}: at least one sequence is needed`;
  if (!(Number.isInteger(R) && R >= 16 && R % 16 === 0)) return `R=${R}: only positive multiples of 16`;
  if (!ROPE_WIDTHS.includes(Dr)) return `Dr=${Dr}: only ${ROPE_WIDTHS.join(", ")}`;
  if (!(Number.isInteger(page) && page >= 1)) return `page=${page}: only positive integers`;
  if (!(cache in DTYPE_BYTES)) return `cache=${cache}: only ${Object.keys(DTYPE_BYTES).join(", ")}`;
  if (!LAYOUTS.includes(layout)) return `layout=${layout}: only ${LAYOUTS.join(", ")}`;
  return undefined;
}

/** Why no `attend` kernel runs `shape`, undefined when they do. A causal row that precedes every token sees none. */
export function refuseAttend(shape: AttendShape, { splits }: Tuning): string | undefined {
  const { B, H, q, kv, scale } = shape;
  const reason = refuseCache(shape);
  if (reason) return reason;
  if (!(Number.isInteger(H) && H >= 1 && H <= MAX_HEADS)) return `H=${H}: only 1 to ${MAX_HEADS}`;
  if (q.length !== B || kv.length !== B) return `q and kv have ${q.length} and ${kv.length} entries, B is ${B}`;
  const queries = q.find((n) => !(Number.isInteger(n) && n >= 0));
  if (queries !== undefined) return `q=${queries}: only integers from 0 on`;
  const rows = total(q) * H;
  if (!(rows >= 1)) return `q=${q[0]}: at least one query token in the batch is needed`;
  if (!(rows < MAX_COUNT)) return `q and H make ${rows} rows: only up to ${MAX_COUNT - 1}`;
  const length = kv.find((n) => !(Number.isInteger(n) && n >= 0 && n < MAX_COUNT));
  if (length !== undefined) return `kv=${length}: only 0 to ${MAX_COUNT - 1}`;
  const size = Math.abs(Math.fround(scale));
  if (!(size >= MIN_NORMAL_F32 && size < Infinity)) return `scale=${scale}: only normal f32 numbers, not 0`;
  if (splits !== undefined && !(Number.isInteger(splits) && splits >= 1 && splits <= MAX_SPLITS)) {
    return `splits=${splits}: only 1 to ${MAX_SPLITS}`;
  }
  return undefined;
}

/** The buffers of a paged cache, one or two by its layout. */
export function cacheBuffers(
  { R, Dr, page, cache, layout }: CacheShape,
  { pages }: Pick<CacheLayout, "pages">,
  role: BufferRole,
): BufferSpec[] {
  const bytes = (width: number) => Math.max(16, pages * page * width * DTYPE_BYTES[cache]);
  if (layout !== "separate") return [{ name: "cache", bytes: bytes(R + Dr), role }];
  return [{ name: "ckv_cache", bytes: bytes(R), role }, { name: "kpe_cache", bytes: bytes(Dr), role }];
}

/** The input and output buffers of `attend`. The lengths are those of the shape, so no kernel binds `kv_len`. */
export function attendBuffers(shape: AttendShape, layout: CacheLayout): BufferSpec[] {
  const { B, H, R, Dr, q } = shape;
  const rows = total(q) * H;
  return [
    { name: "q_latent", bytes: 4 * rows * R, role: "input" },
    { name: "q_pe", bytes: Math.max(16, 4 * rows * Dr), role: "input" },
    ...cacheBuffers(shape, layout, "input"),
    { name: "page_table", bytes: 4 * B * layout.tableWidth, role: "input" },
    { name: "out", bytes: 4 * rows * R, role: "output" },
    { name: lseName(shape), bytes: 4 * rows, role: "output" },
  ];
}

/** Name of the log-sum-exp that is asked for. */
export function lseName({ lseBase = "e" }: Pick<AttendShape, "lseBase">): "lse" | "lse2" {
  return lseBase === "2" ? "lse2" : "lse";
}

/** By what the natural log-sum-exp becomes the one that is asked for. */
function lseFactor({ lseBase = "e" }: AttendShape): number {
  return lseBase === "2" ? Math.LOG2E : 1;
}

/** A part of a work list that one dispatch computes, and where that writes. */
export interface WorkPart {
  /** Appended to the label of the dispatch. */
  readonly suffix: "" | "_split";
  /** First item. */
  readonly first: number;
  /** Items, at least 1. */
  readonly count: number;
  /** Buffer for output: `out`, or the partial outputs `[partialRows, R]`. */
  readonly out: string;
  /** Buffer for the log-sum-exp: `lse` or `lse2`, or the partial ones `[partialRows]`, which are natural. */
  readonly lse: string;
  /** Factor of the natural log-sum-exp. */
  readonly lseFactor: number;
}

/** The items that write the result, and those that write partial ones; a part without items is left out. */
export function partsOf(shape: AttendShape, { items, direct }: WorkList): WorkPart[] {
  const parts: WorkPart[] = [
    { suffix: "", first: 0, count: direct, out: "out", lse: lseName(shape), lseFactor: lseFactor(shape) },
    {
      suffix: "_split",
      first: direct,
      count: items.length - direct,
      out: "partial_out",
      lse: "partial_lse",
      lseFactor: 1,
    },
  ];
  return parts.filter(({ count }) => count > 0);
}

/** The merge of a launch, empty where every item writes the result itself. */
export interface MergePlan {
  /** Its work list and the partial results. */
  readonly buffers: readonly BufferSpec[];
  /** The merge. */
  readonly dispatches: readonly DispatchSpec[];
}

/**
 * Merge of the partial results of each row, weighted by their log-sum-exp.
 *
 * - **Shapes** `partial_out` `[partialRows, R]`, `partial_lse` `[partialRows]` → `out`, `lse`. **Mapping** threads ↔ 4
 *   elements.
 */
export function planMerge(shape: AttendShape, list: WorkList, { limits }: DeviceTraits): MergePlan {
  const { merges, partialRows } = list;
  if (merges.length === 0) return { buffers: [], dispatches: [] };
  const { R } = shape;
  const rows = merges.reduce((most, { rows }) => Math.max(most, rows), 0);
  const splits = mostSplits(list);
  const GROUPS = mergeGroups(splits);
  const parts = Math.ceil(rows * R / 4 / (MERGE_THREADS / GROUPS));
  const contents = mergeWords(merges);
  return {
    buffers: [
      { name: "merges", bytes: contents.byteLength, role: "plan", contents },
      { name: "partial_out", bytes: 4 * partialRows * R, role: "scratch" },
      { name: "partial_lse", bytes: 4 * partialRows, role: "scratch" },
    ],
    dispatches: [{
      label: "merge",
      shader: composeWgsl(mergeText, { constants: { R, GROUPS, STEP: MERGE_STEP } }),
      params: [["count", "u32", merges.length], ["parts", "u32", parts], ["lse_factor", "f32", lseFactor(shape)]],
      bindings: ["merges", "partial_out", "partial_lse", "out", lseName(shape)],
      workgroups: foldWorkgroups(merges.length * parts, limits.maxComputeWorkgroupsPerDimension),
      workgroupSize: MERGE_THREADS,
      workgroupBytes: MERGE_BYTES,
      loopIterations: Math.ceil(splits / (GROUPS * MERGE_STEP)) + 1,
    }],
  };
}

/** Throws where the layout of the cache cannot hold the sequences of `shape`. */
export function assertLayout({ kv, page }: AttendShape, { pages, tableWidth }: CacheLayout): void {
  const longest = kv.reduce((most, n) => Math.max(most, n), 0);
  const needed = Math.max(1, Math.ceil(longest / page));
  if (!(Number.isInteger(tableWidth) && tableWidth >= needed)) {
    throw new RangeError(`Cannot launch with a page table of width ${tableWidth}: kv=${longest} needs ${needed}`);
  }
  if (!(Number.isInteger(pages) && pages >= 1)) throw new RangeError(`Cannot launch with a cache of ${pages} pages`);
}
