/**
 * Rows of a `prefill` or a call of `mla` as kernels of both forms compute them, and how far they are from the reference.
 *
 * The absorbed form is emulated on rows of the batch. Unfolding keys and values costs Dn+Dv sums of R for each token and head,
 * a hundred times a row, so the expanded form is emulated on probes: small batches of one head and the first tokens of one
 * sequence, asked by many of the batch's queries. What an error is of its bound depends little on the number of tokens.
 *
 * @module
 */
import { type Arithmetic, F32, kernelArithmetic, type KernelPrecision } from "./arithmetic.ts";
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

/** Emulates `rows` of `inputs`, one after another; rows that see no token are left out. */
export function* emulateProjectedRows(
  inputs: PrefillInputs,
  rows: Int32Array,
  form: EmulatedForm,
  arithmetic: Arithmetic,
): Generator<EmulatedAnswer> {
  const weights = { ...inputs.shape, kvB: inputs.kvB };
  for (const [head, entries] of groupByHead(rows, inputs.shape.H)) {
    const own = Int32Array.from(entries, (entry) => rows[entry]);
    const attend = form === "absorbed" ? absorbedHead : expandedHead;
    const answer = attend(inputs, arithmetic, headWeights(weights, "k", head), headWeights(weights, "v", head));
    for (const { first, seen, keys } of rowsBySequence(inputs, own)) {
      const emulate = answer(keys);
      for (let i = 0; i < seen.length; i++) {
        if (seen[i] > 0) yield { entry: entries[first + i], ...emulate(own[first + i], seen[i]) };
      }
    }
  }
}

/** From the keys of a sequence to the emulation of its rows. */
type HeadEmulation = (keys: Float64Array) => (row: number, seen: number) => Omit<EmulatedAnswer, "entry">;

/** Queries by W_k, latent attention, its output by W_v. */
function absorbedHead(
  { shape, qNope, qPe }: PrefillInputs,
  arithmetic: Arithmetic,
  keyWeights: Float64Array,
  valueWeights: Float64Array,
): HeadEmulation {
  const { R, Dr, Dn, Dv, scale } = shape;
  const columns = { values: transposed(keyWeights, R), stride: Dn };
  return (keys) => (row, seen) => {
    const query = new Float64Array(R + Dr);
    arithmetic.dots(Float64Array.from(qNope.subarray(row * Dn, (row + 1) * Dn)), columns, query.subarray(0, R));
    query.set(qPe.subarray(row * Dr, (row + 1) * Dr), R);
    const vectors = { values: keys, stride: R + Dr };
    const latent = emulateRow({ query, keys: vectors, values: vectors, width: R, seen, scale }, arithmetic);
    const out = new Float64Array(Dv);
    arithmetic.dots(latent.out, { values: valueWeights, stride: R }, out);
    return { out, lse: inBase(shape, emulatedLse(latent, arithmetic)) };
  };
}

/** Keys and values of the head, then attention. */
function expandedHead(
  { shape, qNope, qPe }: PrefillInputs,
  arithmetic: Arithmetic,
  keyWeights: Float64Array,
  valueWeights: Float64Array,
): HeadEmulation {
  const { R, Dr, Dn, Dv, scale } = shape;
  return (keys) => {
    const W = R + Dr, width = Dn + Dr;
    const tokens = keys.length / W;
    const unfolded = new Float64Array(tokens * width), values = new Float64Array(tokens * Dv);
    for (let t = 0; t < tokens; t++) {
      const latent = keys.subarray(t * W, t * W + R);
      arithmetic.dots(latent, { values: keyWeights, stride: R }, unfolded.subarray(t * width, t * width + Dn));
      unfolded.set(keys.subarray(t * W + R, (t + 1) * W), t * width + Dn);
      arithmetic.dots(latent, { values: valueWeights, stride: R }, values.subarray(t * Dv, (t + 1) * Dv));
    }
    return (row, seen) => {
      const query = new Float64Array(width);
      query.set(qNope.subarray(row * Dn, (row + 1) * Dn));
      query.set(qPe.subarray(row * Dr, (row + 1) * Dr), Dn);
      const answer = emulateRow({
        query,
        keys: { values: unfolded, stride: width },
        values: { values, stride: Dv },
        width: Dv,
        seen,
        scale,
      }, arithmetic);
      return { out: answer.out, lse: inBase(shape, emulatedLse(answer, arithmetic)) };
    };
  };
}

function transposed(matrix: Float64Array, columns: number): Float64Array {
  const rows = matrix.length / columns;
  return Float64Array.from(matrix, (_, i) => matrix[(i % rows) * columns + Math.floor(i / rows)]);
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
  for (const variant of variants) emulateInto(draws, inputs, reference, "absorbed", variant, precision);
  for (const probe of expandedProbes(inputs, reference.weightNorm)) {
    const expected = attendProjected(probe);
    for (const variant of variants.slice(0, PROBE_VARIANTS)) {
      emulateInto(draws, probe, expected, "expanded", variant, precision);
    }
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
  variant: number,
  precision: KernelPrecision,
): void {
  const scales = projectedScales(inputs.shape, reference);
  for (const answer of emulateProjectedRows(inputs, reference.rows, form, kernelArithmetic(precision, variant))) {
    shape.push(poolOf(variant, form === "absorbed" ? 0 : 1));
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
