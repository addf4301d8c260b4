/**
 * Rows of a `project` as kernels compute them, and how far they are from the reference.
 *
 * @module
 */
import { type Arithmetic, F32, kernelArithmetic, type KernelPrecision } from "./arithmetic.ts";
import { projectBounds } from "./bounds.ts";
import { type Emulation, poolOf } from "./emulation.ts";
import type { ProjectInputs } from "./model_inputs.ts";
import type { ProjectReference } from "./project.ts";
import { groupByHead } from "./rows.ts";
import type { ProjectShape } from "./shapes.ts";
import { headWeights } from "./weights.ts";

/** Emulates `rows` of `inputs`: entries of the list of rows with their outputs. */
export function* emulateProjectRows(
  { shape, x, kvB }: ProjectInputs,
  rows: Int32Array,
  arithmetic: Arithmetic,
): Generator<{ readonly entry: number; readonly out: Float64Array }> {
  const { part, H, R, Dn, Dv } = shape;
  const [inner, width] = part === "q" ? [Dn, R] : [R, Dv];
  for (const [head, entries] of groupByHead(rows, H)) {
    const weights = headWeights({ ...shape, kvB }, part === "q" ? "k" : "v", head);
    const values = part === "q" ? weights.map((_, i) => weights[(i % Dn) * R + Math.floor(i / Dn)]) : weights;
    for (const entry of entries) {
      const out = new Float64Array(width);
      const row = rows[entry];
      arithmetic.dots(Float64Array.from(x.subarray(row * inner, (row + 1) * inner)), { values, stride: inner }, out);
      yield { entry, out };
    }
  }
}

/** Errors of the rows of `reference` in several variants of a kernel, in units of their scales. */
export function emulateProject(
  inputs: ProjectInputs,
  reference: ProjectReference,
  variants: readonly number[],
  precision: KernelPrecision = F32,
): Emulation {
  const bounds = projectBounds(inputs.shape, reference);
  const width = reference.out.length / Math.max(1, reference.rows.length);
  const shape: number[] = [], out: number[] = [];
  for (const variant of variants) {
    for (const answer of emulateProjectRows(inputs, reference.rows, kernelArithmetic(precision, variant))) {
      for (let d = 0, at = answer.entry * width; d < width; d++, at++) {
        shape.push(poolOf(variant));
        out.push(Math.abs(answer.out[d] - reference.out[at]) / bounds[at]);
      }
    }
  }
  return {
    shape: Int32Array.from(shape),
    out: Float64Array.from(out),
    lse: new Float64Array(out.length).fill(NaN),
  };
}

/** Flops of emulating a row. */
export function emulatedProjectFlops({ part, R, Dn, Dv }: ProjectShape): number {
  return 2 * R * (part === "q" ? Dn : Dv);
}
