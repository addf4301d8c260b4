/**
 * Estimated work of a case, for sampling and sharding.
 *
 * @module
 */
import { minBytes, workFlops } from "../kernels/work.ts";
import type { Case } from "./case.ts";

/** Work of one launch. */
export interface Cost {
  /** Floating-point operations; 0 for append. */
  readonly flops: number;
  /** Bytes that must be moved. */
  readonly bytes: number;
}

/** The work that `testCase` asks for, whichever kernel does it. */
export function estimateCost(testCase: Case): Cost {
  return { flops: workFlops(testCase), bytes: minBytes(testCase) };
}
