/**
 * Sums of products in f16, as a kernel that declares them computes them (`precision.ts`): chains of `fma` rounded to
 * f16, each then added to a sum in f32. WGSL lets an `fma` be a product that is rounded and a sum, and so llvmpipe does
 * it: half of the orders do. Where large products cancel that errs twice as much.
 *
 * Subnormals are kept, though WGSL lets an implementation flush them: NVIDIA's drivers and llvmpipe keep them. Where
 * they were flushed every weight below 2⁻⁸ of the largest would vanish, a few per cent of a usual softmax, and limits
 * that allow for that would let a kernel pass which leaves those tokens out. A device that flushes fails instead, as it
 * should.
 *
 * @module
 */
import type { SummationOrder, Vectors } from "./arithmetic.ts";

const f = Math.fround;

/** Weights are multiplied by this before they are rounded: a chain of 32 of the largest f16 does not overflow then. */
const WEIGHT_FACTOR = 2 ** -6;
/** The largest element of a query is brought below this, to a factor of 2. */
const QUERY_SIZE = 2 ** -5;

/** Smallest normal f16. */
const SMALLEST = 2 ** -14;
/** From here on rounding gives infinity. */
const OVERFLOW = 65520;
/** Splits off the upper 11 bits of an f64 (Veltkamp). */
const SPLITTER = 2 ** 42 + 1;
/** What is added to it is rounded to a multiple of 2⁻²⁴, the distance of subnormal f16. */
const SUBNORMAL_SHIFT = 1.5 * 2 ** 28;

/** The nearest f16, of two the even one: `Math.f16round`, at a tenth of its cost in V8. */
export function roundToF16(x: number): number {
  const size = Math.abs(x);
  if (size < SMALLEST) return x + SUBNORMAL_SHIFT - SUBNORMAL_SHIFT;
  if (!(size < OVERFLOW)) return x * Infinity;
  const shifted = x * SPLITTER;
  return shifted - (shifted - x);
}

/** Whether an `fma` of kernels of an order rounds the product as well. */
function roundsProducts({ start }: SummationOrder): boolean {
  return Math.floor(16 * start) % 2 === 0;
}

/** `fma` in f16 of a sum and a product, which is exact here: of two f16. */
function fmaF16(sum: number, product: number, isRounded: boolean): number {
  return roundToF16(sum + (isRounded ? roundToF16(product) : product));
}

/** How the elements of a query are dealt to chains: `unit` of them to each in turn, neighbours or every `step`-th. */
interface Deal {
  readonly unit: number;
  readonly chains: number;
  readonly step: 1 | 2;
}

/**
 * Where the order has lanes, they are a power of two that read side by side, a pair of elements or a vector each, in
 * packed arithmetic: even elements whose distance is one meet in a chain, and odd ones. Where neighbours cancel such
 * chains err several times as much as those of an order without lanes, which take neighbours: orders with lanes are a
 * reduction shape of their own, and so are pooled apart. Kernels round the same products in chains of their own, so
 * chains differ from order to order, and not all are as long as they may be.
 */
function dealOf(width: number, { lanes, start }: SummationOrder, longest: number): Deal {
  if (lanes === 1) {
    const unit = Math.ceil(longest / (1 + start / 2));
    return { unit, chains: Math.ceil(width / unit), step: 1 };
  }
  const step = 2;
  const unit = Math.min(lanes / 4, longest);
  const least = Math.ceil(Math.ceil(width / step / unit) / Math.floor(longest / unit));
  return { unit, chains: 2 ** (Math.ceil(Math.log2(least)) + (start < 0.5 ? 0 : 1)), step };
}

/** Power of two by which a query is multiplied before it is rounded. */
function queryFactor(query: Float64Array): number {
  const size = query.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return size > 0 ? QUERY_SIZE / 2 ** (Math.floor(Math.log2(size)) + 1) : 1;
}

/** A query as a kernel has it that multiplies it in f16 and sums in f32. */
export function roundQuery(query: Float64Array): Float64Array {
  const factor = queryFactor(query);
  return query.map((x) => roundToF16(x * factor) / factor);
}

/** Weights as a kernel has them that multiplies them in f16 and sums in f32. */
export function roundWeights(weights: Float64Array): Float64Array {
  return weights.map((weight) => roundToF16(weight * WEIGHT_FACTOR) / WEIGHT_FACTOR);
}

/**
 * Writes to `target` the products of a query with keys.
 *
 * @param longest Most products of a chain, at least 1.
 */
export function f16Dots(
  query: Float64Array,
  { values, stride }: Vectors,
  target: Float64Array,
  order: SummationOrder,
  longest: number,
): void {
  const width = query.length;
  const { unit, chains, step } = dealOf(width, order, longest);
  const factor = queryFactor(query);
  const scaled = query.map((x) => roundToF16(x * factor));
  const last = target.length - 1;
  const isRounded = roundsProducts(order);
  // Four keys at a time: one chain waits for itself, four fill the time.
  for (let i = 0; i <= last; i += 4) {
    const k0 = i * stride;
    const k1 = Math.min(i + 1, last) * stride, k2 = Math.min(i + 2, last) * stride, k3 = Math.min(i + 3, last) * stride;
    let t0 = 0, t1 = 0, t2 = 0, t3 = 0;
    for (let c = 0; c < chains * step; c++) {
      let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      const first = Math.floor(c / step) * unit * step + c % step;
      for (let begin = first; begin < width; begin += chains * unit * step) {
        const end = Math.min(width, begin + unit * step);
        for (let d = begin; d < end; d += step) {
          const q = scaled[d];
          s0 = fmaF16(s0, q * values[k0 + d], isRounded);
          s1 = fmaF16(s1, q * values[k1 + d], isRounded);
          s2 = fmaF16(s2, q * values[k2 + d], isRounded);
          s3 = fmaF16(s3, q * values[k3 + d], isRounded);
        }
      }
      t0 = f(t0 + s0);
      t1 = f(t1 + s1);
      t2 = f(t2 + s2);
      t3 = f(t3 + s3);
    }
    const sums = [t0, t1, t2, t3];
    for (let k = 0; k < 4 && i + k <= last; k++) target[i + k] = sums[k] / factor;
  }
}

/**
 * Adds weighted values to `out`. Where the order has lanes, tokens are dealt to groups of threads, and a chain takes
 * those of one; the first chain of a group is shorter by the order's start, as where a tile does not begin with it.
 *
 * @param longest Most tokens of a chain, at least 1.
 */
export function addF16Values(
  out: Float64Array,
  { values, stride }: Vectors,
  weights: Float64Array,
  first: number,
  order: SummationOrder,
  longest: number,
): void {
  const { lanes, start } = order;
  const isRounded = roundsProducts(order);
  const width = out.length;
  const groups = Math.ceil(lanes / 4);
  const early = Math.floor(start * longest);
  const scaled = weights.map((weight) => roundToF16(weight * WEIGHT_FACTOR));
  const sums = new Float64Array(width);
  for (let group = 0; group < groups; group++) {
    for (let begin = group - early * groups; begin < scaled.length; begin += longest * groups) {
      const end = Math.min(scaled.length, begin + longest * groups);
      sums.fill(0);
      for (let t = begin < 0 ? group : begin; t < end; t += groups) {
        const w = scaled[t], v = (first + t) * stride;
        if (w === 0) continue;
        for (let d = 0; d < width; d++) sums[d] = fmaF16(sums[d], w * values[v + d], isRounded);
      }
      for (let d = 0; d < width; d++) out[d] = f(out[d] + sums[d] / WEIGHT_FACTOR);
    }
  }
}
