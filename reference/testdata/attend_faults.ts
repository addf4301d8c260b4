/**
 * `attend` as an honest kernel computes it (`arithmetic.ts`), and the same with a fault planted: what the limits must
 * let pass, and what they must stop.
 *
 * @module
 */
import type { AttendActual } from "../acceptance.ts";
import { emulateAttendRows } from "../emulate_attend.ts";
import type { AttendInputs } from "../inputs.ts";
import { allRows } from "../rows.ts";
import { faultyArithmetic, type FineFault, type ORDERS, toBf16 } from "./faulty_arithmetic.ts";

/** Faults that kernels have had. */
export const FAULTS = [
  "scale_off_by_1_percent",
  "last_token_dropped",
  "one_key_skipped",
  "rope_dropped",
  "lse_base_2",
  "no_rescale",
  "no_maximum",
  "zeros",
  "constant",
  "mean_of_values",
  "padding_in_denominator",
] as const;

/** Name of a fault. */
export type Fault = typeof FAULTS[number] | FineFault | "bf16_queries";

/** How to compute. */
export interface EmulationOptions {
  /** Order of sums. */
  readonly order: keyof typeof ORDERS;
  /** Fault to plant. @default none */
  readonly fault?: Fault;
  /** Errors of the built-ins. @default {1} */
  readonly seed?: number;
}

/** Emulates `attend` on `inputs`; LSE is −1e30 for rows that see no token, as kernels write it. */
export function emulateAttend(
  inputs: AttendInputs,
  { order, fault, seed }: EmulationOptions,
): AttendActual<Float32Array> {
  const { shape, qLatent, qPe } = inputs;
  const rows = allRows(shape);
  const out = new Float32Array(rows.length * shape.R);
  const lse = new Float32Array(rows.length).fill(-1e30);
  const seenInputs = {
    ...inputs,
    qLatent: fault === "bf16_queries" ? qLatent.map(toBf16) : qLatent,
    qPe: fault === "rope_dropped" ? new Float32Array(qPe.length) : fault === "bf16_queries" ? qPe.map(toBf16) : qPe,
  };
  for (const answer of emulateAttendRows(seenInputs, rows, [faultyArithmetic(order, fault, seed)])) {
    out.set(answer.out, answer.entry * shape.R);
    lse[answer.entry] = answer.lse;
  }
  if (fault === "zeros" || fault === "constant") out.fill(fault === "zeros" ? 0 : 0.5);
  return { out, lse };
}
