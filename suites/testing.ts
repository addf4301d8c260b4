/**
 * What the tests of this folder share.
 *
 * @module
 */
import type { KernelPrecision } from "../reference/precision.ts";
import type { KernelName } from "./select.ts";

/** Less than f32; how much less is of no account to suites. */
const F16: KernelPrecision = { scores: { f16Chain: 0 }, values: { f16Chain: 0 } };

/** Names of kernels as they are registered: suites depend on no more of a kernel than this. */
export const TEST_KERNELS: readonly KernelName[] = [
  { operation: "attend", variant: "unfused" },
  { operation: "attend", variant: "fused" },
  { operation: "attend", variant: "fused_subgroup" },
  { operation: "append", variant: "paged" },
];

/** A kernel for every operation, layout and element type: what the suites themselves are tested with. */
export const SUITE_KERNELS: readonly KernelName[] = [
  ...TEST_KERNELS.filter(({ operation }) => operation === "attend"),
  { operation: "attend", variant: "fused_f16", dtypes: ["f16"], precision: F16 },
  { operation: "attend", variant: "fused_matrix", dtypes: ["f16", "bf16"], precision: F16 },
  { operation: "append", variant: "combined", layouts: ["combined"] },
  { operation: "append", variant: "separate", layouts: ["separate"] },
  { operation: "project", variant: "tiled" },
  { operation: "project", variant: "vector" },
  { operation: "prefill", variant: "fused" },
  { operation: "mla", variant: "unfused" },
  { operation: "mla", variant: "fused" },
  { operation: "mla", variant: "fused_subgroup" },
  { operation: "mla", variant: "fused_f16", dtypes: ["f16"], precision: F16 },
  { operation: "mla", variant: "fused_matrix", dtypes: ["f16", "bf16"], precision: F16 },
];
