/**
 * Attention of one row as a kernel computes it: scores, an online softmax over tiles of tokens, in one part or in
 * several that are merged.
 *
 * @module
 */
import type { Arithmetic, Vectors } from "./arithmetic.ts";

/** A row and the tokens it sees. */
export interface EmulatedRow {
  /** Query, as long as a key. */
  readonly query: Float64Array;
  /** Keys of the tokens. */
  readonly keys: Vectors;
  /** Values of the tokens. */
  readonly values: Vectors;
  /** Elements of a value. */
  readonly width: number;
  /** Tokens that the row sees, the first ones: at least one. */
  readonly seen: number;
  /** Softmax scale. */
  readonly scale: number;
}

/** What a row or a part of it comes to. */
export interface EmulatedSoftmax {
  /** Largest score. */
  readonly maximum: number;
  /** Sum of the weights relative to it. */
  readonly sum: number;
  /** Weighted values `[width]`, divided by the sum. */
  readonly out: Float64Array;
}

const f = Math.fround;

/** Largest score of no token, as kernels have it. */
const MASKED = f(-1e30);

/** Attention of one row in the arithmetic and order of `arithmetic`. */
export function emulateRow(row: EmulatedRow, arithmetic: Arithmetic): EmulatedSoftmax {
  const { query, keys, seen, scale } = row;
  const scores = new Float64Array(seen);
  arithmetic.queryDots(query, keys, scores);
  for (let t = 0; t < seen; t++) scores[t] = arithmetic.score(scores[t], scale);
  const { splits, tile, normalizes } = arithmetic.order;
  const emulate = normalizes ? normalizedSpan : onlineSpan;
  const span = Math.ceil(seen / (splits * tile)) * tile;
  const parts: EmulatedSoftmax[] = [];
  for (let first = 0; first < seen; first += span) {
    parts.push(emulate(row, arithmetic, scores, first, Math.min(seen, first + span)));
  }
  return parts.length === 1 ? parts[0] : merge(parts, arithmetic);
}

/** Natural log-sum-exp of a softmax. */
export function emulatedLse({ maximum, sum }: EmulatedSoftmax, arithmetic: Arithmetic): number {
  return f(maximum + arithmetic.log(sum));
}

/** Online softmax over tiles. */
function onlineSpan(
  { values, width }: EmulatedRow,
  arithmetic: Arithmetic,
  scores: Float64Array,
  begin: number,
  end: number,
): EmulatedSoftmax {
  const { tile } = arithmetic.order;
  const out = new Float64Array(width);
  const weights = new Float64Array(end - begin);
  let maximum = MASKED, sum = 0;
  for (let first = begin; first < end;) {
    const higher = largest(arithmetic, maximum, scores, first, Math.min(end, first + tile));
    if (higher !== maximum) {
      const factor = arithmetic.rescale(f(maximum - higher));
      sum = f(sum * factor);
      for (let d = 0; d < width; d++) out[d] = f(out[d] * factor);
      maximum = higher;
    }
    // Tiles that leave the maximum where it is change nothing but the sums: they are taken together.
    let last = first;
    do {
      const tileEnd = Math.min(end, last + tile);
      let tileSum = 0;
      for (let t = last; t < tileEnd; t++) {
        const weight = arithmetic.weight(f(scores[t] - maximum));
        weights[t - begin] = weight;
        tileSum = f(tileSum + weight);
      }
      sum = f(sum + tileSum);
      last = tileEnd;
    } while (last < end && largest(arithmetic, maximum, scores, last, Math.min(end, last + tile)) === maximum);
    arithmetic.addValues(out, values, weights.subarray(first - begin, last - begin), first);
    first = last;
  }
  const inverse = arithmetic.reciprocal(sum);
  for (let d = 0; d < width; d++) out[d] = f(out[d] * inverse);
  return { maximum, sum, out };
}

/** Softmax first, then the product with the values. */
function normalizedSpan(
  { values, width }: EmulatedRow,
  arithmetic: Arithmetic,
  scores: Float64Array,
  begin: number,
  end: number,
): EmulatedSoftmax {
  const out = new Float64Array(width);
  const maximum = largest(arithmetic, MASKED, scores, begin, end);
  const weights = scores.slice(begin, end);
  let sum = 0;
  for (let t = 0; t < weights.length; t++) {
    weights[t] = arithmetic.weight(f(weights[t] - maximum));
    sum = f(sum + weights[t]);
  }
  const inverse = arithmetic.reciprocal(sum);
  for (let t = 0; t < weights.length; t++) weights[t] = f(weights[t] * inverse);
  arithmetic.addValues(out, values, weights, begin);
  return { maximum, sum, out };
}

function largest({ larger }: Arithmetic, maximum: number, scores: Float64Array, first: number, end: number): number {
  for (let t = first; t < end; t++) maximum = larger(maximum, scores[t]);
  return maximum;
}

/** Weighs parts by their log-sum-exp. */
function merge(parts: readonly EmulatedSoftmax[], arithmetic: Arithmetic): EmulatedSoftmax {
  const logs = parts.map((part) => emulatedLse(part, arithmetic));
  const maximum = Math.max(...logs);
  const out = new Float64Array(parts[0].out.length);
  let sum = 0;
  parts.forEach((part, i) => {
    const weight = arithmetic.weight(f(logs[i] - maximum));
    sum = f(sum + weight);
    for (let d = 0; d < out.length; d++) out[d] = f(out[d] + weight * part.out[d]);
  });
  const inverse = arithmetic.reciprocal(sum);
  for (let d = 0; d < out.length; d++) out[d] = f(out[d] * inverse);
  return { maximum, sum, out };
}
