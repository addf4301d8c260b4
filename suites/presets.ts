/**
 * Models that use MLA, and a suite for each.
 *
 * @module
 */
import type { Suite } from "./suite.ts";

/** Attention dimensions of a model. */
export interface Model {
  /** Name. */
  readonly name: string;
  /** Name of its suite. */
  readonly suite: string;
  /** `num_attention_heads`. */
  readonly H: number;
  /** Heads of one rank under the tensor parallelism it is served with, largest first; the first is H. */
  readonly localHeads: readonly number[];
  /** `kv_lora_rank`. */
  readonly R: number;
  /** `qk_nope_head_dim`. */
  readonly Dn: number;
  /** `qk_rope_head_dim`. */
  readonly Dr: number;
  /** `v_head_dim`. */
  readonly Dv: number;
}

/**
 * The models.
 *
 * - **Source** dimensions from each model's configuration in huggingface/transformers (`models/mistral4`, `minicpm3`,
 *   `deepseek_v3`, `glm4_moe_lite`) and NVIDIA/TensorRT-LLM (`modeling_kimi_k2.py`); local heads are those that serving
 *   stacks test: Mistral Small 4 on 4 and 8 GPUs, DeepSeek-V3 on 8, Kimi K2 on 4 and 8.
 */
export const MODELS: readonly Model[] = [
  { name: "Mistral Small 4", suite: "mistral-small-4", H: 32, localHeads: [32, 8, 4], R: 256, Dn: 64, Dr: 64, Dv: 128 },
  { name: "MiniCPM3", suite: "minicpm3", H: 40, localHeads: [40], R: 256, Dn: 64, Dr: 32, Dv: 64 },
  { name: "DeepSeek-V2-Lite", suite: "deepseek-v2-lite", H: 16, localHeads: [16], R: 512, Dn: 128, Dr: 64, Dv: 128 },
  { name: "DeepSeek-V3", suite: "deepseek-v3", H: 128, localHeads: [128, 16], R: 512, Dn: 128, Dr: 64, Dv: 128 },
  { name: "Kimi K2", suite: "kimi-k2", H: 64, localHeads: [64, 16, 8], R: 512, Dn: 128, Dr: 64, Dv: 128 },
  { name: "GLM-4.7-Flash", suite: "glm-4.7-flash", H: 20, localHeads: [20], R: 512, Dn: 192, Dr: 64, Dv: 256 },
];

/**
 * Decode at serving sizes, the edges of a page, append, prompts and the whole operator, with the dimensions of `model`.
 */
export function presetSuite(model: Model): Suite {
  const { name, suite, localHeads, R, Dn, Dr, Dv } = model;
  const latent = { R: [R], Dr: [Dr] };
  const attend = { operation: "attend", variants: "all" } as const;
  const dims = { ...latent, Dn: [Dn], Dv: [Dv] };
  const projected = { variants: "all", axes: { ...dims, H: localHeads } } as const;
  return {
    name: suite,
    summary: `${name}: R=${R}, Dr=${Dr}, ${localHeads.join(" or ")} heads; decode, page edges, append, prompts, mla`,
    groups: [
      { ...attend, axes: { ...dims, H: localHeads, B: [1, 16, 64], kv: [1024, 4096] } },
      { ...attend, axes: { ...dims, H: localHeads.slice(-1), B: [1, 3], kv: ["boundary"] } },
      { operation: "append", variants: "all", axes: latent, rows: [{ B: 1, q: 1024, kv: 1024 }, { B: 64, kv: 4096 }] },
      {
        ...projected,
        operation: "project",
        axes: { R: [R], Dn: [Dn], Dv: [Dv], H: localHeads, part: ["q", "v"], B: [64, 1], q: [1] },
      },
      { ...projected, operation: "prefill", rows: [{ q: 65, kv: 65 }, { q: 1024, kv: 1024 }] },
      {
        ...projected,
        operation: "mla",
        rows: [{ B: 3, q: "1,17,20", kv: "65,64,20" }, { B: 16, kv: 4096 }, { q: 1024, kv: 1024 }, {
          q: "64>1x3",
          kv: 67,
        }],
      },
    ],
  };
}

/** One suite for each of {@linkcode MODELS}. */
export const PRESETS: readonly Suite[] = MODELS.map(presetSuite);
