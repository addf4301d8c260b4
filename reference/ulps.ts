/**
 * Distances between f32 numbers, counted in units in the last place.
 *
 * @module
 */

/**
 * Farther than any two numbers are apart: a NaN against a number, and the cap of an error beside a reference near zero.
 */
export const FARTHEST_ULPS: number = 2 ** 32;

/** Least spacing of f32: that of its subnormal numbers. */
const LEAST_EXPONENT = -149;
/** Bits of a significand behind its first one. */
const FRACTION_BITS = 23;

const float = new Float32Array(1);
const bits = new Int32Array(float.buffer);
const double = new Float64Array(1);
const doubleBits = new BigUint64Array(double.buffer);

/**
 * Steps from one f32 to the next between `a` and `b`: the difference of their places on the line on which sign and
 * magnitude are ordered. ±0 are one place, ±∞ are next to the largest numbers, and two NaNs are the same; a NaN is
 * {@linkcode FARTHEST_ULPS} from every number.
 *
 * @param a Rounded to f32, as is `b`.
 */
export function ulpDistance(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) && Number.isNaN(b) ? 0 : FARTHEST_ULPS;
  return Math.abs(orderedPlace(a) - orderedPlace(b));
}

/** Place of an f32 among all of them, 0 for ±0: the bits of the magnitude, with the sign of the number. */
function orderedPlace(value: number): number {
  float[0] = value;
  return bits[0] < 0 ? -(bits[0] & 0x7fffffff) : bits[0];
}

/**
 * Error of an f32 beside a reference in f64, in units in the last place that f32 has at the reference: half of one is
 * what rounding the reference would leave. {@linkcode FARTHEST_ULPS} at most, and where only one is finite or they are
 * different infinities.
 */
export function ulpError(actual: number, expected: number): number {
  if (Object.is(actual, expected) || actual === expected) return 0;
  const error = Math.abs(actual - expected) / ulpAt(expected);
  return error <= FARTHEST_ULPS ? error : FARTHEST_ULPS;
}

/** Spacing of f32 at the magnitude of `value`, any f64; NaN where it is not finite. */
export function ulpAt(value: number): number {
  if (!Number.isFinite(value)) return NaN;
  double[0] = value;
  const exponent = Number((doubleBits[0] >> 52n) & 0x7ffn) - 1023;
  return 2 ** Math.max(LEAST_EXPONENT, exponent - FRACTION_BITS);
}
