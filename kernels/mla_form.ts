/**
 * In which form `mla` attends: `absorbed`, on latents between two projections, or `expanded`, on keys and values of
 * every head.
 *
 * @module
 */
import { type MlaShape, total } from "../reference/shapes.ts";
import type { DeviceTraits } from "./kernel.ts";
import { prefillFused } from "./prefill_fused.ts";
import { prefillCounts } from "./prefill_plan.ts";
import { prefillFlops } from "./work_prefill.ts";
import { projectFlops } from "./work_project.ts";

/**
 * What the parts of both forms were measured at. Where nothing is cached both multiply every token with the whole of
 * `kv_b_proj`, and a pair costs `2R+Dr` in one and `Dn+Dr+Dv` in the other, about a third; but the expanded form has
 * longer tiles to fill and stores what it expands. Cached tokens are expanded too, once for all queries of the call:
 * that pays for chunks of prompts, never for decode.
 *
 * - **Source** One NVIDIA H200, 16 heads, bf16, nothing cached, absorbed (by `fused_subgroup`) against expanded in µs:
 *   R=512, 128 tokens 79 against 116, 512 tokens 246 / 242, 2,048 tokens 2,519 / 1,089; R=256 57 / 92, 217 / 208, 1,331
 *   / 974. A chunk of 512 tokens on 8,192 cached ones at 128 heads 37.7 ms without its projections / 22.1. Only the
 *   ratio of the two sums matters, so what holds there should hold on GPUs of a like balance.
 */
export const FORM_RATES = {
  /** Attention on latents, flop/s. */
  attend: 31e12,
  /** Projections, flop/s. */
  project: 36e12,
  /** Expanding and attending, flop/s. */
  prefill: 31e12,
  /** What remains of the absorbed form where there is hardly any work, s. */
  absorbedS: 50e-6,
  /** What remains of the expanded form, s. */
  expandedS: 100e-6,
} as const;

/** Seconds that each form is expected to take on the device of {@linkcode FORM_RATES}. */
export function estimateForms(shape: MlaShape): { readonly absorbed: number; readonly expanded: number } {
  const { attend, project, prefill, absorbedS, expandedS } = FORM_RATES;
  const { R, Dr, H } = shape;
  const tokens = total(shape.q);
  // Counted in closed form: a call is planned faster than its rows are counted one by one.
  const pairFlops = 2 * (2 * R + Dr) * H * prefillCounts(shape).pairs;
  const projections = (["q", "v"] as const).map((part) => projectFlops({ ...shape, part, tokens }));
  return {
    absorbed: absorbedS + pairFlops / attend + total(projections) / project,
    expanded: expandedS + prefillFlops(shape) / prefill,
  };
}

/** A form, and why it is the one. */
export interface FormChoice {
  /** The form. */
  readonly form: "absorbed" | "expanded";
  /** One line that begins with its name. */
  readonly reason: string;
}

/** The faster form for `shape` by {@linkcode estimateForms}, of those that `device` has the room for. */
export function explainForm(shape: MlaShape, device?: DeviceTraits): FormChoice {
  const { absorbed, expanded } = estimateForms(shape);
  const times = `about ${inMs(absorbed)} absorbed, ${inMs(expanded)} expanded on an H200`;
  if (!(expanded < absorbed)) return { form: "absorbed", reason: `absorbed: ${times}` };
  const refused = prefillFused.refuses(shape, {}, device);
  if (refused !== undefined) return { form: "absorbed", reason: `absorbed: prefill/fused does not run: ${refused}` };
  return { form: "expanded", reason: `expanded: ${times}` };
}

function inMs(seconds: number): string {
  return `${(1e3 * seconds).toPrecision(2)} ms`;
}

/** The form that {@linkcode explainForm} explains. */
export function chooseForm(shape: MlaShape, device?: DeviceTraits): "absorbed" | "expanded" {
  return explainForm(shape, device).form;
}
