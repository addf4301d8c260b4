/**
 * Faults of kernels in which teams of lanes share rows, and of products in chains of f16.
 *
 * @module
 */
import { type Fault, inAll, TEAM } from "./fault.ts";
import { attend } from "./shapes.ts";

/** The distance of the first step of the sum over lanes: of rows or tokens, and in f16 where a lane has one chain. */
const FIRST_STEP =
  /(?<=subgroupShuffleXor\((?:given|s_\d+|word_of\(h_\d+\)), )LANE_OF\[(?:VALUES >> \(0u \+ 1u\)|FIRST_HALF)\](?=\))/g;

/** What lanes give each other. */
export const LANE_FAULTS: readonly Fault[] = [
  {
    name: "sums_given_to_the_wrong_lane",
    bugClass: "lanes",
    what: "in the first step of the sum over lanes each gives its half to the lane of the second step",
    like: "a butterfly whose first distance is that of the second step",
    edits: inAll(TEAM, { find: FIRST_STEP, replace: "LANE_OF[VALUES >> 2u]" }),
    cases: { attend: [attend.pageAndOne] },
  },
  {
    name: "lanes_past_the_values_not_summed",
    bugClass: "lanes",
    what: "where there are fewer scores than lanes, the last steps of the sum are left out",
    like: "a reduction over as many lanes as there are results: right where both are 32",
    edits: inAll(TEAM, { find: "s_0 += subgroupShuffleXor(s_0,", replace: "s_0 += 0.0 * subgroupShuffleXor(s_0," }),
    cases: { attend: [attend.tile2] },
  },
  {
    name: "weights_in_order_of_lanes",
    bugClass: "lanes",
    what: "the weight of value v is taken from lane v, not from the lane where the sum by halves leaves it",
    like: "a reduce-scatter leaves its results in an order of its own",
    edits: inAll(TEAM, { find: /(?<=subgroupShuffleXor\(weights_\d+, )LANE_OF\[([^\]]+)\]/g, replace: "($1)" }),
    cases: { attend: [attend.pageAndOne] },
  },
  {
    name: "tokens_in_the_order_of_the_cache",
    bugClass: "lanes",
    what: "all lanes read the tokens of a tile in one order, and sum them as if each had its own",
    like: "a permutation that is applied on one side only",
    edits: inAll(TEAM, { find: /\((\d+u) \^ own_token\)/g, replace: "$1" }),
    cases: { attend: [attend.pageAndOne] },
  },
  {
    name: "weights_of_the_neighbour",
    bugClass: "lanes",
    what: "of two tokens that a lane and its neighbour share, each is given the other's weight",
    like: "the two sides of a select: right where both weigh the same",
    // Where all tokens of a tile are in an order of each lane's own there is nothing to plant.
    edits: inAll(TEAM, {
      find: /select\((other, weights_\d+|weights_\d+, other), upper\)/g,
      replace: "select($1, !upper)",
    }),
    cases: { attend: [attend.oneHead] },
  },
  {
    name: "outputs_in_the_order_of_the_lane",
    bugClass: "lanes",
    what: "outputs are stored by rows in the order of the block, and each lane has them in its own",
    like: "a permutation that is not undone",
    edits: inAll(TEAM, { find: /select\((o_\d+), (o_\d+), is_turned\)/g, replace: "select($1, $2, false)" }),
    cases: { attend: [attend.pageAndOne] },
  },
  {
    name: "slack_past_the_range",
    bugClass: "softmax",
    what: "sums are scaled anew only where a score exceeds the reference by more than exp, or a chain of f16, can hold",
    like: "lazy rescaling with a threshold that was tuned for speed alone",
    edits: inAll(TEAM, { find: /const SLACK = [\d.]+;/g, replace: "const SLACK = 500.0;" }),
    cases: { attend: [attend.jump] },
  },
  {
    name: "maximum_of_a_lane",
    bugClass: "lanes",
    what: "each lane subtracts the maximum of its own tokens, not of its row's",
    like: "a reduction over lanes that is left out: right while logits are small",
    edits: inAll(TEAM, {
      find: "max(largest, subgroupShuffleXor(",
      replace: "max(largest, 0.0 * subgroupShuffleXor(",
    }),
    cases: { attend: [attend.pageAndOne, attend.large] },
  },
  {
    name: "denominator_of_a_lane",
    bugClass: "lanes",
    what: "each lane's sum of weights is taken for that of its row",
    like: "the last reduction after the loop forgotten",
    edits: inAll(TEAM, {
      find: "total += subgroupShuffleXor(total,",
      replace: "total += 0.0 * subgroupShuffleXor(total,",
    }),
    cases: { attend: [attend.pageAndOne] },
  },
  {
    name: "slots_of_the_block_before",
    bugClass: "lanes",
    what: "every block of tokens is looked for where the first one is",
    like: "a pipeline of two stages whose second is never moved up",
    edits: inAll(TEAM, { find: "places = upcoming;", replace: "" }),
    cases: { attend: [attend.pageAndOne] },
  },
  {
    name: "tile_ahead_in_the_same_block",
    bugClass: "lanes",
    what: "the tile that is read ahead across the end of a block is the first one of that block again",
    like: "a prefetch that wraps: right for sequences of one block",
    edits: inAll(TEAM, { find: "select(places, upcoming, at == LANES)", replace: "places" }),
    cases: { attend: [attend.oneHead] },
  },
  {
    name: "hidden_tokens_not_cleared",
    bugClass: "lanes",
    what: "what a row does not see is multiplied by 0 as it is: 0·NaN is NaN",
    like: "flashinfer#941: NaN behind the end of a sequence reaches every row of its block",
    edits: inAll(TEAM, {
      find: "let most = select(ANYWHERE, last_place, block + at + TILE > limit);",
      replace: "let most = ANYWHERE;",
    }),
    cases: { attend: [attend.pageAndOne, attend.twoQueries] },
  },
];

const F16 = ["attend/fused_f16"];

/** Chains of f16, their scales, and when they are added up in f32. */
export const CHAIN_FAULTS: readonly Fault[] = [
  {
    name: "weights_not_scaled_back",
    bugClass: "precision",
    what: "weights are scaled down so that no chain overflows, and sums are not scaled back",
    like: "two halves of one trick, in two functions",
    edits: inAll(F16, { find: "1.0 / (total * WEIGHT_SCALE)", replace: "1.0 / total" }),
    cases: { attend: [attend.pageAndOne] },
  },
  {
    name: "query_scale_of_another_row",
    bugClass: "precision",
    what: "scores are scaled back by the power of two of the row beside",
    like: "a scale per row, kept in one register: right while all rows are of one size",
    edits: inAll(F16, { find: "if (1u == 0u) { unscale", replace: "if (1u == 1u) { unscale" }),
    cases: { attend: [attend.equal] },
  },
  {
    name: "scores_of_the_last_chain",
    bugClass: "precision",
    what: "each chain of a score takes the place of those before it",
    like: "= for +=, in a loop that runs once at small ranks",
    // Where a lane has one chain there is nothing to plant.
    edits: inAll(F16, { find: /\+?= (?=both\(h_)/g, replace: "= " }),
    cases: { attend: [attend.pageAndOne, attend.rank1024] },
  },
  {
    name: "even_elements_lost",
    bugClass: "precision",
    what: "of the two sums of a chain, of even and of odd elements, only one is added",
    like: "packed arithmetic whose last horizontal step is left out",
    edits: inAll(F16, { find: "return f32(sum.x) + f32(sum.y);", replace: "return f32(sum.y);" }),
    cases: { attend: [attend.pageAndOne] },
  },
  {
    name: "chain_keeps_its_weight",
    bugClass: "precision",
    what: "where the reference moves the sum is rescaled, and what the chains hold is not",
    like: "two accumulators, one of which an online softmax forgets",
    edits: inAll(F16, {
      find: /word_of\(halves\((a_\d+)\) \* factor\)/g,
      replace: "$1",
    }),
    cases: { attend: [attend.pageAndOne, attend.monotone] },
  },
  {
    name: "chains_over_a_whole_item",
    bugClass: "precision",
    what: "chains are added up in f32 only after the last token",
    like: "an accumulator of 16 bits: 2,048 equal values, and the next one changes nothing",
    edits: inAll(F16, {
      find: /^ *\{\n *let factor = subgroupShuffleXor\(behind, LANE_OF\[0u \* TILE\]\);$/gm,
      replace: "if (block + LANES < bound) {\n" +
        "  places = upcoming; upcoming = place_of(sequence, block + 2u * LANES + l, limit); continue;\n}\n$&",
    }),
    cases: { attend: [attend.equalLong] },
  },
  {
    name: "chain_added_twice",
    bugClass: "precision",
    what: "a chain is not cleared when it has been added up",
    like: "a partial sum that is carried on after it was counted",
    edits: inAll(F16, { find: /(?<!var )\b(?:a_\d+ = 0u|h_\d+ = Half2\(\));/g, replace: "" }),
    cases: { attend: [attend.pageAndOne] },
  },
];
