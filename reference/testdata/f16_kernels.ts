/**
 * `attend` on an f16 cache with products in f16, written down as its WGSL would be and not by way of `arithmetic.ts`:
 * tiles, groups of threads that walk a part of the tokens each, 32 lanes that deal with a score; and the same with a
 * fault planted.
 *
 * @module
 */
import type { AttendActual } from "../acceptance.ts";
import { bf16BitsToF32, f32ToBf16Bits } from "../dtypes.ts";
import type { AttendInputs } from "../inputs.ts";
import type { PrefillInputs } from "../model_inputs.ts";
import type { KernelPrecision } from "../precision.ts";
import { uint32At } from "../random.ts";
import { allRows } from "../rows.ts";
import { rowsBySequence } from "../sequence_rows.ts";
import { headWeights } from "../weights.ts";

/** P·V in f16, flushed to f32 every 16 tokens. */
export const F16_VALUES: KernelPrecision = { scores: "f32", values: { f16Chain: 16 } };
/** Scores in f16 as well, 18 products a lane at most. */
export const F16_ALL: KernelPrecision = { scores: { f16Chain: 18 }, values: { f16Chain: 16 } };
/** Both, of factors in f16 whose products are added up in f32: what matrix units do. */
export const F16_FACTORS: KernelPrecision = { scores: { f16Chain: 0 }, values: { f16Chain: 0 } };

/** Faults of f16, then of any kernel. */
export type F16Fault =
  | "chains_of_64"
  | "never_flushed"
  | "bf16_weights"
  | "weights_of_8_bits"
  | "subnormals_flushed"
  | "scores_in_one_chain"
  | "no_maximum"
  | "no_rescale"
  | "token_dropped"
  | "first_for_last_token"
  | "softmax_scale_off_by_1_percent"
  | "weights_not_scaled_back";

/** How to compute. */
export interface F16KernelOptions {
  /** Whether scores are in f16 as well. */
  readonly scores: boolean;
  /** Whether products are exact and added up in f32. @default {false} */
  readonly sumsInF32?: boolean;
  /** Draws tile, groups, splits, whether there is an `fma`, and the errors of `exp`. */
  readonly seed: number;
  /** Fault to plant. @default none */
  readonly fault?: F16Fault;
}

const f = Math.fround;
const h = Math.f16round;
/** `fma` in f16, where there is one. */
const fused = (x: number, y: number, sum: number) => h(sum + x * y);
/** What llvmpipe does instead. */
const unfused = (x: number, y: number, sum: number) => h(sum + h(x * y));
/** What matrix units do. */
const exact = (x: number, y: number, sum: number) => f(sum + x * y);
const LANES = 32;
const CHAIN = 16;
const WEIGHT_FACTOR = 2 ** -6;
const MASKED = f(-1e30);

/** Attention of all rows; LSE is −1e30 for rows that see no token. */
export function f16Attend(inputs: AttendInputs, options: F16KernelOptions): AttendActual<Float32Array> {
  const { shape: { R, Dr, scale }, qLatent, qPe } = inputs;
  const rows = allRows(inputs.shape);
  const out = new Float32Array(rows.length * R);
  const lse = new Float32Array(rows.length).fill(-1e30);
  for (const { first, seen, keys } of rowsBySequence(inputs, rows)) {
    for (let i = 0; i < seen.length; i++) {
      if (seen[i] === 0) continue;
      const row = first + i;
      const query = [...qLatent.subarray(row * R, (row + 1) * R), ...qPe.subarray(row * Dr, (row + 1) * Dr)];
      const answer = new Row(query, faultyKeys(keys, R + Dr, seen[i], options.fault), R, scale, options).attend(
        seen[i],
      );
      out.set(answer.out, row * R);
      lse[row] = answer.lse;
    }
  }
  return { out, lse };
}

/** `prefill` or the attention of `mla`, absorbed: that `attend` between two projections in f32; no padding. */
export function f16Absorbed(inputs: PrefillInputs, options: F16KernelOptions): AttendActual<Float32Array> {
  const { shape, qNope, kvB } = inputs;
  const { H, R, Dn, Dv } = shape;
  const rows = qNope.length / Dn;
  const qLatent = new Float32Array(rows * R), out = new Float32Array(rows * Dv);
  const weights = (part: "k" | "v") =>
    Array.from({ length: H }, (_, head) => headWeights({ ...shape, kvB }, part, head));
  const [keyWeights, valueWeights] = [weights("k"), weights("v")];
  for (let row = 0; row < rows; row++) {
    for (let r = 0; r < R; r++) {
      let sum = 0;
      for (let d = 0; d < Dn; d++) sum = f(sum + qNope[row * Dn + d] * keyWeights[row % H][d * R + r]);
      qLatent[row * R + r] = sum;
    }
  }
  const latent = f16Attend({ ...inputs, qLatent }, options);
  for (let row = 0; row < rows; row++) {
    for (let v = 0; v < Dv; v++) {
      let sum = 0;
      for (let r = 0; r < R; r++) sum = f(sum + latent.out[row * R + r] * valueWeights[row % H][v * R + r]);
      out[row * Dv + v] = sum;
    }
  }
  return { out, lse: latent.lse };
}

/** Keys as a kernel with a fault of addressing reads them. */
function faultyKeys(keys: Float64Array, width: number, seen: number, fault?: F16Fault): Float64Array {
  if (fault !== "first_for_last_token" || seen < 3) return keys;
  // The last token is read from the slot of the first.
  const moved = keys.slice();
  moved.set(keys.subarray(0, width), (seen - 1) * width);
  return moved;
}

interface Part {
  readonly maximum: number;
  readonly sum: number;
  readonly out: Float64Array;
  readonly lse: number;
}

class Row {
  readonly #W: number;
  readonly #factor: number;
  readonly #query: number[];
  readonly #bias: number;
  readonly #fma: typeof fused;

  constructor(
    query: readonly number[],
    readonly keys: Float64Array,
    readonly R: number,
    readonly scale: number,
    readonly options: F16KernelOptions,
  ) {
    this.#W = query.length;
    const largest = Math.max(...query.map(Math.abs));
    let factor = 1;
    if (options.scores && largest > 0) {
      while (largest * factor >= 1 / 32) factor /= 2;
      while (largest * factor < 1 / 64) factor *= 2;
    }
    this.#factor = factor;
    this.#query = options.scores ? query.map((x) => h(x * factor)) : [...query];
    this.#fma = options.sumsInF32 ? exact : uint32At(options.seed, 78) % 2 === 0 ? fused : unfused;
    this.#bias = uint32At(options.seed, 77) / 2 ** 32 - 0.5;
  }

  attend(seen: number): { readonly out: Float64Array; readonly lse: number } {
    const { seed } = this.options;
    const splits = 1 + seed % 3;
    const span = Math.ceil(seen / splits);
    const parts: Part[] = [];
    for (let first = 0; first < seen; first += span) parts.push(this.#span(first, Math.min(seen, first + span), seen));
    const maximum = Math.max(...parts.map(({ lse }) => lse));
    let sum = 0;
    const out = new Float64Array(this.R);
    for (const part of parts) {
      const weight = this.#exp(f(part.lse - maximum));
      sum = f(sum + weight);
      for (let d = 0; d < this.R; d++) out[d] = f(out[d] + f(weight * part.out[d]));
    }
    return { out: out.map((x) => f(x / sum)), lse: f(maximum + f(Math.log(sum))) };
  }

  /** `exp` with a bias, and an error that depends on the argument, as a GPU's table has. */
  #exp(x: number): number {
    if (x === 0) return 1;
    const noise = uint32At(this.options.seed, Math.round(x * 2 ** 16)) / 2 ** 32 - 0.5;
    return f(Math.exp(x) * (1 + (1 + 0.5 * Math.abs(x)) * 2 ** -23 * (this.#bias + noise)));
  }

  #score(token: number): number {
    const { scores, fault } = this.options;
    const fma = scores ? this.#fma : (x: number, y: number, sum: number) => f(sum + x * y);
    const at = token * this.#W;
    const partial = new Float64Array(LANES);
    if (scores && fault === "scores_in_one_chain") {
      let chain = 0;
      for (let d = 0; d < this.#W; d++) chain = fma(this.#query[d], this.keys[at + d], chain);
      partial[0] = chain;
    } else {
      for (let lane = 0; lane < LANES; lane++) {
        const chains = [0, 0];
        for (let pair = lane; pair < this.#W / 2; pair += LANES) {
          for (const parity of [0, 1]) {
            const d = 2 * pair + parity;
            chains[parity] = fma(this.#query[d], this.keys[at + d], chains[parity]);
          }
        }
        partial[lane] = f(chains[0] + chains[1]);
      }
    }
    for (let half = LANES / 2; half >= 1; half /= 2) {
      for (let lane = 0; lane < half; lane++) partial[lane] = f(partial[lane] + partial[lane + half]);
    }
    const scale = fault === "softmax_scale_off_by_1_percent" ? this.scale * 1.01 : this.scale;
    return f(partial[0] * f(scale / this.#factor));
  }

  #weight(p: number): number {
    const { fault } = this.options;
    if (fault === "bf16_weights") return bf16BitsToF32(f32ToBf16Bits(p * WEIGHT_FACTOR));
    if (fault === "weights_of_8_bits") return h(Math.round(p * 255) / 255 * WEIGHT_FACTOR);
    const weight = h(p * WEIGHT_FACTOR);
    return fault === "subnormals_flushed" && weight < 2 ** -14 ? 0 : weight;
  }

  #span(first: number, end: number, seen: number): Part {
    const { R, keys, options: { seed, fault } } = this;
    const tile = [16, 32, 64][seed % 3], groups = [1, 2, 4, 8][seed % 4];
    const unscaled = fault === "weights_not_scaled_back";
    const longest = fault === "chains_of_64" ? 64 : fault === "never_flushed" ? Infinity : CHAIN;
    const out = Array.from({ length: groups }, () => new Float64Array(R));
    const chains = out.map(() => ({ length: 0, sums: new Float64Array(R) }));
    const flush = (group: number) => {
      const chain = chains[group];
      for (let d = 0; d < R; d++) out[group][d] = f(out[group][d] + chain.sums[d] / (unscaled ? 1 : WEIGHT_FACTOR));
      chain.sums.fill(0);
      chain.length = 0;
    };
    let maximum = fault === "no_maximum" ? 0 : MASKED, sum = 0;
    for (let begin = first; begin < end; begin += tile) {
      const scores = Array.from({ length: Math.min(tile, end - begin) }, (_, t) => this.#score(begin + t));
      const higher = fault === "no_maximum" ? 0 : Math.max(maximum, ...scores);
      if (higher > maximum) {
        const factor = fault === "no_rescale" ? 1 : this.#exp(f(maximum - higher));
        for (let group = 0; group < groups; group++) {
          if (fault === "never_flushed") chains[group].sums.forEach((x, d) => chains[group].sums[d] = h(x * factor));
          else flush(group);
          for (let d = 0; d < R; d++) out[group][d] = f(out[group][d] * factor);
        }
        sum = f(sum * factor);
        maximum = higher;
      }
      scores.forEach((score, t) => {
        const token = begin + t;
        const p = fault === "token_dropped" && token === seen >> 1 ? 0 : this.#exp(f(score - maximum));
        sum = f(sum + p);
        const weight = this.#weight(p);
        const group = t % groups;
        const chain = chains[group];
        const v = token * this.#W;
        for (let d = 0; d < R; d++) chain.sums[d] = this.#fma(weight, keys[v + d], chain.sums[d]);
        if (++chain.length >= longest) flush(group);
      });
    }
    chains.forEach((_, group) => flush(group));
    const total = out[0];
    for (let group = 1; group < groups; group++) {
      for (let d = 0; d < R; d++) total[d] = f(total[d] + out[group][d]);
    }
    return { maximum, sum, out: total.map((x) => f(x / sum)), lse: f(maximum + f(Math.log(sum))) };
  }
}
