/**
 * The decision whether a result is right.
 *
 * @module
 */
import { type AttendActual, checkRows } from "./acceptance_rows.ts";
import type { Check } from "./check.ts";
import { compare } from "./compare.ts";
import { projectEdges } from "./edges.ts";
import type { Emulation } from "./emulation.ts";
import type { AttendInputs } from "./inputs.ts";
import { attendLimits, projectedLimits, projectLimits } from "./limits.ts";
import type { AttendReference } from "./mla.ts";
import type { PrefillInputs, ProjectInputs } from "./model_inputs.ts";
import type { ProjectReference } from "./project.ts";
import type { ProjectedReference } from "./projected.ts";
import { total } from "./shapes.ts";

export { checkCache, checkUnchanged } from "./acceptance_bits.ts";
export { checkRecorded, checkRecordedRows } from "./acceptance_recorded.ts";
export { type AttendActual, EMPTY_LSE, naturalLse } from "./acceptance_rows.ts";
export type { Emulation } from "./emulation.ts";
export { checkTolerance, type Closeness, type ExpectedRows, type Tolerance, TOLERANCES } from "./tolerances.ts";

/**
 * Compares `out` and `lse` of the reference's rows, by the limits of `limits.ts`, and of all other rows that they are
 * finite (`unsampled`, where there are any).
 *
 * @param actual `out` `[Σq, H, R]` and natural `lse` `[Σq, H]`.
 * @param emulation What an emulation of some rows erred by (`emulation.ts`). @default {the a-priori bounds alone}
 * @throws {RangeError} If `actual` has not one element for each of the batch.
 */
export function checkAttend(
  inputs: AttendInputs,
  reference: AttendReference,
  actual: AttendActual,
  emulation?: Emulation,
): Check[] {
  const limits = attendLimits(inputs.shape, reference, emulation);
  return checkRows({ batch: inputs, width: inputs.shape.R, reference, limits, actual });
}

/**
 * The same of a `prefill` or a call of `mla`, and that the padding rows of `out` are exactly zero (`padding`, where
 * there are any).
 *
 * @param actual `out` `[Σq + padding, H, Dv]` and natural `lse` `[Σq, H]`.
 * @param emulation What an emulation of some rows erred by (`emulation.ts`). @default {the a-priori bounds alone}
 * @throws {RangeError} If `actual` has not one element for each of the batch and the padding.
 */
export function checkProjected(
  inputs: PrefillInputs,
  reference: ProjectedReference,
  actual: AttendActual,
  emulation?: Emulation,
): Check[] {
  const { shape } = inputs;
  const elements = total(shape.q) * shape.H * shape.Dv;
  const limits = projectedLimits(shape, reference, emulation);
  const out = requireLength(actual.out, elements, shape.padding * shape.H * shape.Dv);
  const checks = checkRows({ batch: inputs, width: shape.Dv, reference, limits, actual: { ...actual, out } });
  if (shape.padding > 0) checks.push(checkPadding(actual.out.subarray(elements)));
  return checks;
}

/**
 * Compares the reference's rows of a `project`, looks at all others (`unsampled`), and demands that the padding rows of
 * part `v` are exactly zero (`padding`).
 *
 * @param actual `q_latent` `[tokens, H, R]`, or `out` `[tokens + padding, H, Dv]`.
 * @param emulation What an emulation of some rows erred by (`emulation.ts`). @default {the a-priori bounds alone}
 * @throws {RangeError} If `actual` has another length.
 */
export function checkProject(
  { shape }: ProjectInputs,
  reference: ProjectReference,
  actual: Float32Array,
  emulation?: Emulation,
): Check[] {
  const { part, tokens, H, R, Dv } = shape;
  const width = part === "q" ? R : Dv;
  const padding = part === "v" ? shape.padding : 0;
  const rows = requireLength(actual, tokens * H * width, padding * H * width);
  const sampled = new Float32Array(reference.rows.length * width);
  const isSampled = new Uint8Array(tokens * H);
  reference.rows.forEach((row, i) => {
    sampled.set(rows.subarray(row * width, (row + 1) * width), i * width);
    isSampled[row] = 1;
  });
  const checks = [compare({
    name: "out",
    actual: sampled,
    expected: reference.out,
    ...projectLimits(shape, reference, emulation),
    width,
    place: (i) => {
      const row = reference.rows[Math.floor(i / width)];
      return { sequence: 0, head: row % H, token: Math.floor(row / H), dim: i % width, page: -1 };
    },
    edges: projectEdges(shape),
  })];
  if (reference.rows.length < tokens * H) {
    const others = rows.filter((_, i) => !isSampled[Math.floor(i / width)]);
    const mismatches = others.reduce((count, value) => count + (Number.isFinite(value) ? 0 : 1), 0);
    checks.push(plainCheck("unsampled", others.length, mismatches, "of rows that were not sampled are not finite"));
  }
  if (padding > 0) checks.push(checkPadding(actual.subarray(tokens * H * width)));
  return checks;
}

/** The rows of the batch, without padding. */
function requireLength(values: Float32Array, elements: number, padding: number): Float32Array {
  if (values.length !== elements + padding) {
    throw new RangeError(
      `Cannot check ${values.length} elements of out: the batch has ${elements}, and ${padding} of padding`,
    );
  }
  return values.subarray(0, elements);
}

function checkPadding(rows: Float32Array): Check {
  const mismatches = rows.reduce((count, value) => count + (value === 0 ? 0 : 1), 0);
  return plainCheck("padding", rows.length, mismatches, "of rows past the last token are not zero");
}

function plainCheck(name: string, elements: number, mismatches: number, what: string): Check {
  const passed = mismatches === 0;
  return {
    name,
    passed,
    ...(passed ? {} : { message: `${mismatches} of ${elements} elements ${what}` }),
    elements,
    mismatches,
  };
}
