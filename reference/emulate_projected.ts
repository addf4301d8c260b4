/**
 * Rows of a `prefill` or a call of `mla` as kernels of both forms compute them, and how far they are from the
 * reference.
 *
 * The absorbed form is emulated on rows of the batch, the expanded one on probes (`expanded_probes.ts`).
 *
 * @module
 */
import { type Arithmetic, kernelArithmetic, type Vectors } from "./arithmetic.ts";
import { emulatedLse, emulateRow } from "./emulated_row.ts";
import { type EmulatedAnswer, inBase } from "./emulate_attend.ts";
import { projectedScales } from "./error_scales.ts";
import {
  type Emulation,
  errorInScales,
  joinEmulations,
  ofPrefixes,
  planEmulation,
  poolOf,
  prefixOf,
  referenceRows,
  RowDraws,
} from "./emulation.ts";
import { expandedProbes, halvingsOf, PROBE_VARIANTS } from "./expanded_probes.ts";
import type { PrefillInputs } from "./model_inputs.ts";
import { F32, type KernelPrecision } from "./precision.ts";
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
    const keyWeights = headWeights({ ...shape, kvB }, "k", head);
    const valueWeights = headWeights({ ...shape, kvB }, "v", head);
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
 * What honest kernels of both forms err by, from rows chosen of `reference` and from probes.
 *
 * @param precision That of an absorbing kernel's attention. @default all f32
 */
export function projectedEmulation(
  inputs: PrefillInputs,
  reference: ProjectedReference,
  precision: KernelPrecision = F32,
): Emulation {
  const parts = planEmulation(reference, (tokens) => emulatedProjectedFlops(inputs.shape, tokens));
  return joinEmulations([
    ...parts.map((part) => {
      const rows = referenceRows(reference, part.entries);
      return part.tokens === undefined
        ? emulateAbsorbed(inputs, rows, part.variants, precision)
        : emulateAbsorbedPrefix(inputs, rows.rows, part.variants, part.tokens, precision);
    }),
    emulateExpanded(inputs, halvingsOf(reference), precision),
  ]);
}

/** Errors of the rows of `reference` in several variants of an absorbing kernel, in units of their scales. */
export function emulateAbsorbed(
  inputs: PrefillInputs,
  reference: ProjectedReference,
  variants: readonly number[],
  precision: KernelPrecision = F32,
): Emulation {
  return emulationOf(inputs, reference, "absorbed", variants, precision);
}

/** The same of `rows` over the first `tokens` of their sequences. */
export function emulateAbsorbedPrefix(
  inputs: PrefillInputs,
  rows: Int32Array,
  variants: readonly number[],
  tokens: number,
  precision: KernelPrecision = F32,
): Emulation {
  const prefix = prefixOf(inputs, tokens);
  return ofPrefixes(emulateAbsorbed(prefix, attendProjected(prefix, rows), variants, precision));
}

/**
 * The same of a kernel that unfolds keys and values, from probes.
 *
 * @param halvings How often large queries are halved ({@linkcode halvingsOf}).
 * @param precision By which the scales go: that form computes in f32 whatever the absorbed one does.
 */
export function emulateExpanded(
  inputs: PrefillInputs,
  halvings: number,
  precision: KernelPrecision = F32,
): Emulation {
  return joinEmulations(
    expandedProbes(inputs, halvings).map((probe) =>
      emulationOf(probe, attendProjected(probe), "expanded", PROBE_VARIANTS, precision)
    ),
  );
}

function emulationOf(
  inputs: PrefillInputs,
  reference: ProjectedReference,
  form: EmulatedForm,
  variants: readonly number[],
  precision: KernelPrecision,
): Emulation {
  const draws = new RowDraws(precision);
  const scales = projectedScales(inputs.shape, reference, precision);
  const arithmetic = form === "absorbed" ? precision : F32;
  const kernels = variants.map((variant) => kernelArithmetic(arithmetic, variant));
  for (const { kernel, entry, out, lse } of emulateProjectedRows(inputs, reference.rows, form, kernels)) {
    draws.add(
      variants[kernel],
      poolOf(variants[kernel], form === "absorbed" ? 0 : 1),
      errorInScales(out, reference.out, scales.out, entry * inputs.shape.Dv),
      errorInScales([lse], reference.lse, scales.lse, entry),
    );
  }
  return draws.emulation;
}

/** Flops of emulating a row absorbed, from the tokens it sees. */
export function emulatedProjectedFlops({ R, Dr, Dn, Dv }: PrefillShape, tokens: number): number {
  return 2 * (2 * R + Dr) * tokens + 2 * R * (Dn + Dv);
}
