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
  /** Fewest rows (new token, head) of the sequence with most new tokens. @default 0 */
  readonly minRows?: number;
  /** Smallest rank. @default 0 */
  readonly minR?: number;
  /** Most rows of that sequence. @default no limit */
  readonly maxRows?: number;
  /** Variants in the order in which they are tried. */
  readonly order: readonly string[];
  /** Measurement behind the order. */
  readonly source: string;
}

/** The first that fits counts; the last one fits all. */
export const PREFERENCES: readonly Preference[] = [
  {
    what: "many sequences with 64 to 512 rows each",
    minB: 8,
    minRows: 64,
    minR: 256,
    maxRows: 512,
    order: ["unfused", "fused_subgroup", "fused"],
    source:
      "H200, bf16, kv 4096, B=64, in the order of the list: H=128, R=512 20.9, 19.4 and 13.7 TFLOP/s; R=256 20.8, 19.2 " +
      "and 12.9; H=16 with 4 new tokens, R=512 20.3, 19.0 and 14.0; H=32, R=256 11.4, 17.9 and 12.5, so 64 rows are the " +
      "least. At B=1, H=128 and kv 8192 13.0, 15.9 and 12.4, so B counts and 8 is the middle. Long prompts need a scratch " +
      "of scores that no device binds",
  },
  {
    what: "any other shape",
    order: ["fused_subgroup", "fused", "unfused"],
    source:
      "H200, kv 4096, B=64, in the order of the list: H=16, R=512 17.3, 12.6 and 8.7 TFLOP/s; H=32, R=256 17.9, 12.5 and " +
      "11.4; H=16, R=256 12.3, 9.0 and 6.1. 512 new tokens on 8,192 cached at H=128 20.3 and 17.6",
  },
];

/** The class of a shape. */
export function preferenceOf({ B, H, R, q }: Pick<AttendShape, "B" | "H" | "R" | "q">): Preference {
  const rows = H * q.reduce((most, tokens) => Math.max(most, tokens), 0);
  const found = PREFERENCES.find(({ minB = 0, minRows = 0, minR = 0, maxRows = Infinity }) =>
    B >= minB && R >= minR && rows >= minRows && rows <= maxRows
  );
  return found ?? PREFERENCES[PREFERENCES.length - 1];
}
