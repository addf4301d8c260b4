/**
 * What `prefill` and `mla` compute, in f64, row by row by absorption: `q_latent = q_nope·W_k`, latent attention over
 * the cached tokens (`mla.ts`), `out = W_v·latent`. A row costs no more than its own tokens and two small products, so
 * single rows of long prefills can be verified. `expanded.ts` is the independent second formulation.
 *
 * Beside the answer it gives what the error bounds of a kernel are made of (`bounds.ts`), of one that absorbs as of one
 * that unfolds keys and values: Euclidean norms of the products in each sum. Keys and values of the second form are not
 * at hand here. Their sizes are taken from those of weights and latents: with `ĉ` the size of each latent element
 * over the tokens that the row sees (`column_sizes.ts`), an unfolded element is of size `‖W_d∘ĉ‖`, as where the
 * latent's columns are uncorrelated.
 *
 * @module
 */
import { ColumnSizes } from "./column_sizes.ts";
import { attendLatent } from "./mla.ts";
import type { PrefillInputs } from "./model_inputs.ts";
import { allRows, groupByHead } from "./rows.ts";
import { rowsBySequence } from "./sequence_rows.ts";
import { fourthNorm, fourthNorms, headWeights } from "./weights.ts";

export { projectedFlops, sampleProjectedRows } from "./rows.ts";

/** What `prefill` or a call of `mla` must answer, and what its error bounds are made of. */
export interface ProjectedReference {
  /** The rows that follow, `(query token of the batch)·H + head`. */
  readonly rows: Int32Array;
  /** Output `[rows, Dv]`; zero where a row sees no token. */
  readonly out: Float64Array;
  /** Natural logarithm of the sum of exponentials `[rows]`; −Infinity where a row sees no token. */
  readonly lse: Float64Array;
  /** `‖W_v∘ĉ‖` `[rows, Dv]`: size of an unfolded value, and norm of the R products that make it. */
  readonly valueNorm: Float64Array;
  /** `‖W_v∘latent‖` `[rows, Dv]`: norm of the R products that project the latent output. */
  readonly latentNorm: Float64Array;
  /** `|scale|·‖q_latent∘ĉ, q_pe∘k̂‖` `[rows]`: norm of the R+Dr products of an absorbed score. */
  readonly scoreNorm: Float64Array;
  /** The same of the errors of `q_latent`, in units of those of a sum of Dn products `[rows]`. */
  readonly absorbNorm: Float64Array;
  /** `|scale|·‖q_nope∘key, q_pe∘k̂‖` `[rows]`: norm of the Dn+Dr products of an expanded score. */
  readonly keyNorm: Float64Array;
  /** The same of the errors of the unfolded key, in units of those of a sum of R products `[rows]`. */
  readonly unfoldNorm: Float64Array;
  /** As `AttendReference.rescalings` `[rows]`. */
  readonly rescalings: Float64Array;
  /** As `AttendReference.weightNorm` `[rows]`. */
  readonly weightNorm: Float64Array;
  /** As `AttendReference.vanishing` `[rows]`. */
  readonly vanishing: Float64Array;
  /** As `AttendReference.valueMost` `[rows]`, of latents. */
  readonly valueMost: Float64Array;
  /** As `AttendReference.scoreReach` `[rows]`, absorbed. */
  readonly scoreReach: Float64Array;
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
  const { shape } = inputs;
  const wanted = Int32Array.from(rows ?? allRows(shape));
  const result = emptyReference(wanted, shape.Dv);
  for (let first = 0; first < wanted.length; first += ROW_BLOCK) {
    const block: RowBlock = {
      inputs,
      result,
      first,
      rows: wanted.subarray(first, first + ROW_BLOCK),
      byHead: groupByHead(wanted.subarray(first, first + ROW_BLOCK), shape.H),
    };
    projectOutputs(block, attendQueries(block, absorbQueries(block)));
  }
  return result;
}

function emptyReference(rows: Int32Array, Dv: number): ProjectedReference {
  const perRow = () => new Float64Array(rows.length);
  const perElement = () => new Float64Array(rows.length * Dv);
  return {
    rows,
    out: perElement(),
    lse: perRow(),
    valueNorm: perElement(),
    latentNorm: perElement(),
    scoreNorm: perRow(),
    absorbNorm: perRow(),
    keyNorm: perRow(),
    unfoldNorm: perRow(),
    rescalings: perRow(),
    weightNorm: perRow(),
    vanishing: perRow(),
    valueMost: perRow(),
    scoreReach: perRow(),
    seen: new Int32Array(rows.length),
  };
}

/** Rows that are worked on together, entries `first`, `first + 1`, … of the result. */
interface RowBlock {
  readonly inputs: PrefillInputs;
  readonly result: ProjectedReference;
  readonly first: number;
  readonly rows: Int32Array;
  /** Entries of `rows` by head. */
  readonly byHead: ReadonlyMap<number, readonly number[]>;
}

/** Queries of a block. */
interface BlockQueries {
  /** Latent part first `[rows, R+Dr]`. */
  readonly queries: Float64Array;
  /** `‖q_nope‖₄·‖W_·r‖₄`, at least the norm of the Dn products of element r of `q_latent` `[rows, R]`. */
  readonly absorbSizes: Float64Array;
  /** `√(Σ_d q_d²·‖W_d‖₄²)` `[rows]`; times `‖ĉ‖₄` it is at least `‖q_nope∘key‖`. */
  readonly keySizes: Float64Array;
}

function absorbQueries({ inputs, rows, byHead }: RowBlock): BlockQueries {
  const { shape, qNope, qPe, kvB } = inputs;
  const { R, Dr, Dn } = shape;
  const W = R + Dr;
  const queries = new Float64Array(rows.length * W);
  const absorbSizes = new Float64Array(rows.length * R);
  const keySizes = new Float64Array(rows.length);
  for (const [head, entries] of byHead) {
    const weights = headWeights({ ...shape, kvB }, "k", head);
    const norms = fourthNorms(weights, R);
    for (const i of entries) {
      const query = queries.subarray(i * W, (i + 1) * W);
      const nope = qNope.subarray(rows[i] * Dn, (rows[i] + 1) * Dn);
      for (let d = 0; d < Dn; d++) {
        const x = nope[d];
        keySizes[i] += x * x * norms.rows[d] * norms.rows[d];
        for (let r = 0; r < R; r++) query[r] += x * weights[d * R + r];
      }
      keySizes[i] = Math.sqrt(keySizes[i]);
      const size = fourthNorm(nope);
      for (let r = 0; r < R; r++) absorbSizes[i * R + r] = size * norms.columns[r];
      query.set(qPe.subarray(rows[i] * Dr, (rows[i] + 1) * Dr), R);
    }
  }
  return { queries, absorbSizes, keySizes };
}

/** Latent attention of a block. */
interface BlockLatents {
  /** Latent output `[rows, R]`. */
  readonly out: Float64Array;
  /** `‖ĉ‖₄` `[rows]`. */
  readonly latentSizes: Float64Array;
}

function attendQueries({ inputs, result, first, rows }: RowBlock, block: BlockQueries): BlockLatents {
  const { R, Dr, scale } = inputs.shape;
  const W = R + Dr;
  const out = new Float64Array(rows.length * R);
  const latentSizes = new Float64Array(rows.length);
  for (const { first: from, end, seen, keys } of rowsBySequence(inputs, rows)) {
    const queries = block.queries.subarray(from * W, end * W);
    const part = attendLatent({ queries, keys, seen, R, W, scale });
    out.set(part.out, from * R);
    result.lse.set(part.lse, first + from);
    result.rescalings.set(part.rescalings, first + from);
    result.weightNorm.set(part.weightNorm, first + from);
    result.vanishing.set(part.vanishing, first + from);
    result.valueMost.set(part.valueMost, first + from);
    result.scoreReach.set(part.scoreReach, first + from);
    result.seen.set(part.seen, first + from);
    for (const { entry, latent: sizes, rope: ropeSizes } of sizesSeen(keys, R, Dr, seen)) {
      const i = from + entry;
      const query = block.queries.subarray(i * W, (i + 1) * W);
      latentSizes[i] = fourthNorm(sizes);
      const latent = productSquares(query, sizes);
      const rope = productSquares(query.subarray(R), ropeSizes);
      const absorbed = productSquares(block.absorbSizes.subarray(i * R, (i + 1) * R), sizes);
      const key = (block.keySizes[i] * latentSizes[i]) ** 2;
      result.scoreNorm[first + i] = Math.abs(scale) * Math.sqrt(latent + rope);
      result.absorbNorm[first + i] = Math.abs(scale) * Math.sqrt(absorbed + latent);
      result.keyNorm[first + i] = Math.abs(scale) * Math.sqrt(key + rope);
      result.unfoldNorm[first + i] = Math.abs(scale) * Math.sqrt(2 * key);
    }
  }
  return { out, latentSizes };
}

/** Sizes of the elements of the keys that each entry of `seen` sees, by ascending number: each key is gathered once. */
function* sizesSeen(keys: Float64Array, R: number, Dr: number, seen: readonly number[]) {
  const W = R + Dr;
  const [latents, ropes] = [new ColumnSizes(R), new ColumnSizes(Dr)];
  let [latent, rope] = [latents.sizes(), ropes.sizes()];
  for (const entry of [...seen.keys()].sort((a, b) => seen[a] - seen[b])) {
    const grows = latents.count < seen[entry];
    while (latents.count < seen[entry]) {
      ropes.add(keys, latents.count * W + R);
      latents.add(keys, latents.count * W);
    }
    if (grows) [latent, rope] = [latents.sizes(), ropes.sizes()];
    yield { entry, latent, rope };
  }
}

/** `‖a∘b‖²` over the elements of `b`. */
function productSquares(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let d = 0; d < b.length; d++) sum += (a[d] * b[d]) ** 2;
  return sum;
}

function projectOutputs({ inputs, result, first, byHead }: RowBlock, { out, latentSizes }: BlockLatents): void {
  const { shape, kvB } = inputs;
  const { R, Dv } = shape;
  for (const [head, entries] of byHead) {
    const weights = headWeights({ ...shape, kvB }, "v", head);
    const norms = fourthNorms(weights, R).rows;
    for (const i of entries) {
      for (let v = 0; v < Dv; v++) {
        let sum = 0, squares = 0;
        for (let r = 0; r < R; r++) {
          const product = weights[v * R + r] * out[i * R + r];
          sum += product;
          squares += product * product;
        }
        const at = (first + i) * Dv + v;
        result.out[at] = sum;
        result.latentNorm[at] = Math.sqrt(squares);
        result.valueNorm[at] = norms[v] * latentSizes[i];
      }
    }
  }
}
