/**
 * `append/separate`: new latents and rope keys written into paged caches of their own, `[pages, page, R]` and
 * `[pages, page, Dr]`.
 *
 * @module
 */
import { appendKernel } from "./append_launch.ts";
import store from "./append_separate.wgsl" with { type: "text" };
import type { AppendKernel } from "./kernel.ts";

/**
 * Append to the separate latent and rope caches, in place: as {@linkcode AppendKernel} says, under the same page
 * numbers.
 *
 * - **Shapes** those of `append/combined`; without rope (Dr 0) `kpe_cache` is 16 bytes that nobody writes.
 * - **Mapping**, **accuracy** those of `append/combined`.
 */
export const appendSeparate: AppendKernel = appendKernel({
  layout: "separate",
  summary: "latents and rope keys in two caches; otherwise as combined",
  store,
});
