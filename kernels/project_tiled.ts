/**
 * `project/tiled`: the product per head in register tiles, for prompts and large batches.
 *
 * @module
 */
import type { ProjectShape } from "../reference/shapes.ts";
import type { CacheLayout, DeviceTraits, Launch, ProjectKernel, Tuning } from "./kernel.ts";
import { headProduct, projectBuffers, projectGrid, refuseProject } from "./project_shape.ts";
import text from "./project_tiled.wgsl" with { type: "text" };
import { composeWgsl, foldWorkgroups } from "./wgsl.ts";

/** Elements of the sum in a tile: sixteen steps of the text. */
const DEPTH = 16;

/** Tile sizes, appended to the text. */
export interface ProjectTiles extends Readonly<Record<string, number>> {
  /** Tokens of a tile. */
  readonly ROWS: number;
  /** Outputs of a tile. */
  readonly COLUMNS: number;
  /** Invocations of a workgroup, each with 8 × 8 results. */
  readonly THREADS: number;
}

/**
 * Tile sizes for `shape`. 64 × 64 where that leaves few rows empty, else 32 tokens, with twice the outputs if there are
 * as many, so that a workgroup has two warps of an NVIDIA GPU either way. A tile of 32 tokens reads the more for its
 * work: it must save more than a fifth of the rows.
 */
export function projectTiles(shape: ProjectShape): ProjectTiles {
  const { N } = headProduct(shape);
  const rowsOf = (rows: number) => Math.ceil(shape.tokens / rows) * rows;
  const ROWS = 1.2 * rowsOf(32) < rowsOf(64) ? 32 : 64;
  const COLUMNS = ROWS === 32 && N > 64 ? 128 : 64;
  return { ROWS, COLUMNS, THREADS: ROWS / 8 * COLUMNS / 8 };
}

/** Workgroups of the product of `shape`, and the steps along the sum of each. */
export function tiledWork(shape: ProjectShape): { readonly workgroups: number; readonly steps: number } {
  const { K, N } = headProduct(shape);
  const { ROWS, COLUMNS } = projectTiles(shape);
  const workgroups = Math.ceil(shape.tokens / ROWS) * Math.ceil(N / COLUMNS) * shape.H;
  return { workgroups, steps: Math.ceil(K / DEPTH) };
}

/** Bytes of workgroup memory: both tiles, each with two vectors more a row against bank conflicts. */
function tiledBytes({ ROWS, COLUMNS }: ProjectTiles): number {
  return DEPTH * 16 * (ROWS / 4 + 2 + COLUMNS / 4 + 2);
}

/**
 * Product of the activations of every head with its part of `kv_b_proj`.
 *
 * - **Shapes** those of {@linkcode ProjectKernel}; any H, tokens and padding, Dn and Dv multiples of 8, R of 16. No
 *   tokens and no padding: no dispatch.
 * - **Mapping** workgroup ↔ 64 or 32 tokens × 64 or 128 outputs of a head; thread ↔ 8 × 8 of them.
 * - **Precision** products and sums in f32, whatever the weight's type.
 * - **Source** Volkov & Demmel, "Benchmarking GPUs to tune dense linear algebra", SC 2008 (register tiles).
 */
export const projectTiled: ProjectKernel = {
  operation: "project",
  variant: "tiled",
  summary: "matrix product per head in register tiles of 8 × 8; no optional feature, 10 KiB",
  requires: [],
  refuses: refuseProject,
  launch(shape: ProjectShape, _layout: CacheLayout, tuning: Tuning, device: DeviceTraits): Launch {
    const reason = refuseProject(shape, tuning);
    if (reason) throw new RangeError(`Cannot launch project/tiled: ${reason}`);
    const product = headProduct(shape);
    const tiles = projectTiles(shape);
    const work = tiledWork(shape);
    const { workgroups, params } = projectGrid(shape, work.workgroups, tiles.THREADS);
    const buffers = projectBuffers(shape);
    return {
      buffers,
      dispatches: workgroups === 0 ? [] : [{
        label: `project ${shape.part}`,
        shader: composeWgsl(text, { cache: shape.weight, constants: { ...product, ...tiles } }),
        params: [...params, ["row_tiles", "u32", Math.ceil(shape.tokens / tiles.ROWS)]],
        bindings: buffers.map(({ name }) => name),
        workgroups: foldWorkgroups(workgroups, device.limits.maxComputeWorkgroupsPerDimension),
        workgroupSize: tiles.THREADS,
        workgroupBytes: tiledBytes(tiles),
        loopIterations: work.steps + 1,
      }],
      chosen: { rows: tiles.ROWS, columns: tiles.COLUMNS },
    };
  },
};
