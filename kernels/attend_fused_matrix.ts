/**
 * `attend/fused_matrix`: one pass over the cache, both products in subgroup matrices.
 *
 * @module
 */
import type { Dtype } from "../reference/dtypes.ts";
import type { KernelPrecision } from "../reference/precision.ts";
import type { AttendShape } from "../reference/shapes.ts";
import { refuseAttend } from "./attend.ts";
import tiledText from "./attend_fused_matrix.wgsl" with { type: "text" };
import pipelinedText from "./attend_fused_matrix_pipelined.wgsl" with { type: "text" };
import itemText from "./attend_item.wgsl" with { type: "text" };
import commonText from "./attend_matrix.wgsl" with { type: "text" };
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
import stageBf16 from "./stage_bf16.wgsl" with { type: "text" };
import stageF16 from "./stage_f16.wgsl" with { type: "text" };
import { withTable } from "./tuning_table.ts";
import { refuseTunables } from "./tunings.ts";
import { CHUNK, composeWgsl } from "./wgsl.ts";

const TUNINGS = { rows: [8, 16, 32, 64], tile: [8, 16, 32] } as const satisfies Tunings;

/** Those of them that are sizes of a block. */
const TUNED_SIZES = ["rows", "tile"] as const;

/** Rows and columns of a matrix, the best first: what NVIDIA's have, and Apple's and llvmpipe's. */
const SIDES = [16, 8] as const;
/** Subgroups of a workgroup, the best first. */
const SUBGROUPS = [8, 4] as const;
/** Tiles of rows of a block that is pipelined. */
const PIPELINED_TILES = 4;
/** Multiprocessors of an H200, on each of which one workgroup runs: WGSL gets 48 KiB of memory of each. */
const MULTIPROCESSORS = 132;
/** Scores and weights of factors in f16. */
const PRECISION: KernelPrecision = { scores: { f16Chain: 0 }, values: { f16Chain: 0 } };

/** How a chunk of a cache becomes f16, by the element types that the kernel takes. */
const STAGES: Readonly<Partial<Record<Dtype, string>>> = { f16: stageF16, bf16: stageBf16 };
/** Largest f16. */
const MOST = 65504;

/** Sizes of the kernel, appended to its text. */
interface MatrixTiles {
  readonly SIDE: number;
  readonly LANES: number;
  readonly SUBGROUPS: number;
  readonly THREADS: number;
  readonly BUFFERS: number;
  readonly ROWS: number;
  readonly T: number;
  readonly ROW_TILES: number;
  readonly TOKEN_TILES: number;
  readonly PARTS: number;
  readonly STEPS: number;
  readonly COLUMNS: number;
  readonly LANES_OF_ROW: number;
  readonly TOKENS_OF_LANE: number;
  readonly LANES_OF_TOKEN: number;
  readonly FETCHES: number;
  readonly OWN_QUERIES: number;
  readonly QUERY_CHUNKS: number;
  readonly TILE_STRIDE: number;
  readonly PAD: number;
  readonly PARTIALS: number;
}

/** The sizes that a shape gets with matrices of `SIDE`, the best that fit; undefined where none do. */
function tilesOf(
  shape: AttendShape,
  { rows, tile }: Tuning,
  SIDE: number,
  device?: DeviceTraits,
): MatrixTiles | undefined {
  const LANES = device?.subgroupMaxSize ?? 32;
  const room = device?.limits.maxComputeWorkgroupStorageSize ?? Infinity;
  const sizes = (rows === undefined ? rowsFor(shape, SIDE) : [rows]).flatMap((ROWS) =>
    tilesFor(ROWS, SIDE).filter((T) => T === (tile ?? T)).flatMap((T) =>
      SUBGROUPS.flatMap((SUBGROUPS) => [2, 0].map((PAD) => sizesOf(shape, { SIDE, LANES, SUBGROUPS, ROWS, T, PAD })))
    )
  );
  return sizes.find((tiles) => fits(tiles) && bytesOf(tiles) <= room);
}

/** Rows of a block, the best first: as many as most blocks can fill. */
function rowsFor(shape: AttendShape, SIDE: number): number[] {
  const typical = typicalRows(shape, PIPELINED_TILES * SIDE);
  return [PIPELINED_TILES * SIDE, 2 * SIDE, SIDE].filter((rows) => rows === SIDE || typical > rows / 2);
}

/** Tokens of a tile of a block, the best first: queries are staged where tiles will be. */
function tilesFor(rows: number, SIDE: number): number[] {
  return rows === PIPELINED_TILES * SIDE ? [SIDE] : [2 * SIDE, SIDE].filter((tokens) => rows <= tokens);
}

function sizesOf(
  { R, Dr }: AttendShape,
  given: Pick<MatrixTiles, "SIDE" | "LANES" | "SUBGROUPS" | "ROWS" | "T" | "PAD">,
): MatrixTiles {
  const { SIDE, LANES, SUBGROUPS, ROWS, T, PAD } = given;
  const [ROW_TILES, TOKEN_TILES] = [ROWS / SIDE, T / SIDE];
  const PARTS = SUBGROUPS / (ROW_TILES * TOKEN_TILES);
  const THREADS = LANES * SUBGROUPS;
  const LANES_OF_ROW = THREADS / ROWS;
  const BUFFERS = ROW_TILES === PIPELINED_TILES ? 2 : 1;
  const chunks = (R + Dr) / CHUNK;
  const STEPS = Math.ceil((R + Dr) / SIDE / PARTS);
  const COLUMNS = Math.ceil(R / SIDE / SUBGROUPS);
  return {
    ...given,
    THREADS,
    BUFFERS,
    ROW_TILES,
    TOKEN_TILES,
    PARTS,
    STEPS,
    COLUMNS,
    LANES_OF_ROW,
    TOKENS_OF_LANE: T / LANES_OF_ROW,
    LANES_OF_TOKEN: THREADS / T,
    FETCHES: Math.ceil(chunks * T / THREADS),
    OWN_QUERIES: Math.min(ROWS, BUFFERS * T) / SUBGROUPS,
    QUERY_CHUNKS: Math.ceil(chunks / LANES),
    // Odd, so that rows of a matrix lie in different banks, and as wide as the matrices of all subgroups.
    TILE_STRIDE: Math.max(PARTS * STEPS, SUBGROUPS * COLUMNS) * SIDE / CHUNK + 1,
    PARTIALS: Math.max(PARTS * ROWS * (T / 2 + PAD), SUBGROUPS * SIDE * SIDE / 2, THREADS),
  };
}

/** Whether every subgroup has a part of the scores and queries to stage, and each row threads with pairs of tokens. */
function fits(
  { ROW_TILES, TOKEN_TILES, PARTS, OWN_QUERIES, LANES_OF_ROW, LANES_OF_TOKEN, TOKENS_OF_LANE }: MatrixTiles,
): boolean {
  const whole = [ROW_TILES, TOKEN_TILES, PARTS, OWN_QUERIES, LANES_OF_ROW, LANES_OF_TOKEN, TOKENS_OF_LANE / 2];
  return whole.every((n) => n >= 1 && Number.isInteger(n));
}

function bytesOf({ ROWS, T, BUFFERS, TILE_STRIDE, ROW_TILES, PARTIALS }: MatrixTiles): number {
  return 16 * BUFFERS * T * TILE_STRIDE + 8 * PARTIALS + 8 * ROWS * (T / 4 + 2) + 4 * (ROWS + 2 * ROW_TILES + 1);
}

/**
 * Iterations of the loops of a tile at most: clearing what is hidden, products where they are loops, and what is added to
 * the output where every reference moves. What follows the last tile is an item's, and counted with each.
 */
function tileIterations({ R }: AttendShape, tiles: MatrixTiles, productIterations = 0): number {
  const { SIDE, LANES, THREADS, FETCHES, STEPS, ROW_TILES, TOKEN_TILES, COLUMNS, LANES_OF_ROW } = tiles;
  const cleared = FETCHES + 1;
  const products = (STEPS + ROW_TILES * TOKEN_TILES * COLUMNS) * productIterations;
  const added = 1 + ROW_TILES * (2 + Math.ceil(SIDE * R / 4 / THREADS));
  const left = (STEPS * productIterations) + LANES_OF_ROW + 1 +
    ROW_TILES * COLUMNS * (1 + Math.ceil(SIDE * SIDE / 4 / LANES));
  return 1 + cleared + products + added + left;
}

/** The matrices that the kernel multiplies, of a side. */
function matrixOf(SIDE: number): SubgroupMatrix {
  return { factors: "f16", sums: "f32", M: SIDE, N: SIDE, K: SIDE };
}

/** The side of matrices that a device has; where they are emulated, or no device is asked, the best. */
function sideFor({ emulation }: MatrixVariant, device?: DeviceTraits): number | undefined {
  if (emulation || !device) return SIDES[0];
  const has = (device.subgroupMatrices ?? []).map(inWords);
  return SIDES.find((side) => has.includes(inWords(matrixOf(side))));
}

function inWords({ factors, sums, M, N, K }: SubgroupMatrix): string {
  return `${factors}→${sums} ${M}×${N}×${K}`;
}

/** A kernel of matrices. */
export interface MatrixVariant {
  /** Name of the variant. */
  readonly variant: string;
  /** What takes the place of the device's matrices. @default {they do} */
  readonly emulation?: {
    /** Functions, appended to the kernel. */
    readonly functions: string;
    /** The shader with calls of them. */
    readonly rewrite: (shader: string) => string;
    /** Iterations of loops in a product, for drivers that count them. */
    readonly productIterations: number;
    /** Most lanes of a subgroup. */
    readonly mostLanes: number;
  };
}

/**
 * Fused attention over a paged latent cache in 16 bits with subgroup matrices.
 *
 * - **Shapes** those of {@linkcode AttendKernel}; any H, q, kv and page size; a cache of f16, or one of bf16 whose
 *   values fit f16, which they are rounded to.
 * - **Mapping** workgroup ↔ item of the work list: a span of tokens of one, two or four matrices of rows (query token, head).
 * - **Precision** queries, scaled by row, and weights rounded to f16; all sums in f32, outputs over the sum of rounded
 *   weights.
 * - **Source** as `attend/fused`; rescaling only where the maximum has grown by more than a slack, as FlashAttention-4
 *   (2025).
 */
export function matrixKernel(of: MatrixVariant): AttendKernel {
  const { variant, emulation } = of;
  const requires = ["subgroups", "shader-f16", ...emulation ? [] : [SUBGROUP_MATRIX]];
  const refuses = (shape: AttendShape, tuning: Tuning, device?: DeviceTraits): string | undefined => {
    const reason = refuseTunables({ tunings: TUNINGS }, tuning) ?? refuseAttend(shape, tuning);
    if (reason) return reason;
    if (!STAGES[shape.cache]) return `cache=${shape.cache}: only ${Object.keys(STAGES).join(", ")}`;
    if (!device) return undefined;
    const { subgroupMinSize, subgroupMaxSize, features } = device;
    const missing = missingFeature(requires, features);
    if (missing) return missing;
    if (subgroupMinSize !== subgroupMaxSize) return `subgroups of ${subgroupMinSize} to ${subgroupMaxSize} lanes`;
    const SIDE = sideFor(of, device);
    if (SIDE === undefined) {
      const needed = SIDES.map((side) => inWords(matrixOf(side))).join(" or ");
      const has = (device.subgroupMatrices ?? []).map(inWords).join(", ");
      return `matrices ${needed} are needed, the device has ${has || "none"}`;
    }
    if (emulation && subgroupMaxSize > emulation.mostLanes) {
      return `subgroups of ${subgroupMaxSize} lanes: the emulation takes at most ${emulation.mostLanes}`;
    }
    if (tilesOf(shape, tuning, SIDE, device)) return undefined;
    const boundless = { ...device, limits: { ...device.limits, maxComputeWorkgroupStorageSize: Infinity } };
    if (!tilesOf(shape, tuning, SIDE, boundless)) {
      const asked = TUNED_SIZES.filter((name) => tuning[name]).map((name) => `${name}=${tuning[name]}`).join(" and ");
      return `${asked}: no block of matrices ${inWords(matrixOf(SIDE))} for subgroups of ${subgroupMaxSize} lanes`;
    }
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
      const tiles = tilesOf(shape, tuning, sideFor(of, device)!, device)!;
      const { SIDE, SUBGROUPS, ROWS, T, THREADS, ROW_TILES, COLUMNS } = tiles;
      const { R, Dr, page, cache } = shape;
      const shader = composeWgsl(ROW_TILES === PIPELINED_TILES ? pipelinedText : tiledText, {
        shared: [itemText, commonText, STAGES[cache]!, ...emulation ? [emulation.functions] : []],
        // Its words are moved as they are until they are staged, and then they are f16.
        cache: "f16",
        layout: shape.layout ?? "combined",
        cacheIsWritable: true,
        constants: { R, DR: Dr, PAGE: page, ...tiles },
      });
      return launchFused(shape, layout, tuning, device, {
        shader: emulation?.rewrite(shader) ?? shader,
        blockRows: ROWS,
        workgroupBytes: bytesOf(tiles),
        sumsBytes: 4 * ROWS * COLUMNS * SIDE * SUBGROUPS,
        // A tile is fetched before the products of the one before it.
        cacheIsWritable: true,
        loop: { tile: T, tileIterations: tileIterations(shape, tiles, emulation?.productIterations) },
        slots: MULTIPROCESSORS,
        least: 64,
        chosen: { rows: ROWS, tile: T, threads: THREADS },
      });
    },
  };
}

/** {@linkcode matrixKernel} with the device's matrices. */
export const attendFusedMatrix: AttendKernel = withTable(matrixKernel({ variant: "fused_matrix" }));
