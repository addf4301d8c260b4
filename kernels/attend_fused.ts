/**
 * `attend/fused`: one pass over the cache, no optional feature, 16 KiB of workgroup memory.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import type { AttendShape } from "../reference/shapes.ts";
import { assertLayout, attendBuffers, planMerge, planSplits, refuseAttend, splitIterations } from "./attend.ts";
import text from "./attend_fused.wgsl" with { type: "text" };
import type { AttendKernel, CacheLayout, DeviceTraits, Launch, TokenLoop, Tuning } from "./kernel.ts";
import { DEFAULT_WORKGROUP_BYTES } from "./limits.ts";
import { CHUNK, composeWgsl, foldWorkgroups } from "./wgsl.ts";

/** Tile sizes of the kernel, appended to its text. */
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

/**
 * Tile sizes for `shape`. A thread accumulates 8 heads × 8 elements of the output and 2 heads × 4 tokens of the scores,
 * so R and ROWS give the threads, and the threads the slices.
 */
export function fusedTiles(shape: AttendShape): FusedTiles {
  const { H, R } = shape;
  const chunkThreads = 2 ** Math.ceil(Math.log2(R / CHUNK));
  // Blocks of heads share each tile: more heads read the cache less often, up to 128 threads.
  const ROWS = H <= 8 || chunkThreads > 64 ? 8 : H <= 16 || chunkThreads > 32 ? 16 : 32;
  const THREADS = Math.max(32, chunkThreads * ROWS / 8);
  const tiles = (T: number) => ({ ROWS, T, THREADS, SLICES: THREADS / (ROWS / 2) / (T / 4) });
  const eight = tiles(8);
  return eight.SLICES >= 2 && fusedBytes(shape, eight) <= DEFAULT_WORKGROUP_BYTES ? eight : tiles(4);
}

/** Bytes of workgroup memory: tile, slots, partial scores, probabilities, factors. */
function fusedBytes({ R, Dr, cache }: AttendShape, { ROWS, T, SLICES }: FusedTiles): number {
  return T * (R + Dr) * DTYPE_BYTES[cache] + 4 * T + 4 * SLICES * T * ROWS + 4 * T * ROWS + 4 * ROWS;
}

/** Iterations of the loops inside that over tiles, a loop of n counted as n + 1: staging, latent, rope, softmax, product. */
export function fusedLoop({ R, Dr }: AttendShape, { T, THREADS, SLICES }: FusedTiles): TokenLoop {
  const quads = T / 4;
  const staging = Math.ceil(T * (R + Dr) / CHUNK / (5 * THREADS)) + 1;
  const scores = Math.ceil(R / CHUNK / SLICES) + 1 + Math.ceil(Dr / CHUNK / SLICES) + 1;
  const softmax = quads * (1 + SLICES / 2 + 1) + 1 + (quads + 1);
  return { tile: T, tileIterations: 1 + staging + scores + softmax + (quads + 1) };
}

function refuses(shape: AttendShape, tuning: Tuning, device?: DeviceTraits): string | undefined {
  const reason = refuseAttend(shape, tuning);
  if (reason) return reason;
  const tiles = fusedTiles(shape);
  const bytes = fusedBytes(shape, tiles);
  const width = `R + Dr = ${shape.R + shape.Dr} in ${shape.cache}`;
  const available = Math.min(DEFAULT_WORKGROUP_BYTES, device?.limits.maxComputeWorkgroupStorageSize ?? Infinity);
  if (!(bytes <= available)) return `${width} needs ${bytes} bytes of workgroup memory, the limit is ${available}`;
  const invocations = Math.min(256, device?.limits.maxComputeInvocationsPerWorkgroup ?? Infinity);
  if (!(tiles.THREADS <= invocations)) {
    return `${width} needs ${tiles.THREADS} invocations, the limit is ${invocations}`;
  }
  return undefined;
}

/**
 * Fused attention over a paged latent cache with an online softmax (decode).
 *
 * - **Shapes** those of {@linkcode AttendKernel}; any H, page size and kv; R while a tile of 4 tokens fits 16 KiB.
 * - **Mapping** workgroup ↔ (sequence, split, block of 8, 16 or 32 heads); tiles of 8 or 4 tokens staged as they lie.
 * - **Precision** scores, softmax and sums in f32.
 * - **Source** Milakov & Gimelshein, arXiv:1805.02867 (online softmax); Flash-Decoding, 2023 (splits and their merge).
 */
export const attendFused: AttendKernel = {
  operation: "attend",
  variant: "fused",
  summary: "one pass, online softmax, KV tile shared by a block of heads; no optional feature, 16 KiB",
  requires: [],
  refuses,
  launch(shape: AttendShape, layout: CacheLayout, tuning: Tuning, device: DeviceTraits): Launch {
    const reason = refuses(shape, tuning, device);
    if (reason) throw new RangeError(`Cannot launch attend/fused: ${reason}`);
    assertLayout(shape, layout);
    const { B, H, R, Dr, page, cache, kv, scale } = shape;
    const tiles = fusedTiles(shape);
    const blocks = Math.ceil(H / tiles.ROWS);
    const loop = fusedLoop(shape, tiles);
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
        workgroupBytes: fusedBytes(shape, tiles),
        loopIterations: splitIterations(shape, splits, loop),
      }, ...merge.dispatches],
      chosen: { splits, rows: tiles.ROWS, tile: tiles.T },
    };
  },
};
