/**
 * `attend/fused`: one pass over the cache, no optional feature, 16 KiB of workgroup memory.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import type { AttendShape } from "../reference/shapes.ts";
import { refuseAttend } from "./attend.ts";
import text from "./attend_fused.wgsl" with { type: "text" };
import itemText from "./attend_item.wgsl" with { type: "text" };
import { blockOfRows, type FusedTiles, launchFused, refuseTiles } from "./fused.ts";
import type { AttendKernel, CacheLayout, DeviceTraits, Launch, TokenLoop, Tuning, Tunings } from "./kernel.ts";
import { DEFAULT_WORKGROUP_BYTES } from "./limits.ts";
import { withTable } from "./tuning_table.ts";
import { refuseTunables } from "./tunings.ts";
import { CHUNK, composeWgsl } from "./wgsl.ts";

/** What can be asked for: the threads follow from the rows. */
const TUNINGS = { rows: [8, 16, 32], tile: [4, 8] } as const satisfies Tunings;

/**
 * Tile sizes for `shape`. A thread accumulates 8 rows × 8 elements of the output and 2 rows × 4 tokens of the scores,
 * so R and ROWS give the threads, and the threads the slices.
 */
export function fusedTiles(shape: AttendShape, { rows, tile }: Tuning = {}): FusedTiles {
  const { ROWS, outputThreads } = blockOfRows(shape, rows);
  const THREADS = Math.max(32, outputThreads);
  const tiles = (T: number) => ({ ROWS, T, THREADS, SLICES: THREADS / (ROWS / 2) / (T / 4) });
  if (tile !== undefined) return tiles(tile);
  const eight = tiles(8);
  return eight.SLICES >= 2 && fusedBytes(shape, eight) <= DEFAULT_WORKGROUP_BYTES ? eight : tiles(4);
}

/** Bytes of workgroup memory: tile, slots, partial scores, probabilities, factors. */
function fusedBytes({ R, Dr, cache }: AttendShape, { ROWS, T, SLICES }: FusedTiles): number {
  return T * (R + Dr) * DTYPE_BYTES[cache] + 4 * T + 4 * SLICES * T * ROWS + 4 * T * ROWS + 4 * ROWS;
}

/**
 * Iterations of the loops inside that over tiles, a loop of n counted as n + 1: staging, hidden tokens, latent, rope,
 * softmax, product.
 */
export function fusedLoop({ R, Dr }: AttendShape, { T, THREADS, SLICES }: FusedTiles): TokenLoop {
  const quads = T / 4;
  const staging = Math.ceil(T * (R + Dr) / CHUNK / (5 * THREADS)) + 1;
  const hidden = Math.ceil(T * (R + Dr) / CHUNK / THREADS) + 1;
  const scores = Math.ceil(R / CHUNK / SLICES) + 1 + Math.ceil(Dr / CHUNK / SLICES) + 1;
  const softmax = quads * (1 + SLICES / 2 + 1) + 1 + (quads + 1);
  return { tile: T, tileIterations: 1 + staging + hidden + scores + softmax + (quads + 1) };
}

function refuses(shape: AttendShape, tuning: Tuning, device?: DeviceTraits): string | undefined {
  const reason = refuseTunables({ tunings: TUNINGS }, tuning) ?? refuseAttend(shape, tuning);
  if (reason) return reason;
  const tiles = fusedTiles(shape, tuning);
  // The sum over slices takes two at a time.
  if (tiles.SLICES < 2) return `rows=${tiles.ROWS} and tile=${tiles.T} leave no threads to share a dot product`;
  return refuseTiles(shape, {
    bytes: fusedBytes(shape, tiles),
    availableBytes: Math.min(DEFAULT_WORKGROUP_BYTES, device?.limits.maxComputeWorkgroupStorageSize ?? Infinity),
    threads: tiles.THREADS,
    device,
  });
}

/**
 * Fused attention over a paged latent cache with an online softmax .
 *
 * - **Shapes** those of {@linkcode AttendKernel}; any H, q, kv and page size; R while a tile of 4 tokens fits 16 KiB.
 * - **Mapping** workgroup ↔ item of the work list: a span of tokens of `rows` = 8, 16 or 32 rows (query token, head);
 *   tiles of `tile` = 8 or 4 tokens staged as they lie.
 * - **Precision** scores, softmax and sums in f32.
 * - **Source** Milakov & Gimelshein, arXiv:1805.02867 (online softmax); Flash-Decoding, 2023 (splits and their merge).
 */
export const attendFused: AttendKernel = withTable({
  operation: "attend",
  variant: "fused",
  summary: "one pass, online softmax, KV tile shared by a block of rows; no optional feature, 16 KiB",
  requires: [],
  tunings: TUNINGS,
  refuses,
  launch(shape: AttendShape, layout: CacheLayout, tuning: Tuning, device: DeviceTraits): Launch {
    const reason = refuses(shape, tuning, device);
    if (reason) throw new RangeError(`Cannot launch attend/fused: ${reason}`);
    const tiles = fusedTiles(shape, tuning);
    const workgroupBytes = fusedBytes(shape, tiles);
    const { R, Dr, cache } = shape;
    return launchFused(shape, layout, tuning, device, {
      shader: composeWgsl(text, {
        shared: [itemText],
        cache,
        layout: shape.layout ?? "combined",
        constants: { R, DR: Dr, ...tiles },
      }),
      blockRows: tiles.ROWS,
      workgroupBytes,
      loop: fusedLoop(shape, tiles),
      chosen: { rows: tiles.ROWS, tile: tiles.T, threads: tiles.THREADS },
    });
  },
});
