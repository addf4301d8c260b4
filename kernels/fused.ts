/**
 * What the fused `attend` kernels have in common: how rows are blocked, what does not fit, and the launch.
 *
 * @module
 */
import type { AttendShape } from "../reference/shapes.ts";
import { assertLayout, attendBuffers, cacheBuffers, partsOf, planMerge } from "./attend.ts";
import type { CacheLayout, DeviceTraits, DispatchSpec, Launch, TokenLoop, Tunable, Tuning } from "./kernel.ts";
import { CHUNK, foldWorkgroups } from "./wgsl.ts";
import { itemIterations, itemWords, mostSplits, planWork } from "./work_list.ts";

/** Tile sizes of a fused kernel, appended to its text. */
export interface FusedTiles {
  /** Rows (query token, head) of a workgroup. */
  readonly ROWS: number;
  /** Tokens of a tile. */
  readonly T: number;
  /** Invocations of a workgroup. */
  readonly THREADS: number;
  /** Threads that share a dot product, each with every SLICES-th chunk of d. */
  readonly SLICES: number;
}

/** Invocations of a workgroup that every WebGPU device has. */
const DEFAULT_INVOCATIONS = 256;

/** Most rows of a workgroup: beyond them the threads of one leave no room for a second on a multiprocessor. */
const MAX_ROWS = 32;

/**
 * Rows of a workgroup, and the threads that accumulate 8 rows × 8 elements of their output each. Rows of a block share
 * each tile: more rows read the cache less often, up to 128 threads. A ragged batch is blocked for where its work is.
 *
 * @param asked Rows that were asked for. @default the choice above
 */
export function blockOfRows(shape: AttendShape, asked?: number): { ROWS: number; outputThreads: number } {
  const chunkThreads = 2 ** Math.ceil(Math.log2(shape.R / CHUNK));
  const ROWS = asked ?? chooseRows(typicalRows(shape, MAX_ROWS), chunkThreads);
  return { ROWS, outputThreads: chunkThreads * ROWS / 8 };
}

function chooseRows(rows: number, chunkThreads: number): number {
  return rows <= 8 || chunkThreads > 64 ? 8 : rows <= 16 || chunkThreads > 32 ? 16 : MAX_ROWS;
}

/** Rows of a sequence, up to `most`: the mean over the sequences, weighted by their blocks and tokens. */
export function typicalRows({ H, q, kv }: AttendShape, most: number): number {
  let sum = 0, weights = 0;
  q.forEach((n, b) => {
    const weight = Math.ceil(n * H / most) * (kv[b] + 1);
    sum += weight * Math.min(most, n * H);
    weights += weight;
  });
  return Math.round(sum / weights);
}

/** What a workgroup needs and what there is. */
export interface Room {
  /** Bytes of workgroup memory that the tiles need. */
  readonly bytes: number;
  /** Bytes that there are. */
  readonly availableBytes: number;
  /** Invocations that the tiles need. */
  readonly threads: number;
  /** Device, where it is known. */
  readonly device?: DeviceTraits;
}

/** Why the tiles of `shape` do not fit; undefined when they do. */
export function refuseTiles({ R, Dr, cache }: AttendShape, room: Room): string | undefined {
  const { bytes, availableBytes, threads, device } = room;
  const width = `R + Dr = ${R + Dr} in ${cache}`;
  if (!(bytes <= availableBytes)) {
    return `${width} needs ${bytes} bytes of workgroup memory, the limit is ${availableBytes}`;
  }
  const invocations = Math.min(DEFAULT_INVOCATIONS, device?.limits.maxComputeInvocationsPerWorkgroup ?? Infinity);
  if (!(threads <= invocations)) return `${width} needs ${threads} invocations, the limit is ${invocations}`;
  return undefined;
}

/** A fused kernel, ready for one shape. */
export interface FusedPlan {
  /** Final WGSL. */
  readonly shader: string;
  /** Rows of an item. */
  readonly blockRows: number;
  /** Bytes of workgroup memory. */
  readonly workgroupBytes: number;
  /** The loop over tiles. */
  readonly loop: TokenLoop;
  /** Workgroups that a large device holds at once. @default {SLOTS} */
  readonly slots?: number;
  /** Fewest tokens worth a split of their own. @default {MIN_SPLIT_TOKENS} */
  readonly least?: number;
  /** Bytes of `sums` of an item, a scratch in binding 7; absent for kernels without one. */
  readonly sumsBytes?: number;
  /** Whether it declares the cache `read_write`. @default {false} */
  readonly cacheIsWritable?: boolean;
  /** Tuning parameters that were chosen: the invocations of a workgroup, and the others for the record. */
  readonly chosen: Readonly<Record<Tunable, number>>;
}

/**
 * The launch of a fused kernel: a workgroup for each item of the work list. Items that write the result and items that
 * write partial results are two dispatches of one shader, which differ in their buffers; then the merge.
 */
export function launchFused(
  shape: AttendShape,
  cacheLayout: CacheLayout,
  tuning: Tuning,
  device: DeviceTraits,
  { shader, blockRows, workgroupBytes, loop, slots, least, sumsBytes, cacheIsWritable, chosen }: FusedPlan,
): Launch {
  assertLayout(shape, cacheLayout);
  const { H, page, scale } = shape;
  const list = planWork(shape, { rows: blockRows, loop, slots, least }, tuning, device);
  const merge = planMerge(shape, list, device);
  const contents = itemWords(list.items);
  const dispatches = partsOf(shape, list).map(({ suffix, first, count, out, lse, lseFactor }): DispatchSpec => ({
    label: `attend${suffix}`,
    shader,
    params: [
      ["H", "u32", H],
      ["page", "u32", page],
      ["pages", "u32", cacheLayout.pages],
      ["width", "u32", cacheLayout.tableWidth],
      ["first", "u32", first],
      ["count", "u32", count],
      ["scale", "f32", scale],
      ["lse_factor", "f32", lseFactor],
    ],
    bindings: ["work", "q_latent", "q_pe", "page_table", out, lse, ...sumsBytes === undefined ? [] : ["sums"]],
    cacheBindings: cacheBuffers(shape, cacheLayout, "input").map(({ name }) => name),
    ...cacheIsWritable && { cacheIsWritable },
    workgroups: foldWorkgroups(count, device.limits.maxComputeWorkgroupsPerDimension),
    workgroupSize: chosen.threads,
    workgroupBytes,
    loopIterations: itemIterations(list, loop),
  }));
  return {
    buffers: [
      ...attendBuffers(shape, cacheLayout),
      { name: "work", bytes: contents.byteLength, role: "plan", contents, list: "attend" },
      ...sumsBytes === undefined
        ? []
        : [{ name: "sums", bytes: sumsBytes * list.items.length, role: "scratch" } as const],
      ...merge.buffers,
    ],
    dispatches: [...dispatches, ...merge.dispatches],
    chosen: { splits: mostSplits(list), items: list.items.length, ...chosen },
  };
}
