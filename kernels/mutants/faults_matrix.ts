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
    edits: inMatrix({ find: /if \(to\.holds\) \{ sum \+= out\[place\]; \}/g, replace: "" }),
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
    edits: inMatrix({ find: /P\.scale \/ query_factor\(min\(r, ROWS - 1u\)\)/g, replace: "P.scale" }),
    cases: { attend: [attend.pageAndOne] },
  },
  {
    name: "hidden_tokens_of_the_block_count",
    bugClass: "matrices",
    what: "rows of a block weigh all tokens that its last row sees",
    like: "a causal rule that is applied to whole tiles",
    edits: { ...inMatrix({ find: /< limit(?=\)?;)/g, replace: "< end" }), ...IN_ITS_MLA },
    cases: { attend: [attend.nineQueries], mla: [mla.prompt] },
  },
  {
    name: "cache_is_written",
    bugClass: "matrices",
    what: "the kernel writes the cache, which it declares read_write only to fetch ahead",
    like: "an access that nothing checks any more",
    edits: inMatrix({ find: /set_lane\(lane\);/g, replace: "set_lane(lane); cache[0] = vec4(1u);" }),
    cases: { attend: [attend.pageAndOne] },
  },
  {
    name: "rows_past_the_last_stored",
    bugClass: "matrices",
    what: "all 16 rows of a matrix are stored, whatever the rows of the block",
    like: "a tile of the output that is stored without its edge",
    edits: { ...inMatrix({ find: /row < to\.rows &&/g, replace: "" }), ...IN_ITS_MLA },
    cases: { attend: [attend.oddHeads], mla: [mla.step] },
  },
];
