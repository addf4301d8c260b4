/**
 * The problem sizes of the two operations, in the field's letters. Everything to the right of `reference/` speaks
 * in these types.
 *
 * @module
 */
import type { Dtype } from "./dtypes.ts";

/** Kinds of seeded inputs; what each exposes is documented in `inputs.ts`. */
export type InputKind = "normal" | "peak" | "large" | "equal" | "monotone" | "alternating" | "onehot";

/** Every {@linkcode InputKind}, in the order in which reports list them. */
export const INPUT_KINDS: readonly InputKind[] = [
  "normal",
  "peak",
  "large",
  "equal",
  "monotone",
  "alternating",
  "onehot",
];

/** What both operations share: the paged latent cache `[pages, page, R+Dr]`. */
export interface CacheShape {
  /** `kv_lora_rank`: width of the latent, a positive multiple of 16. */
  readonly R: number;
  /** `qk_rope_head_dim`: 0, 16, 32 or 64. */
  readonly Dr: number;
  /** Tokens per page, at least 1. */
  readonly page: number;
  /** Element type of the cache. */
  readonly cache: Dtype;
}

/** Size of one `attend`: `q` (absorbed) against the paged latent cache. */
export interface AttendShape extends CacheShape {
  /** Sequences in the batch. */
  readonly B: number;
  /** Query heads. */
  readonly H: number;
  /** `qk_nope_head_dim`; enters only the default scale `1/√(Dn+Dr)` and the expanded form. */
  readonly Dn: number;
  /** `v_head_dim`; enters only the expanded form and recorded outputs. */
  readonly Dv: number;
  /** New tokens of each sequence; decode is 1. Length B. */
  readonly q: readonly number[];
  /** Tokens in the cache of each sequence, this call's included. Length B. */
  readonly kv: readonly number[];
  /** Softmax scale. */
  readonly scale: number;
  /** Bottom-right aligned causal rule: query i of q sees key j iff j ≤ i + kv − q. */
  readonly causal: boolean;
}

/** Size of one `append`: new latents and rope keys of a ragged batch written into the paged cache. */
export interface AppendShape extends CacheShape {
  /** Sequences in the batch. */
  readonly B: number;
  /** New tokens of each sequence, 0 upward. Length B. */
  readonly q: readonly number[];
  /** Tokens in the cache of each sequence after this call. Length B; `kv[b] >= q[b]`. */
  readonly kv: readonly number[];
}

/** Pages that a sequence of `kv` tokens owns: `⌈kv/page⌉`, and one even when it is empty (as the seed's tests do). */
export function pagesOf(kv: number, page: number): number {
  return Math.max(1, Math.ceil(kv / page));
}

/** Sum of `values`. */
export function total(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
