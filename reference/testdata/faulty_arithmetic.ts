/**
 * The arithmetic of an honest kernel with one fault planted.
 *
 * @module
 */
import { type Arithmetic, f32Arithmetic, type SummationOrder } from "../arithmetic.ts";
import { bf16BitsToF32, f16BitsToF32, f32ToBf16Bits, f32ToF16Bits } from "../dtypes.ts";
import { uint32At } from "../random.ts";

/** Faults that lie in single operations: coarse ones, then those that only precision betrays. */
export type ArithmeticFault =
  | "scale_off_by_1_percent"
  | "last_token_dropped"
  | "one_key_skipped"
  | "lse_base_2"
  | "no_rescale"
  | "no_maximum"
  | "mean_of_values"
  | "padding_in_denominator"
  | FineFault;

/** Faults of precision. */
export const FINE_FAULTS = [
  "scale_off_by_1e-4",
  "one_key_skipped",
  "f16_scores",
  "f16_score_sums",
  "f16_weights",
  "bf16_weights",
  "exp_of_12_bits",
] as const;

/** Name of a fault of precision. */
export type FineFault = typeof FINE_FAULTS[number];

/**
 * Orders of sums: one accumulator, token by token; 32 lanes, tiles of 16 tokens, two splits that are merged; or one
 * accumulator of weights that are divided by their sum.
 */
export const ORDERS: Readonly<Record<"serial" | "tiled" | "normalized", SummationOrder>> = {
  serial: { lanes: 1, start: 0, tile: 1, splits: 1 },
  tiled: { lanes: 32, start: 0, tile: 16, splits: 2 },
  normalized: { lanes: 1, start: 0, tile: 1, splits: 1, normalizes: true },
};

const f = Math.fround;
const toF16 = (x: number) => f16BitsToF32(f32ToF16Bits(x));

/** Rounds to bf16. */
export const toBf16 = (x: number): number => bf16BitsToF32(f32ToBf16Bits(x));

/** A score that weighs nothing. */
const SKIPPED = f(-1e30);

/**
 * An honest kernel, or one with a fault.
 *
 * @param seed Errors of the built-ins.
 */
export function faultyArithmetic(order: keyof typeof ORDERS, fault?: string, seed = 1): Arithmetic {
  const honest = f32Arithmetic(ORDERS[order], seed);
  switch (fault as ArithmeticFault | undefined) {
    case "scale_off_by_1_percent":
      return { ...honest, score: (dot, scale) => honest.score(dot, scale * 1.01) };
    case "scale_off_by_1e-4":
      return { ...honest, score: (dot, scale) => honest.score(dot, scale * (1 + 1e-4)) };
    case "last_token_dropped":
      return skipping(honest, (seen) => seen - 1);
    case "one_key_skipped":
      return skipping(honest, (seen) => Math.floor(seen / 2));
    case "mean_of_values":
      return { ...honest, score: () => 0 };
    case "padding_in_denominator":
      return padded(honest);
    case "lse_base_2":
      return { ...honest, log: (x) => f(Math.log2(x)) };
    case "no_rescale":
      return { ...honest, rescale: () => 1 };
    case "no_maximum":
      return { ...honest, larger: () => 0 };
    case "f16_scores":
      return { ...honest, score: (dot, scale) => toF16(honest.score(dot, scale)) };
    case "f16_score_sums":
      return { ...honest, dots: f16Dots, queryDots: f16Dots };
    case "f16_weights":
      return { ...honest, weight: (x) => toF16(honest.weight(x)) };
    case "bf16_weights":
      return { ...honest, weight: (x) => toBf16(honest.weight(x)) };
    case "exp_of_12_bits":
      return { ...honest, weight: (x) => f(honest.weight(x) * (1 + 2 ** -12 * signedHash(x))) };
    default:
      return honest;
  }
}

/** In [−1, 1), by the value. */
function signedHash(x: number): number {
  return uint32At(5, Math.round(x * 2 ** 20)) / 2 ** 31 - 1;
}

/** Leaves out one token of each row; scores are asked for token by token after the products of a row. */
function skipping(honest: Arithmetic, which: (seen: number) => number): Arithmetic {
  let skipped = -1, token = 0;
  return {
    ...honest,
    queryDots(query, keys, target) {
      honest.queryDots(query, keys, target);
      skipped = which(target.length);
      token = 0;
    },
    score: (dot, scale) => token++ === skipped ? SKIPPED : honest.score(dot, scale),
  };
}

/** A token of score 0, which is not there, counts in the denominator. */
function padded(honest: Arithmetic): Arithmetic {
  let maximum = 0;
  const wrong = (sum: number) => f(sum + f(Math.exp(-maximum)));
  return {
    ...honest,
    larger: (a, b) => maximum = honest.larger(a, b),
    reciprocal: (x) => honest.reciprocal(wrong(x)),
    log: (x) => honest.log(wrong(x)),
  };
}

/** Chains of 32 products in f16, which are then added in f32: what a chain of f16 does at best. */
function f16Dots(x: Float64Array, { values, stride }: { values: Float64Array; stride: number }, target: Float64Array) {
  for (let i = 0; i < target.length; i++) {
    let sum = 0;
    for (let first = 0; first < x.length; first += 32) {
      let part = 0;
      for (let d = first; d < Math.min(x.length, first + 32); d++) part = toF16(part + x[d] * values[i * stride + d]);
      sum = f(sum + part);
    }
    target[i] = sum;
  }
}
