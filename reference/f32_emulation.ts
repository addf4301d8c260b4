/**
 * `attend` as an honest f32 kernel computes it, every operation rounded to f32, in two orders of summation that kernels
 * use; and the same with a fault planted. It shows that the bounds of `bounds.ts` let the one pass and stop the other.
 *
 * @module
 */
import type { AttendActual } from "./acceptance.ts";
import { decode, DTYPE_BYTES } from "./dtypes.ts";
import type { AttendInputs } from "./inputs.ts";
import { tokensSeen } from "./rows.ts";

/** Faults that kernels have had. */
export const FAULTS = [
  "scale_off_by_1_percent",
  "last_token_dropped",
  "one_key_skipped",
  "rope_dropped",
  "lse_base_2",
  "no_rescale",
  "no_maximum",
  "zeros",
  "constant",
  "mean_of_values",
  "padding_in_denominator",
] as const;

/** Name of a fault. */
export type Fault = typeof FAULTS[number];

/** How to emulate. */
export interface EmulationOptions {
  /**
   * `serial`: one accumulator, token by token. `tiled`: dot products over 32 lanes, tiles of 16 tokens, two splits of the
   * sequence that are merged.
   */
  readonly order: "serial" | "tiled";
  /** Fault to plant. @default none */
  readonly fault?: Fault;
}

const f = Math.fround;
const LANES = 32;

/** Running softmax of a part of a row's tokens. */
interface Partial {
  maximum: number;
  sum: number;
  readonly out: Float32Array;
}

/** Emulates `attend` on `inputs`; LSE is −1e30 for rows that see no token, as kernels write it. */
export function emulateAttend(inputs: AttendInputs, { order, fault }: EmulationOptions): AttendActual<Float32Array> {
  const { shape, qLatent, qPe } = inputs;
  const { R, Dr, H } = shape;
  const W = R + Dr;
  const rows = qLatent.length / R;
  const out = new Float32Array(rows * R);
  const lse = new Float32Array(rows);
  const scale = f(f(shape.scale) * f(fault === "scale_off_by_1_percent" ? 1.01 : 1));
  let row = 0;
  for (let b = 0; b < shape.B; b++) {
    const keys = keysOf(inputs, b);
    for (let i = 0; i < shape.q[b]; i++) {
      const seen = tokensSeen(shape, b, i);
      for (let h = 0; h < H; h++, row++) {
        const query = new Float32Array(W);
        query.set(qLatent.subarray(row * R, (row + 1) * R));
        if (fault !== "rope_dropped") query.set(qPe.subarray(row * Dr, (row + 1) * Dr), R);
        let tokens = Array.from({ length: seen }, (_, t) => t);
        if (fault === "last_token_dropped") tokens.pop();
        if (fault === "one_key_skipped") tokens = tokens.filter((t) => t !== Math.floor(seen / 2));
        const dot = order === "serial" ? dotSerial : dotLanes;
        const scores = tokens.map((t) => f(dot(query, keys, t * W) * scale));
        if (fault === "mean_of_values") scores.fill(0);
        const middle = order === "serial" ? tokens.length : Math.ceil(tokens.length / 2);
        const tile = order === "serial" ? 1 : 16;
        const parts = [[0, middle], [middle, tokens.length]].filter(([from, to]) => to > from || from === 0)
          .map(([from, to]) => runTokens({ keys, W, R, tokens, scores, from, to, tile, fault }));
        const whole = parts.reduce(merge);
        if (fault === "padding_in_denominator") whole.sum = f(whole.sum + f(Math.exp(f(0 - whole.maximum))));
        const inverse = tokens.length === 0 ? 0 : f(1 / whole.sum);
        for (let d = 0; d < R; d++) out[row * R + d] = f(whole.out[d] * inverse);
        const logSum = fault === "lse_base_2" ? f(Math.log2(whole.sum)) : f(Math.log(whole.sum));
        lse[row] = tokens.length === 0 ? -1e30 : f(whole.maximum + logSum);
      }
    }
  }
  if (fault === "zeros" || fault === "constant") out.fill(fault === "zeros" ? 0 : 0.5);
  return { out, lse };
}

function keysOf({ shape, cache, pageTable, tableWidth }: AttendInputs, b: number): Float32Array {
  const W = shape.R + shape.Dr;
  const bytes = W * DTYPE_BYTES[shape.cache];
  const keys = new Float32Array(shape.kv[b] * W);
  for (let t = 0; t < shape.kv[b]; t++) {
    const slot = pageTable[b * tableWidth + Math.floor(t / shape.page)] * shape.page + t % shape.page;
    keys.set(decode(cache.subarray(slot * bytes, (slot + 1) * bytes), shape.cache), t * W);
  }
  return keys;
}

function dotSerial(query: Float32Array, keys: Float32Array, at: number): number {
  let sum = 0;
  for (let d = 0; d < query.length; d++) sum = f(sum + f(query[d] * keys[at + d]));
  return sum;
}

function dotLanes(query: Float32Array, keys: Float32Array, at: number): number {
  const lanes = new Float32Array(LANES);
  for (let d = 0; d < query.length; d++) lanes[d % LANES] += f(query[d] * keys[at + d]);
  for (let step = LANES / 2; step >= 1; step /= 2) for (let l = 0; l < step; l++) lanes[l] += lanes[l + step];
  return lanes[0];
}

interface TokenRange {
  readonly keys: Float32Array;
  readonly W: number;
  readonly R: number;
  readonly tokens: readonly number[];
  readonly scores: readonly number[];
  readonly from: number;
  readonly to: number;
  readonly tile: number;
  readonly fault?: Fault;
}

/** Online softmax over a range of tokens, the maximum updated at each tile. */
function runTokens({ keys, W, R, tokens, scores, from, to, tile, fault }: TokenRange): Partial {
  const part: Partial = { maximum: fault === "no_maximum" ? 0 : -1e30, sum: 0, out: new Float32Array(R) };
  for (let start = from; start < to; start += tile) {
    const end = Math.min(to, start + tile);
    let maximum = part.maximum;
    if (fault !== "no_maximum") { for (let i = start; i < end; i++) maximum = Math.max(maximum, scores[i]); }
    const factor = fault === "no_rescale" ? 1 : f(Math.exp(f(part.maximum - maximum)));
    part.maximum = maximum;
    part.sum = f(part.sum * factor);
    for (let d = 0; d < R; d++) part.out[d] *= factor;
    for (let i = start; i < end; i++) {
      const weight = f(Math.exp(f(scores[i] - maximum)));
      part.sum = f(part.sum + weight);
      for (let d = 0; d < R; d++) part.out[d] += f(weight * keys[tokens[i] * W + d]);
    }
  }
  return part;
}

function merge(a: Partial, b: Partial): Partial {
  const maximum = Math.max(a.maximum, b.maximum);
  const [x, y] = [f(Math.exp(f(a.maximum - maximum))), f(Math.exp(f(b.maximum - maximum)))];
  const out = a.out.map((value, d) => f(f(value * x) + f(b.out[d] * y)));
  return { maximum, sum: f(f(a.sum * x) + f(b.sum * y)), out };
}
