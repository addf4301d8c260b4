/**
 * The kernels with one fault each, as an edit of their WGSL: verification must catch every one.
 *
 * @module
 */
import { attendFused } from "../../kernels/attend_fused.ts";
import { attendFusedSubgroup } from "../../kernels/attend_fused_subgroup.ts";
import { attendUnfused } from "../../kernels/attend_unfused.ts";
import type { AttendKernel } from "../../kernels/kernel.ts";

/** A fault: what it is, and the edit that plants it, by kernel. */
interface Fault {
  readonly name: string;
  readonly edits: Readonly<Record<string, readonly [find: string, replace: string]>>;
}

const MERGE: readonly [string, string] = ["let weight = exp(partial_lse[source] - maximum);", "let weight = 1.0;"];

const FAULTS: readonly Fault[] = [
  {
    name: "no_scale",
    edits: {
      unfused: [" * P.scale", ""],
      fused: ["s * P.scale", "s"],
      fused_subgroup: ["s * P.scale", "s"],
    },
  },
  {
    name: "no_rope",
    edits: {
      unfused: ["q_pe[", "0.0 * q_pe["],
      fused: ["c < DR / 8u", "c < 0u"],
      fused_subgroup: ["c < DR / 8u", "c < 0u"],
    },
  },
  {
    name: "no_last_partial_tile",
    edits: {
      unfused: ["first < end; first += T", "first + T <= end; first += T"],
      fused: ["first < end; first += T", "first + T <= end; first += T"],
      fused_subgroup: ["first < end; first += T", "first + T <= end; first += T"],
    },
  },
  { name: "no_merge_rescale", edits: { unfused: MERGE, fused: MERGE, fused_subgroup: MERGE } },
];

function plant(kernel: AttendKernel, { name, edits }: Fault): AttendKernel {
  const [find, replace] = edits[kernel.variant];
  return {
    ...kernel,
    variant: `${kernel.variant}-${name}`,
    launch(...args) {
      const launch = kernel.launch(...args);
      const dispatches = launch.dispatches.map((dispatch) => ({
        ...dispatch,
        shader: dispatch.shader.replaceAll(find, replace),
      }));
      return { ...launch, dispatches };
    },
  };
}

/** Every fault in every kernel. */
export const MUTANTS: readonly AttendKernel[] = FAULTS.flatMap((fault) =>
  [attendUnfused, attendFused, attendFusedSubgroup].map((kernel) => plant(kernel, fault))
);
