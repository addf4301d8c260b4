/**
 * `prefill` as honest kernels compute it in both forms (`arithmetic.ts`), and the same with a fault planted.
 *
 * @module
 */
import type { AttendActual } from "../acceptance.ts";
import { DTYPE_BYTES } from "../dtypes.ts";
import { type EmulatedForm, emulateProjectedRows } from "../emulate_projected.ts";
import type { PrefillInputs } from "../model_inputs.ts";
import { allRows } from "../rows.ts";
import { faultyArithmetic, type FineFault, type ORDERS } from "./faulty_arithmetic.ts";

/** Faults that kernels have had. */
export const PROJECTED_FAULTS = [
  "scale_off_by_1_percent",
  "scale_of_the_latent",
  "rope_dropped",
  "last_token_dropped",
  "one_key_skipped",
  "weights_swapped",
  "weights_of_next_head",
  "lse_base_2",
  "zeros",
] as const;

/** Name of a fault. */
export type ProjectedFault = typeof PROJECTED_FAULTS[number] | FineFault;

/** How to compute. */
export interface ProjectedEmulation {
  /** Form of the kernel. */
  readonly form: EmulatedForm;
  /** Order of sums. @default {"serial"} */
  readonly order?: keyof typeof ORDERS;
  /** Fault to plant. @default none */
  readonly fault?: ProjectedFault;
  /** Errors of the built-ins. @default {1} */
  readonly seed?: number;
}

/** Emulates `prefill` on `inputs`; padding rows are zero. */
export function emulateProjected(
  inputs: PrefillInputs,
  { form, order = "serial", fault, seed }: ProjectedEmulation,
): AttendActual<Float32Array> {
  const { shape } = inputs;
  const rows = allRows(shape);
  const out = new Float32Array((rows.length + shape.padding * shape.H) * shape.Dv);
  const lse = new Float32Array(rows.length).fill(-1e30);
  const arithmetic = faultyArithmetic(order, fault, seed);
  for (const answer of emulateProjectedRows(spoilt(inputs, fault), rows, form, [arithmetic])) {
    out.set(answer.out, answer.entry * shape.Dv);
    lse[answer.entry] = answer.lse;
  }
  if (fault === "zeros") out.fill(0);
  return { out, lse };
}

/** Inputs as a kernel with a fault of addressing sees them. */
function spoilt(inputs: PrefillInputs, fault: ProjectedFault | undefined): PrefillInputs {
  const { shape, qPe, kvB } = inputs;
  const { H, R, Dn, Dr, Dv, weight } = shape;
  const row = R * DTYPE_BYTES[weight];
  const head = (Dn + Dv) * row;
  switch (fault) {
    case "scale_of_the_latent":
      return { ...inputs, shape: { ...shape, scale: shape.scale * Math.sqrt((Dn + Dr) / (R + Dr)) } };
    case "rope_dropped":
      return { ...inputs, qPe: new Float32Array(qPe.length) };
    case "weights_of_next_head":
      return { ...inputs, kvB: kvB.map((_, i) => kvB[(i + head) % (H * head)]) };
    case "weights_swapped":
      // W_k begins at row Dv, W_v at row 0.
      return { ...inputs, kvB: kvB.map((_, i) => kvB[i - i % head + (i % head + Dv * row) % head]) };
    default:
      return inputs;
  }
}
