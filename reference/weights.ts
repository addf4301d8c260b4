/**
 * The heads of `kv_b_proj`, decoded one at a time, and the norms that error bounds need of them.
 *
 * @module
 */
import { decodeInto, type Dtype, DTYPE_BYTES } from "./dtypes.ts";
import type { ProjectionDims } from "./expanded.ts";

/** `kv_b_proj` and its sizes. */
export interface Weights extends ProjectionDims {
  /** `[H·(Dn+Dv), R]`: per head Dn rows W_k, then Dv rows W_v. */
  readonly kvB: Uint8Array;
  /** Its element type. */
  readonly weight: Dtype;
}

/** W_k `[Dn, R]` or W_v `[Dv, R]` of a head, in f64. */
export function headWeights({ kvB, weight, R, Dn, Dv }: Weights, part: "k" | "v", head: number): Float64Array {
  const rows = part === "k" ? Dn : Dv;
  const first = head * (Dn + Dv) + (part === "k" ? 0 : Dn);
  const values = new Float64Array(rows * R);
  const size = R * DTYPE_BYTES[weight];
  decodeInto(kvB.subarray(first * size, (first + rows) * size), weight, values);
  return values;
}

/**
 * Fourth norms, `(Σ x⁴)^¼`, of the rows and columns of a matrix. By Cauchy and Schwarz `‖a∘b‖₂ ≤ ‖a‖₄·‖b‖₄`, with a
 * factor of 1.7 to spare where both are normal, so that norms of products need no pass over the products.
 */
export function fourthNorms(matrix: Float64Array, width: number): { rows: Float64Array; columns: Float64Array } {
  const rows = new Float64Array(matrix.length / width);
  const columns = new Float64Array(width);
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j < width; j++) {
      const fourth = matrix[i * width + j] ** 2 * matrix[i * width + j] ** 2;
      rows[i] += fourth;
      columns[j] += fourth;
    }
  }
  return { rows: rows.map(fourthRoot), columns: columns.map(fourthRoot) };
}

/** `(Σ x⁴)^¼`. */
export function fourthNorm(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] ** 2 * values[i] ** 2;
  return fourthRoot(sum);
}

function fourthRoot(x: number): number {
  return Math.sqrt(Math.sqrt(x));
}
