/**
 * Makes a mutant: a kernel with a fault planted.
 *
 * @module
 */
import type { Dtype } from "../../reference/dtypes.ts";
import type { DispatchSpec, Kernel, KernelBase, Launch, MlaKernel, Operation } from "../kernel.ts";
import { kernelName } from "../kernel.ts";
import { mlaKernel } from "../mla.ts";
import { findKernel } from "../registry.ts";
import { type Edit, type Fault, IN_ITS_ATTEND, type LaunchContext, type Sizes, type TextEdit } from "./fault.ts";

/** A kernel with a fault. */
export interface Mutant {
  /** The kernel, of the variant `fused-no_scale`. */
  readonly kernel: Kernel;
  /** Name of the kernel without the fault: `attend/fused`. */
  readonly base: string;
  /** The fault. */
  readonly fault: Fault;
}

/** `fault` in each kernel that it has edits for. */
export function mutantsOf(fault: Fault): Mutant[] {
  return Object.entries(fault.edits).map(([base, edits]) => ({ kernel: plant(base, fault, edits), base, fault }));
}

/**
 * The cases that were chosen to see the fault of a mutant, as the part of their id that follows the kernel: those of a
 * layout that the kernel takes. One of an element type that it does not take is run in the first that it takes.
 */
export function chosenCases(
  { kernel: { operation, layouts, dtypes }, fault }: Pick<Mutant, "kernel" | "fault">,
): string[] {
  const layoutOf = (shape: string) => shape.includes(";layout=separate") ? "separate" : "combined";
  const taken = (shape: string) =>
    shape.replace(
      /;cache=(\w+)/,
      (axis, cache) => dtypes?.includes(cache as Dtype) ?? true ? axis : `;cache=${dtypes![0]}`,
    );
  const shapes = (fault.cases[operation] ?? []).filter((shape) => layouts?.includes(layoutOf(shape)) ?? true);
  return [...new Set(shapes.map(taken))];
}

function plant(base: string, { name, edits: all }: Fault, edits: Fault["edits"][string]): Kernel {
  const kernel = findKernel(base);
  if (edits !== IN_ITS_ATTEND) return withEdits(kernel, name, edits);
  const own = all[`attend/${kernel.variant}`];
  const attend = findKernel(`attend/${kernel.variant}`);
  if (attend.operation !== "attend" || own === undefined || own === IN_ITS_ATTEND) {
    throw new RangeError(`Cannot plant ${name} in ${base}: it has no edits for attend/${kernel.variant}`);
  }
  return mlaKernel(withEdits(attend, name, own)) satisfies MlaKernel;
}

/** `kernel` launched with `edits`, under the variant `<variant>-<name>`. */
export function withEdits<K extends Kernel>(kernel: K, name: string, edits: readonly Edit[]): K {
  // Operation and shape belong together, which is of no account here: a mutant gets the shapes of its kernel.
  const original: KernelBase<Operation, unknown> = kernel;
  const mutant: KernelBase<Operation, unknown> = {
    ...original,
    variant: `${original.variant}-${name}`,
    launch(shape, layout, tuning, device) {
      const context: LaunchContext = { shape: shape as Sizes, layout };
      const launched = edits.reduce<unknown>((of, edit) => "shape" in edit ? edit.shape(of as Sizes) : of, shape);
      const launch = original.launch(launched, layout, tuning, device);
      return edits.reduce((of, edit) => applyEdit(of, edit, context, `${name} in ${kernelName(kernel)}`), launch);
    },
  };
  return mutant as K;
}

function applyEdit(launch: Launch, edit: Edit, context: LaunchContext, what: string): Launch {
  if ("shape" in edit) return launch;
  return "launch" in edit ? edit.launch(launch, context) : replaceText(launch, edit, context, what);
}

/** @throws {RangeError} If the text is in no dispatch that it should be in: the kernel has changed underneath. */
function replaceText(launch: Launch, edit: TextEdit, { shape }: LaunchContext, what: string): Launch {
  const { find, dispatch: label, when = {} } = edit;
  if (Object.entries(when).some(([name, value]) => valueOf(shape, name) !== value)) return launch;
  const meant = launch.dispatches.filter((dispatch) =>
    label === undefined || [label, `${label}_split`].includes(endOfLabel(dispatch))
  );
  if (meant.length === 0) return launch;
  const found = meant.filter(({ shader }) =>
    typeof find === "string" ? shader.includes(find) : shader.search(find) >= 0
  );
  if (found.length === 0 || (label !== undefined && found.length < meant.length)) {
    throw new RangeError(
      `Cannot plant ${what}: no shader has ${typeof find === "string" ? JSON.stringify(find) : find}`,
    );
  }
  const dispatches = launch.dispatches.map((dispatch) =>
    found.includes(dispatch) ? { ...dispatch, shader: replaceAll(dispatch.shader, edit) } : dispatch
  );
  return { ...launch, dispatches };
}

function replaceAll(shader: string, { find, replace }: TextEdit): string {
  return typeof find === "string" ? shader.replaceAll(find, () => replace) : shader.replaceAll(find, replace);
}

/** What follows the last slash: `merge` of `attend/merge`. */
export function endOfLabel({ label }: Pick<DispatchSpec, "label">): string {
  return label.slice(label.lastIndexOf("/") + 1);
}

function valueOf(shape: Sizes, name: string): unknown {
  return shape[name] ?? (name === "layout" ? "combined" : undefined);
}
