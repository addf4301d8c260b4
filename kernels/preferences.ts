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
 * for 90 of the 91 shapes of `default` on 2026-12-01, and took 3.5 µs where `fused` took 2.8 for a sequence without
 * tokens.
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
      "H200, bf16, kv 4096, in the order of the list: B=64, H=128, R=512 31.3, 21.4 and 12.8 TFLOP/s; at B=16, the order of " +
      "the rest, 30.4, 18.0 and 14.1. Long prompts need a scratch of scores that no device binds",
  },
  {
    what: "one to four sequences of 100 to 16,384 tokens, at most 128 rows each",
    maxB: 4,
    maxRows: 128,
    minKv: 100,
    maxKv: 16384,
    order: ["fused_subgroup", "unfused", "fused"],
    source:
      "H200, bf16, B=1, H=16, in the order of the list, µs: R=256, kv 128 9.8, 33, 61; kv 4096 16, 55, 131; R=512, kv 1024 13, " +
      "69, 134; kv 8192 23, 72, 136",
  },
  {
    what: "any other shape",
    order: ["fused_subgroup", "fused", "unfused"],
    source:
      "H200, bf16, H=16, in the order of the list: B=64, R=512, kv 4096 28.9, 12.7 and 8.9 TFLOP/s; B=16 25.3, 12.1 and 5.8",
  },
];

/**
 * What is tried before any of those: the kernel itself tells which caches it takes, and where a device
 * multiplies no matrices. Its factors are rounded to f16 and its sums in f32, which is what kernels for caches of 16
 * bits compute in elsewhere.
 */
export const MATRIX_PREFERENCE: Preference = {
  what: "eight rows and more",
  minRows: 8,
  order: ["fused_matrix"],
  source:
    "H200, Dawn, f16, kv 4096, beside fused_subgroup: B=64, H=128, R=512 190 and 27.8 TFLOP/s; B=64, H=16 3,137 and 891 " +
    "GB/s; B=64, H=32, R=256, bf16 1,895 and 503 GB/s. A matrix has 16 rows: with four heads an early text took 82 µs " +
    "where fused_subgroup takes 64",
};

/** The class of a shape. */
export function preferenceOf(shape: ClassedShape): Preference {
  const preference = PREFERENCES.find((candidate) => isInClass(candidate, shape)) ??
    PREFERENCES[PREFERENCES.length - 1];
  if (!isInClass(MATRIX_PREFERENCE, shape)) return preference;
  return { ...preference, order: [...MATRIX_PREFERENCE.order, ...preference.order] };
}
