/**
 * `project/vector`: the product per head for few tokens or heads, where what takes the time is reading the weight, or
 * that tiles are too few to fill a GPU.
 *
 * @module
 */
import type { ProjectShape } from "../reference/shapes.ts";
import type { CacheLayout, DeviceTraits, Launch, ProjectKernel, Tuning } from "./kernel.ts";
import { headProduct, projectBuffers, projectGrid, refuseProject } from "./project_shape.ts";
import text from "./project_vector.wgsl" with { type: "text" };
import { CHUNK, composeWgsl, foldWorkgroups } from "./wgsl.ts";

/** Most tokens of a group, which reads the weight once: with 8 outputs each, 64 sums in the registers of a thread. */
const GROUP_TOKENS = 8;

const THREADS = 128;

/**
 * Fewest and most slices: below the fewest the last sums would leave threads idle, the most read 1 KiB of a row at
 * once.
 */
const LEAST_SLICES = 8;
const MOST_SLICES = 64;

/** Workgroups that keep the memory of a large GPU busy, about two for each of an H200's 132 multiprocessors. */
const WORKGROUPS = 256;

/** How the work is divided, appended to the text. */
export interface VectorTiles extends Readonly<Record<string, number>> {
  /** Tokens of a workgroup. */
  readonly TOKENS: number;
  /** Threads that share a sum, each with every SLICES-th block of it. */
  readonly SLICES: number;
  /** Tokens whose slices are added up at once. */
  readonly ROUND: number;
  /** Invocations of a workgroup. */
  readonly THREADS: number;
}

/**
 * The division for `shape`: tokens in even groups, and as few slices as fill a large GPU. One or two tokens are little
 * arithmetic for a load, so twice the workgroups must be there to have loads in flight.
 */
export function vectorTiles(shape: ProjectShape): VectorTiles {
  const { K, N } = headProduct(shape);
  const groups = groupsOf(shape);
  const TOKENS = Math.max(1, Math.ceil(shape.tokens / groups));
  const wanted = TOKENS <= 2 ? 2 * WORKGROUPS : WORKGROUPS;
  const workgroups = (slices: number) => shape.H * groups * blocksOf(N, slices);
  let SLICES = LEAST_SLICES;
  while (2 * SLICES <= MOST_SLICES && SLICES < K / CHUNK && workgroups(SLICES) < wanted) SLICES *= 2;
  return { TOKENS, SLICES, ROUND: Math.min(2, TOKENS), THREADS };
}

/** Groups of tokens. */
function groupsOf({ tokens }: ProjectShape): number {
  return Math.max(1, Math.ceil(tokens / GROUP_TOKENS));
}

/** Workgroups along the outputs. */
function blocksOf(N: number, slices: number): number {
  return Math.ceil(N / (CHUNK * THREADS / slices));
}

/** The product of a shape, divided among threads. */
export interface VectorWork {
  /** Workgroups. */
  readonly workgroups: number;
  /** Blocks of 8 × 8 of the weight that a thread takes, one after the other. */
  readonly blocks: number;
  /** Tokens that it multiplies with each. */
  readonly tokens: number;
}

/** How the product of `shape` is divided. */
export function vectorWork(shape: ProjectShape): VectorWork {
  const { K, N } = headProduct(shape);
  const { SLICES, TOKENS } = vectorTiles(shape);
  const workgroups = shape.tokens === 0 ? 0 : groupsOf(shape) * blocksOf(N, SLICES) * shape.H;
  return { workgroups, blocks: Math.ceil(K / CHUNK / SLICES), tokens: TOKENS };
}

/** Iterations of an invocation: blocks of the sum, then the slices of every round, a loop of n counted as n + 1. */
function vectorIterations(K: number, { TOKENS, SLICES, ROUND }: VectorTiles): number {
  return Math.ceil(K / CHUNK / SLICES) + 1 + Math.ceil(TOKENS / ROUND) * (SLICES / 8 + 1);
}

/**
 * Product of the activations of every head with its part of `kv_b_proj`, the weight read once for up to 8 tokens.
 *
 * - **Shapes** those of {@linkcode ProjectKernel}; any H, tokens and padding, Dn and Dv multiples of 8, R of 16. No
 *   tokens and no padding: no dispatch.
 * - **Mapping** thread ↔ 8 outputs × the tokens of a group × a slice of the sum; slices are added up in workgroup
 *   memory.
 * - **Precision** products and sums in f32, whatever the weight's type.
 */
export const projectVector: ProjectKernel = {
  operation: "project",
  variant: "vector",
  summary: "few tokens: blocks of 8 × 8 of the weight streamed with 16-byte loads; no optional feature, 8 KiB",
  requires: [],
  refuses: refuseProject,
  launch(shape: ProjectShape, _layout: CacheLayout, tuning: Tuning, device: DeviceTraits): Launch {
    const reason = refuseProject(shape, tuning);
    if (reason) throw new RangeError(`Cannot launch project/vector: ${reason}`);
    const product = headProduct(shape);
    const tiles = vectorTiles(shape);
    const groups = groupsOf(shape);
    const { workgroups, params } = projectGrid(shape, vectorWork(shape).workgroups, THREADS);
    const buffers = projectBuffers(shape);
    return {
      buffers,
      dispatches: workgroups === 0 ? [] : [{
        label: `project ${shape.part}`,
        shader: composeWgsl(text, { cache: shape.weight, constants: { ...product, ...tiles } }),
        params: [...params, ["groups", "u32", groups]],
        bindings: buffers.map(({ name }) => name),
        workgroups: foldWorkgroups(workgroups, device.limits.maxComputeWorkgroupsPerDimension),
        workgroupSize: THREADS,
        workgroupBytes: 16 * tiles.ROUND * 2 * THREADS,
        loopIterations: vectorIterations(product.K, tiles),
      }],
      chosen: { tokens: tiles.TOKENS, slices: tiles.SLICES },
    };
  },
};
