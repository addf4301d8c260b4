/**
 * Classes of shapes: by them preferences between kernels and tunings of one are kept.
 *
 * @module
 */
import type { Dtype } from "../reference/dtypes.ts";
import type { AttendShape } from "../reference/shapes.ts";

/** Shapes that are alike; what is absent does not matter. */
export interface ShapeClass {
  /** Fewest sequences. @default 0 */
  readonly minB?: number;
  /** Most sequences. @default no limit */
  readonly maxB?: number;
  /** Fewest rows (new token, head) of the sequence with most new tokens. @default 0 */
  readonly minRows?: number;
  /** Most rows of that sequence. @default no limit */
  readonly maxRows?: number;
  /** Fewest tokens of the longest sequence. @default 0 */
  readonly minKv?: number;
  /** Most tokens of that sequence. @default no limit */
  readonly maxKv?: number;
  /** Smallest rank. @default 0 */
  readonly minR?: number;
  /** Largest rank. @default no limit */
  readonly maxR?: number;
  /** Element type of the cache. @default any */
  readonly cache?: Dtype;
}

/** What of a shape decides its class. */
export type ClassedShape = Pick<AttendShape, "B" | "H" | "R" | "q" | "kv"> & { readonly cache?: Dtype };

/** Whether `shape` is of the class. */
export function isInClass(of: ShapeClass, { B, H, R, q, kv, cache }: ClassedShape): boolean {
  return within(B, of.minB, of.maxB) && within(H * longest(q), of.minRows, of.maxRows) &&
    within(longest(kv), of.minKv, of.maxKv) && within(R, of.minR, of.maxR) &&
    (of.cache === undefined || of.cache === cache);
}

/**
 * The class in which `shape` is tuned: its rank and dtype, and the octave around a power of two of everything else, so
 * that every shape has one and no two overlap.
 *
 * @example 48 sequences are nearer to 64 than to 32
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { decodeShape } from "./testing.ts";
 * const { minB, maxB, minKv, maxKv } = tuningClass(decodeShape({ kv: Array(48).fill(4096) }));
 * assertEquals([minB, maxB, minKv, maxKv], [46, 90, 2897, 5792]);
 * ```
 */
export function tuningClass({ B, H, R, q, kv, cache }: ClassedShape): ShapeClass {
  const [minB, maxB] = octaveOf(B);
  const [minRows, maxRows] = octaveOf(H * longest(q));
  const [minKv, maxKv] = octaveOf(longest(kv));
  return { minB, maxB, minRows, maxRows, minKv, maxKv, minR: R, maxR: R, ...(cache && { cache }) };
}

/** The integers nearer to the power of two that `value` is nearest to, by their ratios, than to any other. */
function octaveOf(value: number): [min: number, max: number] {
  if (value < 1) return [0, 0];
  const power = Math.round(Math.log2(value));
  return [Math.ceil(2 ** (power - 0.5)), Math.floor(2 ** (power + 0.5))];
}

function within(value: number, least = 0, most = Infinity): boolean {
  return value >= least && value <= most;
}

function longest(lengths: readonly number[]): number {
  return lengths.reduce((most, tokens) => Math.max(most, tokens), 0);
}
