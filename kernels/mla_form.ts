/**
 * In which form `mla` attends: `absorbed`, on latents between two projections, or `expanded`, on keys and values of every
 * head.
 *
 * @module
 */
import { type MlaShape, total } from "../reference/shapes.ts";
import type { DeviceTraits } from "./kernel.ts";
import { prefillFused } from "./prefill_fused.ts";

/**
 * New tokens of a prompt from which the expanded form is the faster one. With nothing cached both forms multiply every
 * token with the whole of `kv_b_proj`, and a pair costs `2R+Dr` in one and `Dn+Dr+Dv` in the other, about a third; but what is
 * expanded goes through memory.
 *
 * - **Source** An estimate: where the pairs saved (about 800 multiply-adds each, half the prompt's tokens for a query) take
 *   as long as writing and reading the keys and values of a token and head (1 KiB each way). To be replaced by the crossover
 *   that `mla` with `form=absorbed` and `form=expanded` measures on an H200.
 */
export const EXPANDED_FROM_TOKENS = 64;

/** A form, and why it is the one. */
export interface FormChoice {
  /** The form. */
  readonly form: "absorbed" | "expanded";
  /** One line that begins with its name. */
  readonly reason: string;
}

/**
 * The faster form for `shape`: `expanded` where no sequence has cached tokens, their prompts are long enough on
 * average over their tokens, and `device` has the room for it; else `absorbed`.
 */
export function explainForm(shape: MlaShape, device?: DeviceTraits): FormChoice {
  const { q, kv } = shape;
  const absorbed = (reason: string): FormChoice => ({ form: "absorbed", reason: `absorbed: ${reason}` });
  // One without new tokens counts as well: its cached tokens would be expanded for nobody.
  const cached = q.findIndex((n, b) => kv[b] !== n);
  if (cached >= 0) return absorbed(`sequence ${cached} has ${kv[cached] - q[cached]} cached tokens`);
  const tokens = total(q);
  const mean = tokens === 0 ? 0 : total(q.map((n) => n * n)) / tokens;
  if (!(mean >= EXPANDED_FROM_TOKENS)) {
    return absorbed(`prompts of ${Math.round(mean)} tokens, the expanded form pays from ${EXPANDED_FROM_TOKENS} on`);
  }
  const refused = prefillFused.refuses(shape, {}, device);
  if (refused !== undefined) return absorbed(`prefill/fused does not run: ${refused}`);
  return { form: "expanded", reason: `expanded: prompts of ${Math.round(mean)} tokens and none cached` };
}

/** The form that {@linkcode explainForm} explains. */
export function chooseForm(shape: MlaShape, device?: DeviceTraits): "absorbed" | "expanded" {
  return explainForm(shape, device).form;
}
