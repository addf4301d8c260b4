/**
 * What the `attend` kernels have in common: which shapes they take, their buffers, and the merge of splits.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import type { AttendShape } from "../reference/shapes.ts";
import mergeText from "./attend_merge.wgsl" with { type: "text" };
import type { BufferSpec, CacheLayout, DeviceTraits, DispatchSpec, TokenLoop, Tuning } from "./kernel.ts";
import { chooseSplits, MAX_SPLITS } from "./splits.ts";
import { composeWgsl, foldWorkgroups } from "./wgsl.ts";

/** Rope widths that the kernels are verified for. */
export const ROPE_WIDTHS: readonly number[] = [0, 16, 32, 64];

/** Heads are counted in u32 with room for the block's padding. */
const MAX_HEADS = 65536;

/** Smallest normal f32: what is smaller a GPU may take for 0. */
const MIN_NORMAL_F32 = 2 ** -126;

const MERGE_THREADS = 64;

/** Why no cache of this form can be read or written, undefined when it can. Shared by both operations. */
export function refuseCache(
  { B, R, Dr, page, cache }: { B: number; R: number; Dr: number; page: number; cache: string },
): string | undefined {
  if (!(Number.isInteger(B) && B >= 1)) return `B=${B}: at least one sequence is needed`;
  if (!(Number.isInteger(R) && R >= 16 && R % 16 === 0)) return `R=${R}: only positive multiples of 16`;
  if (!ROPE_WIDTHS.includes(Dr)) return `Dr=${Dr}: only ${ROPE_WIDTHS.join(", ")}`;
  if (!(Number.isInteger(page) && page >= 1)) return `page=${page}: only positive integers`;
  if (!(cache in DTYPE_BYTES)) return `cache=${cache}: only ${Object.keys(DTYPE_BYTES).join(", ")}`;
  return undefined;
}

/** Why no `attend` kernel runs `shape`, undefined when they do. */
export function refuseAttend(shape: AttendShape, { splits }: Tuning): string | undefined {
  const { B, H, q, kv, scale } = shape;
  const reason = refuseCache(shape);
  if (reason) return reason;
  if (!(Number.isInteger(H) && H >= 1 && H <= MAX_HEADS)) return `H=${H}: only 1 to ${MAX_HEADS}`;
  if (q.length !== B || kv.length !== B) return `q and kv have ${q.length} and ${kv.length} entries, B is ${B}`;
  const query = q.find((n) => n !== 1);
  if (query !== undefined) return `q=${query}: only decode, one query token per sequence`;
  const length = kv.find((n) => !(Number.isInteger(n) && n >= 0 && n < 2 ** 31));
  if (length !== undefined) return `kv=${length}: only 0 to 2147483647`;
  const size = Math.abs(Math.fround(scale));
  if (!(size >= MIN_NORMAL_F32 && size < Infinity)) return `scale=${scale}: only normal f32 numbers, not 0`;
  if (splits !== undefined && !(Number.isInteger(splits) && splits >= 1 && splits <= MAX_SPLITS)) {
    return `splits=${splits}: only 1 to ${MAX_SPLITS}`;
  }
  return undefined;
}

/** The input and output buffers of `attend` for decode (one query token per sequence). */
export function attendBuffers({ B, H, R, Dr, page, cache }: AttendShape, layout: CacheLayout): BufferSpec[] {
  return [
    { name: "q_latent", bytes: 4 * B * H * R, role: "input" },
    { name: "q_pe", bytes: Math.max(16, 4 * B * H * Dr), role: "input" },
    { name: "cache", bytes: layout.pages * page * (R + Dr) * DTYPE_BYTES[cache], role: "input" },
    { name: "page_table", bytes: 4 * B * layout.tableWidth, role: "input" },
    { name: "kv_len", bytes: 4 * B, role: "input" },
    { name: "out", bytes: 4 * B * H * R, role: "output" },
    { name: "lse", bytes: 4 * B * H, role: "output" },
  ];
}

/** Where the main kernel writes, and what follows it: with one split the result itself and nothing. */
export interface MergePlan {
  /** Buffer for output: `out`, or the partial outputs `[B, splits, H, R]`. */
  readonly out: string;
  /** Buffer for the log-sum-exp: `lse`, or the partial ones `[B, splits, H]`. */
  readonly lse: string;
  /** Scratch buffers. */
  readonly buffers: readonly BufferSpec[];
  /** The merge, or nothing. */
  readonly dispatches: readonly DispatchSpec[];
}

/**
 * Merge of `splits` partial results of each row, weighted by their log-sum-exp.
 *
 * - **Shapes** `partial_out` `[B, splits, H, R]`, `partial_lse` `[B, splits, H]` → `out`, `lse`. **Mapping** thread ↔ 4 elements.
 */
export function planMerge({ B, H, R }: AttendShape, splits: number, { limits }: DeviceTraits): MergePlan {
  if (splits === 1) return { out: "out", lse: "lse", buffers: [], dispatches: [] };
  return {
    out: "partial_out",
    lse: "partial_lse",
    buffers: [
      { name: "partial_out", bytes: 4 * B * splits * H * R, role: "scratch" },
      { name: "partial_lse", bytes: 4 * B * splits * H, role: "scratch" },
    ],
    dispatches: [{
      label: "merge",
      shader: composeWgsl(mergeText, { constants: { R } }),
      params: [["B", "u32", B], ["H", "u32", H], ["splits", "u32", splits]],
      bindings: ["partial_out", "partial_lse", "out", "lse"],
      workgroups: foldWorkgroups(Math.ceil(B * H * R / 4 / MERGE_THREADS), limits.maxComputeWorkgroupsPerDimension),
      workgroupSize: MERGE_THREADS,
      workgroupBytes: 0,
      loopIterations: splits + (splits + 1),
    }],
  };
}

/** Upper bound of the iterations of an invocation over its split of the longest sequence. */
export function splitIterations(
  { kv }: Pick<AttendShape, "kv">,
  splits: number,
  { tile, tileIterations }: TokenLoop,
): number {
  return Math.ceil(Math.max(...kv) / (splits * tile)) * tileIterations + 1;
}

/**
 * The splits that a case asks for, or the choice for `blocks` workgroups per sequence: as many at least as the driver's
 * limit on loops demands, as many at most as there is room for partial outputs. Where no number is both, or the case asks
 * for one that does not fit, `checkLimits` refuses the launch.
 */
export function planSplits(
  shape: AttendShape,
  { splits }: Tuning,
  { limits, maxLoopIterations = Infinity }: DeviceTraits,
  blocks: number,
  loop: TokenLoop,
): number {
  const { B, H, R, kv } = shape;
  if (splits !== undefined) return splits;
  const bytes = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  const workgroups = limits.maxComputeWorkgroupsPerDimension ** 2;
  const most = Math.max(1, Math.floor(Math.min(bytes / (4 * B * H * R), workgroups / (B * blocks))));
  const tiles = Math.max(1, Math.floor((maxLoopIterations - 1) / loop.tileIterations));
  return chooseSplits({ blocks, kv, least: Math.ceil(Math.max(...kv) / (tiles * loop.tile)), most });
}

/** Throws where the layout of the cache cannot hold the sequences of `shape`. */
export function assertLayout({ kv, page }: AttendShape, { pages, tableWidth }: CacheLayout): void {
  const needed = Math.max(1, Math.ceil(Math.max(...kv) / page));
  if (!(Number.isInteger(tableWidth) && tableWidth >= needed)) {
    throw new RangeError(
      `Cannot launch with a page table of width ${tableWidth}: kv=${Math.max(...kv)} needs ${needed}`,
    );
  }
  if (!(Number.isInteger(pages) && pages >= 1)) throw new RangeError(`Cannot launch with a cache of ${pages} pages`);
}
