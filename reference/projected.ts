/**
 * What `prefill` and `mla` compute, in f64, row by row by absorption: `q_latent = q_nope·W_k`, latent attention over the
 * cached tokens (`mla.ts`), `out = W_v·latent`. A row costs no more than its own tokens and two small products, so single
 * rows of long prefills can be verified. `expanded.ts` is the independent second formulation.
 *
 * Beside the answer it gives what the error bounds of a kernel are made of, of one that absorbs as of one that unfolds keys
 * and values. The magnitudes of the unfolded ones are not at hand here; where they are needed, inequalities of Cauchy and
 * Schwarz with the norms of weights and tokens stand for them (`bounds.ts`).
 *
 * @module
 */
import { attendLatent } from "./mla.ts";
import type { PrefillInputs } from "./model_inputs.ts";
import { allRows, groupByHead } from "./rows.ts";
import { rowsBySequence } from "./sequence_rows.ts";
import { headWeights, matrixNorms, type Weights } from "./weights.ts";

/** What `prefill` or a call of `mla` must answer, and what its error bounds are made of. */
export interface ProjectedReference {
  /** The rows that follow, `(query token of the batch)·H + head`. */
  readonly rows: Int32Array;
  /** Output `[rows, Dv]`; zero where a row sees no token. */
  readonly out: Float64Array;
  /** Natural logarithm of the sum of exponentials `[rows]`; −Infinity where a row sees no token. */
  readonly lse: Float64Array;
  /** `Σ_r |W_vr|·Σ_t p_t·|c_tr|` `[rows, Dv]`: no sum that makes `out` has larger terms. */
  readonly outAbs: Float64Array;
  /** `‖W_v‖·max_t ‖c_t‖·√(Σ_t p_t²)` or `outAbs`, the smaller `[rows, Dv]`: for errors that differ from token to token. */
  readonly outSpread: Float64Array;
  /** `Σ_r |W_vr·latent_r|` `[rows, Dv]`: the condition of the projection of the latent output. */
  readonly latentAbs: Float64Array;
  /** `|scale|·max_t Σ|q·k_t|` over the R+Dr products of the absorbed score `[rows]`. */
  readonly scoreAbs: Float64Array;
  /** `|scale|·‖q_nope‖·max_r ‖W_·r‖·max_t ‖c_t‖` `[rows]`: bounds `‖a∘c_t‖`, with `a` the condition of `q_latent`. */
  readonly absorbNorm: Float64Array;
  /** `|scale|·(‖q_nope‖·‖W_k‖·max_t ‖c_t‖ + ‖q_pe‖·max_t ‖k_t‖)` `[rows]`: bounds the Dn+Dr products of the expanded score. */
  readonly keyAbs: Float64Array;
  /** `|scale|·√(Σ_d q_d²·‖W_d‖²)·max_t ‖c_t‖` `[rows]`: bounds `‖q∘b_t‖`, with `b_t` the condition of the unfolded key. */
  readonly unfoldNorm: Float64Array;
  /** As `AttendReference.rescalings` `[rows]`. */
  readonly rescalings: Float64Array;
  /** Tokens that the row sees `[rows]`: the length of its sums. */
  readonly seen: Int32Array;
}

/** Rows whose latents are kept at once, 15 KB each at R = 512; every block decodes each head's weights anew. */
const ROW_BLOCK = 2048;

/**
 * The reference of one `prefill`, on the values that cache and weight hold after rounding to their dtypes.
 *
 * @param rows Rows to compute, in any order (ascending is fastest). @default every row
 * @throws {RangeError} If a row does not exist, or a page that must be read lies outside the cache.
 */
export function attendProjected(inputs: PrefillInputs, rows?: Int32Array): ProjectedReference {
  const wanted = Int32Array.from(rows ?? allRows(inputs.shape));
  const result = emptyReference(wanted, inputs.shape.Dv);
  for (let first = 0; first < wanted.length; first += ROW_BLOCK) {
    const block = wanted.subarray(first, first + ROW_BLOCK);
    const byHead = groupByHead(block, inputs.shape.H);
    const queries = absorbRows(inputs, result, first, byHead);
    const latent = attendRows(inputs, result, first, block, queries);
    projectRows(inputs, result, first, byHead, latent);
  }
  return result;
}

function emptyReference(rows: Int32Array, Dv: number): ProjectedReference {
  const n = rows.length;
  const perRow = () => new Float64Array(n);
  const perElement = () => new Float64Array(n * Dv);
  return {
    rows,
    out: perElement(),
    lse: perRow(),
    outAbs: perElement(),
    outSpread: perElement(),
    latentAbs: perElement(),
    scoreAbs: perRow(),
    absorbNorm: perRow(),
    keyAbs: perRow(),
    unfoldNorm: perRow(),
    rescalings: perRow(),
    seen: new Int32Array(n),
  };
}

function weightsOf({ shape, kvB }: PrefillInputs): Weights {
  return { ...shape, kvB };
}

/** Queries of a block of rows, latent part first `[rows, R+Dr]`; norms of them go into `result`. */
function absorbRows(
  inputs: PrefillInputs,
  result: ProjectedReference,
  first: number,
  byHead: ReadonlyMap<number, readonly number[]>,
): Float64Array {
  const { shape, qNope, qPe } = inputs;
  const { R, Dr, Dn } = shape;
  const W = R + Dr;
  const scale = Math.abs(shape.scale);
  const entries = [...byHead.values()].reduce((sum, group) => sum + group.length, 0);
  const queries = new Float64Array(entries * W);
  for (const [head, group] of byHead) {
    const keyWeights = headWeights(weightsOf(inputs), "k", head);
    const { rowSquares, largestColumn, spectral } = matrixNorms(keyWeights, R);
    for (const i of group) {
      const row = result.rows[first + i];
      const query = queries.subarray(i * W, (i + 1) * W);
      let squares = 0, unfoldSquares = 0;
      for (let d = 0; d < Dn; d++) {
        const x = qNope[row * Dn + d];
        squares += x * x;
        unfoldSquares += x * x * rowSquares[d];
        for (let r = 0; r < R; r++) query[r] += x * keyWeights[d * R + r];
      }
      query.set(qPe.subarray(row * Dr, (row + 1) * Dr), R);
      const length = Math.sqrt(squares);
      // What they are multiplied with, the norms of tokens, follows in attendRows().
      result.absorbNorm[first + i] = scale * length * largestColumn;
      result.unfoldNorm[first + i] = scale * Math.sqrt(unfoldSquares);
      result.keyAbs[first + i] = scale * length * spectral;
    }
  }
  return queries;
}

/** Latent attention of a block of rows. */
interface BlockLatents {
  /** Latent output `[rows, R]`. */
  readonly out: Float64Array;
  /** Its condition `[rows, R]`. */
  readonly outAbs: Float64Array;
  /** `max_t ‖c_t‖·√(Σ_t p_t²)` `[rows]`. */
  readonly spread: Float64Array;
}

function attendRows(
  inputs: PrefillInputs,
  result: ProjectedReference,
  first: number,
  block: Int32Array,
  queries: Float64Array,
): BlockLatents {
  const { R, Dr, scale } = inputs.shape;
  const W = R + Dr;
  const latents = {
    out: new Float64Array(block.length * R),
    outAbs: new Float64Array(block.length * R),
    spread: new Float64Array(block.length),
  };
  for (const run of rowsBySequence(inputs, block)) {
    const { seen, keys } = run;
    const part = attendLatent({ queries: queries.subarray(run.first * W, run.end * W), keys, seen, R, W, scale });
    latents.out.set(part.out, run.first * R);
    latents.outAbs.set(part.outAbs, run.first * R);
    result.lse.set(part.lse, first + run.first);
    result.scoreAbs.set(part.scoreAbs, first + run.first);
    result.rescalings.set(part.rescalings, first + run.first);
    result.seen.set(part.seen, first + run.first);
    const latentNorms = runningNorms(keys, W, 0, R);
    const ropeNorms = runningNorms(keys, W, R, W);
    part.seen.forEach((n, i) => {
      const at = first + run.first + i;
      const latentNorm = latentNorms[n], ropeNorm = ropeNorms[n];
      const rope = queries.subarray((run.first + i) * W + R, (run.first + i + 1) * W);
      result.absorbNorm[at] *= latentNorm;
      result.unfoldNorm[at] *= latentNorm;
      result.keyAbs[at] = result.keyAbs[at] * latentNorm + Math.abs(scale) * Math.hypot(...rope) * ropeNorm;
      latents.spread[run.first + i] = latentNorm * part.weightNorm[i];
    });
  }
  return latents;
}

/** Largest Euclidean norm of elements `from … to − 1` of the first n keys, for n = 0, 1, …. */
function runningNorms(keys: Float64Array, W: number, from: number, to: number): Float64Array {
  const norms = new Float64Array(keys.length / W + 1);
  for (let n = 1; n < norms.length; n++) {
    let squares = 0;
    for (let d = from; d < to; d++) squares += keys[(n - 1) * W + d] ** 2;
    norms[n] = Math.max(norms[n - 1], Math.sqrt(squares));
  }
  return norms;
}

function projectRows(
  inputs: PrefillInputs,
  result: ProjectedReference,
  first: number,
  byHead: ReadonlyMap<number, readonly number[]>,
  { out, outAbs, spread }: BlockLatents,
): void {
  const { R, Dv } = inputs.shape;
  for (const [head, group] of byHead) {
    const valueWeights = headWeights(weightsOf(inputs), "v", head);
    for (let v = 0; v < Dv; v++) {
      const weights = valueWeights.subarray(v * R, (v + 1) * R);
      let squares = 0;
      for (let r = 0; r < R; r++) squares += weights[r] ** 2;
      for (const i of group) {
        let sum = 0, sumAbs = 0, latentAbs = 0;
        for (let r = 0; r < R; r++) {
          const product = weights[r] * out[i * R + r];
          sum += product;
          latentAbs += Math.abs(product);
          sumAbs += Math.abs(weights[r]) * outAbs[i * R + r];
        }
        const at = (first + i) * Dv + v;
        result.out[at] = sum;
        result.outAbs[at] = sumAbs;
        result.latentAbs[at] = latentAbs;
        result.outSpread[at] = Math.min(sumAbs, Math.sqrt(squares) * spread[i]);
      }
    }
  }
}
