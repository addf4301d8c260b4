/**
 * What the fused `attend` kernels have in common: how heads are blocked, what does not fit, and the launch.
 *
 * @module
 */
import type { AttendShape } from "../reference/shapes.ts";
import { assertLayout, attendBuffers, planMerge, planSplits, splitIterations } from "./attend.ts";
import type { CacheLayout, DeviceTraits, Launch, TokenLoop, Tuning } from "./kernel.ts";
import { CHUNK, composeWgsl, foldWorkgroups } from "./wgsl.ts";

/** Tile sizes of a fused kernel, appended to its text. */
export interface FusedTiles {
  /** Heads of a workgroup. */
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

/**
 * Heads of a workgroup, and the threads that accumulate 8 heads × 8 elements of their output each. Blocks of heads
 * share each tile: more heads read the cache less often, up to 128 threads.
 */
export function blockOfHeads({ H, R }: AttendShape): { ROWS: number; outputThreads: number } {
  const chunkThreads = 2 ** Math.ceil(Math.log2(R / CHUNK));
  const ROWS = H <= 8 || chunkThreads > 64 ? 8 : H <= 16 || chunkThreads > 32 ? 16 : 32;
  return { ROWS, outputThreads: chunkThreads * ROWS / 8 };
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
  /** What beside the width of a token decides the threads: ` with subgroups of up to 32 lanes`. @default {""} */
  readonly because?: string;
}

/** Why the tiles of `shape` do not fit; undefined when they do. */
export function refuseTiles({ R, Dr, cache }: AttendShape, room: Room): string | undefined {
  const { bytes, availableBytes, threads, device, because = "" } = room;
  const width = `R + Dr = ${R + Dr} in ${cache}`;
  if (!(bytes <= availableBytes)) {
    return `${width} needs ${bytes} bytes of workgroup memory, the limit is ${availableBytes}`;
  }
  const invocations = Math.min(DEFAULT_INVOCATIONS, device?.limits.maxComputeInvocationsPerWorkgroup ?? Infinity);
  if (!(threads <= invocations)) return `${width}${because} needs ${threads} invocations, the limit is ${invocations}`;
  return undefined;
}

/** A fused kernel, ready for one shape. */
export interface FusedPlan {
  /** Text of the `.wgsl` file. */
  readonly text: string;
  /** Tile sizes; further constants of the kernel among them are appended as well. */
  readonly tiles: FusedTiles;
  /** Bytes of workgroup memory. */
  readonly workgroupBytes: number;
  /** The loop over tiles. */
  readonly loop: TokenLoop;
}

/** The launch of a fused kernel: one dispatch over (sequence, split, block of heads), and the merge of splits. */
export function launchFused(
  shape: AttendShape,
  layout: CacheLayout,
  tuning: Tuning,
  device: DeviceTraits,
  { text, tiles, workgroupBytes, loop }: FusedPlan,
): Launch {
  assertLayout(shape, layout);
  const { B, H, R, Dr, page, cache, kv, scale } = shape;
  const blocks = Math.ceil(H / tiles.ROWS);
  const splits = planSplits(shape, tuning, device, blocks, loop);
  const merge = planMerge(shape, splits, device);
  return {
    buffers: [...attendBuffers(shape, layout), ...merge.buffers],
    dispatches: [{
      label: "attend",
      shader: composeWgsl(text, { cache, constants: { R, DR: Dr, ...tiles } }),
      params: [
        ["B", "u32", B],
        ["H", "u32", H],
        ["page", "u32", page],
        ["pages", "u32", layout.pages],
        ["width", "u32", layout.tableWidth],
        ["max_kv", "u32", Math.max(...kv)],
        ["splits", "u32", splits],
        ["blocks", "u32", blocks],
        ["scale", "f32", scale],
      ],
      bindings: ["q_latent", "q_pe", "cache", "page_table", "kv_len", merge.out, merge.lse],
      workgroups: foldWorkgroups(B * splits * blocks, device.limits.maxComputeWorkgroupsPerDimension),
      workgroupSize: tiles.THREADS,
      workgroupBytes,
      loopIterations: splitIterations(shape, splits, loop),
    }, ...merge.dispatches],
    chosen: { splits, rows: tiles.ROWS, tile: tiles.T },
  };
}
