/**
 * Which attention kernel is expected to be the fastest for which shapes: measured, and kept in one place.
 *
 * @module
 */
import { type ClassedShape, isInClass, type ShapeClass } from "./shape_class.ts";

/** Shapes of one class, and the variants of `attend` and `mla` from the fastest to the safest. */
export interface Preference extends ShapeClass {
  /** The class, in words. */
  readonly what: string;
  /** Variants in the order in which they are tried. */
  readonly order: readonly string[];
  /** Measurement behind the order. */
  readonly source: string;
}

/**
 * The first that fits counts; the last one fits all. `fused_subgroup` leads everywhere: on an H200 it was the fastest
 * for 66 of 77 shapes of `default` on 2026-11-30, and for the others, all of at most 300 tokens, at most 1.25 times as
 * slow as `unfused`.
 */
export const PREFERENCES: readonly Preference[] = [
  {
    what: "many sequences with 64 to 512 rows each",
    minB: 32,
    minRows: 64,
    minR: 256,
    maxRows: 512,
    order: ["fused_subgroup", "unfused", "fused"],
    source:
      "H200, bf16, kv 4096, in the order of the list: B=64, H=128, R=512 26.7, 21.4 and 12.8 TFLOP/s; at B=16, the order of " +
      "the rest, 26.2, 18.1 and 14.2. Long prompts need a scratch of scores that no device binds",
  },
  {
    what: "one to four sequences of 100 to 16,384 tokens, at most 128 rows each",
    maxB: 4,
    maxRows: 128,
    minKv: 100,
    maxKv: 16384,
    order: ["fused_subgroup", "unfused", "fused"],
    source:
      "H200, bf16, B=1, H=16, in the order of the list, µs: R=256, kv 128 37, 34, 61; kv 4096 45, 56, 133; R=512, kv 1024 43, " +
      "71, 134; kv 8192 44, 75, 139",
  },
  {
    what: "any other shape",
    order: ["fused_subgroup", "fused", "unfused"],
    source:
      "H200, bf16, H=16, in the order of the list: B=64, R=512, kv 4096 23.5, 12.7 and 8.9 TFLOP/s; B=16 21.0, 12.3 and 5.8",
  },
];

/** The class of a shape. */
export function preferenceOf(shape: ClassedShape): Preference {
  return PREFERENCES.find((preference) => isInClass(preference, shape)) ?? PREFERENCES[PREFERENCES.length - 1];
}
