/**
 * `attend/fused_subgroup`: one pass over the cache, scores and softmax summed by subgroup shuffles.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import type { AttendShape } from "../reference/shapes.ts";
import { assertLayout, attendBuffers, planMerge, planSplits, refuseAttend, splitIterations } from "./attend.ts";
import text from "./attend_fused_subgroup.wgsl" with { type: "text" };
import type { AttendKernel, CacheLayout, DeviceTraits, Launch, TokenLoop, Tuning } from "./kernel.ts";
import { missingFeature } from "./limits.ts";
import { CHUNK, composeWgsl, foldWorkgroups } from "./wgsl.ts";

const REQUIRES: readonly string[] = ["subgroups"];

/** Lanes that sum scores together: no smaller subgroup will do. SwiftShader has just these. */
const SUM_LANES = 4;

/** Workgroup memory that leaves room for two workgroups: an H200 multiprocessor has 48 KiB in all under Vulkan. */
const RESIDENT_BYTES = 24576;

/** Tile sizes of the kernel, appended to its text. */
export interface SubgroupTiles {
  /** Heads of a workgroup. */
  readonly ROWS: number;
  /** Tokens of a tile. */
  readonly T: number;
  /** Invocations of a workgroup, a multiple of the largest subgroup. */
  readonly THREADS: number;
  /** Threads that share a dot product, each with every SLICES-th chunk of d. */
  readonly SLICES: number;
  /** Distance of the lanes that sum: 2 where subgroups have 8 lanes, so that neighbours may share tokens; else 1. */
  readonly LANE: number;
}

/**
 * Tile sizes for `shape` on `device`: the most tokens, up to 16, that leave room for two workgroups and give every dot
 * product a multiple of four lanes.
 */
export function subgroupTiles(shape: AttendShape, device: DeviceTraits): SubgroupTiles {
  const { H, R } = shape;
  const chunkThreads = 2 ** Math.ceil(Math.log2(R / CHUNK));
  const ROWS = H <= 8 || chunkThreads > 64 ? 8 : H <= 16 || chunkThreads > 32 ? 16 : 32;
  const THREADS = Math.max(32, device.subgroupMaxSize, chunkThreads * ROWS / 8);
  const LANE = device.subgroupMinSize >= 2 * SUM_LANES ? 2 : 1;
  const tiles = (T: number) => ({ ROWS, T, THREADS, SLICES: THREADS / (ROWS / 4) / (T / 4), LANE });
  const available = availableBytes(device);
  const fitting = [16, 8].map(tiles).find((t) => t.SLICES >= SUM_LANES && subgroupBytes(shape, t) <= available);
  return fitting ?? tiles(4);
}

function availableBytes({ limits }: DeviceTraits): number {
  return Math.min(RESIDENT_BYTES, limits.maxComputeWorkgroupStorageSize);
}

/** Bytes of workgroup memory: tile, slots, partial scores, probabilities, factors. */
function subgroupBytes({ R, Dr, cache }: AttendShape, { ROWS, T, SLICES }: SubgroupTiles): number {
  return T * (R + Dr) * DTYPE_BYTES[cache] + 4 * T + SLICES * T * ROWS + 4 * T * ROWS + 4 * ROWS;
}

/** Iterations of the loops inside that over tiles, a loop of n counted as n + 1: staging, latent, rope, sum, product. */
export function subgroupLoop({ R, Dr }: AttendShape, { T, THREADS, SLICES }: SubgroupTiles): TokenLoop {
  const staging = Math.ceil(T * (R + Dr) / CHUNK / (5 * THREADS)) + 1;
  const scores = Math.ceil(R / CHUNK / SLICES) + 1 + Math.ceil(Dr / CHUNK / SLICES) + 1;
  return { tile: T, tileIterations: 1 + staging + scores + SLICES / 4 + (T / 4 + 1) };
}

function refuses(shape: AttendShape, tuning: Tuning, device?: DeviceTraits): string | undefined {
  const reason = refuseAttend(shape, tuning);
  if (reason || !device) return reason;
  const missing = missingFeature(REQUIRES, device.features);
  if (missing) return missing;
  const { subgroupMinSize, subgroupMaxSize, limits } = device;
  if (!(subgroupMinSize >= SUM_LANES && subgroupMaxSize >= subgroupMinSize)) {
    return `subgroups of ${subgroupMinSize} to ${subgroupMaxSize} lanes: at least ${SUM_LANES} are needed`;
  }
  const tiles = subgroupTiles(shape, device);
  const bytes = subgroupBytes(shape, tiles);
  const width = `R + Dr = ${shape.R + shape.Dr} in ${shape.cache}`;
  const available = availableBytes(device);
  if (!(bytes <= available)) return `${width} needs ${bytes} bytes of workgroup memory, the limit is ${available}`;
  const invocations = Math.min(256, limits.maxComputeInvocationsPerWorkgroup);
  if (!(tiles.THREADS <= invocations)) {
    return `${width} with subgroups of up to ${subgroupMaxSize} lanes needs ${tiles.THREADS} invocations, the limit is ${invocations}`;
  }
  return undefined;
}

/**
 * Fused attention over a paged latent cache with an online softmax and subgroup shuffles (decode).
 *
 * - **Shapes** those of {@linkcode AttendKernel}; any H, page size and kv; R while a tile of 4 tokens fits 24 KiB.
 * - **Mapping** workgroup ↔ (sequence, split, block of 8, 16 or 32 heads); tiles of 16, 8 or 4 tokens staged as they lie.
 * - **Precision** scores, softmax and sums in f32.
 * - **Source** as `attend/fused`; the sum over lanes is a reduce-scatter butterfly.
 */
export const attendFusedSubgroup: AttendKernel = {
  operation: "attend",
  variant: "fused_subgroup",
  summary: "as fused, with 4 heads x 4 tokens of scores per thread summed by subgroup shuffles; up to 24 KiB",
  requires: REQUIRES,
  refuses,
  launch(shape: AttendShape, layout: CacheLayout, tuning: Tuning, device: DeviceTraits): Launch {
    const reason = refuses(shape, tuning, device);
    if (reason) throw new RangeError(`Cannot launch attend/fused_subgroup: ${reason}`);
    assertLayout(shape, layout);
    const { B, H, R, Dr, page, cache, kv, scale } = shape;
    const tiles = subgroupTiles(shape, device);
    const blocks = Math.ceil(H / tiles.ROWS);
    const loop = subgroupLoop(shape, tiles);
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
        workgroupBytes: subgroupBytes(shape, tiles),
        loopIterations: splitIterations(shape, splits, loop),
      }, ...merge.dispatches],
      chosen: { splits, rows: tiles.ROWS, tile: tiles.T },
    };
  },
};
