/**
 * Faults of the kernel that multiplies in subgroup matrices. Where no device has any they are planted in its emulation
 * (`bench/matrix_kernel_test.ts`).
 *
 * @module
 */
import { type Edit, type Fault, inAttendOf } from "./fault.ts";
import { attend, mla } from "./shapes.ts";

/** Edits of `attend/fused_matrix`. */
function inMatrix(...edits: readonly Edit[]): Fault["edits"] {
  return { "attend/fused_matrix": edits };
}

/** The same in the `mla` around it. */
const IN_ITS_MLA = inAttendOf(["mla/fused_matrix"]);

/** Sums that stay in matrices, the parts of a score, rows and tokens of a block. */
export const MATRIX_FAULTS: readonly Fault[] = [
  {
    name: "sums_not_begun_anew",
    bugClass: "matrices",
    what: "sums go on in their matrices after they were added to the output",
    like: "a partial sum that is carried on after it was counted",
    edits: inMatrix({ find: /(?<!var )o_\d+ = Sums\(\);/g, replace: "" }),
    cases: { attend: [attend.jump, attend.monotone] },
  },
  {
    name: "sums_before_lost",
    bugClass: "matrices",
    what: "where sums are added to the output, what was added before is lost",
    like: "= for +=, in a branch that is taken when the maximum moves a second time",
    edits: inMatrix({ find: /if \(holds\) \{ sum \+= out\[place\]; \}/g, replace: "" }),
    cases: { attend: [attend.jump] },
  },
  {
    name: "first_part_of_d_alone",
    bugClass: "matrices",
    what: "every subgroup multiplies the first part of d",
    like: "an inner dimension that is split over warps, without the offset of the warp",
    edits: { ...inMatrix({ find: /part \* STEPS/g, replace: "0u * STEPS" }), ...IN_ITS_MLA },
    cases: { attend: [attend.pageAndOne], mla: [mla.step] },
  },
  {
    name: "queries_not_scaled_back",
    bugClass: "matrices",
    what: "scores keep the power of two by which a query was multiplied before it was rounded",
    like: "two halves of one trick, in two functions",
    edits: inMatrix({ find: "1.0 / factor_of(r), MASKED", replace: "1.0, MASKED" }),
    // At rank 256 the largest element of ordinary queries is in [1/2, 1) already.
    cases: { attend: [attend.pageAndOne, attend.large] },
  },
  {
    name: "hidden_tokens_of_the_block_count",
    bugClass: "matrices",
    what: "rows of a block weigh all tokens that its last row sees",
    like: "a causal rule that is applied to whole tiles",
    edits: { ...inMatrix({ find: /let limit = limit_of\([^;]+;/g, replace: "let limit = end;" }), ...IN_ITS_MLA },
    cases: { attend: [attend.nineQueries], mla: [mla.prompt] },
  },
  {
    name: "cache_is_written",
    bugClass: "matrices",
    what: "the kernel writes the cache, which it declares read_write only to fetch ahead",
    like: "an access that nothing checks any more",
    edits: inMatrix({ find: "let lane = t % LANES;", replace: "let lane = t % LANES; cache[0] = vec4(1u);" }),
    cases: { attend: [attend.pageAndOne] },
  },
  {
    name: "rows_past_the_last_stored",
    bugClass: "matrices",
    what: "all rows of a matrix are stored, whatever the rows of the block",
    like: "a tile of the output that is stored without its edge",
    edits: { ...inMatrix({ find: "if (row < rows && column", replace: "if (column" }), ...IN_ITS_MLA },
    cases: { attend: [attend.oddHeads], mla: [mla.step] },
  },
  {
    name: "weights_kept_where_the_reference_moves",
    bugClass: "matrices",
    what: "a tile whose scores move a reference keeps the weights that are relative to the one before",
    like: "a decision that is taken after what depends on it",
    edits: {
      ...inMatrix({
        find: /row = follow\(row, number\);\s*found = weigh\(row, first\);/g,
        replace: "row = follow(row, number);",
      }),
      ...IN_ITS_MLA,
    },
    cases: { attend: [attend.pageAndOne], mla: [mla.step] },
  },
  {
    name: "sum_of_weights_kept_where_the_reference_moves",
    bugClass: "matrices",
    what: "outputs are scaled to the new reference and the sum of their weights is not",
    like: "two accumulators, one of which an online softmax forgets",
    edits: inMatrix({ find: "row.sums *= change;", replace: "" }),
    cases: { attend: [attend.jump, attend.monotone] },
  },
  {
    name: "scores_of_the_same_tile",
    bugClass: "matrices",
    what: "where scores are computed a tile ahead, they are those of the tile that is weighed already",
    like: "two buffers whose turns are mixed up",
    edits: inMatrix({ find: /(?<=tile[[(])next(?=\]?, MATRIX_CHUNKS \* \(part)/g, replace: "now", when: { H: 63 } }),
    cases: { attend: [attend.heads63] },
  },
  {
    name: "values_of_the_next_tile",
    bugClass: "matrices",
    what: "weights are multiplied with the tile that lies in the other buffer",
    like: "two buffers whose turns are mixed up",
    edits: inMatrix({ find: /(?<=tile[[(])now(?=\]?, MATRIX_CHUNKS \* \(column)/g, replace: "next", when: { H: 63 } }),
    cases: { attend: [attend.heads63] },
  },
];
