/**
 * `project/vector`: the product per head for few tokens, where reading the weight is what takes the time.
 *
 * @module
 */
import type { ProjectShape } from "../reference/shapes.ts";
import type { CacheLayout, DeviceTraits, Launch, ProjectKernel, Tuning } from "./kernel.ts";
import { headProduct, projectBuffers, projectGrid, refuseProject } from "./project_shape.ts";
import text from "./project_vector.wgsl" with { type: "text" };
import { CHUNK, composeWgsl, foldWorkgroups } from "./wgsl.ts";

/** Most tokens that the kernel takes: groups of 8 at most, each of which reads the weight, the first from memory. */
export const VECTOR_TOKENS = 32;

/** Tokens of a group: with 8 outputs each, 64 sums in the registers of a thread. */
const GROUP_TOKENS = 8;

const THREADS = 128;

/** Fewest and most slices: below the fewest the last sums would leave threads idle, the most read 1 KiB of a row at once. */
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

/** Iterations of an invocation: blocks of the sum, then the slices of every round, a loop of n counted as n + 1. */
function vectorIterations(K: number, { TOKENS, SLICES, ROUND }: VectorTiles): number {
  return Math.ceil(K / CHUNK / SLICES) + 1 + Math.ceil(TOKENS / ROUND) * (SLICES / 8 + 1);
}

function refuses(shape: ProjectShape, tuning: Tuning): string | undefined {
  const reason = refuseProject(shape, tuning);
  if (reason) return reason;
  if (!(shape.tokens <= VECTOR_TOKENS)) return `tokens=${shape.tokens}: only up to ${VECTOR_TOKENS}, tiled takes more`;
  return undefined;
}

/**
 * Product of the activations of every head with its part of `kv_b_proj`, the weight read once for up to 8 tokens.
 *
 * - **Shapes** those of {@linkcode ProjectKernel}; up to {@linkcode VECTOR_TOKENS} tokens; any H and padding, Dn and Dv
 *   multiples of 8, R of 16. No tokens and no padding: no dispatch.
 * - **Mapping** thread ↔ 8 outputs × the tokens of a group × a slice of the sum; slices are added up in workgroup memory.
 * - **Precision** products and sums in f32, whatever the weight's type.
 */
export const projectVector: ProjectKernel = {
  operation: "project",
  variant: "vector",
  summary: "few tokens: blocks of 8 × 8 of the weight streamed with 16-byte loads; no optional feature, 8 KiB",
  requires: [],
  refuses,
  launch(shape: ProjectShape, _layout: CacheLayout, tuning: Tuning, device: DeviceTraits): Launch {
    const reason = refuses(shape, tuning);
    if (reason) throw new RangeError(`Cannot launch project/vector: ${reason}`);
    const product = headProduct(shape);
    const tiles = vectorTiles(shape);
    const groups = groupsOf(shape);
    const items = shape.tokens === 0 ? 0 : groups * blocksOf(product.N, tiles.SLICES) * shape.H;
    const { workgroups, params } = projectGrid(shape, items, THREADS);
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
