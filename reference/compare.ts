/**
 * Comparison of a tensor with its reference, element by element and as a whole.
 *
 * @module
 */
import type { Check, WorstElement } from "./check.ts";
import type { EdgeWords } from "./edges.ts";
import { elementFigures } from "./element.ts";
import { tellFailure } from "./failure.ts";

/** Where an element stands, in the terms of {@linkcode WorstElement}. */
export type ElementPlace = Pick<WorstElement, "sequence" | "head" | "token" | "dim" | "page">;

/** What {@linkcode compare} compares. */
export interface Comparison {
  /** Name of the check. */
  readonly name: string;
  /** What the kernel wrote. */
  readonly actual: ArrayLike<number>;
  /** What it should have written, ±Infinity allowed, NaN not. */
  readonly expected: ArrayLike<number>;
  /** Bound on `|actual − expected|` of each element. */
  readonly bound: ArrayLike<number>;
  /** The a-priori bound of each element, where `bound` is what an emulation leaves of it. */
  readonly ceiling?: ArrayLike<number>;
  /** Elements that share errors, and count as one draw where the errors' energy is judged. @default {1} */
  readonly width?: number;
  /** Place of element `i`; those of `width` elements differ in the `dim` alone. */
  place(i: number): ElementPlace;
  /** Edges of the places, for what a failed check tells. */
  readonly edges?: EdgeWords;
}

/**
 * Root mean square error allowed, as a share of the root mean square bound, where the bound is a-priori. Rounding
 * errors scatter: of honest kernels the rms stays below a tenth of what single elements may take (`acceptance_test.ts`
 * shows it), whereas a systematic fault that hides below the bound of every element fills it evenly.
 */
const RMS_SHARE = 0.5;

/**
 * The same of a limit that an emulation left (`emulation.ts`), six deviations of an honest error at least. The rms of N
 * draws exceeds their deviation σ by more than `1 + z/√N` no more often than one draw exceeds z·σ (Laurent & Massart,
 * "Adaptive estimation of a quadratic functional", Ann. Stat. 28(5), 2000, lemma 1, with x = z²/2); twice σ, as single
 * errors have, and that excess with z = 6 are `⅓ + 1/√N` of the limit. N counts rows, and where few of them hold most
 * of the limits' energy, only those.
 */
function rmsShareOf(draws: number): number {
  return Math.min(1, 1 / 3 + 1 / Math.sqrt(draws));
}

/**
 * Compares `actual` with `expected`: NaN and ±∞ must stand where the reference has them, every finite element within
 * its bound, and, where the reference is not zero throughout, the tensor as a whole within limits that follow from the
 * bounds:
 *
 * - NMSE, `Σ(a−e)²/Σe² ≤ L` with `L = ρ²·Σbound²/Σe²`, ρ the share of the rms bound that is allowed;
 * - cosine difference, `1 − 2Σae/Σ(a²+e²) ≤ L/(1+(1−√L)²)`, its largest value at that NMSE (for L < 1).
 *
 * @throws {RangeError} If the lengths differ.
 */
export function compare(comparison: Comparison): Check {
  const { name, actual, expected, bound, ceiling, width = 1, place } = comparison;
  const elements = expected.length;
  if (actual.length !== elements || bound.length !== elements) {
    throw new RangeError(
      `Cannot compare ${actual.length} elements of ${name} with ${elements} expected ones and ${bound.length} bounds`,
    );
  }
  let outOfBound = 0, wrongMask = 0, firstWrongMask = -1, worst = -1;
  let maxAbsError = 0, maxRelError = 0, budgetUsed = 0, ceilingUsed = 0, finite = 0;
  let errorEnergy = 0, expectedEnergy = 0, actualEnergy = 0, boundEnergy = 0, boundFourths = 0, ceilingEnergy = 0;
  for (let i = 0; i < elements; i++) {
    const a = actual[i], e = expected[i], b = bound[i];
    if (!Number.isFinite(a) || !Number.isFinite(e)) {
      if (a !== e) {
        wrongMask++;
        if (firstWrongMask < 0) firstWrongMask = i;
      }
      continue;
    }
    const error = Math.abs(a - e);
    if (!(error <= b)) outOfBound++;
    const used = error === 0 ? 0 : error / b;
    if (worst < 0 || used > budgetUsed) {
      worst = i;
      budgetUsed = used;
    }
    if (ceiling && error > 0) ceilingUsed = Math.max(ceilingUsed, error / ceiling[i]);
    finite++;
    maxAbsError = Math.max(maxAbsError, error);
    if (e !== 0) maxRelError = Math.max(maxRelError, error / Math.abs(e));
    errorEnergy += error * error;
    expectedEnergy += e * e;
    actualEnergy += a * a;
    boundEnergy += b * b;
    boundFourths += b * b * b * b;
    if (ceiling) ceilingEnergy += ceiling[i] * ceiling[i];
  }
  const reasons: string[] = [];
  if (wrongMask > 0) {
    reasons.push(`${wrongMask} of ${elements} elements are NaN or infinite where the reference is not, or the reverse`);
  }
  if (outOfBound > 0) reasons.push(`${outOfBound} of ${elements} elements are out of bound`);
  let nmse: number | undefined;
  let cosineDifference: number | undefined;
  if (expectedEnergy > 0) {
    nmse = errorEnergy / expectedEnergy;
    // Σ(a−e)²/Σ(a²+e²) is the same as 1 − 2Σae/Σ(a²+e²), without the cancellation.
    cosineDifference = errorEnergy / (actualEnergy + expectedEnergy);
    const share = ceiling ? rmsShareOf(boundEnergy / boundFourths * boundEnergy / width) : RMS_SHARE;
    // An emulation never allows more than the a-priori bounds would by themselves.
    const energy = Math.min(share ** 2 * boundEnergy, RMS_SHARE ** 2 * (ceiling ? ceilingEnergy : boundEnergy));
    const limit = energy / expectedEnergy;
    if (!(nmse <= limit)) reasons.push(`NMSE ${nmse.toExponential(2)} exceeds ${limit.toExponential(2)}`);
    const cosineLimit = limit < 1 ? limit / (1 + (1 - Math.sqrt(limit)) ** 2) : 1;
    if (!(cosineDifference <= cosineLimit * (1 + 1e-9))) {
      reasons.push(`cosine difference ${cosineDifference.toExponential(2)} exceeds ${cosineLimit.toExponential(2)}`);
    }
  }
  const shown = firstWrongMask >= 0 ? firstWrongMask : worst;
  const passed = reasons.length === 0;
  return {
    name,
    passed,
    ...(passed ? {} : { message: reasons.join("; ") }),
    elements,
    mismatches: wrongMask + outOfBound,
    ...(finite > 0 ? { maxAbsError, maxRelError, budgetUsed: Math.min(budgetUsed, Number.MAX_VALUE) } : {}),
    ...(finite > 0 && ceiling ? { ceilingUsed: Math.min(ceilingUsed, Number.MAX_VALUE) } : {}),
    ...(nmse === undefined ? {} : { nmse }),
    ...(cosineDifference === undefined ? {} : { cosineDifference }),
    ...(shown < 0
      ? {}
      : { worst: { ...place(shown), ...elementFigures(actual[shown], expected[shown], bound[shown]) } }),
    ...(passed ? {} : tellFailure(comparison, shown)),
  };
}
