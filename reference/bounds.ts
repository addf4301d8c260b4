/**
 * How far an honest kernel may be from the f64 reference, whatever its inputs and its order of sums: the ceiling over
 * what an emulation of the case leaves (`emulation.ts`).
 *
 * With u = 2⁻²⁴, a sum of n products in any order has, with high probability, an error of at most λ√n·u times its
 * condition, the sum of the products' magnitudes (Higham & Mary, "A new approach to probabilistic rounding error
 * analysis", SIAM J. Sci. Comput. 41(5), 2019, theorem 3.1). λ is {@linkcode LAMBDA}. WGSL's accuracies of built-ins
 * are those of the specification ("Accuracy of Concrete Floating Point Expressions"); 1 ULP ≤ 2u relative. For a row
 * that sees n tokens:
 *
 * | what | relative error | condition |
 * |---|---|---|
 * | score: R+Dr products | `λ√(R+Dr)·u` | `scoreAbs + \|lse\|` |
 * | its scale, log₂e and the subtraction of the maximum | `8·u` | `scoreAbs` |
 * | weight, from its score | those two, plus exp2 with 3+2\|x\| ULP: `(6 + 4·log₂n)·u`, as Σp·\|x\| ≤ log₂n | 1 |
 * | weight, from the rescalings of an online softmax | `6·u` each, by exp2 near 0 with 3 ULP; m on average, {@linkcode AttendReference.rescalings} | 1 |
 * | sum of n weights, sum of n weighted values | `(λ√n + 4)·u` each, 4 for merge and division, and `2·vanishing` | 1, `outAbs` |
 *
 * The errors of the rescalings add up instead of scattering: where the maximum rises by the same small step at every
 * tile, every factor is the exponential of the same number, with the same error. What those of larger steps add by
 * their 2|x| ULP is in the line above theirs, since the steps after a token add up to its x.
 *
 * Nor do the errors scatter of addends below u of the sum, and of addends that differ by less than floats do there: one
 * accumulator loses all of the former, and rounds all of the latter the same way. The reference knows what share of the
 * sum that is, {@linkcode AttendReference.vanishing}; it counts twice, because rows that all err by it have an rms of
 * as much.
 *
 * Nor do the errors scatter of n addends that are alike, where they are no integers: a kernel that divides the weights
 * by their sum first adds n times v/n, and every partial sum may be rounded the same way by up to u of it, n/2·u of the
 * whole. Weights that are alike are seen from `weightNorm`; that the values are is taken from their having one sign.
 *
 * `out` is a quotient, so every line counts twice. `lse` adds the logarithm (2⁻²¹ absolute in [½, 2], else 3 ULP) and
 * the final sum. Nothing depends on the dtype of the cache: its values are decoded without error, and the reference
 * works on the same values. An LSE of base 2 needs no more: the 8·u of its size are the logarithm's 3 ULP, the final
 * sum, and the conversion of base that every kernel with exp2 makes once.
 *
 * With projections (`prefill`, `mla`) a kernel may absorb (q_latent, then sums of R+Dr, then W_v) or unfold (keys and
 * values of each head from the latents, then sums of Dn+Dr); a bound holds for both. Two long sums in a row would
 * multiply conditions of 10 to 20 by each other and leave nothing to see, so there the bound is that for random data,
 * whose partial sums grow with the square root (Higham & Mary, "Sharper probabilistic backward error analysis for basic
 * linear algebra kernels with random data", SIAM J. Sci. Comput. 42(5), 2020): `λ√n·u` times the Euclidean norm of the
 * products, plus the size of the result. Errors of different elements are independent, so they enter the next sum as a
 * norm, too. The kinds of inputs with cancellation by design are those of `attend`; here all are random.
 *
 * | what | error | norm |
 * |---|---|---|
 * | absorbed: q_latent, Dn products, the same for all tokens | `λ√Dn·u` | `absorbNorm` |
 * | absorbed: score, R+Dr products | `λ√(R+Dr)·u` | `scoreNorm + \|lse\|` |
 * | unfolded: key, R products | `λ√R·u` | `unfoldNorm` |
 * | unfolded: score, Dn+Dr products | `λ√(Dn+Dr)·u` | `keyNorm + \|lse\|` |
 * | scale, log₂e, subtraction | `8·u` | `\|lse\| + ln n` |
 * | weight: exp2, rescalings | as above | 1 |
 * | sum of n weights | `(λ√n + 4)·u + 2·vanishing` | `\|out\|` |
 * | sum of n weighted values | `(λ√n + 4)·u + 2·vanishing` | `√(Σp²)·valueNorm + \|out\|`, or absorbed `latentNorm` for `\|out\|` |
 * | absorbed: projection of the latent output, R products | `λ√R·u` | `latentNorm + \|out\|` |
 * | unfolded: value, R products | `λ√R·u` | `√(Σp²)·2·valueNorm` |
 *
 * Where an error of the weights is the same for all tokens it moves `out` by all of itself times the size of the
 * values, `valueNorm + |out|`; of one that differs from token to token, `√(Σp²)` is left. The denominator moves `out`
 * by the same share of its own size.
 *
 * Sums in f16, where a kernel declares them, add their lines (`f16_errors.ts`).
 *
 * A `project` is a single sum: `(λ√n + 2)·u` times its condition.
 *
 * @module
 */
import { f16ProjectedScale, f16ScoreBound, f16ScoreScale, f16ValueBound, f16WeightBound } from "./f16_errors.ts";
import type { AttendReference } from "./mla.ts";
import { F32, type KernelPrecision } from "./precision.ts";
import type { ProjectReference } from "./project.ts";
import type { ProjectedReference } from "./projected.ts";
import type { AttendShape, PrefillShape, ProjectShape } from "./shapes.ts";

/** Unit roundoff of f32. */
export const U32 = 2 ** -24;

/**
 * Multiple of `√n·u` allowed to a sum. Where the addends have one sign and like sizes, a single accumulator shows a
 * standard deviation of 0.25 (rounding errors are uniform: √(½·⅓·⅓)): 2 is eight of them. Addends of mixed sign stay
 * far below.
 *
 * A score may have a product that is nearly all of it, as in the kind `large`, and then every partial sum is that
 * large. No partial sum exceeds half of `scoreAbs + |s|` (it and the rest add up to s, their sizes to no more than
 * `scoreAbs`), an addition errs by up to u of it, uniformly, with a standard deviation of √⅓: 2 times `scoreAbs + |s|`
 * is seven of them. For s stands the LSE: no score that has any weight is further from it than ln n.
 */
export const LAMBDA = 2;

/** Weights below 2⁻¹²⁶ may be flushed to zero: n of them, times the largest f16. */
export const FLUSHED = 1e-28;

/** Absolute error of WGSL's `log` in [½, 2]. */
const LOG_ERROR = 2 ** -21;

/** Bounds on the error of each element. */
export interface AttendBounds {
  /** `[rows, R]`, with projections `[rows, Dv]`. */
  readonly out: Float64Array<ArrayBuffer>;
  /** `[rows]`. */
  readonly lse: Float64Array<ArrayBuffer>;
}

/** Error bounds of a kernel for the rows of `reference`. */
export function attendBounds(
  shape: AttendShape,
  reference: AttendReference,
  precision: KernelPrecision = F32,
): AttendBounds {
  const { R, Dr } = shape;
  const { outAbs, scoreAbs, rescalings, vanishing, valueMost, seen, lse } = reference;
  const rows = seen.length;
  const bounds = { out: new Float64Array(rows * R), lse: new Float64Array(rows) };
  for (let row = 0; row < rows; row++) {
    const n = Math.max(1, seen[row]);
    const size = Number.isFinite(lse[row]) ? Math.abs(lse[row]) : 0;
    const score = (LAMBDA * Math.sqrt(R + Dr) * (scoreAbs[row] + size) + 8 * scoreAbs[row]) * U32;
    const weight = score + (6 + 4 * Math.log2(n) + 6 * rescalings[row]) * U32;
    const sum = (LAMBDA * Math.sqrt(n) + 4) * U32 + 2 * vanishing[row];
    const alike = areAlike(n, reference.weightNorm[row]) ? n / 2 * U32 : 0;
    const score16 = f16ScoreBound(precision, shape, reference, row);
    for (let d = row * R; d < (row + 1) * R; d++) {
      const drift = isOfOneSign(reference.out[d], outAbs[d]) ? alike : 0;
      bounds.out[d] = 2 * (weight + sum + drift) * outAbs[d] + FLUSHED +
        f16WeightBound(score16, outAbs[d], 2 * valueMost[row]) + f16ValueBound(precision, reference, { row, i: d });
    }
    bounds.lse[row] = weight + sum + LOG_ERROR + 8 * U32 * size + score16;
  }
  return bounds;
}

/** Whether n weights differ by no more than their sum's floats do: n·Σp² is 1 and their relative variance. */
export function areAlike(n: number, weightNorm: number): boolean {
  return n * weightNorm * weightNorm - 1 < (2 * n * U32) ** 2;
}

/** Whether the addends of an element have one sign. */
export function isOfOneSign(out: number, outAbs: number): boolean {
  return Math.abs(out) > (1 - 1e-6) * outAbs;
}

/** Error bounds of a kernel of `prefill` or `mla`, of either form, for the rows of `reference`. */
export function projectedBounds(
  { R, Dr, Dn, Dv }: PrefillShape,
  reference: ProjectedReference,
  precision: KernelPrecision = F32,
): AttendBounds {
  const { out, valueNorm, latentNorm, scoreNorm, absorbNorm, keyNorm, unfoldNorm } = reference;
  const { rescalings, weightNorm, vanishing, scoreReach, seen, lse } = reference;
  const rows = seen.length;
  const bounds = { out: new Float64Array(rows * Dv), lse: new Float64Array(rows) };
  const product = LAMBDA * Math.sqrt(R) * U32;
  for (let row = 0; row < rows; row++) {
    const n = Math.max(1, seen[row]);
    const size = Number.isFinite(lse[row]) ? Math.abs(lse[row]) : 0;
    const absorbed = Math.sqrt(R + Dr) * (scoreNorm[row] + size);
    const unfolded = Math.sqrt(Dn + Dr) * (keyNorm[row] + size) + Math.sqrt(R) * unfoldNorm[row];
    const perToken = weightNorm[row] * LAMBDA * Math.max(absorbed, unfolded) * U32;
    const shared = (LAMBDA * Math.sqrt(Dn) * absorbNorm[row] + 8 * (size + Math.log(n)) +
      6 + 4 * Math.log2(n) + 6 * rescalings[row]) * U32;
    const weights = shared + perToken;
    const sum = (LAMBDA * Math.sqrt(n) + 4) * U32 + 2 * vanishing[row];
    const score16 = 2 * LAMBDA * f16ScoreScale(precision, scoreNorm[row], size, scoreReach[row]);
    for (let i = row * Dv; i < (row + 1) * Dv; i++) {
      const result = Math.abs(out[i]);
      const spread = weightNorm[row] * valueNorm[i];
      bounds.out[i] = weights * (valueNorm[i] + 2 * result) +
        sum * (spread + Math.max(result, latentNorm[i]) + result) +
        product * Math.max(latentNorm[i] + result, 2 * spread) + FLUSHED +
        f16WeightBound(score16, valueNorm[i] + 2 * result) +
        2 * LAMBDA * f16ProjectedScale(precision, reference, { row, i }, Math.sqrt(n));
    }
    bounds.lse[row] = weights + sum + LOG_ERROR + 8 * U32 * size + score16;
  }
  return bounds;
}

/** Error bounds of a kernel of `project`, element by element. */
export function projectBounds({ part, R, Dn }: ProjectShape, { outAbs }: ProjectReference): Float64Array<ArrayBuffer> {
  const factor = (LAMBDA * Math.sqrt(part === "q" ? Dn : R) + 2) * U32;
  return Float64Array.from(outAbs, (condition) => factor * condition + FLUSHED);
}
