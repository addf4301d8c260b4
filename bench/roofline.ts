/**
 * How near a time comes to what the device was seen to do at best. Computed on reading and never stored.
 *
 * @module
 */
import { type ArithmeticUnit, F32, fastestArithmetic, type KernelPrecision } from "../reference/precision.ts";
import type { Peaks } from "./judge.ts";
import type { Calibration, Measurement } from "./result.ts";

/** A figure of the calibration that can bind a case. */
export type Limit = "readBytesPerS" | "copyBytesPerS" | `${ArithmeticUnit}FlopsPerS`;

/** A time beside the least that the device allows. */
export interface Roofline {
  /** The least time over the time: 1 at the limit. */
  readonly share: number;
  /** What sets the least time. */
  readonly limit: Limit;
  /** That figure, bytes/s or flops/s. */
  readonly perS: number;
}

/** What the limits of a kernel depend on beside the device. */
export interface RooflineOptions {
  /** What the kernel computes in: with products in f16 it is held against the rate of those. @default {F32} */
  readonly precision?: KernelPrecision;
}

/**
 * The share of the limit that binds: `max(minBytes / bandwidth, flops / rate) / time`. The bandwidth is that of
 * reading, and of copying for an operation without arithmetic, which reads and writes alike. Bytes are those that the
 * operation must move: where a cache serves some of them, hot inputs or pages that sequences share, the share may pass
 * 1.
 *
 * @example A kernel at 30 TFLOP/s where 60 are possible
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const calibration = { readBytesPerS: { value: 4e12 }, f32FlopsPerS: { value: 60e12 }, doubts: [], wallMs: 0 };
 * const roofline = rooflineOf({ minBytes: 4e6, flops: 300e6 }, 10_000, calibration);
 * assertEquals(roofline, { share: 0.5, limit: "f32FlopsPerS", perS: 60e12 });
 * ```
 * @param work Bytes and flops of one launch.
 * @param timeNs Time of one launch, above zero.
 * @param calibration What the device does at best.
 * @returns Undefined where a limit that may be the one that binds is not known.
 */
export function rooflineOf(
  { minBytes, flops }: Pick<Measurement, "minBytes" | "flops">,
  timeNs: number,
  calibration: Calibration | undefined,
  { precision = F32 }: RooflineOptions = {},
): Roofline | undefined {
  const moves: readonly (readonly [Limit, number])[] = flops > 0
    ? [["readBytesPerS", minBytes], [`${fastestArithmetic(precision)}FlopsPerS`, flops]]
    : [["copyBytesPerS", minBytes]];
  const bounds = moves.map(([limit, work]) => {
    const perS = calibration?.[limit]?.value ?? NaN;
    return { share: work / perS / (timeNs * 1e-9), limit, perS };
  });
  const binding = bounds.reduce((a, b) => b.share > a.share ? b : a);
  return bounds.every(({ share }) => Number.isFinite(share)) ? binding : undefined;
}

/**
 * What no time of a kernel may be faster than. Of arithmetic the fastest rate counts that it computes at, by its
 * precision, and of memory the faster of reading and copying.
 */
export function peaksOf(calibration: Calibration, { precision = F32 }: RooflineOptions = {}): Peaks {
  const fastest = (...limits: Limit[]) => {
    const values = limits.flatMap((limit) => calibration[limit]?.value ?? []);
    return values.length > 0 ? Math.max(...values) : undefined;
  };
  const unit = fastestArithmetic(precision);
  // A device may compute in f32 what a kernel has in f16, but nothing else stands in for matrices.
  const rates: Limit[] = unit === "f16" ? ["f32FlopsPerS", "f16FlopsPerS"] : [`${unit}FlopsPerS`];
  return { bytesPerS: fastest("readBytesPerS", "copyBytesPerS"), flopsPerS: fastest(...rates) };
}
