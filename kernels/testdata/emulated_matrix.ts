/**
 * `attend/fused_matrix` without matrices: what its kernel does beside multiplying them is checked where no device has
 * any.
 *
 * @module
 */
import { matrixKernel } from "../attend_fused_matrix.ts";
import functions from "./matrix_emulated.wgsl" with { type: "text" };
import type { AttendKernel } from "../kernel.ts";

/** What takes the place of Tint's types and builtins, and tells the functions which lane calls them. */
const REPLACEMENTS: readonly (readonly [RegExp, string])[] = [
  [/^alias (?:Left|Right|Sums) = subgroup_matrix_.*$/gm, ""],
  [/subgroupMatrixLoad<\w+, row_major>\(&tile\[([^\]]+)\], /g, "rows_of_tile($1, "],
  [/subgroupMatrixLoad<\w+, col_major>\(&tile\[([^\]]+)\], /g, "columns_of_tile($1, "],
  [/subgroupMatrixLoad<\w+, row_major>\(&weights, /g, "rows_of_weights("],
  [/subgroupMatrixMultiplyAccumulate\(/g, "add_product("],
  [/subgroupMatrixStore<row_major>\(&(\w+), /g, "store_$1("],
  [/let lane = [^;]+;/g, "$& own_lane = lane;"],
];

/** The kernel with emulated matrices. */
export const emulatedMatrix: AttendKernel = matrixKernel({
  variant: "emulated_matrix",
  emulation: {
    functions,
    rewrite: (shader) => REPLACEMENTS.reduce((text, [find, put]) => text.replaceAll(find, put), shader),
    productIterations: 17,
    mostLanes: 16,
  },
});
