/**
 * `prefill` as honest f32 kernels compute it, in both forms, every operation rounded to f32; and the same with a fault
 * planted. It shows that the bounds of `bounds.ts` let the one pass and stop the other.
 *
 * @module
 */
import type { AttendActual } from "./acceptance.ts";
import { decode, DTYPE_BYTES } from "./dtypes.ts";
import type { PrefillInputs } from "./model_inputs.ts";
import { tokensSeen } from "./rows.ts";

/** Faults that kernels have had. */
export const PROJECTED_FAULTS = [
  "scale_off_by_1_percent",
  "scale_of_the_latent",
  "rope_dropped",
  "last_token_dropped",
  "one_key_skipped",
  "weights_swapped",
  "weights_of_next_head",
  "lse_base_2",
  "zeros",
] as const;

/** Name of a fault. */
export type ProjectedFault = typeof PROJECTED_FAULTS[number];

/** How to emulate. */
export interface ProjectedEmulation {
  /** `absorbed`: queries and outputs projected; `expanded`: keys and values unfolded. */
  readonly form: "absorbed" | "expanded";
  /** Fault to plant. @default none */
  readonly fault?: ProjectedFault;
}

const f = Math.fround;

/** One head of a sequence. */
interface Head {
  readonly keyWeights: Float32Array;
  readonly valueWeights: Float32Array;
  readonly latents: Float32Array;
  readonly ropes: Float32Array;
}

/** Emulates `prefill` on `inputs`; padding rows are zero. */
export function emulateProjected(
  inputs: PrefillInputs,
  { form, fault }: ProjectedEmulation,
): AttendActual<Float32Array> {
  const { shape, qNope, qPe } = inputs;
  const { H, R, Dn, Dr, Dv } = shape;
  const rows = inputs.cuSeqlen[shape.B] * H;
  const out = new Float32Array(rows * Dv + shape.padding * H * Dv);
  const lse = new Float32Array(rows);
  const weights = decode(inputs.kvB, shape.weight);
  const ofLatent = fault === "scale_of_the_latent" ? Math.sqrt((Dn + Dr) / (R + Dr)) : 1;
  const scale = f(shape.scale * ofLatent * (fault === "scale_off_by_1_percent" ? 1.01 : 1));
  for (let b = 0; b < shape.B; b++) {
    const { latents, ropes } = cachedTokens(inputs, b);
    for (let h = 0; h < H; h++) {
      const first = (fault === "weights_of_next_head" ? (h + 1) % H : h) * (Dn + Dv);
      const swapped = fault === "weights_swapped";
      const [keyRow, valueRow] = swapped ? [first + Dv, first] : [first, first + Dn];
      const head: Head = {
        keyWeights: weights.subarray(keyRow * R, (keyRow + Dn) * R),
        valueWeights: weights.subarray(valueRow * R, (valueRow + Dv) * R),
        latents,
        ropes,
      };
      const attend = (form === "absorbed" ? absorbedHead : expandedHead)(head, R, Dr);
      for (let i = 0; i < shape.q[b]; i++) {
        const row = (inputs.cuSeqlen[b] + i) * H + h;
        const rope = fault === "rope_dropped" ? new Float32Array(Dr) : qPe.subarray(row * Dr, (row + 1) * Dr);
        const seen = tokensSeen(shape, b, i);
        let tokens = Array.from({ length: seen }, (_, t) => t);
        if (fault === "last_token_dropped") tokens.pop();
        if (fault === "one_key_skipped") tokens = tokens.filter((t) => t !== Math.floor(seen / 2));
        const answer = attend(qNope.subarray(row * Dn, (row + 1) * Dn), rope, scale, tokens);
        out.set(answer.out, row * Dv);
        const logSum = fault === "lse_base_2" ? Math.log2(answer.sum) : Math.log(answer.sum);
        lse[row] = tokens.length === 0 ? -1e30 : f(answer.maximum + f(logSum));
      }
    }
  }
  if (fault === "zeros") out.fill(0);
  return { out, lse };
}

function cachedTokens({ shape, cache, pageTable, tableWidth }: PrefillInputs, b: number) {
  const { R, Dr, page } = shape;
  const bytes = (R + Dr) * DTYPE_BYTES[shape.cache];
  const latents = new Float32Array(shape.kv[b] * R);
  const ropes = new Float32Array(shape.kv[b] * Dr);
  for (let t = 0; t < shape.kv[b]; t++) {
    const slot = pageTable[b * tableWidth + Math.floor(t / page)] * page + t % page;
    const key = decode(cache.subarray(slot * bytes, (slot + 1) * bytes), shape.cache);
    latents.set(key.subarray(0, R), t * R);
    ropes.set(key.subarray(R), t * Dr);
  }
  return { latents, ropes };
}

type AttendHead = (
  nope: Float32Array,
  rope: Float32Array,
  scale: number,
  tokens: readonly number[],
) => { out: Float32Array; maximum: number; sum: number };

function absorbedHead({ keyWeights, valueWeights, latents, ropes }: Head, R: number, Dr: number): AttendHead {
  const Dn = keyWeights.length / R;
  const columns = Float32Array.from(keyWeights, (_, i) => keyWeights[(i % Dn) * R + Math.floor(i / Dn)]);
  return (nope, rope, scale, tokens) => {
    const latentQuery = multiply(columns, nope);
    const scores = tokens.map((t) => {
      const latent = dot(latentQuery, latents, t * R, 0);
      return f(dot(rope, ropes, t * Dr, latent) * scale);
    });
    const { out, maximum, sum } = softmaxOf(scores, tokens, latents, R);
    return { out: multiply(valueWeights, out), maximum, sum };
  };
}

function expandedHead({ keyWeights, valueWeights, latents, ropes }: Head, R: number, Dr: number): AttendHead {
  const Dn = keyWeights.length / R, Dv = valueWeights.length / R;
  const tokens = latents.length / R;
  const keys = new Float32Array(tokens * Dn);
  const values = new Float32Array(tokens * Dv);
  for (let t = 0; t < tokens; t++) {
    const latent = latents.subarray(t * R, (t + 1) * R);
    keys.set(multiply(keyWeights, latent), t * Dn);
    values.set(multiply(valueWeights, latent), t * Dv);
  }
  return (nope, rope, scale, seen) => {
    const scores = seen.map((t) => f(dot(rope, ropes, t * Dr, dot(nope, keys, t * Dn, 0)) * scale));
    return softmaxOf(scores, seen, values, Dv);
  };
}

/** Online softmax, token by token, over values of some width. */
function softmaxOf(scores: readonly number[], tokens: readonly number[], values: Float32Array, width: number) {
  const out = new Float32Array(width);
  let maximum = -1e30, sum = 0;
  scores.forEach((score, i) => {
    const higher = Math.max(maximum, score);
    const factor = f(Math.exp(f(maximum - higher)));
    const weight = f(Math.exp(f(score - higher)));
    maximum = higher;
    sum = f(f(sum * factor) + weight);
    for (let d = 0; d < width; d++) out[d] = f(f(out[d] * factor) + f(weight * values[tokens[i] * width + d]));
  });
  if (sum > 0) { for (let d = 0; d < width; d++) out[d] /= sum; }
  return { out, maximum, sum };
}

/** `Mx`, every product and sum rounded. */
function multiply(matrix: Float32Array, x: Float32Array): Float32Array {
  return Float32Array.from({ length: matrix.length / x.length }, (_, i) => dot(x, matrix, i * x.length, 0));
}

function dot(x: Float32Array, y: Float32Array, at: number, start: number): number {
  let sum = start;
  for (let d = 0; d < x.length; d++) sum = f(sum + f(x[d] * y[at + d]));
  return sum;
}
