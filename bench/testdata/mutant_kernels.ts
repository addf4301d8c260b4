/**
 * The kernels with one fault each, as an edit of their WGSL: verification must catch every one.
 *
 * @module
 */
import type { Kernel, KernelBase, Launch, Operation } from "../../kernels/kernel.ts";
import { findKernel } from "../../kernels/registry.ts";

/** A fault: what it is, and the edit that plants it, by kernel. */
interface Fault {
  readonly name: string;
  readonly edits: Readonly<Record<string, readonly [find: string, replace: string]>>;
}

/** One edit for several kernels. */
function inAll(kernels: readonly string[], find: string, replace: string): Fault["edits"] {
  return Object.fromEntries(kernels.map((kernel) => [kernel, [find, replace] as const]));
}

const ATTEND = ["attend/unfused", "attend/fused", "attend/fused_subgroup"] as const;
const FUSED = ["attend/fused", "attend/fused_subgroup"] as const;
const APPEND = ["append/combined", "append/separate"] as const;
const MLA = ["mla/unfused", "mla/fused", "mla/fused_subgroup"] as const;

const FAULTS: readonly Fault[] = [
  {
    name: "no_scale",
    edits: {
      ...inAll(FUSED, "s * P.scale", "s"),
      "attend/unfused": [" * P.scale", ""],
      "prefill/fused": [" * P.factor", ""],
    },
  },
  {
    name: "no_rope",
    edits: {
      ...inAll(FUSED, "c < DR / 8u", "c < 0u"),
      "attend/unfused": ["q_pe[", "0.0 * q_pe["],
      "prefill/fused": ["return rope[", "return 0.0 * rope["],
    },
  },
  { name: "no_last_partial_tile", edits: inAll(ATTEND, "first < end; first += T", "first + T <= end; first += T") },
  {
    name: "no_merge_rescale",
    edits: inAll(ATTEND, "let weight = exp(partial_lse[source] - maximum);", "let weight = 1.0;"),
  },
  {
    name: "sees_the_next_token",
    edits: {
      ...inAll(FUSED, "bitcast<i32>(offset)", "bitcast<i32>(offset) + 1"),
      "attend/unfused": ["i32(span.z))", "i32(span.z) + 1)"],
      "prefill/fused": ["let low = i32(row) + item.limit;", "let low = i32(row) + item.limit + 1;"],
    },
  },
  {
    name: "page_off_by_one",
    edits: inAll(APPEND, "cu_num_pages[b] + pos / P.page;", "cu_num_pages[b] + (pos + 1u) / P.page;"),
  },
  {
    name: "empty_sequences_not_skipped",
    edits: inAll(APPEND, "cu_seqlen[middle] <= token", "cu_seqlen[middle] < token"),
  },
  { name: "keys_for_values", edits: inAll(["project/tiled", "project/vector"], " + FIRST_ROW", "") },
  { name: "padding_left", edits: inAll(["project/tiled", "project/vector"], "P.zero_begin", "P.zero_end") },
  {
    name: "pages_of_the_first_sequence",
    edits: inAll(MLA, "let first = cu_num_pages[b];", "let first = cu_num_pages[0];"),
  },
  {
    name: "nothing_appended",
    edits: inAll(MLA, "if (slot == NOWHERE) { return; }\n  if (rope)", "return;\n  if (rope)"),
  },
];

function plant(name: string, fault: string, [find, replace]: readonly [string, string]): Kernel {
  const kernel = findKernel(name) as KernelBase<Operation, unknown>;
  return {
    ...kernel,
    variant: `${kernel.variant}-${fault}`,
    launch(...args: Parameters<typeof kernel.launch>): Launch {
      const launch = kernel.launch(...args);
      const dispatches = launch.dispatches.map((dispatch) => ({
        ...dispatch,
        shader: dispatch.shader.replaceAll(find, replace),
      }));
      return { ...launch, dispatches };
    },
  } as Kernel;
}

/** Every fault in every kernel that it is for. */
export const MUTANTS: readonly Kernel[] = FAULTS.flatMap(({ name, edits }) =>
  Object.entries(edits).map(([kernel, edit]) => plant(kernel, name, edit))
);
