/**
 * Comparison with the output that a recording brought along: the second opinion on kernel and reference at once.
 *
 * @module
 */
import { LAMBDA, U32 } from "./bounds.ts";
import type { Check } from "./check.ts";
import { columnSizes } from "./column_sizes.ts";
import { compare } from "./compare.ts";
import type { Dtype } from "./dtypes.ts";
import { attendEdges } from "./edges.ts";
import { absorb, projectValue } from "./expanded.ts";
import { f16Roundoff } from "./f16_errors.ts";
import type { AttendInputs } from "./inputs.ts";
import { F32, type KernelPrecision } from "./precision.ts";
import type { MlaCallInputs } from "./mla_inputs.ts";
import type { RecordedTensors } from "./recorded.ts";

/** Unit roundoff of a dtype beside that of f32: what storing recorded values costs. */
const ROUNDOFF: Readonly<Record<Dtype, number>> = { f32: 0, f16: 2 ** -11, bf16: 2 ** -8 };

/**
 * Projects the latent output of a kernel, `W_v·out`, in f64 and compares it with the recorded output (`recorded_out`).
 *
 * The two differ by rounding that neither side is to blame for: the cache holds the keys in its dtype (unit roundoff
 * ε), kernel and recording compute in f32 (u), and the absorbed queries were rounded to f32. Rounding errors of single
 * elements are independent, so the bound goes by Euclidean norms of products, `‖a∘b‖ = √(Σ a_d²·b_d²)`, with every key
 * element replaced by the root mean square of its column, times the ratio of the longest key to the rms key:
 *
 * - scores are off by `δ = λ·(ε + √(R+Dr)·u)·|scale|·‖q∘k‖`, for each row;
 * - weights are then off by the factor 1±δ, in the numerator and in the denominator, and values by ε and the sums'
 *   `(√R + √n)·u`: `bound = (2δ + λ·(ε + (√R + √n)·u))·‖W_v∘c‖`, for each head and element.
 *
 * A product in f16 adds to ε where it stands, what its chains err by ({@linkcode f16Roundoff}).
 *
 * @param latentOut What the kernel wrote for every row `[T, H, R]`.
 * @param precision That of the kernel. @default all f32
 * @throws {RangeError} If `latentOut` has another length.
 */
export function checkRecorded(
  recorded: RecordedTensors,
  inputs: AttendInputs,
  latentOut: Float32Array,
  precision: KernelPrecision = F32,
): Check {
  const { T, H, R, Dv } = recorded;
  if (latentOut.length !== T * H * R) {
    throw new RangeError(
      `Cannot check ${latentOut.length} elements of latent output: ${recorded.name} has ${T * H * R}`,
    );
  }
  return compare({
    name: "recorded_out",
    actual: projectValue(latentOut, recorded.kvB, recorded),
    expected: recorded.out,
    bound: recordedBounds(recorded, { cache: inputs.shape.cache, weight: "f32", precision }, inputs.qLatent, 0),
    width: Dv,
    place: (i) => {
      const row = Math.floor(i / Dv);
      const sequence = Math.floor(row / H);
      const page = inputs.pageTable[sequence * inputs.tableWidth + Math.floor(sequence / inputs.shape.page)];
      return { sequence, head: row % H, token: 0, dim: i % Dv, page };
    },
    edges: attendEdges(inputs.shape, Dv),
  });
}

/**
 * Compares the output of one call of a replay through `mla` or `prefill` with the recorded output of the same tokens
 * (`recorded_out`), by the rule of {@linkcode checkRecorded}. A weight that is rounded to its dtype counts like the
 * cache, as ε = ε_cache + ε_weight.
 *
 * @param call Inputs of the call (`recordedMlaInputs`).
 * @param out What the kernel wrote `[T + padding, H, Dv]`, T the tokens of the call.
 * @param precision That of the kernel. @default all f32
 * @throws {RangeError} If `out` has another length.
 */
export function checkRecordedRows(
  recorded: RecordedTensors,
  { call, cacheLoc }: MlaCallInputs,
  out: Float32Array,
  precision: KernelPrecision = F32,
): Check {
  const { H, Dn, Dv } = recorded;
  const { q: [tokens], kv: [end], padding, page, cache, weight } = call.shape;
  const elements = tokens * H * Dv;
  if (out.length !== elements + padding * H * Dv) {
    throw new RangeError(
      `Cannot check ${out.length} elements of out: the call has ${elements}, and ${padding * H * Dv} of padding`,
    );
  }
  const first = end - tokens;
  const queries = absorb(recorded.qNope.subarray(first * H * Dn, end * H * Dn), recorded.kvB, recorded);
  return compare({
    name: "recorded_out",
    actual: out.subarray(0, elements),
    expected: recorded.out.subarray(first * H * Dv, end * H * Dv),
    bound: recordedBounds(recorded, { cache, weight, precision }, queries, first),
    width: Dv,
    place: (i) => {
      const token = Math.floor(i / (H * Dv));
      const location = cacheLoc[Math.floor((first + token) / page)];
      return { sequence: 0, head: Math.floor(i / Dv) % H, token, dim: i % Dv, page: location };
    },
    edges: attendEdges(call.shape, Dv),
  });
}

/**
 * Bounds for consecutive tokens of a recording `[tokens, H, Dv]`.
 *
 * @param rounding What rounds the recorded values, and the kernel's products.
 * @param qLatent Absorbed queries of the tokens `[tokens, H, R]`.
 * @param first First of the tokens.
 */
function recordedBounds(
  recorded: RecordedTensors,
  { cache, weight, precision }: {
    readonly cache: Dtype;
    readonly weight: Dtype;
    readonly precision: KernelPrecision;
  },
  qLatent: ArrayLike<number>,
  first: number,
): Float64Array {
  const { H, R, Dr, Dv, scale } = recorded;
  const roundoff = ROUNDOFF[cache] + ROUNDOFF[weight];
  const scoreRoundoff = roundoff + f16Roundoff(precision.scores);
  const valueRoundoff = roundoff + f16Roundoff(precision.values);
  const latentSize = columnSizes(recorded.compressedKv, R);
  const ropeSize = columnSizes(recorded.kpe, Dr);
  const valueNorm = valueNorms(recorded, latentSize);
  const rows = qLatent.length / R;
  const bound = new Float64Array(rows * Dv);
  for (let row = 0; row < rows; row++) {
    const n = first + Math.floor(row / H) + 1;
    const latentNorm = productNorm(qLatent, row * R, latentSize);
    const ropeNorm = productNorm(recorded.qPe, (first * H + row) * Dr, ropeSize);
    const score = LAMBDA * (scoreRoundoff + Math.sqrt(R + Dr) * U32) * scale * Math.hypot(latentNorm, ropeNorm);
    const value = LAMBDA * (valueRoundoff + (Math.sqrt(R) + Math.sqrt(n)) * U32);
    for (let v = 0; v < Dv; v++) {
      bound[row * Dv + v] = (2 * score + value) * valueNorm[(row % H) * Dv + v];
    }
  }
  return bound;
}

/** `‖a∘b‖` of the part of `a` from `at` that is as long as `b`. */
function productNorm(a: ArrayLike<number>, at: number, b: Float64Array): number {
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
