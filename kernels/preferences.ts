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

/** The first that fits counts; the last one fits all. */
export const PREFERENCES: readonly Preference[] = [
  {
    what: "many sequences with 64 to 512 rows each",
    minB: 32,
    minRows: 64,
    minR: 256,
    maxRows: 512,
    order: ["unfused", "fused_subgroup", "fused"],
    source:
      "H200, bf16, B=64, in the order of the list: H=128, kv 4096, R=512 21.5, 19.7 and 13.7 TFLOP/s; R=256 20.7, 19.1 and " +
      "13.7; H=32, R=256 12.1, 17.8 and 12.7, so 64 rows are the least. At B=16, H=128 fused_subgroup leads by 1.07 (R=512) " +
      "and 1.5 (R=256). Long prompts need a scratch of scores that no device binds",
  },
  {
    what: "one to four sequences of 100 to 16,384 tokens, at most 128 rows each",
    maxB: 4,
    maxRows: 128,
    minKv: 100,
    maxKv: 16384,
    order: ["unfused", "fused_subgroup", "fused"],
    source:
      "H200, bf16, B=1, in the order of the list, µs: R=256, H=16, kv 128 33, 44, 61; kv 4096 61, 102, 138; H=128, kv 4096 68, " +
      "103, 148; R=512, H=16, kv 4096 76, 103, 141; kv 32768 210, 156, 194; H=128, kv 1024 72, 96, 134. The exception: R=512, " +
      "H=128, kv 8192 171, 142, 184",
  },
  {
    what: "any other shape",
    order: ["fused_subgroup", "fused", "unfused"],
    source:
      "H200, kv 4096, B=64, in the order of the list: H=16, R=512 17.3, 12.5 and 8.9 TFLOP/s; H=32, R=256 17.8, 12.7 and " +
      "12.1. 512 new tokens on 8,192 cached at H=128 20.8 and 17.5",
  },
];

/** The class of a shape. */
export function preferenceOf(shape: ClassedShape): Preference {
  return PREFERENCES.find((preference) => isInClass(preference, shape)) ?? PREFERENCES[PREFERENCES.length - 1];
}
