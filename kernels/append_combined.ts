/**
 * `append/combined`: new latents and rope keys written into the paged cache `[pages, page, R+Dr]`.
 *
 * @module
 */
import store from "./append_combined.wgsl" with { type: "text" };
import { appendKernel } from "./append_launch.ts";
import type { AppendKernel } from "./kernel.ts";

/**
 * Append to the combined latent cache, in place.
 *
 * - **Shapes** those of {@linkcode AppendKernel}. No tokens: no dispatch. A page outside `cache_loc`'s own entries or
 *   outside the cache is not written; nor are rows of the inputs past the last new token.
 * - **Mapping** thread ↔ 4 pieces of 16 bytes of the cache; the sequence of a token by binary search, so the host need
 *   not know it.
 * - **Accuracy** bit-exact: f32 rounded to nearest, ties to even, in integers.
 */
export const appendCombined: AppendKernel = appendKernel({
  layout: "combined",
  summary: "one cache; 16-byte stores; sequence found on the GPU by binary search over cu_seqlen",
  store,
});
