/**
 * A case that ran and passed, as further checks find it.
 *
 * @module
 */
import type { Kernel, Launch } from "../kernels/kernel.ts";
import type { Case } from "../suites/case.ts";
import type { CaseInputs } from "./case_inputs.ts";
import type { Session } from "./session.ts";
import type { Upload } from "./uploads.ts";

/** A case whose calls all passed. */
export interface FirstRun {
  /** The open device and what cases share. */
  readonly session: Session;
  /** The case. */
  readonly c: Case;
  /** Its kernel. */
  readonly kernel: Kernel;
  /** Inputs and reference. */
  readonly inputs: CaseInputs;
  /** Inputs on the device. */
  readonly upload: Upload;
  /** Cases of the sweep that it is one of, 1 where it runs for itself: of many cases some are checked further. */
  readonly sweepCases: number;
  /** The launch of each call. */
  readonly launches: readonly Launch[];
  /** What the last call left, by buffer name. */
  readonly results: ReadonlyMap<string, Uint8Array>;
}
