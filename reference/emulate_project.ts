/**
 * Rows of a `project` as kernels compute them, and how far they are from the reference.
 *
 * @module
 */
import { type Arithmetic, kernelArithmetic } from "./arithmetic.ts";
import { projectBounds } from "./bounds.ts";
import type { EmulatedAnswer } from "./emulate_attend.ts";
import { transposed } from "./emulate_projected.ts";
import { type Emulation, joinEmulations, LEAST_DRAWS, planEmulation, poolOf, referenceRows } from "./emulation.ts";
import type { ProjectInputs } from "./model_inputs.ts";
import { F32 } from "./precision.ts";
import type { ProjectReference } from "./project.ts";
import { groupByHead } from "./rows.ts";
import type { ProjectShape } from "./shapes.ts";
import { headWeights } from "./weights.ts";

/** Emulates `rows` of `inputs` on each of `kernels`, head by head. */
export function* emulateProjectRows(
  { shape, x, kvB }: ProjectInputs,
  rows: Int32Array,
  kernels: readonly Arithmetic[],
): Generator<Omit<EmulatedAnswer, "lse">> {
  const { part, H, R, Dn, Dv } = shape;
  const [inner, width] = part === "q" ? [Dn, R] : [R, Dv];
  for (const [head, entries] of groupByHead(rows, H)) {
    const weights = headWeights({ ...shape, kvB }, part === "q" ? "k" : "v", head);
    const vectors = { values: part === "q" ? transposed(weights, R) : weights, stride: inner };
    for (const entry of entries) {
      const input = Float64Array.from(x.subarray(rows[entry] * inner, (rows[entry] + 1) * inner));
      for (const [kernel, { dots }] of kernels.entries()) {
        const out = new Float64Array(width);
        dots(input, vectors, out);
        yield { kernel, entry, out };
      }
    }
  }
}

/** What honest kernels err by, from rows chosen of `reference`. */
export function projectEmulation(inputs: ProjectInputs, reference: ProjectReference): Emulation {
  const seen = new Int32Array(reference.rows.length).fill(1);
  const parts = planEmulation({ seen }, () => emulatedProjectFlops(inputs.shape), LEAST_DRAWS);
  return joinEmulations(
    parts.map(({ entries, variants }) => emulateProject(inputs, referenceRows(reference, entries), variants)),
  );
}

/** Errors of the rows of `reference` in several variants of a kernel, in units of their scales. */
export function emulateProject(
  inputs: ProjectInputs,
  reference: ProjectReference,
  variants: readonly number[],
): Emulation {
  const bounds = projectBounds(inputs.shape, reference);
  const width = reference.out.length / Math.max(1, reference.rows.length);
  const shape: number[] = [], out: number[] = [];
  const kernels = variants.map((variant) => kernelArithmetic(F32, variant));
  for (const { kernel, entry, out: values } of emulateProjectRows(inputs, reference.rows, kernels)) {
    for (let d = 0, at = entry * width; d < width; d++, at++) {
      shape.push(poolOf(variants[kernel]));
      out.push(Math.abs(values[d] - reference.out[at]) / bounds[at]);
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
