/**
 * A kernel and the work it is given. Operation and shape belong together, which TypeScript cannot see from two tags that
 * are equal: they are paired here, once.
 *
 * @module
 */
import {
  type CacheLayout,
  type DeviceTraits,
  type Kernel,
  type KernelBase,
  kernelName,
  type Launch,
  type Operation,
  type Tuning,
} from "../kernels/kernel.ts";
import type { Work } from "../kernels/work.ts";
import { callsOf } from "../reference/flow.ts";
import type { Case } from "../suites/case.ts";

/** A kernel that was given its work. */
export interface PairedKernel {
  /** Why it cannot run on `device`; undefined when it can. */
  refuses(device: DeviceTraits): string | undefined;
  /**
   * Describes the launch.
   * @throws {RangeError} If {@linkcode PairedKernel.refuses} has a reason.
   */
  launch(layout: CacheLayout, device: DeviceTraits): Launch;
}

/**
 * Gives `kernel` its work.
 *
 * @throws {TypeError} If the operations differ.
 */
export function pairKernel(kernel: Kernel, { operation, shape }: Work, tuning: Tuning): PairedKernel {
  if (kernel.operation !== operation) {
    throw new TypeError(`Cannot run ${operation} with ${kernelName(kernel)}: the operations differ`);
  }
  const paired: KernelBase<Operation, typeof shape> = kernel;
  return {
    refuses: (device) => paired.refuses(shape, tuning, device),
    launch: (layout, device) => paired.launch(shape, layout, tuning, device),
  };
}

/** The work of each call of a case: its own, or for a flow that of every step. */
export function worksOf(c: Case): Work[] {
  if (c.operation !== "mla") return [c];
  return callsOf(c.shape).map(({ shape }) => ({ operation: "mla", shape }));
}
