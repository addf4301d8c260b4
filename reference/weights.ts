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

/** Norms of a matrix. */
export interface MatrixNorms {
  /** Square of the Euclidean norm of each row. */
  readonly rowSquares: Float64Array;
  /** Largest Euclidean norm of a column. */
  readonly largestColumn: number;
  /** Upper estimate of the spectral norm, see {@linkcode SPECTRAL_MARGIN}. */
  readonly spectral: number;
}

/**
 * Factor on what {@linkcode POWER_STEPS} steps of power iteration find. From a start whose share of the largest singular
 * vector is 1/√n, as a random one's, k steps find σ² times at least n^(−1/(2k+1)): ½ for 128 rows.
 */
const SPECTRAL_MARGIN = 1.5;
const POWER_STEPS = 3;

/** Norms of a matrix of `columns` columns. */
export function matrixNorms(matrix: Float64Array, columns: number): MatrixNorms {
  const rows = matrix.length / columns;
  const rowSquares = new Float64Array(rows);
  const columnSquares = new Float64Array(columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const square = matrix[i * columns + j] ** 2;
      rowSquares[i] += square;
      columnSquares[j] += square;
    }
  }
  let largest = 0;
  for (const square of columnSquares) largest = Math.max(largest, square);
  return { rowSquares, largestColumn: Math.sqrt(largest), spectral: SPECTRAL_MARGIN * powerIteration(matrix, columns) };
}

/** Square root of the Rayleigh quotient of MMᵀ after {@linkcode POWER_STEPS} steps, the start ±1 without a pattern. */
function powerIteration(matrix: Float64Array, columns: number): number {
  const rows = matrix.length / columns;
  let left = Float64Array.from({ length: rows }, (_, i) => (Math.imul(i + 1, 0x9e3779b9) >>> 16) % 2 === 0 ? 1 : -1);
  let quotient = 0;
  for (let step = 0; step <= POWER_STEPS; step++) {
    const right = new Float64Array(columns);
    const length = Math.hypot(...left);
    if (length === 0) return 0;
    for (let i = 0; i < rows; i++) {
      const x = left[i] / length;
      for (let j = 0; j < columns; j++) right[j] += x * matrix[i * columns + j];
    }
    quotient = right.reduce((sum, x) => sum + x * x, 0);
    if (step === POWER_STEPS) break;
    left = new Float64Array(rows);
    for (let i = 0; i < rows; i++) {
      let sum = 0;
      for (let j = 0; j < columns; j++) sum += matrix[i * columns + j] * right[j];
      left[i] = sum;
    }
  }
  return Math.sqrt(quotient);
}
