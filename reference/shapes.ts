/**
 * The problem sizes of the operations, in the field's letters. Everything to the right of `reference/` speaks
 * in these types.
 *
 * @module
 */
import type { Dtype } from "./dtypes.ts";

/** Kinds of seeded inputs; what each exposes is documented in `input_kinds.ts`. */
export type InputKind =
  | "normal"
  | "peak"
  | "large"
  | "equal"
  | "monotone"
  | "jump"
  | "alternating"
  | "onehot"
  | "seed"
  | "flashmla";

/** Every {@linkcode InputKind}, in the order in which reports list them. */
export const INPUT_KINDS: readonly InputKind[] = [
  "normal",
  "peak",
  "large",
  "equal",
  "monotone",
  "jump",
  "alternating",
  "onehot",
  "seed",
  "flashmla",
];

/** Kinds that `project`, `prefill` and `mla` have; `attend` has them all. */
export const PROJECTED_KINDS: readonly InputKind[] = ["normal", "large", "equal", "seed"];

/**
 * How the paged latent cache lies in memory: `combined`, one cache `[pages, page, R+Dr]`, latent first; `separate`,
 * two, the latents `[pages, page, R]` and the rope keys `[pages, page, Dr]`, under the same page numbers.
 */
export type Layout = "combined" | "separate";

/** Every {@linkcode Layout}, the default first. */
export const LAYOUTS: readonly Layout[] = ["combined", "separate"];

/** What all operations on the paged latent cache share. The reference always works on the combined form of it. */
export interface CacheShape {
  /** `kv_lora_rank`: width of the latent, a positive multiple of 16. */
  readonly R: number;
  /** `qk_rope_head_dim`: 0, 16, 32 or 64. */
  readonly Dr: number;
  /** Tokens per page, at least 1. */
  readonly page: number;
  /** Element type of the cache. */
  readonly cache: Dtype;
  /** How the cache lies in memory. @default {"combined"} */
  readonly layout?: Layout;
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
  /** New tokens of each sequence, 0 upward; decode is 1. Length B. */
  readonly q: readonly number[];
  /** Tokens in the cache of each sequence, this call's included. Length B. */
  readonly kv: readonly number[];
  /** Softmax scale. */
  readonly scale: number;
  /** Bottom-right aligned causal rule: query i of q sees key j iff j ≤ i + kv − q. */
  readonly causal: boolean;
  /** Base of the log-sum-exp that is asked for: `e` names the output `lse`, `2` names it `lse2`. @default {"e"} */
  readonly lseBase?: "e" | "2";
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

/**
 * Size of one `project`, a product per head: with `part` `q` `q_latent[t, h] = q_nope[t, h]·W_k[h]`, with `v`
 * `out[t, h] = W_v[h]·latent[t, h]`. The weight is `kv_b_proj` `[H·(Dn+Dv), R]`, per head Dn rows W_k, then Dv rows
 * W_v.
 */
export interface ProjectShape {
  /** Which projection. */
  readonly part: "q" | "v";
  /** Query tokens of the whole batch. */
  readonly tokens: number;
  /** Rows of the output past the last token, which become zero. */
  readonly padding: number;
  /** Heads. */
  readonly H: number;
  /** `kv_lora_rank`. */
  readonly R: number;
  /** `qk_nope_head_dim`. */
  readonly Dn: number;
  /** `v_head_dim`. */
  readonly Dv: number;
  /** Element type of `kv_b_proj`. */
  readonly weight: Dtype;
}

/**
 * Size of one `prefill`: attention in the expanded form. K (width Dn+Dr) and V (width Dv) of every head are unfolded
 * from the cached latents, so queries and outputs are those of the model. Any kv is allowed; meant is kv = q.
 */
export interface PrefillShape extends AttendShape {
  /** Element type of `kv_b_proj`. */
  readonly weight: Dtype;
  /** Rows of q and out past the last token; those of out become zero. */
  readonly padding: number;
}

/**
 * Size of one call of `mla`, the whole operator: append the new tokens, attend, project. `q[b] ≤ kv[b]`; `q[b]` 0
 * stands for a sequence without new tokens. With `steps` it is a flow of several calls on one cache
 * ({@linkcode MlaShape.steps}).
 */
export interface MlaShape extends PrefillShape {
  /**
   * New tokens of each sequence `[calls][B]`, summing up to `q`; absent for a single call. A sequence with 0 is not
   * part of that call's batch: it has not joined yet, has left, or waits. `flow.ts` gives the shape of each call.
   */
  readonly steps?: readonly (readonly number[])[];
}

/** Pages that a sequence of `kv` tokens owns: `⌈kv/page⌉`, and one even when it is empty (as the seed's tests do). */
export function pagesOf(kv: number, page: number): number {
  return Math.max(1, Math.ceil(kv / page));
}

/** Sum of `values`. */
export function total(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
