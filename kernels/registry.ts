/**
 * Every kernel of this project. A new variant is one `.wgsl` file, its launcher, and one line here.
 *
 * @module
 */
import { appendCombined } from "./append_combined.ts";
import { appendSeparate } from "./append_separate.ts";
import { attendFused } from "./attend_fused.ts";
import { attendFusedF16 } from "./attend_fused_f16.ts";
import { attendFusedMatrix } from "./attend_fused_matrix.ts";
import { attendFusedSubgroup } from "./attend_fused_subgroup.ts";
import { attendUnfused } from "./attend_unfused.ts";
import { type Kernel, kernelName, type Operation } from "./kernel.ts";
import { mlaFused, mlaFusedF16, mlaFusedMatrix, mlaFusedSubgroup, mlaUnfused } from "./mla.ts";
import { prefillFused } from "./prefill_fused.ts";
import { projectTiled } from "./project_tiled.ts";
import { projectVector } from "./project_vector.ts";

/** Every kernel, in the order in which reports list them. */
export const KERNELS: readonly Kernel[] = [
  attendUnfused,
  attendFused,
  attendFusedSubgroup,
  attendFusedF16,
  attendFusedMatrix,
  appendCombined,
  appendSeparate,
  projectTiled,
  projectVector,
  prefillFused,
  mlaUnfused,
  mlaFused,
  mlaFusedSubgroup,
  mlaFusedF16,
  mlaFusedMatrix,
];

/**
 * The kernel of a name: `attend/fused`, or the variant alone where only one operation has it.
 *
 * @example By variant
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(findKernel("combined").operation, "append");
 * ```
 * @throws {RangeError} If no kernel, or more than one, has the name; the message lists the choices.
 */
export function findKernel(name: string): Kernel {
  const found = KERNELS.filter((kernel) => kernelName(kernel) === name || kernel.variant === name);
  if (found.length === 1) return found[0];
  throw new RangeError(`Cannot select kernel ${JSON.stringify(name)}: ${choices()}`);
}

function choices(): string {
  const variants = new Map<Operation, string[]>();
  for (const { operation, variant } of KERNELS) variants.set(operation, [...variants.get(operation) ?? [], variant]);
  return [...variants].map(([operation, names]) => `${operation} has ${names.join(", ")}`).join("; ");
}
