/**
 * Which attention kernel is expected to be the fastest for which shapes: measured, and kept in one place.
 *
 * @module
 */
import type { AttendShape } from "../reference/shapes.ts";

/** Shapes of one class, and the variants of `attend` and `mla` from the fastest to the safest. */
export interface Preference {
  /** The class, in words. */
  readonly what: string;
  /** Fewest sequences. @default 0 */
  readonly minB?: number;
  /** Fewest heads. @default 0 */
  readonly minH?: number;
  /** Smallest rank. @default 0 */
  readonly minR?: number;
  /** Most new tokens of a sequence; 1 is decode. @default no limit */
  readonly maxQ?: number;
  /** Variants in the order in which they are tried. */
  readonly order: readonly string[];
  /** Measurement behind the order. */
  readonly source: string;
}

/** The first that fits counts; the last one fits all. */
export const PREFERENCES: readonly Preference[] = [
  {
    what: "decode of many sequences with many heads at rank 512",
    minB: 8,
    minH: 128,
    minR: 512,
    maxQ: 1,
    order: ["unfused", "fused_subgroup", "fused"],
    source: "H200, bf16, kv 4096: at B=64, H=128, R=512 21.2, 19.1 and 13.6 TFLOP/s; " +
      "at B=1 and kv 8192 13.2, 15.7 and 12.4, so B counts and 8 is the middle",
  },
  {
    what: "any other shape",
    order: ["fused_subgroup", "fused", "unfused"],
    source: "H200, kv 4096, in the order of the list: B=64, H=16, R=512 17.0, 12.7 and 8.8 TFLOP/s; " +
      "B=64, H=32, R=256 17.5, 11.8 and 11.8; B=64, H=16, R=256 12.3, 9.0 and 6.1. Prompts are not measured yet",
  },
];

/** The class of a shape. */
export function preferenceOf({ B, H, R, q }: Pick<AttendShape, "B" | "H" | "R" | "q">): Preference {
  const longest = q.reduce((most, tokens) => Math.max(most, tokens), 0);
  const found = PREFERENCES.find(({ minB = 0, minH = 0, minR = 0, maxQ = Infinity }) =>
    B >= minB && H >= minH && R >= minR && longest <= maxQ
  );
  return found ?? PREFERENCES[PREFERENCES.length - 1];
}
