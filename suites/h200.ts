/**
 * The suite `h200`: the shapes that the `attend` kernels are tuned for and judged by.
 *
 * @module
 */
import type { Suite } from "./suite.ts";

const f16 = "f16", bf16 = "bf16";

/**
 * Decode steps of models on one large GPU: batches that share it, long sequences that fill it alone, and the few heads
 * that are left of a model on several GPUs. The largest cache has 302 MB, six times the L2 cache of an H200. A chunk
 * of 512 tokens of a prompt behind 8,192, at 128 heads, is for the fastest kernels alone: others take seconds.
 */
export const H200: Suite = {
  name: "h200",
  summary:
    "what attend kernels are tuned for and judged by on an NVIDIA H200: decode at ten sizes, a chunk of a prompt",
  groups: [{
    operation: "attend",
    variants: "all",
    axes: {},
    rows: [
      { B: 64, H: 128, kv: 4096, R: 512, cache: f16 },
      { B: 16, H: 128, kv: 2048, R: 512, cache: f16 },
      { B: 1, H: 128, kv: 8192, R: 512, cache: f16 },
      { B: 64, H: 32, kv: 4096, R: 256, cache: f16 },
      { B: 64, H: 32, kv: 4096, R: 256, cache: bf16 },
      { B: 64, H: 16, kv: 4096, R: 512, cache: f16 },
      { B: 64, H: 8, kv: 4096, R: 512, cache: f16 },
      { B: 64, H: 4, kv: 4096, R: 256, cache: f16 },
      { B: 64, H: 4, kv: 4096, R: 256, cache: bf16 },
      { B: 1, H: 16, kv: 32768, R: 512, cache: f16 },
    ],
  }, {
    operation: "attend",
    variants: ["fused_subgroup", "fused_f16", "fused_matrix"],
    axes: {},
    rows: [{ B: 1, H: 128, q: 512, kv: 8704, R: 512, cache: f16 }],
  }],
};
