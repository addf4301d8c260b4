/**
 * How an honest kernel computes: what it rounds, in which order it sums, and how far its built-in functions may be off.
 *
 * Every operation of f32 is done in f64 and rounded once. A product and the sum it goes into are rounded together, as
 * by `fma`: WGSL lets a compiler contract them or not, and the products' own roundings are n of up to u·|x_i| beside n
 * of the partial sums', each about √i times as large, so for sums of 16 and more they change the error by a few per
 * cent.
 *
 * Built-ins err by what WGSL allows them ("Accuracy of Concrete Floating Point Expressions"): `exp` by 3 + 2|x| ULP,
 * `log` by 2⁻²¹ in [½, 2] and 3 ULP elsewhere, a division by 2.5 ULP. An error is a function of the argument, as with a
 * table or a polynomial, so equal arguments err alike; half of it is drawn for each argument and half for the variant,
 * because polynomials and a rounded log₂e are also off to one side. Mesa's llvmpipe shows a bias of (1 + ⅓|x|)·u in
 * `exp`, about a sixth of what is allowed, and as much of scatter; NVIDIA's `ex2.approx` is documented with 2 ULP.
 * Results below the normal numbers become zero, as where a GPU flushes them. `exp(0)` is 1 on all of them.
 *
 * @module
 */
import { addF16Values, f16Dots, roundQuery, roundWeights } from "./f16_chains.ts";
import type { KernelPrecision } from "./precision.ts";
import { streamKey, uint32At } from "./random.ts";

/** The order of a kernel's sums: its reduction shape. */
export interface SummationOrder {
  /** Partial sums of a dot product, added up pairwise; a power of two. 1 is a single chain. */
  readonly lanes: number;
  /**
   * Where a chain goes on after its first {@linkcode HEAD} steps, 0…1: an order is as good as another, but kernels
   * start with the first elements, and where those are large, all later sums are.
   */
  readonly start: number;
  /** Tokens after which an online softmax may move its maximum. */
  readonly tile: number;
  /** Parts of a row's tokens, each with a softmax of its own; merged by their log-sum-exp. */
  readonly splits: number;
  /**
   * Whether weights are divided by their sum before values are multiplied by them, as where softmax is a pass of its
   * own.
   */
  readonly normalizes?: boolean;
}

/** Vectors that lie at equal distances. */
export interface Vectors {
  /** Elements. */
  readonly values: Float64Array;
  /** Elements from one vector to the next. */
  readonly stride: number;
}

/** The operations of an honest kernel; a test may replace one by a faulty one. */
export interface Arithmetic {
  /** Order of sums. */
  readonly order: SummationOrder;
  /** Writes to `target` the products of `x` with its first `target.length` vectors, as of a projection. */
  dots(x: Float64Array, vectors: Vectors, target: Float64Array): void;
  /** The same of a query with keys. */
  queryDots(query: Float64Array, keys: Vectors, target: Float64Array): void;
  /** A score, from a dot product and the scale. */
  score(dot: number, scale: number): number;
  /** The running maximum after `score`. */
  larger(maximum: number, score: number): number;
  /** Adds to `out` the vectors from number `first` on, each times its weight. */
  addValues(out: Float64Array, values: Vectors, weights: Float64Array, first: number): void;
  /** Softmax weight of a score that is `x ≤ 0` above the maximum. */
  weight(x: number): number;
  /** Factor of what was summed when the maximum moved by `−x`. */
  rescale(x: number): number;
  /** Natural logarithm of a sum of weights. */
  log(x: number): number;
  /** `1/x`. */
  reciprocal(x: number): number;
}

const f = Math.fround;

/** ULP of a number near 1, upwards. */
const ULP = 2 ** -23;
/** Smallest normal f32: what is below may be flushed. */
const SMALLEST = 2 ** -126;
/** WGSL's absolute error of `log` in [½, 2]. */
const LOG_ERROR = 2 ** -21;
/** Streams of the errors. */
const STREAM = { start: 20, exp: 21, log: 22, divide: 23, bias: 24 } as const;

/** Steps of a chain that are first in every order. */
export const HEAD = 8;

/** Reduction shapes of variants: naive, tiled, and naive with normalized weights. */
export const REDUCTION_SHAPES = 3;

/** Most lanes of {@linkcode SummationOrder}. */
const MOST_LANES = 32;

/**
 * An honest kernel, one of many: `variant` draws the errors of its built-ins and the order of its sums. Of every three
 * the first is naive, a single chain and token by token; the second has lanes, tiles and splits as fused kernels do;
 * the third is naive with softmax as a pass of its own: its sums differ where all weights do not, n times 1 is exact
 * and n times 1/n is not.
 */
export function kernelArithmetic(precision: KernelPrecision, variant: number): Arithmetic {
  return inPrecision(precision, f32Arithmetic(orderOf(variant, precision), variant));
}

/** The arithmetic with the products of an attention in `precision`. */
export function inPrecision({ scores, values }: KernelPrecision, arithmetic: Arithmetic): Arithmetic {
  return {
    ...arithmetic,
    ...(scores === "f32" ? {} : { queryDots: queryDotsOf(scores.f16Chain, arithmetic) }),
    ...(values === "f32" ? {} : { addValues: addValuesOf(values.f16Chain, arithmetic) }),
  };
}

function queryDotsOf(longest: number, { order, queryDots }: Arithmetic): Arithmetic["queryDots"] {
  return longest === 0
    ? (query, keys, target) => queryDots(roundQuery(query), keys, target)
    : (query, keys, target) => f16Dots(query, keys, target, order, longest);
}

function addValuesOf(longest: number, { order, addValues }: Arithmetic): Arithmetic["addValues"] {
  return longest === 0
    ? (out, vectors, weights, first) => addValues(out, vectors, roundWeights(weights), first)
    : (out, vectors, weights, first) => addF16Values(out, vectors, weights, first, order, longest);
}

/** Tokens of a tile that no row exceeds. */
const ALL_TOKENS = 2 ** 31;

function orderOf(variant: number, { values }: KernelPrecision): SummationOrder {
  const start = uniformAt(streamKey(variant, STREAM.start), 0);
  const shape = variant % REDUCTION_SHAPES;
  if (shape === 0) return { lanes: 1, start, tile: 1, splits: 1 };
  if (shape === 2) {
    // Weights in f16 are relative to the maximum: divided by their sum they would be subnormal.
    return values === "f32"
      ? { lanes: 1, start, tile: 1, splits: 1, normalizes: true }
      : { lanes: 1, start, tile: ALL_TOKENS, splits: 1 };
  }
  const turn = Math.floor(variant / REDUCTION_SHAPES);
  return { lanes: [8, 32, 4, 16][turn % 4], start, tile: [16, 32, 8, 64][turn % 4], splits: 1 + (turn + 1) % 3 };
}

/** Arithmetic in f32 with sums in `order`; `seed` draws the errors of built-ins. */
export function f32Arithmetic(order: SummationOrder, seed: number): Arithmetic {
  const errorOf = (stream: number) => {
    const bias = symmetricAt(streamKey(seed, STREAM.bias), stream);
    const key = streamKey(seed, stream);
    return (x: number) => (bias + symmetricAt(key, bitsOf(x))) / 2;
  };
  const expError = errorOf(STREAM.exp), logError = errorOf(STREAM.log), divideError = errorOf(STREAM.divide);
  const exp = (x: number) => {
    if (x === 0) return 1;
    const value = f(Math.exp(x) * (1 + (3 + 2 * Math.abs(x)) * ULP * expError(x)));
    return value < SMALLEST ? 0 : value;
  };
  const dots = (x: Float64Array, vectors: Vectors, target: Float64Array) => f32Dots(x, vectors, target, order);
  return {
    order,
    dots,
    queryDots: dots,
    addValues: addF32Values,
    score: (dot, scale) => f(dot * f(scale)),
    larger: Math.max,
    weight: exp,
    rescale: exp,
    log(x) {
      const exact = Math.log(x);
      const allowed = x >= 0.5 && x <= 2 ? LOG_ERROR : 3 * ULP * Math.abs(exact);
      return f(exact + allowed * logError(x));
    },
    reciprocal: (x) => f(1 / x * (1 + 2.5 * ULP * divideError(x))),
  };
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

function bitsOf(x: number): number {
  scratch[0] = x;
  return scratchBits[0];
}

/** Uniform in [0, 1). */
function uniformAt(key: number, i: number): number {
  return uint32At(key, i) / 2 ** 32;
}

/** Uniform in [−1, 1). */
function symmetricAt(key: number, i: number): number {
  return uniformAt(key, i) * 2 - 1;
}

const partial = new Float64Array(4 * MOST_LANES);

/** {@linkcode Arithmetic.dots}, four vectors at a time: one chain waits for itself, four fill the time. */
function f32Dots(x: Float64Array, { values, stride }: Vectors, target: Float64Array, order: SummationOrder): void {
  const { lanes } = order;
  const width = x.length;
  const head = Math.min(width, HEAD * lanes);
  const turn = head + Math.floor(order.start * (width - head) / lanes) * lanes;
  const last = target.length - 1;
  for (let i = 0; i <= last; i += 4) {
    const k0 = i * stride;
    const k1 = Math.min(i + 1, last) * stride, k2 = Math.min(i + 2, last) * stride, k3 = Math.min(i + 3, last) * stride;
    for (let lane = 0; lane < lanes; lane++) {
      let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      for (let d = lane; d < head; d += lanes) {
        const q = x[d];
        s0 = f(s0 + q * values[k0 + d]);
        s1 = f(s1 + q * values[k1 + d]);
        s2 = f(s2 + q * values[k2 + d]);
        s3 = f(s3 + q * values[k3 + d]);
      }
      for (let d = turn + lane; d < width; d += lanes) {
        const q = x[d];
        s0 = f(s0 + q * values[k0 + d]);
        s1 = f(s1 + q * values[k1 + d]);
        s2 = f(s2 + q * values[k2 + d]);
        s3 = f(s3 + q * values[k3 + d]);
      }
      for (let d = head + lane; d < turn; d += lanes) {
        const q = x[d];
        s0 = f(s0 + q * values[k0 + d]);
        s1 = f(s1 + q * values[k1 + d]);
        s2 = f(s2 + q * values[k2 + d]);
        s3 = f(s3 + q * values[k3 + d]);
      }
      partial[lane] = s0;
      partial[MOST_LANES + lane] = s1;
      partial[2 * MOST_LANES + lane] = s2;
      partial[3 * MOST_LANES + lane] = s3;
    }
    for (let k = 0; k < 4 && i + k <= last; k++) target[i + k] = pairwise(partial, k * MOST_LANES, lanes);
  }
}

/** Sum of `count` values from `at`, halves added to halves. */
function pairwise(values: Float64Array, at: number, count: number): number {
  for (let half = count / 2; half >= 1; half /= 2) {
    for (let lane = at; lane < at + half; lane++) values[lane] = f(values[lane] + values[lane + half]);
  }
  return values[at];
}

/**
 * {@linkcode Arithmetic.addValues}, token by token; four at a time, so that `out` is read and written once for four.
 */
function addF32Values(
  out: Float64Array,
  { values, stride }: Vectors,
  weights: Float64Array,
  first: number,
): void {
  const width = out.length;
  let t = 0;
  for (; t + 3 < weights.length; t += 4) {
    const v0 = (first + t) * stride, v1 = v0 + stride, v2 = v1 + stride, v3 = v2 + stride;
    const w0 = weights[t], w1 = weights[t + 1], w2 = weights[t + 2], w3 = weights[t + 3];
    for (let d = 0; d < width; d++) {
      const sum = f(f(out[d] + w0 * values[v0 + d]) + w1 * values[v1 + d]);
      out[d] = f(f(sum + w2 * values[v2 + d]) + w3 * values[v3 + d]);
    }
  }
  for (; t < weights.length; t++) {
    const v = (first + t) * stride;
    for (let d = 0; d < width; d++) out[d] = f(out[d] + weights[t] * values[v + d]);
  }
}
