/**
 * How the errors of honest kernels differ from row to row and element to element: the units in which `emulation.ts`
 * pools them.
 *
 * The bounds of `bounds.ts` hold for every input and are no measure of what is typical: a row that puts its weight on
 * one token errs like that token's score, one that spreads it over n like their mean. As shares of bounds a few rows
 * would have all the large errors, and those that were emulated would say little about the others. The scales follow
 * the bounds line by line with norms for conditions, because independent errors add up like that. What matters is that
 * rows of one case are alike in them; a constant factor is the same for emulation and kernel. Of most kinds of inputs a
 * naive kernel errs by 0.05 to 0.5 of the scale, root mean square, less where all values are alike.
 *
 * With u = 2⁻²⁴, w = `weightNorm`, S what a row's scores err by and E its exponentials, logarithm and rescalings, in u:
 *
 * - `lse`: `‖S·w′, E, √n, 4, 2·lse‖`, w′ = `‖w, 0.2‖`: errors of scores with the same query and like keys are not quite
 *   independent;
 * - `out`: `m·w′·‖S, E‖` times the size of a value, where m = `min(1, √2·(1−w²))` is by how much changed weights can
 *   move the output; and `√n·w + 6` (sum, division, merge) times the size of the sum.
 *
 * What one accumulator loses (`vanishing`), and how far sums of equal addends drift, is added in full. A `project` has
 * its bounds for scales: it is one sum.
 *
 * Sums in f16 add their lines (`f16_errors.ts`).
 *
 * @module
 */
import { areAlike, type AttendBounds, isOfOneSign, U32 } from "./bounds.ts";
import { f16ProjectedScale, f16ScoreScale, f16ValueScale } from "./f16_errors.ts";
import type { AttendReference } from "./mla.ts";
import { F32, type KernelPrecision } from "./precision.ts";
import type { ProjectedReference } from "./projected.ts";
import type { AttendShape, PrefillShape } from "./shapes.ts";

/** Least part of a score's error that all tokens of a row share. */
const SHARED = 0.2;

/** Figures of a row that both references have. */
type RowFigures = Pick<AttendReference, "weightNorm" | "rescalings" | "vanishing" | "seen" | "lse">;

/** Scales of a row, in u. */
interface RowScales {
  /** Of the log-sum-exp. */
  readonly lse: number;
  /** Of what wrong weights move the output by, relative to a value. */
  readonly weights: number;
  /** Of the sum over the tokens, relative to its size. */
  readonly sum: number;
}

/** @param score What scores err by. */
function rowScales(reference: RowFigures, row: number, score: number): RowScales {
  const { weightNorm, rescalings, vanishing, seen } = reference;
  const n = Math.max(1, seen[row]);
  const w = weightNorm[row];
  const joint = Math.hypot(w, SHARED);
  const exponential = 4 + 2 * Math.log2(n) + 2 * rescalings[row];
  const lost = vanishing[row] / U32;
  return {
    lse: Math.hypot(score * joint, exponential, Math.sqrt(n), 4, 2 * lseSize(reference, row)) + lost,
    weights: Math.min(1, Math.SQRT2 * (1 - w * w)) * Math.hypot(score, exponential) * joint,
    sum: Math.sqrt(n) * w + 6 + lost,
  };
}

function lseSize({ lse }: RowFigures, row: number): number {
  return Number.isFinite(lse[row]) ? Math.abs(lse[row]) : 0;
}

/**
 * Scales of an `attend`. The norm of a score's products is taken to be `1.25·scoreAbs/√(R+Dr)`, as of normal ones;
 * where one of them is nearly all, the score is, and the log-sum-exp stands beside it. The size of a value is that of
 * the element and, as another token may have a larger one, of the row.
 */
export function attendScales(
  { R, Dr }: AttendShape,
  reference: AttendReference,
  precision: KernelPrecision = F32,
): AttendBounds {
  const { out, outAbs, scoreAbs, scoreReach, seen } = reference;
  const rows = seen.length;
  const scales = { out: new Float64Array(rows * R), lse: new Float64Array(rows) };
  const root = Math.sqrt(R + Dr);
  for (let row = 0; row < rows; row++) {
    const size = lseSize(reference, row);
    const score = 1.25 * scoreAbs[row] + root * size + 4 * scoreAbs[row] / root;
    const score16 = f16ScoreScale(precision, 1.25 * scoreAbs[row] / root, size, scoreReach[row]);
    const { lse, weights, sum } = rowScales(reference, row, score + score16 / U32);
    scales.lse[row] = U32 * lse;
    let squares = 0;
    for (let i = row * R; i < (row + 1) * R; i++) squares += outAbs[i] ** 2;
    const typical = Math.sqrt(squares / R);
    const n = Math.max(1, seen[row]);
    const drift = areAlike(n, reference.weightNorm[row]) ? n / 2 : 0;
    for (let i = row * R; i < (row + 1) * R; i++) {
      const own = isOfOneSign(out[i], outAbs[i]) ? drift : 0;
      scales.out[i] = U32 * (weights * (outAbs[i] + typical) + (sum + own) * (outAbs[i] + Math.abs(out[i]))) +
        f16ValueScale(precision, reference, { row, i });
    }
  }
  return scales;
}

/** Scales of a `prefill` or a call of `mla`, the larger of both forms. */
export function projectedScales(
  { R, Dr, Dn, Dv }: PrefillShape,
  reference: ProjectedReference,
  precision: KernelPrecision = F32,
): AttendBounds {
  const { out, valueNorm, latentNorm, scoreNorm, absorbNorm, keyNorm, unfoldNorm, weightNorm, seen } = reference;
  const rows = seen.length;
  const scales = { out: new Float64Array(rows * Dv), lse: new Float64Array(rows) };
  for (let row = 0; row < rows; row++) {
    const size = lseSize(reference, row);
    const absorbed = Math.hypot(Math.sqrt(R + Dr) * (scoreNorm[row] + size), Math.sqrt(Dn) * absorbNorm[row]);
    const unfolded = Math.hypot(Math.sqrt(Dn + Dr) * (keyNorm[row] + size), Math.sqrt(R) * unfoldNorm[row]);
    const score16 = f16ScoreScale(precision, scoreNorm[row], size, reference.scoreReach[row]);
    const { lse, weights, sum } = rowScales(reference, row, Math.max(absorbed, unfolded) / 2 + score16 / U32);
    scales.lse[row] = U32 * lse;
    for (let i = row * Dv; i < (row + 1) * Dv; i++) {
      const addends = Math.hypot(latentNorm[i], weightNorm[row] * valueNorm[i]);
      const result = Math.abs(out[i]);
      scales.out[i] = U32 * (weights * (valueNorm[i] + result) + (sum + Math.sqrt(R)) * (addends + result)) +
        f16ProjectedScale(precision, reference, { row, i });
    }
  }
  return scales;
}
