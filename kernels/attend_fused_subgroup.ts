/**
 * `attend/fused_subgroup`: one pass over the cache, scores and softmax summed by subgroup shuffles.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import type { AttendShape } from "../reference/shapes.ts";
import { refuseAttend } from "./attend.ts";
import text from "./attend_fused_subgroup.wgsl" with { type: "text" };
import { blockOfRows, type FusedTiles, launchFused, refuseTiles } from "./fused.ts";
import type { AttendKernel, CacheLayout, DeviceTraits, Launch, TokenLoop, Tuning } from "./kernel.ts";
import { missingFeature } from "./limits.ts";
import { CHUNK } from "./wgsl.ts";

const REQUIRES: readonly string[] = ["subgroups"];

/** Lanes that sum scores together: no smaller subgroup will do. SwiftShader has just these. */
const SUM_LANES = 4;

/** Workgroup memory that leaves room for two workgroups: an H200 multiprocessor has 48 KiB in all under Vulkan. */
const RESIDENT_BYTES = 24576;

/** Tile sizes of the kernel, appended to its text. `THREADS` is a multiple of the largest subgroup. */
export interface SubgroupTiles extends FusedTiles {
  /** Distance of the lanes that sum: 2 where subgroups have 8 lanes, so that neighbours may share tokens; else 1. */
  readonly LANE: number;
}

/**
 * Tile sizes for `shape` on `device`: the most tokens, up to 16, that leave room for two workgroups and give every dot
 * product a multiple of four lanes.
 */
export function subgroupTiles(shape: AttendShape, device: DeviceTraits): SubgroupTiles {
  const { ROWS, outputThreads } = blockOfRows(shape);
  const THREADS = Math.max(32, device.subgroupMaxSize, outputThreads);
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

/** Iterations of the loops inside that over tiles, a loop of n counted as n + 1: staging, hidden tokens, latent, rope, sum, product. */
export function subgroupLoop({ R, Dr }: AttendShape, { T, THREADS, SLICES }: SubgroupTiles): TokenLoop {
  const staging = Math.ceil(T * (R + Dr) / CHUNK / (5 * THREADS)) + 1;
  const hidden = Math.ceil(T * (R + Dr) / CHUNK / THREADS) + 1;
  const scores = Math.ceil(R / CHUNK / SLICES) + 1 + Math.ceil(Dr / CHUNK / SLICES) + 1;
  return { tile: T, tileIterations: 1 + staging + hidden + scores + SLICES / 4 + (T / 4 + 1) };
}

function refuses(shape: AttendShape, tuning: Tuning, device?: DeviceTraits): string | undefined {
  const reason = refuseAttend(shape, tuning);
  if (reason || !device) return reason;
  const missing = missingFeature(REQUIRES, device.features);
  if (missing) return missing;
  const { subgroupMinSize, subgroupMaxSize } = device;
  if (!(subgroupMinSize >= SUM_LANES && subgroupMaxSize >= subgroupMinSize)) {
    return `subgroups of ${subgroupMinSize} to ${subgroupMaxSize} lanes: at least ${SUM_LANES} are needed`;
  }
  const tiles = subgroupTiles(shape, device);
  return refuseTiles(shape, {
    bytes: subgroupBytes(shape, tiles),
    availableBytes: availableBytes(device),
    threads: tiles.THREADS,
    device,
    because: ` with subgroups of up to ${subgroupMaxSize} lanes`,
  });
}

/**
 * Fused attention over a paged latent cache with an online softmax and subgroup shuffles .
 *
 * - **Shapes** those of {@linkcode AttendKernel}; any H, q, kv and page size; R while a tile of 4 tokens fits 24 KiB.
 * - **Mapping** workgroup ↔ item of the work list: a span of tokens of 8, 16 or 32 rows (query token, head); tiles of 16, 8 or 4 tokens staged as they lie.
 * - **Precision** scores, softmax and sums in f32.
 * - **Source** as `attend/fused`; the sum over lanes is a reduce-scatter butterfly.
 */
export const attendFusedSubgroup: AttendKernel = {
  operation: "attend",
  variant: "fused_subgroup",
  summary: "as fused, with 4 rows x 4 tokens of scores per thread summed by subgroup shuffles; up to 24 KiB",
  requires: REQUIRES,
  refuses,
  launch(shape: AttendShape, layout: CacheLayout, tuning: Tuning, device: DeviceTraits): Launch {
    const reason = refuses(shape, tuning, device);
    if (reason) throw new RangeError(`Cannot launch attend/fused_subgroup: ${reason}`);
    const tiles = subgroupTiles(shape, device);
    const workgroupBytes = subgroupBytes(shape, tiles);
    return launchFused(shape, layout, tuning, device, {
      text,
      tiles,
      workgroupBytes,
      loop: subgroupLoop(shape, tiles),
    });
  },
};
