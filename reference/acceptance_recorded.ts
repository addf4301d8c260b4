/**
 * Comparison with the output that a recording brought along: the second opinion on kernel and reference at once.
 *
 * @module
 */
import { LAMBDA, U32 } from "./bounds.ts";
import type { Check } from "./check.ts";
import { compare } from "./compare.ts";
import type { Dtype } from "./dtypes.ts";
import { projectValue } from "./expanded.ts";
import type { AttendInputs } from "./inputs.ts";
import type { RecordedTensors } from "./recorded.ts";

/** Unit roundoff of the cache beside that of f32: what storing the latents costs. */
const CACHE_ROUNDOFF: Readonly<Record<Dtype, number>> = { f32: 0, f16: 2 ** -11, bf16: 2 ** -8 };

/**
 * Projects the latent output of a kernel, `W_v·out`, in f64 and compares it with the recorded output (`recorded_out`).
 *
 * The two differ by rounding that neither side is to blame for: the cache holds the keys in its dtype (unit roundoff ε),
 * kernel and recording compute in f32 (u), and the absorbed queries were rounded to f32. Rounding errors of single
 * elements are independent, so the bound goes by Euclidean norms of products, `‖a∘b‖ = √(Σ a_d²·b_d²)`, with every key
 * element replaced by the root mean square of its column, times the ratio of the longest key to the rms key:
 *
 * - scores are off by `δ = λ·(ε + √(R+Dr)·u)·|scale|·‖q∘k‖`, for each row;
 * - weights are then off by the factor 1±δ, in the numerator and in the denominator, and values by ε and the sums' `(√R + √n)·u`:
 *   `bound = (2δ + λ·(ε + (√R + √n)·u))·‖W_v∘c‖`, for each head and element.
 *
 * @param latentOut What the kernel wrote for every row `[T, H, R]`.
 * @throws {RangeError} If `latentOut` has another length.
 */
export function checkRecorded(recorded: RecordedTensors, inputs: AttendInputs, latentOut: Float32Array): Check {
  const { T, H, R, Dr, Dv, scale } = recorded;
  if (latentOut.length !== T * H * R) {
    throw new RangeError(
      `Cannot check ${latentOut.length} elements of latent output: ${recorded.name} has ${T * H * R}`,
    );
  }
  const cacheRoundoff = CACHE_ROUNDOFF[inputs.shape.cache];
  const latentSize = columnSizes(recorded.compressedKv, R);
  const ropeSize = columnSizes(recorded.kpe, Dr);
  const valueNorm = valueNorms(recorded, latentSize);
  const bound = new Float64Array(T * H * Dv);
  for (let row = 0; row < T * H; row++) {
    const n = Math.floor(row / H) + 1;
    const latentNorm = productNorm(inputs.qLatent, row * R, latentSize);
    const scoreNorm = scale * Math.hypot(latentNorm, productNorm(inputs.qPe, row * Dr, ropeSize));
    const score = LAMBDA * (cacheRoundoff + Math.sqrt(R + Dr) * U32) * scoreNorm;
    const value = LAMBDA * (cacheRoundoff + (Math.sqrt(R) + Math.sqrt(n)) * U32);
    for (let v = 0; v < Dv; v++) {
      bound[row * Dv + v] = (2 * score + value) * valueNorm[(row % H) * Dv + v];
    }
  }
  return compare({
    name: "recorded_out",
    actual: projectValue(latentOut, recorded.kvB, recorded),
    expected: recorded.out,
    bound,
    place: (i) => {
      const row = Math.floor(i / Dv);
      const sequence = Math.floor(row / H);
      const page = inputs.pageTable[sequence * inputs.tableWidth + Math.floor(sequence / inputs.shape.page)];
      return { sequence, head: row % H, token: 0, dim: i % Dv, page };
    },
  });
}

/** Root mean square of each column of a matrix of `width` columns, times the ratio of its longest row to its rms row. */
function columnSizes(matrix: Float32Array, width: number): Float64Array {
  const squares = new Float64Array(width);
  let longest = 0;
  const rows = matrix.length / width;
  for (let at = 0; at < matrix.length; at += width) {
    let length = 0;
    for (let d = 0; d < width; d++) {
      const square = matrix[at + d] ** 2;
      squares[d] += square;
      length += square;
    }
    longest = Math.max(longest, length);
  }
  const mean = squares.reduce((a, b) => a + b, 0) / rows;
  const ratio = mean > 0 ? longest / mean : 0;
  return squares.map((square) => Math.sqrt(square / rows * ratio));
}

/** `‖a∘b‖` of the part of `a` from `at` that is as long as `b`. */
function productNorm(a: Float32Array, at: number, b: Float64Array): number {
  let sum = 0;
  for (let d = 0; d < b.length; d++) sum += (a[at + d] * b[d]) ** 2;
  return Math.sqrt(sum);
}

/** `‖W_v∘c‖` of each head and value element `[H, Dv]`. */
function valueNorms({ H, R, Dn, Dv, kvB }: RecordedTensors, latentSize: Float64Array): Float64Array {
  const norms = new Float64Array(H * Dv);
  for (let h = 0; h < H; h++) {
    for (let v = 0; v < Dv; v++) norms[h * Dv + v] = productNorm(kvB, (h * (Dn + Dv) + Dn + v) * R, latentSize);
  }
  return norms;
}
