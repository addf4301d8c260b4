/**
 * The work that `project` cannot avoid: the same for every kernel of it.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import type { ProjectShape } from "../reference/shapes.ts";

/**
 * Floating-point operations of `project`: a multiplication and an addition for every token, head and weight of the
 * part.
 */
export function projectFlops({ part, tokens, H, R, Dn, Dv }: ProjectShape): number {
  return 2 * tokens * H * R * (part === "q" ? Dn : Dv);
}

/**
 * Bytes that `project` must move: the activations of its tokens and the rows of `kv_b_proj` that the part takes, each
 * read once (no tokens: none); the output written once, in part v with its padding rows.
 */
export function projectMinBytes({ part, tokens, padding, H, R, Dn, Dv, weight }: ProjectShape): number {
  const [inputs, outputs, rows] = part === "q" ? [Dn, R, tokens] : [R, Dv, tokens + padding];
  const weights = tokens === 0 ? 0 : H * (part === "q" ? Dn : Dv) * R;
  return 4 * tokens * H * inputs + weights * DTYPE_BYTES[weight] + 4 * rows * H * outputs;
}
