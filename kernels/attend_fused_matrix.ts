/**
 * `attend/fused_matrix`: one pass over the cache, both products in subgroup matrices.
 *
 * @module
 */
import type { Dtype } from "../reference/dtypes.ts";
import type { KernelPrecision } from "../reference/precision.ts";
import type { AttendShape } from "../reference/shapes.ts";
import { refuseAttend } from "./attend.ts";
import text from "./attend_fused_matrix.wgsl" with { type: "text" };
import itemText from "./attend_item.wgsl" with { type: "text" };
import { launchFused, typicalRows } from "./fused.ts";
import {
  type AttendKernel,
  type CacheLayout,
  type DeviceTraits,
  type Launch,
  SUBGROUP_MATRIX,
  type SubgroupMatrix,
  type Tuning,
  type Tunings,
} from "./kernel.ts";
import { missingFeature } from "./limits.ts";
import matrixText from "./matrix_tint.wgsl" with { type: "text" };
import stageBf16 from "./stage_bf16.wgsl" with { type: "text" };
import stageF16 from "./stage_f16.wgsl" with { type: "text" };
import { withTable } from "./tuning_table.ts";
import { refuseTunables } from "./tunings.ts";
import { CHUNK, composeWgsl } from "./wgsl.ts";

const TUNINGS = { rows: [16, 32], tile: [16, 32] } as const satisfies Tunings;

/** Rows and columns of a matrix. */
const SIDE = 16;
/** Subgroups of a workgroup. */
const SUBGROUPS = 8;
/** Scores and weights of factors in f16. */
const PRECISION: KernelPrecision = { scores: { f16Chain: 0 }, values: { f16Chain: 0 } };

/** How a chunk of a cache becomes f16, by the element types that the kernel takes. */
const STAGES: Readonly<Partial<Record<Dtype, string>>> = { f16: stageF16, bf16: stageBf16 };
/** Largest f16. */
const MOST = 65504;

/** Sizes of the kernel, appended to its text. */
interface MatrixTiles {
  readonly LANES: number;
  readonly SUBGROUPS: number;
  readonly THREADS: number;
  readonly ROWS: number;
  readonly T: number;
  readonly ROW_TILES: number;
  readonly TOKEN_TILES: number;
  readonly PARTS: number;
  readonly STEPS: number;
  readonly COLUMNS: number;
  readonly LANES_OF_ROW: number;
  readonly TOKENS_OF_LANE: number;
  readonly FETCHES: number;
  readonly PAD: number;
  readonly PARTIALS: number;
}

function tilesOf(shape: AttendShape, { rows, tile }: Tuning, device?: DeviceTraits): MatrixTiles | undefined {
  const LANES = device?.subgroupMaxSize ?? 32;
  const most = Math.min(tile ?? 2 * SIDE, typicalRows(shape, 32) <= SIDE ? SIDE : 2 * SIDE);
  const ROWS = rows ?? most;
  const room = device?.limits.maxComputeWorkgroupStorageSize ?? Infinity;
  const sizes = (tile === undefined ? [32, 16] : [tile]).filter((T) => ROWS <= T).flatMap((T) =>
    [4, 0].map((PAD) => sizesOf(shape, { LANES, ROWS, T, PAD }))
  );
  return sizes.find((tiles) => bytesOf(shape, tiles) <= room && fits(tiles));
}

function sizesOf(
  { R, Dr }: AttendShape,
  given: Pick<MatrixTiles, "LANES" | "ROWS" | "T" | "PAD">,
): MatrixTiles {
  const { LANES, ROWS, T, PAD } = given;
  const [ROW_TILES, TOKEN_TILES] = [ROWS / SIDE, T / SIDE];
  const PARTS = SUBGROUPS / (ROW_TILES * TOKEN_TILES);
  const THREADS = LANES * SUBGROUPS;
  const LANES_OF_ROW = THREADS / ROWS;
  return {
    ...given,
    SUBGROUPS,
    THREADS,
    ROW_TILES,
    TOKEN_TILES,
    PARTS,
    STEPS: Math.ceil((R + Dr) / SIDE / PARTS),
    COLUMNS: Math.ceil(R / SIDE / SUBGROUPS),
    LANES_OF_ROW,
    TOKENS_OF_LANE: T / LANES_OF_ROW,
    FETCHES: Math.ceil(T * (R + Dr) / CHUNK / THREADS),
    PARTIALS: Math.max(PARTS * ROWS * (T + PAD), SUBGROUPS * SIDE * SIDE),
  };
}

/** Whether the threads of a row are of one subgroup and have pairs of tokens. */
function fits({ LANES, LANES_OF_ROW, TOKENS_OF_LANE }: MatrixTiles): boolean {
  return LANES_OF_ROW >= 1 && LANES_OF_ROW <= LANES && TOKENS_OF_LANE >= 2 && TOKENS_OF_LANE % 2 === 0;
}

function bytesOf({ R, Dr }: AttendShape, { ROWS, T, PARTIALS }: MatrixTiles): number {
  const tile = T * ((R + Dr) / CHUNK + 1) * 16;
  return tile + 4 * PARTIALS + ROWS * (T / CHUNK + 1) * 16 + 4 * T + 8 * ROWS + 4;
}

/** The matrices of the kernel. */
const MATRIX: SubgroupMatrix = { factors: "f16", sums: "f32", M: SIDE, N: SIDE, K: SIDE };

function inWords({ factors, sums, M, N, K }: SubgroupMatrix): string {
  return `${factors}→${sums} ${M}×${N}×${K}`;
}

/** How a device multiplies matrices: the text of `Left`, `Right` and `Sums`, and what it needs. */
export interface MatrixDialect {
  /** Name of the kernel's variant. */
  readonly variant: string;
  /** Text appended to the kernel. */
  readonly text: string;
  /** Whether they are the device's. */
  readonly isNative: boolean;
  /** Iterations of loops in a product, for drivers that count them. @default {0} */
  readonly productIterations?: number;
}

/**
 * Fused attention over a paged latent cache in 16 bits with subgroup matrices.
 *
 * - **Shapes** those of {@linkcode AttendKernel}; any H, q, kv and page size; a cache of f16, or one of bf16 whose
 *   values fit f16, which they are rounded to.
 * - **Mapping** workgroup ↔ item of the work list: a span of tokens of 16 or 32 rows (query token, head).
 * - **Precision** queries, scaled by row, and weights rounded to f16; all sums in f32.
 * - **Source** as `attend/fused`; rescaling only where the maximum has grown by more than a slack, as FlashAttention-4
 *   (2025).
 */
export function matrixKernel(
  { variant, text: matrices, isNative, productIterations = 0 }: MatrixDialect,
): AttendKernel {
  const requires = ["subgroups", "shader-f16", ...isNative ? [SUBGROUP_MATRIX] : []];
  const refuses = (shape: AttendShape, tuning: Tuning, device?: DeviceTraits): string | undefined => {
    const reason = refuseTunables({ tunings: TUNINGS }, tuning) ?? refuseAttend(shape, tuning);
    if (reason) return reason;
    if (!STAGES[shape.cache]) return `cache=${shape.cache}: only ${Object.keys(STAGES).join(", ")}`;
    if (!device) return undefined;
    const { subgroupMinSize, subgroupMaxSize, features } = device;
    const missing = missingFeature(requires, features);
    if (missing) return missing;
    if (subgroupMinSize !== subgroupMaxSize) return `subgroups of ${subgroupMinSize} to ${subgroupMaxSize} lanes`;
    const has = (device.subgroupMatrices ?? []).map(inWords);
    if (isNative && !has.includes(inWords(MATRIX))) {
      return `matrices ${inWords(MATRIX)} are needed, the device has ${has.join(", ") || "none"}`;
    }
    if (tilesOf(shape, tuning, device)) return undefined;
    const { rows, tile } = tuning;
    if (rows !== undefined && tile !== undefined && rows > tile) return `rows=${rows}: at most tile=${tile}`;
    return `R + Dr = ${shape.R + shape.Dr}: no tile fits ${device.limits.maxComputeWorkgroupStorageSize} bytes`;
  };
  return {
    operation: "attend",
    variant,
    summary: "one pass, both products in subgroup matrices: f16 factors, f32 sums",
    requires,
    dtypes: Object.keys(STAGES) as Dtype[],
    largest: { bf16: MOST },
    precision: PRECISION,
    tunings: TUNINGS,
    refuses,
    launch(shape: AttendShape, layout: CacheLayout, tuning: Tuning, device: DeviceTraits): Launch {
      const reason = refuses(shape, tuning, device);
      if (reason) throw new RangeError(`Cannot launch attend/${variant}: ${reason}`);
      const tiles = tilesOf(shape, tuning, device)!;
      const { ROWS, T, THREADS, STEPS, ROW_TILES, TOKEN_TILES, COLUMNS } = tiles;
      const { R, Dr, cache } = shape;
      const hidden = Math.ceil(T * (R + Dr) / CHUNK / THREADS) + 1;
      const products = (STEPS + ROW_TILES * TOKEN_TILES * COLUMNS) * productIterations;
      return launchFused(shape, layout, tuning, device, {
        shader: composeWgsl(text, {
          shared: [itemText, matrices, STAGES[cache]!],
          // Its words are moved as they are until they are staged, and then they are f16.
          cache: "f16",
          layout: shape.layout ?? "combined",
          cacheIsWritable: true,
          constants: { R, DR: Dr, ...tiles },
        }),
        blockRows: ROWS,
        workgroupBytes: bytesOf(shape, tiles),
        // A tile is fetched before the products of the one before it.
        cacheIsWritable: true,
        loop: { tile: T, tileIterations: hidden + products + 12 },
        least: 64,
        chosen: { rows: ROWS, tile: T, threads: THREADS },
      });
    },
  };
}

/** {@linkcode matrixKernel} on Dawn. */
export const attendFusedMatrix: AttendKernel = withTable(matrixKernel({
  variant: "fused_matrix",
  text: matrixText,
  isNative: true,
}));
