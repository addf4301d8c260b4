/**
 * `attend/fused_matrix` without matrices: what its kernel does beside multiplying them is checked where no device has
 * any.
 *
 * @module
 */
import { matrixKernel } from "../attend_fused_matrix.ts";
import emulated from "./matrix_emulated.wgsl" with { type: "text" };
import type { AttendKernel } from "../kernel.ts";

/** The kernel with emulated matrices. */
export const emulatedMatrix: AttendKernel = matrixKernel({
  variant: "emulated_matrix",
  text: emulated,
  isNative: false,
  productIterations: 17,
});
