/**
 * The work that `mla` cannot avoid: the same for every kernel of it.
 *
 * @module
 */
import { callsOf } from "../reference/flow.ts";
import { attendFlops } from "../reference/rows.ts";
import { type MlaShape, total } from "../reference/shapes.ts";
import { appendMinBytes } from "./work_append.ts";
import { prefillFlops, prefillMinBytes } from "./work_prefill.ts";
import { projectFlops } from "./work_project.ts";

/**
 * Bytes that `mla` must move, summed over the calls of a flow: those of appending the new tokens, and those of
 * attending to the cache that then is, weights and outputs included. What lies between (latent queries, unfolded keys)
 * is not counted: a kernel that never stores it needs none of it.
 */
export function mlaMinBytes(shape: MlaShape): number {
  return total(callsOf(shape).map(({ shape: call }) => appendMinBytes(call) + prefillMinBytes(call)));
}

/** Floating-point operations of `mla`, summed over the calls of a flow: each in the cheaper of its two forms. */
export function mlaFlops(shape: MlaShape): number {
  return total(callsOf(shape).map(({ shape: call }) => Math.min(absorbedFlops(call), prefillFlops(call))));
}

/** One call in the absorbed form: queries into the latent space, attention there, latents to values. */
export function absorbedFlops(call: MlaShape): number {
  const project = { ...call, tokens: total(call.q) };
  return projectFlops({ ...project, part: "q" }) + attendFlops(call) + projectFlops({ ...project, part: "v" });
}
