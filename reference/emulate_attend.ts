/**
 * Rows of an `attend` as kernels compute them, and how far they are from the reference.
 *
 * @module
 */
import { type Arithmetic, kernelArithmetic } from "./arithmetic.ts";
import { attendScales } from "./error_scales.ts";
import { emulatedLse, emulateRow } from "./emulated_row.ts";
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
import type { AttendInputs } from "./inputs.ts";
import { attendAbsorbed, type AttendReference } from "./mla.ts";
import { F32, type KernelPrecision } from "./precision.ts";
import { rowsBySequence } from "./sequence_rows.ts";
import type { AttendShape } from "./shapes.ts";

/** One row as a kernel writes it; the LSE natural, whatever base the kernel was asked for. */
export interface EmulatedAnswer {
  /** Kernel, as an index into the list of them. */
  readonly kernel: number;
  /** Entry of the list of rows. */
  readonly entry: number;
  /** Output of the row. */
  readonly out: Float64Array;
  /** Log-sum-exp. */
  readonly lse: number;
}

/** Emulates `rows` of `inputs` on each of `kernels`, sequence by sequence; rows that see no token are left out. */
export function* emulateAttendRows(
  inputs: AttendInputs,
  rows: Int32Array,
  kernels: readonly Arithmetic[],
): Generator<EmulatedAnswer> {
  const { shape, qLatent, qPe } = inputs;
  const { R, Dr, scale } = shape;
  const W = R + Dr;
  const query = new Float64Array(W);
  for (const { first, seen, keys } of rowsBySequence(inputs, rows)) {
    const vectors = { values: keys, stride: W };
    for (let i = 0; i < seen.length; i++) {
      if (seen[i] === 0) continue;
      const row = rows[first + i];
      query.set(qLatent.subarray(row * R, (row + 1) * R));
      query.set(qPe.subarray(row * Dr, (row + 1) * Dr), R);
      for (const [kernel, arithmetic] of kernels.entries()) {
        const answer = emulateRow(
          { query, keys: vectors, values: vectors, width: R, seen: seen[i], scale },
          arithmetic,
        );
        yield { kernel, entry: first + i, out: answer.out, lse: inBase(shape, emulatedLse(answer, arithmetic)) };
      }
    }
  }
}

/** The LSE that a kernel stores, in the base that is asked for, as the natural one that it is compared as. */
export function inBase({ lseBase }: Pick<AttendShape, "lseBase">, lse: number): number {
  return lseBase === "2" ? Math.fround(lse * Math.fround(Math.LOG2E)) * Math.LN2 : lse;
}

/** What honest kernels err by, from rows chosen of `reference`. */
export function attendEmulation(
  inputs: AttendInputs,
  reference: AttendReference,
  precision: KernelPrecision = F32,
): Emulation {
  const parts = planEmulation(reference, (tokens) => emulatedAttendFlops(inputs.shape, tokens));
  return joinEmulations(parts.map((part) => {
    const rows = referenceRows(reference, part.entries);
    return part.tokens === undefined
      ? emulateAttend(inputs, rows, part.variants, precision)
      : emulateAttendPrefix(inputs, rows.rows, part.variants, part.tokens, precision);
  }));
}

/** Errors of `rows` over the first `tokens` of their sequences. */
export function emulateAttendPrefix(
  inputs: AttendInputs,
  rows: Int32Array,
  variants: readonly number[],
  tokens: number,
  precision: KernelPrecision = F32,
): Emulation {
  const prefix = prefixOf(inputs, tokens);
  return ofPrefixes(emulateAttend(prefix, attendAbsorbed(prefix, rows), variants, precision));
}

/**
 * Errors of the rows of `reference` in several variants of a kernel, in units of their scales.
 *
 * @param variants Which (`kernelArithmetic`).
 */
export function emulateAttend(
  inputs: AttendInputs,
  reference: AttendReference,
  variants: readonly number[],
  precision: KernelPrecision = F32,
): Emulation {
  const scales = attendScales(inputs.shape, reference, precision);
  const { R } = inputs.shape;
  const draws = new RowDraws(precision);
  const kernels = variants.map((variant) => kernelArithmetic(precision, variant));
  for (const { kernel, entry, out, lse } of emulateAttendRows(inputs, reference.rows, kernels)) {
    draws.add(
      variants[kernel],
      poolOf(variants[kernel]),
      errorInScales(out, reference.out, scales.out, entry * R),
      errorInScales([lse], reference.lse, scales.lse, entry),
    );
  }
  return draws.emulation;
}

/** Flops of emulating a row that sees `tokens`, as the reference counts them. */
export function emulatedAttendFlops({ R, Dr }: AttendShape, tokens: number): number {
  return 2 * (2 * R + Dr) * tokens;
}
