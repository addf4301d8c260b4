/**
 * Rows of a `prefill` or a call of `mla` as kernels of both forms compute them, and how far they are from the reference.
 *
 * The absorbed form is emulated on rows of the batch. Unfolding keys and values costs Dn+Dv sums of R for each token and head,
 * a hundred times a row, so the expanded form is emulated on probes: small batches of one head and the first tokens of one
 * sequence, asked by many of the batch's queries. What an error is of its bound depends little on the number of tokens.
 *
 * @module
 */
import { type Arithmetic, F32, kernelArithmetic, type KernelPrecision, type Vectors } from "./arithmetic.ts";
import { DTYPE_BYTES } from "./dtypes.ts";
import { emulatedLse, emulateRow } from "./emulated_row.ts";
import { type EmulatedAnswer, inBase } from "./emulate_attend.ts";
import { projectedScales } from "./error_scales.ts";
import { type Emulation, errorInScales, poolOf } from "./emulation.ts";
import type { PrefillInputs } from "./model_inputs.ts";
import { attendProjected, type ProjectedReference } from "./projected.ts";
import { groupByHead } from "./rows.ts";
import { rowsBySequence } from "./sequence_rows.ts";
import type { PrefillShape } from "./shapes.ts";
import { headWeights } from "./weights.ts";

/** Form of a kernel. */
export type EmulatedForm = "absorbed" | "expanded";

/** Emulates `rows` of `inputs` on each of `kernels`, in any order; rows that see no token are left out. */
export function emulateProjectedRows(
  inputs: PrefillInputs,
  rows: Int32Array,
  form: EmulatedForm,
  kernels: readonly Arithmetic[],
): Iterable<EmulatedAnswer> {
  return (form === "absorbed" ? absorbedRows : expandedRows)(inputs, rows, kernels);
}

/** Queries by W_k, latent attention, its output by W_v: weights of a head and keys of a sequence are decoded once. */
function* absorbedRows(
  inputs: PrefillInputs,
  rows: Int32Array,
  kernels: readonly Arithmetic[],
): Generator<EmulatedAnswer> {
  const { shape, kvB } = inputs;
  const { H, R, Dr, Dv, scale } = shape;
  const W = R + Dr;
  const queries = absorbedQueries(inputs, rows, kernels);
  const latents: { readonly out: Float64Array; readonly lse: number }[][] = kernels.map(() => []);
  for (const { first, seen, keys } of rowsBySequence(inputs, rows)) {
    const vectors = { values: keys, stride: W };
    for (const [kernel, arithmetic] of kernels.entries()) {
      for (let i = 0; i < seen.length; i++) {
        if (seen[i] === 0) continue;
        const query = queries[kernel].subarray((first + i) * W, (first + i + 1) * W);
        const row = { query, keys: vectors, values: vectors, width: R, seen: seen[i], scale };
        const answer = emulateRow(row, arithmetic);
        latents[kernel][first + i] = { out: answer.out, lse: inBase(shape, emulatedLse(answer, arithmetic)) };
      }
    }
  }
  for (const [head, entries] of groupByHead(rows, H)) {
    const weights = { values: headWeights({ ...shape, kvB }, "v", head), stride: R };
    for (const [kernel, { dots }] of kernels.entries()) {
      for (const entry of entries) {
        const latent = latents[kernel][entry];
        if (!latent) continue;
        const out = new Float64Array(Dv);
        dots(latent.out, weights, out);
        yield { kernel, entry, out, lse: latent.lse };
      }
    }
  }
}

/** Queries of every kernel, latent part first `[rows, R+Dr]`. */
function absorbedQueries(
  { shape, qNope, qPe, kvB }: PrefillInputs,
  rows: Int32Array,
  kernels: readonly Arithmetic[],
): Float64Array[] {
  const { H, R, Dr, Dn } = shape;
  const W = R + Dr;
  const queries = kernels.map(() => new Float64Array(rows.length * W));
  for (const [head, entries] of groupByHead(rows, H)) {
    const columns = { values: transposed(headWeights({ ...shape, kvB }, "k", head), R), stride: Dn };
    for (const entry of entries) {
      const nope = Float64Array.from(qNope.subarray(rows[entry] * Dn, (rows[entry] + 1) * Dn));
      for (const [kernel, { dots }] of kernels.entries()) {
        dots(nope, columns, queries[kernel].subarray(entry * W, entry * W + R));
        queries[kernel].set(qPe.subarray(rows[entry] * Dr, (rows[entry] + 1) * Dr), entry * W + R);
      }
    }
  }
  return queries;
}

/** Keys and values of a head, then attention. */
function* expandedRows(
  inputs: PrefillInputs,
  rows: Int32Array,
  kernels: readonly Arithmetic[],
): Generator<EmulatedAnswer> {
  const { shape, qNope, qPe, kvB } = inputs;
  const { H, Dr, Dn, Dv, scale } = shape;
  const width = Dn + Dr;
  const query = new Float64Array(width);
  for (const [head, entries] of groupByHead(rows, H)) {
    const own = Int32Array.from(entries, (entry) => rows[entry]);
    const keyWeights = headWeights({ ...shape, kvB }, "k", head),
      valueWeights = headWeights({ ...shape, kvB }, "v", head);
    for (const { first, seen, keys } of rowsBySequence(inputs, own)) {
      for (const [kernel, arithmetic] of kernels.entries()) {
        const unfolded = unfold(shape, keys, keyWeights, valueWeights, arithmetic);
        for (let i = 0; i < seen.length; i++) {
          if (seen[i] === 0) continue;
          const row = own[first + i];
          query.set(qNope.subarray(row * Dn, (row + 1) * Dn));
          query.set(qPe.subarray(row * Dr, (row + 1) * Dr), Dn);
          const answer = emulateRow({ query, ...unfolded, width: Dv, seen: seen[i], scale }, arithmetic);
          const lse = inBase(shape, emulatedLse(answer, arithmetic));
          yield { kernel, entry: entries[first + i], out: answer.out, lse };
        }
      }
    }
  }
}

/** Keys `[tokens, Dn+Dr]` and values `[tokens, Dv]` of a head from those of the cache. */
function unfold(
  { R, Dr, Dn, Dv }: PrefillShape,
  cached: Float64Array,
  keyWeights: Float64Array,
  valueWeights: Float64Array,
  { dots }: Arithmetic,
): { readonly keys: Vectors; readonly values: Vectors } {
  const W = R + Dr, width = Dn + Dr;
  const tokens = cached.length / W;
  const keys = new Float64Array(tokens * width), values = new Float64Array(tokens * Dv);
  for (let t = 0; t < tokens; t++) {
    const latent = cached.subarray(t * W, t * W + R);
    dots(latent, { values: keyWeights, stride: R }, keys.subarray(t * width, t * width + Dn));
    keys.set(cached.subarray(t * W + R, (t + 1) * W), t * width + Dn);
    dots(latent, { values: valueWeights, stride: R }, values.subarray(t * Dv, (t + 1) * Dv));
  }
  return { keys: { values: keys, stride: width }, values: { values, stride: Dv } };
}

/** The transpose of a matrix of `columns` columns. */
export function transposed(matrix: Float64Array, columns: number): Float64Array {
  const rows = matrix.length / columns;
  const result = new Float64Array(matrix.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) result[j * rows + i] = matrix[i * columns + j];
  }
  return result;
}

/**
 * Errors of both forms in several variants of a kernel, in units of their scales: absorbed of the rows of `reference`,
 * expanded of probes.
 */
export function emulateProjected(
  inputs: PrefillInputs,
  reference: ProjectedReference,
  variants: readonly number[],
  precision: KernelPrecision = F32,
): Emulation {
  const draws: Draws = { shape: [], out: [], lse: [] };
  emulateInto(draws, inputs, reference, "absorbed", variants, precision);
  for (const probe of expandedProbes(inputs, reference.weightNorm)) {
    emulateInto(draws, probe, attendProjected(probe), "expanded", variants.slice(0, PROBE_VARIANTS), precision);
  }
  return {
    shape: Int32Array.from(draws.shape),
    out: Float64Array.from(draws.out),
    lse: Float64Array.from(draws.lse),
  };
}

/** Arrays of an {@linkcode Emulation} that grow. */
type Draws = { readonly [Name in keyof Emulation]: number[] };

function emulateInto(
  { shape, out, lse }: Draws,
  inputs: PrefillInputs,
  reference: ProjectedReference,
  form: EmulatedForm,
  variants: readonly number[],
  precision: KernelPrecision,
): void {
  const scales = projectedScales(inputs.shape, reference);
  const kernels = variants.map((variant) => kernelArithmetic(precision, variant));
  for (const answer of emulateProjectedRows(inputs, reference.rows, form, kernels)) {
    shape.push(poolOf(variants[answer.kernel], form === "absorbed" ? 0 : 1));
    out.push(errorInScales(answer.out, reference.out, scales.out, answer.entry * inputs.shape.Dv));
    lse.push(errorInScales([answer.lse], reference.lse, scales.lse, answer.entry));
  }
}

/** Queries of a probe. */
const PROBE_QUERIES = 16;
/** Tokens of a probe. */
const PROBE_TOKENS = 16;
/** Variants in which probes are emulated: each unfolds keys and values anew. */
const PROBE_VARIANTS = 2;
/** Mean `weightNorm` from which rows have nearly all their weight on one token. */
const ONE_TOKEN = 0.9;

/** The first tokens of the longest sequence with the first head, and of the shortest that has any with the last. */
function expandedProbes(inputs: PrefillInputs, weightNorm: Float64Array): PrefillInputs[] {
  const { B, H, kv, q } = inputs.shape;
  const sequences = Array.from({ length: B }, (_, b) => b).filter((b) => kv[b] > 0 && q[b] > 0)
    .sort((a, b) => kv[b] - kv[a]);
  if (sequences.length === 0) return [];
  // Queries so large that one token takes the weight leave single weights unseen: then they are made smaller step by step.
  const shrinks = weightNorm.reduce((a, b) => a + b, 0) > ONE_TOKEN * weightNorm.length;
  const pairs = [[sequences[0], 0], [sequences.at(-1)!, H - 1]];
  return pairs.filter(([b, h], i) => i === 0 || b !== pairs[0][0] || h !== 0)
    .map(([sequence, head]) => probeOf(inputs, sequence, head, shrinks));
}

/** One head and the first tokens of one sequence, asked by queries of the whole batch. */
function probeOf(inputs: PrefillInputs, sequence: number, head: number, shrinks: boolean): PrefillInputs {
  const { shape, qNope, qPe, kvB, pageTable, tableWidth, cuSeqlen } = inputs;
  const { H, R, Dr, Dn, Dv } = shape;
  const tokens = Math.min(PROBE_TOKENS, shape.kv[sequence]);
  const rows = cuSeqlen[shape.B] * H;
  const pickRow = (query: number) => rows < PROBE_QUERIES ? query % rows : Math.floor(query * rows / PROBE_QUERIES);
  const pick = (from: Float32Array, width: number) =>
    Float32Array.from({ length: PROBE_QUERIES * width }, (_, i) => {
      const query = Math.floor(i / width);
      // A second round of few rows takes halves, so that no query is there twice.
      const halvings = shrinks ? query % 8 : Math.floor(query / rows);
      return from[pickRow(query) * width + i % width] / 2 ** halvings;
    });
  const headBytes = (Dn + Dv) * R * DTYPE_BYTES[shape.weight];
  const own: PrefillShape = {
    ...shape,
    B: 1,
    H: 1,
    q: [PROBE_QUERIES],
    kv: [tokens],
    padding: 0,
    causal: shape.causal && tokens >= PROBE_QUERIES,
  };
  return {
    ...inputs,
    shape: own,
    qNope: pick(qNope, Dn),
    qPe: pick(qPe, Dr),
    kvB: kvB.subarray(head * headBytes, (head + 1) * headBytes),
    pageTable: pageTable.subarray(sequence * tableWidth, (sequence + 1) * tableWidth),
    kvLen: Int32Array.of(tokens),
    cuSeqlen: Int32Array.of(0, PROBE_QUERIES),
  };
}

/** Flops of emulating a row absorbed, from the tokens it sees. */
export function emulatedProjectedFlops({ R, Dr, Dn, Dv }: PrefillShape, tokens: number): number {
  return 2 * (2 * R + Dr) * tokens + 2 * R * (Dn + Dv);
}
