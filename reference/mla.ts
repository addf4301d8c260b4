/**
 * What `attend` computes, in f64, by the absorbed formulation: score `s_t = scale·(q_latent·c_t + q_pe·k_t)` of each
 * token `t` that the row sees, `p = softmax(s)`, `out = Σ_t p_t·c_t`, `lse = ln Σ_t exp(s_t)`, with `c_t` and `k_t` the
 * latent and the rope part of the token's key. The independent second formulation is in `expanded.ts`.
 *
 * @module
 */
import { U32 } from "./bounds.ts";
import type { AttendInputs } from "./inputs.ts";
import { allRows } from "./rows.ts";
import { rowsBySequence } from "./sequence_rows.ts";

export { absorb, attendExpanded, type ExpandedAttention, type ExpandedInputs, projectValue } from "./expanded.ts";
export type { ProjectionDims } from "./expanded.ts";
export { attendFlops, sampleRows } from "./rows.ts";

/** What `attend` must answer, and what its error bounds are made of. */
export interface AttendReference {
  /** The rows that follow, `(query token of the batch)·H + head`. */
  readonly rows: Int32Array;
  /** Latent output `[rows, R]`; zero where a row sees no token. */
  readonly out: Float64Array;
  /** Natural logarithm of the sum of exponentials `[rows]`; −Infinity where a row sees no token. */
  readonly lse: Float64Array;
  /** `Σ_t p_t·|c_t|` `[rows, R]`: the condition of the sum that makes `out`. */
  readonly outAbs: Float64Array;
  /** Maximum over the tokens of `|scale|·Σ_d |q_d·k_td|` `[rows]`: the condition of the scores. */
  readonly scoreAbs: Float64Array;
  /**
   * `Σ_t p_t·m_t` `[rows]`, m_t the number of tokens after t that raise the running maximum: how often an online
   * softmax rescales what is in its sums, at most (it may take several tokens at once).
   */
  readonly rescalings: Float64Array;
  /** `√(Σ_t p_t²)` `[rows]`: 1 where one token has all the weight, 1/√n where n share it. */
  readonly weightNorm: Float64Array;
  /**
   * What a sum of all weights in f32 need not notice, as a share of it `[rows]`: weights below u, and differences
   * between weights where they are smaller than those between floats at the sum.
   */
  readonly vanishing: Float64Array;
  /**
   * Largest size of a value's element over the tokens `[rows]`: what weights too small for f16 move is in its measure.
   */
  readonly valueMost: Float64Array;
  /**
   * `|scale|·max_d|q_d|·max_t‖1+|k_t|‖` `[rows]`: the measure of what a score loses where elements of the query and
   * sums are too small for f16.
   */
  readonly scoreReach: Float64Array;
  /** Tokens that the row sees `[rows]`: the length of its sums. */
  readonly seen: Int32Array;
}

/** Rows against the keys of one sequence, all in f64. */
export interface LatentAttention {
  /** Queries, latent part first `[rows, W]`. */
  readonly queries: Float64Array;
  /** Keys, latent part first `[≥ max(seen), W]`. */
  readonly keys: Float64Array;
  /** Tokens that each row sees, the first ones `[rows]`. */
  readonly seen: ArrayLike<number>;
  /** Width of the latent part. */
  readonly R: number;
  /** Width of a key, `R + Dr`. */
  readonly W: number;
  /** Softmax scale. */
  readonly scale: number;
}

/** Rows whose scores and sums are kept at once; bounds the memory for long sequences. */
const ROW_BLOCK = 64;
/** Keys that stay in the cache of a core while the rows of a block pass over them: 64·576 f64 are 288 KiB. */
const KEY_BLOCK = 64;

/** Absorbed attention over f64 rows; `rows` of the result counts from 0. */
export function attendLatent(attention: LatentAttention): AttendReference {
  const { seen, R } = attention;
  const n = seen.length;
  const result: AttendReference = {
    rows: Int32Array.from({ length: n }, (_, row) => row),
    out: new Float64Array(n * R),
    lse: new Float64Array(n),
    outAbs: new Float64Array(n * R),
    scoreAbs: new Float64Array(n),
    rescalings: new Float64Array(n),
    weightNorm: new Float64Array(n),
    vanishing: new Float64Array(n),
    valueMost: new Float64Array(n),
    scoreReach: new Float64Array(n),
    seen: Int32Array.from(seen),
  };
  measureKeys(attention, result);
  let longest = 0;
  for (let row = 0; row < n; row++) longest = Math.max(longest, result.seen[row]);
  const scores = new Float64Array(Math.min(ROW_BLOCK, n) * longest);
  for (let first = 0; first < n; first += ROW_BLOCK) {
    const end = Math.min(n, first + ROW_BLOCK);
    for (let key = 0; key < longest; key += KEY_BLOCK) {
      for (let row = first; row < end; row++) {
        scoreKeys(attention, result, row, key, scores, (row - first) * longest);
      }
    }
    for (let row = first; row < end; row++) {
      const at = (row - first) * longest;
      const { lse, rescalings, weightNorm, vanishing } = softmax(scores.subarray(at, at + result.seen[row]));
      result.lse[row] = lse;
      result.rescalings[row] = rescalings;
      result.weightNorm[row] = weightNorm;
      result.vanishing[row] = vanishing;
    }
    for (let key = 0; key < longest; key += KEY_BLOCK) {
      for (let row = first; row < end; row++) {
        addValues(attention, result, row, key, scores, (row - first) * longest);
      }
    }
  }
  return result;
}

/** Largest sizes over the keys that each row sees: every key is looked at once, by ascending number. */
function measureKeys({ queries, keys, W, R, scale }: LatentAttention, { seen, ...result }: AttendReference): void {
  let token = 0, valueMost = 0, squaresMost = 0;
  for (const row of [...seen.keys()].sort((a, b) => seen[a] - seen[b])) {
    for (; token < seen[row]; token++) {
      let squares = 0;
      for (let d = 0; d < W; d++) {
        const size = Math.abs(keys[token * W + d]);
        squares += (1 + size) ** 2;
        if (d < R && size > valueMost) valueMost = size;
      }
      squaresMost = Math.max(squaresMost, squares);
    }
    let queryMost = 0;
    for (let d = row * W; d < (row + 1) * W; d++) queryMost = Math.max(queryMost, Math.abs(queries[d]));
    result.valueMost[row] = valueMost;
    result.scoreReach[row] = Math.abs(scale) * queryMost * Math.sqrt(squaresMost);
  }
}

/**
 * Scores of one row against a block of keys, four keys at a time so that each query element is loaded once for four.
 */
function scoreKeys(
  { queries, keys, W, scale }: LatentAttention,
  { scoreAbs, seen }: AttendReference,
  row: number,
  first: number,
  scores: Float64Array,
  at: number,
): void {
  const end = Math.min(first + KEY_BLOCK, seen[row]);
  const q = row * W;
  let largest = 0;
  let token = first;
  for (; token + 3 < end; token += 4) {
    const k0 = token * W, k1 = k0 + W, k2 = k1 + W, k3 = k2 + W;
    let s0 = 0, s1 = 0, s2 = 0, s3 = 0, a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    for (let d = 0; d < W; d++) {
      const x = queries[q + d];
      const p0 = x * keys[k0 + d];
      const p1 = x * keys[k1 + d];
      const p2 = x * keys[k2 + d];
      const p3 = x * keys[k3 + d];
      s0 += p0;
      s1 += p1;
      s2 += p2;
      s3 += p3;
      a0 += Math.abs(p0);
      a1 += Math.abs(p1);
      a2 += Math.abs(p2);
      a3 += Math.abs(p3);
    }
    scores[at + token] = s0 * scale;
    scores[at + token + 1] = s1 * scale;
    scores[at + token + 2] = s2 * scale;
    scores[at + token + 3] = s3 * scale;
    largest = Math.max(largest, a0, a1, a2, a3);
  }
  for (; token < end; token++) {
    let s = 0, a = 0;
    for (let d = 0; d < W; d++) {
      const p = queries[q + d] * keys[token * W + d];
      s += p;
      a += Math.abs(p);
    }
    scores[at + token] = s * scale;
    largest = Math.max(largest, a);
  }
  scoreAbs[row] = Math.max(scoreAbs[row], largest * Math.abs(scale));
}

/** Figures of one row of {@linkcode AttendReference}. */
type RowFigures = Readonly<Record<"lse" | "rescalings" | "weightNorm" | "vanishing", number>>;

/** Replaces scores by their softmax; the log-sum-exp is −Infinity when there are none. */
function softmax(scores: Float64Array): RowFigures {
  let maximum = -Infinity;
  let moves = 0;
  for (let t = 0; t < scores.length; t++) {
    if (scores[t] > maximum) {
      maximum = scores[t];
      moves++;
    }
  }
  let sum = 0, rescaled = 0, squares = 0;
  for (let t = 0, running = -Infinity; t < scores.length; t++) {
    if (scores[t] > running) {
      running = scores[t];
      moves--;
    }
    const weight = Math.exp(scores[t] - maximum);
    scores[t] = weight;
    sum += weight;
    rescaled += weight * moves;
    squares += weight * weight;
  }
  for (let t = 0; t < scores.length; t++) scores[t] /= sum;
  const some = sum > 0;
  return {
    lse: maximum + Math.log(sum),
    rescalings: some ? rescaled / sum : 0,
    weightNorm: some ? Math.sqrt(squares) / sum : 0,
    vanishing: some ? unnoticed(scores, sum) : 0,
  };
}

/**
 * `Σ_t p_t` of the weights below u, and, where all weights differ by less than floats do at their sum, how much smaller
 * than the largest they are on average.
 *
 * @param sum Sum of the weights when the largest is 1.
 */
function unnoticed(weights: Float64Array, sum: number): number {
  let small = 0;
  for (let t = 0; t < weights.length; t++) {
    if (weights[t] < U32) small += weights[t];
  }
  const spacing = weights.length * U32;
  const differences = 1 - sum / weights.length;
  return small + (differences < 2 * spacing ? Math.min(differences, spacing / 2) : 0);
}

/** Adds the weighted values of a block of keys to the outputs of one row, four keys at a time. */
function addValues(
  { keys, W, R }: LatentAttention,
  { out, outAbs, seen }: AttendReference,
  row: number,
  first: number,
  weights: Float64Array,
  at: number,
): void {
  const end = Math.min(first + KEY_BLOCK, seen[row]);
  const o = row * R;
  let token = first;
  for (; token + 3 < end; token += 4) {
    const k0 = token * W, k1 = k0 + W, k2 = k1 + W, k3 = k2 + W;
    const w0 = weights[at + token];
    const w1 = weights[at + token + 1];
    const w2 = weights[at + token + 2];
    const w3 = weights[at + token + 3];
    for (let d = 0; d < R; d++) {
      const p0 = w0 * keys[k0 + d];
      const p1 = w1 * keys[k1 + d];
      const p2 = w2 * keys[k2 + d];
      const p3 = w3 * keys[k3 + d];
      out[o + d] += p0 + p1 + (p2 + p3);
      outAbs[o + d] += Math.abs(p0) + Math.abs(p1) + (Math.abs(p2) + Math.abs(p3));
    }
  }
  for (; token < end; token++) {
    const w = weights[at + token];
    for (let d = 0; d < R; d++) {
      const p = w * keys[token * W + d];
      out[o + d] += p;
      outAbs[o + d] += Math.abs(p);
    }
  }
}

/**
 * The reference of one `attend`, on the values that the cache holds after rounding to its dtype. Only slots of tokens
 * that some row sees are read.
 *
 * @param rows Rows to compute, in any order (ascending is fastest). @default every row
 * @throws {RangeError} If a row does not exist, or a page that must be read lies outside the cache.
 */
export function attendAbsorbed(inputs: AttendInputs, rows?: Int32Array): AttendReference {
  const { shape, qLatent, qPe } = inputs;
  const { R, Dr } = shape;
  const W = R + Dr;
  const wanted = Int32Array.from(rows ?? allRows(shape));
  const n = wanted.length;
  const result: AttendReference = {
    rows: wanted,
    out: new Float64Array(n * R),
    lse: new Float64Array(n),
    outAbs: new Float64Array(n * R),
    scoreAbs: new Float64Array(n),
    rescalings: new Float64Array(n),
    weightNorm: new Float64Array(n),
    vanishing: new Float64Array(n),
    valueMost: new Float64Array(n),
    scoreReach: new Float64Array(n),
    seen: new Int32Array(n),
  };
  for (const { first, end, seen, keys } of rowsBySequence(inputs, wanted)) {
    const queries = new Float64Array(seen.length * W);
    for (let i = first; i < end; i++) {
      const row = wanted[i];
      queries.set(qLatent.subarray(row * R, (row + 1) * R), (i - first) * W);
      queries.set(qPe.subarray(row * Dr, (row + 1) * Dr), (i - first) * W + R);
    }
    const part = attendLatent({ queries, keys, seen, R, W, scale: shape.scale });
    result.out.set(part.out, first * R);
    result.outAbs.set(part.outAbs, first * R);
    result.lse.set(part.lse, first);
    result.scoreAbs.set(part.scoreAbs, first);
    result.rescalings.set(part.rescalings, first);
    result.weightNorm.set(part.weightNorm, first);
    result.vanishing.set(part.vanishing, first);
    result.valueMost.set(part.valueMost, first);
    result.scoreReach.set(part.scoreReach, first);
    result.seen.set(part.seen, first);
  }
  return result;
}
