/**
 * A kernel and the work it is given. Operation and shape belong together, which TypeScript cannot see from two tags
 * that are equal: they are paired here, once.
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
import { requireLaunch } from "../kernels/check_launch.ts";
import { refuseTunables } from "../kernels/tunings.ts";
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
  /**
   * Demands that a launch of the kernel is described without a mistake ({@linkcode requireLaunch}).
   * @throws {TypeError} If it is not.
   */
  require(launch: Launch): void;
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
    refuses: (device) => refuseTunables(kernel, tuning) ?? located(() => paired.refuses(shape, tuning, device)),
    launch: (layout, device) => located(() => paired.launch(shape, layout, tuning, device)),
    require: (launch) => requireLaunch(kernel, launch),
  };
}

/** Modules that throw on purpose, with messages that say all. */
const OWN = ["kernels/", "reference/"].map((folder) => new URL(`../${folder}`, import.meta.url).href);

/** Runs code of a kernel; what it throws tells where in a user's module it was thrown. */
function located<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const place = error instanceof Error ? /file:\S+:\d+:\d+/.exec(error.stack ?? "")?.[0] : undefined;
    if (place && !OWN.some((folder) => place.startsWith(folder))) (error as Error).message += ` (${place})`;
    throw error;
  }
}

/** The work of each call of a case: its own, or for a flow that of every step. */
export function worksOf(c: Case): Work[] {
  if (c.operation !== "mla") return [c];
  return callsOf(c.shape).map(({ shape }) => ({ operation: "mla", shape }));
}
