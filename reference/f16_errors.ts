/**
 * What sums in f16 add to the bounds (`bounds.ts`) and scales (`error_scales.ts`) of an attention: nothing where all is
 * f32.
 *
 * With u = 2⁻¹¹, a number of f16 and a sum in f16 are rounded by up to u of themselves, or by 2⁻²⁵ where that is more:
 * half the distance of subnormals. A chain of L products errs by at most L·u of the sizes of its products, whatever its
 * order, and by u more where a compiler does without `fma` and rounds the products (without chains, L = 0, products are
 * exact, and one factor of each is off by u): chains are short, so the bounds take that, where for sums of thousands
 * they take √n. Chains are added up in f32, as all else.
 *
 * - **A score**: each element of the query rounded once, then its chain, `(L+2)·u` of `scoreAbs`. A query is scaled so
 *   that its largest element is at least 2⁻⁶, so 2⁻²⁵ is 2⁻¹⁹ of that element. It is lost for every rounded element,
 *   times the key's, and twice at every step: together `2⁻¹⁹·Σ_d max|q|·(2+|k_d|) ≤ 2⁻¹⁸·√(R+Dr)·scoreReach`. A weight
 *   is off by the factor exp(±δ) then, δ the sum of both, and a quotient of sums of weights by exp(±2δ): `expm1(2δ)` of
 *   `outAbs`. δ is no small number where one product is large and the others count, and then the linear bound of f32
 *   would be wrong.
 * - **A weighted value**: each weight rounded once, then its chain, which may be scaled between two tokens, by a factor
 *   rounded to f16, at every second one: `(2L+2)·u` of `outAbs`. The weights are scaled by 2⁻⁶, so 2⁻²⁵ is 2⁻¹⁹ of the
 *   largest of them. It is lost by every weight, times the value, and twice at every step: `2⁻¹⁹·n·(2+valueMost)` over
 *   the sum of weights, whose inverse is at most `weightNorm`. The sum of weights itself is of unrounded ones.
 *
 * The scales take the same lines as independent errors: `√L` for L, norms for sizes, and of what is lost by subnormals
 * one step: it matters where the rest is nothing, as of values of one element. With projections the bounds are for
 * random data (`bounds.ts`), so they are these scales, 2λ of them, with √n steps of what is lost.
 *
 * @module
 */
import type { AttendReference } from "./mla.ts";
import type { F16Chains, KernelPrecision } from "./precision.ts";
import type { ProjectedReference } from "./projected.ts";
import type { AttendShape } from "./shapes.ts";

/** Unit roundoff of f16. */
const U16 = 2 ** -11;
/** Half the distance of subnormal f16, times the 2⁶ by which weights and queries are scaled down. */
const LOST = 2 ** -19;
/** Exponent from which on weights are as wrong as can be: its exponential is still finite. */
const MOST_EXPONENT = 700;
/** Largest element of a latent over its typical one, at most, where latents are random. */
const LATENT_SPREAD = 8;

/** √ of the roundings of a product as of random data: its chain, or where there is none that of a factor. */
function rootSteps({ f16Chain }: F16Chains): number {
  return Math.sqrt(Math.max(1, f16Chain));
}

/** Relative error of a product in f16 as of random data, beside that in f32: one factor rounded, then its chain. */
export function f16Roundoff(products: "f32" | F16Chains): number {
  return products === "f32" ? 0 : (1 + rootSteps(products)) * U16;
}

/** Bound on the error of a row's scores. */
export function f16ScoreBound(
  { scores }: KernelPrecision,
  { R, Dr }: AttendShape,
  { scoreAbs, scoreReach }: Pick<AttendReference, "scoreAbs" | "scoreReach">,
  row: number,
): number {
  if (scores === "f32") return 0;
  return (scores.f16Chain + 2) * U16 * scoreAbs[row] + 2 * LOST * Math.sqrt(R + Dr) * scoreReach[row];
}

/**
 * By how much scores that are off by `score` move a quotient.
 *
 * @param size Size of the values.
 * @param most What no weights exceed. @default {Infinity}
 */
export function f16WeightBound(score: number, size: number, most = Infinity): number {
  return score === 0 ? 0 : Math.min(Math.expm1(Math.min(2 * score, MOST_EXPONENT)) * size, most);
}

/** Figures of a row's weighted values. */
type ValueFigures = Pick<AttendReference, "out" | "outAbs" | "weightNorm" | "valueMost" | "seen">;

/** An element of `out`, and its row. */
interface Place {
  readonly row: number;
  readonly i: number;
}

/** Bound on the error of a weighted value. */
export function f16ValueBound({ values }: KernelPrecision, figures: ValueFigures, { row, i }: Place): number {
  if (values === "f32") return 0;
  const { outAbs, seen } = figures;
  return (2 * values.f16Chain + 2) * U16 * outAbs[i] + seen[row] * lostStep(figures, row);
}

/** What a row loses of its values at one token by numbers too small for f16. */
function lostStep({ weightNorm, valueMost }: Pick<ValueFigures, "weightNorm" | "valueMost">, row: number): number {
  return LOST * weightNorm[row] * (2 + valueMost[row]);
}

/**
 * What the scores of a row usually err by.
 *
 * @param norm Norm of the products of a score.
 * @param size Size of the log-sum-exp: of a score that is nearly all one product.
 * @param reach `scoreReach` of the row.
 */
export function f16ScoreScale({ scores }: KernelPrecision, norm: number, size: number, reach: number): number {
  return scores === "f32" ? 0 : rootSteps(scores) * U16 * (norm + size) + LOST * reach;
}

/**
 * What a weighted value usually errs by: its chains, and half a rounding of itself, as where a single weight makes it.
 */
export function f16ValueScale({ values }: KernelPrecision, figures: ValueFigures, { row, i }: Place): number {
  if (values === "f32") return 0;
  const { out, outAbs, weightNorm } = figures;
  return U16 * (rootSteps(values) * weightNorm[row] * outAbs[i] + Math.abs(out[i]) / 2) +
    lostStep(figures, row);
}

/**
 * What element `i` of the projected output of a row usually errs by.
 *
 * @param steps Of what is lost by numbers too small for f16. A subnormal sum is one for a latent of any size; of random
 * latents none is much smaller than the largest.
 */
export function f16ProjectedScale(
  { values }: KernelPrecision,
  { weightNorm, valueMost, valueNorm, latentNorm }: ProjectedReference,
  { row, i }: Place,
  steps = 1,
): number {
  if (values === "f32" || valueMost[row] === 0) return 0;
  const norm = weightNorm[row] * valueNorm[i];
  return rootSteps(values) * U16 * (norm + latentNorm[i]) +
    steps * LOST * norm * (1 + LATENT_SPREAD / valueMost[row]);
}
