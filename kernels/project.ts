/**
 * Which kernel projects: the one that is expected to be done first.
 *
 * @module
 */
import type { ProjectShape } from "../reference/shapes.ts";
import type { ProjectKernel } from "./kernel.ts";
import { projectTiled, tiledWork } from "./project_tiled.ts";
import { projectVector, vectorWork } from "./project_vector.ts";

/**
 * What a workgroup of each kernel takes, in µs, as long as it has a place at once; where there are more workgroups than
 * places, the time grows in proportion.
 *
 * - **Source** 180 times of both kernels on an NVIDIA H200 at 4 to 128 heads, 1 to 256 tokens, R=512, Dn=Dv=128, bf16,
 *   of which these give all but a few within 15 % (3 µs of launch added), and everywhere the faster kernel. Hot, tiled
 *   against vector in µs: part v, 16 heads, 16 tokens 42 / 7.4, 64 tokens 38 / 10.9, 256 tokens 39 / 33; 32 heads, 256
 *   tokens 41 / 51; part q, 16 heads, 64 tokens 11.8 / 10.4, 128 tokens 12.8 / 15.6; 128 heads, 16 tokens 19.5 / 15.7,
 *   32 tokens 20.5 / 30.7.
 */
const RATES = {
  /** A step of `tiled`: sixteen elements of the sum. */
  tiledStep: 1.1,
  /** A block of `vector` without its tokens: eight elements of the sum. */
  vectorBlock: 0.6,
  /** What each token adds to it. */
  vectorToken: 0.125,
  /** Workgroups that run at once: two on each of 132 multiprocessors. */
  places: 264,
} as const;

/** Times that both kernels are expected to take beside their launch on the device of {@linkcode RATES}, in µs. */
export function estimateProject(shape: ProjectShape): { readonly tiled: number; readonly vector: number } {
  const { tiledStep, vectorBlock, vectorToken, places } = RATES;
  const rounds = (workgroups: number) => Math.max(1, workgroups / places);
  const tiled = tiledWork(shape), vector = vectorWork(shape);
  return {
    tiled: tiledStep * tiled.steps * rounds(tiled.workgroups),
    vector: (vectorBlock + vectorToken * vector.tokens) * vector.blocks * rounds(vector.workgroups),
  };
}

const KERNELS: Readonly<Record<"tiled" | "vector", ProjectKernel>> = { tiled: projectTiled, vector: projectVector };

/**
 * The variant for `shape`: the faster one by {@linkcode estimateProject}. With few tokens or heads that is `vector`,
 * which divides the sums among more threads; both run everywhere.
 *
 * @example A prompt
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const shape = { part: "q", tokens: 512, padding: 0, H: 128, R: 512, Dn: 128, Dv: 128, weight: "f16" } as const;
 * assertEquals(chooseProject(shape), "tiled");
 * ```
 */
export function chooseProject(shape: ProjectShape): "tiled" | "vector" {
  const { tiled, vector } = estimateProject(shape);
  return vector < tiled ? "vector" : "tiled";
}

/** The kernel that {@linkcode chooseProject} names. */
export function projectKernel(shape: ProjectShape): ProjectKernel {
  return KERNELS[chooseProject(shape)];
}
