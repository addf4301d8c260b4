/**
 * How far each element may be from the reference: the a-priori bounds, and what an emulation leaves of them.
 *
 * @module
 */
import { type AttendBounds, attendBounds, FLUSHED, projectBounds, projectedBounds, U32 } from "./bounds.ts";
import { type Emulation, errorLimits } from "./emulation.ts";
import { attendScales, projectedScales } from "./error_scales.ts";
import type { AttendReference } from "./mla.ts";
import type { KernelPrecision } from "./precision.ts";
import type { ProjectReference } from "./project.ts";
import type { ProjectedReference } from "./projected.ts";
import type { AttendShape, PrefillShape, ProjectShape } from "./shapes.ts";

/** Limits of a tensor, as `compare` takes them. */
export interface Limits {
  /** Largest error of each element. */
  readonly bound: Float64Array;
  /** A-priori bound of each element, where `bound` is tighter. */
  readonly ceiling?: Float64Array;
}

/** Limits of what an attention gives. */
export interface AttendLimits {
  /** Of `out`. */
  readonly out: Limits;
  /** Of the log-sum-exp. */
  readonly lse: Limits;
}

/** Limits of an `attend` in the precision of its `emulation`; without one the a-priori bounds in f32. */
export function attendLimits(shape: AttendShape, reference: AttendReference, emulation?: Emulation): AttendLimits {
  return rowLimits(reference, emulation, {
    boundsIn: (precision) => attendBounds(shape, reference, precision),
    scalesIn: (precision) => attendScales(shape, reference, precision),
  });
}

/** Limits of a `prefill` or a call of `mla`. */
export function projectedLimits(
  shape: PrefillShape,
  reference: ProjectedReference,
  emulation?: Emulation,
): AttendLimits {
  return rowLimits(reference, emulation, {
    boundsIn: (precision) => projectedBounds(shape, reference, precision),
    scalesIn: (precision) => projectedScales(shape, reference, precision),
  });
}

/** Limits of a `project`, whose bounds are their own scales. */
export function projectLimits(shape: ProjectShape, reference: ProjectReference, emulation?: Emulation): Limits {
  return once(reference, emulation, () => {
    const ceiling = projectBounds(shape, reference);
    return emulation
      ? tightened(ceiling, reference.out, errorLimits(emulation, reference.out.length).out, ceiling)
      : { bound: ceiling };
  });
}

/** What was computed of each reference, by its emulation: every run of every variant is held against the same. */
const known = new WeakMap<object, Map<Emulation | undefined, unknown>>();

function once<T>(reference: object, emulation: Emulation | undefined, compute: () => T): T {
  const limits = known.get(reference) ?? new Map<Emulation | undefined, unknown>();
  known.set(reference, limits);
  if (!limits.has(emulation)) limits.set(emulation, compute());
  return limits.get(emulation) as T;
}

/** What the rows of a reference may err by at most, and what they usually err by, in a precision. */
interface RowErrors {
  readonly boundsIn: (precision: KernelPrecision | undefined) => AttendBounds;
  readonly scalesIn: (precision: KernelPrecision | undefined) => AttendBounds;
}

function rowLimits(
  reference: { readonly out: Float64Array; readonly lse: Float64Array },
  emulation: Emulation | undefined,
  { boundsIn, scalesIn }: RowErrors,
): AttendLimits {
  return once(reference, emulation, () => {
    const bounds = boundsIn(emulation?.precision);
    if (!emulation) return { out: { bound: bounds.out }, lse: { bound: bounds.lse } };
    const limits = errorLimits(emulation, reference.lse.length);
    const scales = scalesIn(emulation.precision);
    return {
      out: tightened(bounds.out, reference.out, limits.out, scales.out),
      lse: tightened(bounds.lse, reference.lse, limits.lse, scales.lse),
    };
  });
}

/**
 * `limit` times the scales, and more by the rounding of the result and by flushed subnormals, but never above the
 * ceiling.
 */
function tightened(ceiling: Float64Array, expected: Float64Array, limit: number, scale: Float64Array): Limits {
  if (limit === Infinity) return { bound: ceiling, ceiling };
  const bound = ceiling.map((most, i) => {
    const rounding = Number.isFinite(expected[i]) ? 4 * U32 * Math.abs(expected[i]) : 0;
    return Math.min(most, limit * scale[i] + rounding + FLUSHED);
  });
  return { bound, ceiling };
}
