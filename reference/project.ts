/**
 * What `project` computes, in f64: `q_latent[t, h] = q_nope[t, h]·W_k[h]`, or `out[t, h] = W_v[h]·latent[t, h]`.
 *
 * @module
 */
import type { ProjectInputs } from "./model_inputs.ts";
import { groupByHead } from "./rows.ts";
import { headWeights } from "./weights.ts";

export { sampleProjectRows } from "./rows.ts";

/** What `project` must answer, and what its error bounds are made of. */
export interface ProjectReference {
  /** The rows that follow, `token·H + head`. */
  readonly rows: Int32Array;
  /** `[rows, R]` of part `q`, `[rows, Dv]` of part `v`. */
  readonly out: Float64Array;
  /** The same with the magnitudes of all products: the condition of each sum. */
  readonly outAbs: Float64Array;
}

/**
 * The reference of one `project`, on the values that the weight holds after rounding to its dtype.
 *
 * @param rows Rows to compute, in any order. @default every row
 * @throws {RangeError} If a row does not exist.
 */
export function projectReference({ shape, x, kvB }: ProjectInputs, rows?: Int32Array): ProjectReference {
  const { part, tokens, H, R, Dn, Dv } = shape;
  const wanted = Int32Array.from(rows ?? { length: tokens * H }, (row, i) => rows ? row : i);
  const missing = wanted.find((row) => !(row >= 0 && row < tokens * H));
  if (missing !== undefined) {
    throw new RangeError(`Cannot project row ${missing}: there are rows 0…${tokens * H - 1}`);
  }
  const width = part === "q" ? R : Dv;
  const out = new Float64Array(wanted.length * width);
  const outAbs = new Float64Array(wanted.length * width);
  for (const [head, entries] of groupByHead(wanted, H)) {
    const weights = headWeights({ ...shape, kvB }, part === "q" ? "k" : "v", head);
    for (const i of entries) {
      const values = part === "q"
        ? x.subarray(wanted[i] * Dn, (wanted[i] + 1) * Dn)
        : x.subarray(wanted[i] * R, (wanted[i] + 1) * R);
      const at = i * width;
      const [sums, sumsAbs] = [out.subarray(at, at + width), outAbs.subarray(at, at + width)];
      if (part === "q") timesMatrix(values, weights, sums, sumsAbs);
      else matrixTimes(weights, values, sums, sumsAbs);
    }
  }
  return { rows: wanted, out, outAbs };
}

/** Adds `xᵀM` to `sums`, and the magnitudes of its products to `sumsAbs`. */
function timesMatrix(x: Float32Array, matrix: Float64Array, sums: Float64Array, sumsAbs: Float64Array): void {
  const columns = sums.length;
  for (let i = 0; i < x.length; i++) {
    for (let j = 0; j < columns; j++) {
      const product = x[i] * matrix[i * columns + j];
      sums[j] += product;
      sumsAbs[j] += Math.abs(product);
    }
  }
}

/** Writes `Mx` to `sums`, and the sums of the magnitudes of its products to `sumsAbs`. */
function matrixTimes(matrix: Float64Array, x: Float32Array, sums: Float64Array, sumsAbs: Float64Array): void {
  for (let i = 0; i < sums.length; i++) {
    let sum = 0, abs = 0;
    for (let j = 0; j < x.length; j++) {
      const product = matrix[i * x.length + j] * x[j];
      sum += product;
      abs += Math.abs(product);
    }
    sums[i] = sum;
    sumsAbs[i] = abs;
  }
}
