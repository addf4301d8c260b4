/**
 * The generator of all seeded inputs: SplitMix32 in counter form.
 *
 * Value `i` of a stream is `mix(key + i·0x9E3779B9)` over 32-bit integers, with the key mixed from seed and stream, and
 * `mix` the two-round hash `x ^= x≫16; x *= 0x21F0AAAD; x ^= x≫15; x *= 0x735A2D97; x ^= x≫15` (the least biased of its
 * form in Wellons' hash-prospector list). A value depends on seed, stream and index only, never on what was drawn
 * before, so parts of a tensor can be made in any order; integer arithmetic gives the same bits on every machine and in
 * WGSL.
 *
 * Normal values are Irwin–Hall sums: four 16-bit uniform integers, exact in f32, times a constant, rounded once. They
 * have mean 0, variance 1, kurtosis 2.7 and lie within ±3.4641; no transcendental function is involved.
 *
 * @module
 */

/** `⌊2³²/φ⌋`, odd: the step of the counter (Weyl sequence). */
const GOLDEN = 0x9e3779b9;

/** f32 of `√3/65536`: one over the standard deviation of a sum of four uniform 16-bit integers (to 1 part in 10⁹). */
const NORMAL_UNIT = Math.fround(Math.sqrt(3) / 65536);

/** Largest magnitude of {@linkcode fillNormal} at scale 1: `131070·√3/65536`, just under 2√3. */
export const NORMAL_MAX: number = Math.fround(131070 * NORMAL_UNIT);

function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return x ^ (x >>> 15);
}

/** Key of the stream number `stream` under `seed`; both are taken as 32-bit integers. */
export function streamKey(seed: number, stream: number): number {
  return mix(mix((seed + GOLDEN) | 0) + Math.imul(stream + 1, GOLDEN)) >>> 0;
}

/** Value `i` of the stream: 32 uniform bits. The stream repeats after 2³² values. */
export function uint32At(key: number, i: number): number {
  return mix((key + Math.imul(i, GOLDEN)) | 0) >>> 0;
}

/**
 * Uniform integer in `[0, n)`, without bias: values beyond the last multiple of `n` are drawn anew from a stream of
 * their own.
 *
 * @param n An integer in `[1, 2³²]`.
 * @throws {RangeError} If `n` is not such an integer.
 */
export function uniformIntAt(key: number, i: number, n: number): number {
  if (!(Number.isInteger(n) && n >= 1 && n <= 2 ** 32)) {
    throw new RangeError(`Cannot draw an integer below ${n}: the bound must be an integer in [1, 2^32]`);
  }
  const limit = 2 ** 32 - (2 ** 32 % n);
  for (let attempt = 0;; attempt++) {
    const value = uint32At(attempt === 0 ? key : streamKey(key, attempt), i);
    if (value < limit) return value % n;
  }
}

/** Where and how large {@linkcode fillNormal} draws. */
export interface FillNormalOptions {
  /** Index of the first value in the stream. @default {0} */
  readonly start?: number;
  /** Standard deviation; rounded to f32, and so is each product with it. @default {1} */
  readonly scale?: number;
}

/**
 * Fills `target` with near-normal values `start`, `start + 1`, … of the stream. Value `i` uses bits `2i` and `2i + 1`,
 * so the stream repeats after 2³¹ values.
 */
export function fillNormal(target: Float32Array, key: number, options: FillNormalOptions = {}): void {
  const { start = 0, scale = 1 } = options;
  const unit = NORMAL_UNIT;
  const factor = Math.fround(scale);
  let counter = (key + Math.imul(2 * start, GOLDEN)) | 0;
  for (let i = 0; i < target.length; i++) {
    const a = mix(counter);
    const b = mix((counter + GOLDEN) | 0);
    counter = (counter + 2 * GOLDEN) | 0;
    const sum = (a & 0xffff) + (a >>> 16) + (b & 0xffff) + (b >>> 16) - 131070;
    target[i] = Math.fround(sum * unit) * factor;
  }
}

/** A uniformly random permutation of `0 … n−1` (Fisher–Yates, from the end). */
export function permutation(n: number, key: number): Int32Array<ArrayBuffer> {
  const values = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = uniformIntAt(key, i, i + 1);
    const swap = values[i];
    values[i] = values[j];
    values[j] = swap;
  }
  return values;
}
