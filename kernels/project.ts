/**
 * Which kernel projects: by the number of tokens.
 *
 * @module
 */
import type { ProjectShape } from "../reference/shapes.ts";
import type { DeviceTraits, ProjectKernel } from "./kernel.ts";
import { projectTiled } from "./project_tiled.ts";
import { projectVector } from "./project_vector.ts";

/**
 * Most tokens for which the weight is streamed. In the time that a weight of 2 bytes takes to arrive, an H200 does 13
 * multiply-adds (62 TFLOP/s, 4.6 TB/s), so that up to about as many tokens the memory is the limit. Estimated, not measured.
 */
const STREAMED_TOKENS = 16;

const KERNELS: Readonly<Record<"tiled" | "vector", ProjectKernel>> = { tiled: projectTiled, vector: projectVector };

/**
 * The variant for `shape`: `vector` up to 16 tokens, `tiled` above, and wherever `device` cannot run the other.
 *
 * @example A prompt
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const shape = { part: "q", tokens: 512, padding: 0, H: 128, R: 512, Dn: 128, Dv: 128, weight: "f16" } as const;
 * assertEquals(chooseProject(shape), "tiled");
 * ```
 */
export function chooseProject(shape: ProjectShape, device?: DeviceTraits): "tiled" | "vector" {
  const few = shape.tokens <= STREAMED_TOKENS;
  return few && projectVector.refuses(shape, {}, device) === undefined ? "vector" : "tiled";
}

/** The kernel that {@linkcode chooseProject} names. */
export function projectKernel(shape: ProjectShape, device?: DeviceTraits): ProjectKernel {
  return KERNELS[chooseProject(shape, device)];
}
