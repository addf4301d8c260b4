/**
 * What the tests of this folder share.
 *
 * @module
 */
import type { KernelName } from "./select.ts";

/** Names of kernels as they are registered: suites depend on no more of a kernel than this. */
export const TEST_KERNELS: readonly KernelName[] = [
  { operation: "attend", variant: "unfused" },
  { operation: "attend", variant: "fused" },
  { operation: "attend", variant: "fused_subgroup" },
  { operation: "append", variant: "paged" },
];
