/**
 * A case: one kernel on one shape. Its id is its whole identity.
 *
 * @module
 */
import type { Operation, Tuning } from "../kernels/kernel.ts";
import type { AppendShape, AttendShape, InputKind, MlaShape, PrefillShape, ProjectShape } from "../reference/shapes.ts";

/** What every case has. */
export interface CaseBase<O extends Operation, S> {
  /** `attend/fused:B=4;H=16;R=256;…`: name, filter, link and key at once. */
  readonly id: string;
  /** Operation of the kernel. */
  readonly operation: O;
  /** Variant of the kernel. */
  readonly variant: string;
  /** Problem size. */
  readonly shape: S;
  /** Kind of seeded inputs. */
  readonly input: InputKind;
  /** Seed of the inputs, a non-negative 32-bit integer. */
  readonly seed: number;
  /** Launch parameters, where the id gives any. */
  readonly tuning: Tuning;
  /** Values of every axis, defaults included, as the report pivots them: `{ B: 4, kv: "1,63", page: 64, … }`. */
  readonly axes: Readonly<Record<string, string | number>>;
  /** Tolerance of another system's test that the outputs must meet as well: a name in `reference/tolerances.ts`. */
  readonly tolerance?: string;
  /** Recorded tensors to replay instead of seeded ones: `name@hash8`. */
  readonly tensors?: string;
}

/** A case of `attend`. */
export type AttendCase = CaseBase<"attend", AttendShape>;
/** A case of `append`. */
export type AppendCase = CaseBase<"append", AppendShape>;
/** A case of `project`. */
export type ProjectCase = CaseBase<"project", ProjectShape>;
/** A case of `prefill`. */
export type PrefillCase = CaseBase<"prefill", PrefillShape>;
/** A case of `mla`: one call, or a flow of several where its shape has `steps`. */
export type MlaCase = CaseBase<"mla", MlaShape>;
/** Any case; `operation` tells which. */
export type Case = AttendCase | AppendCase | ProjectCase | PrefillCase | MlaCase;
