/**
 * Faults of the online softmax, of rows that see nothing, of the merge of splits and of the log-sum-exp.
 *
 * @module
 */
import { ATTEND, type Fault, FUSED, IN_MLA, inAll, PREFILL, TEAM } from "./fault.ts";
import { binding, editItems, setParam } from "./launch_edits.ts";
import { attend, mla, prefill } from "./shapes.ts";

/** Mistakes of the online softmax. */
export const SOFTMAX_FAULTS: readonly Fault[] = [
  {
    name: "output_not_rescaled",
    bugClass: "softmax",
    what: "what was summed before keeps its weight when the running maximum moves",
    like: "the classic mistake of an online softmax",
    edits: {
      "attend/fused": [{
        find: "if (any(fp != vec4(1.0)) || any(fq != vec4(1.0))) { rescale(&o, fp, fq); }",
        replace: "",
      }],
      "attend/fused_subgroup": [{ find: "*= factor;", replace: "*= 1.0;" }],
      "attend/fused_f16": [{ find: ", vec4(factor), vec4(", replace: ", vec4(1.0), vec4(" }],
      ...inAll(PREFILL, {
        find: "if (any(change.a != vec4(1.0)) || any(change.b != vec4(1.0))) { rescale(&o, change); }",
        replace: "",
      }),
    },
    cases: { attend: [attend.pageAndOne, attend.monotone], prefill: [prefill.large, prefill.chunks] },
  },
  {
    name: "sum_not_rescaled",
    bugClass: "softmax",
    what: "the denominator keeps its weight when the maximum moves",
    like: "the same, of the sum: right as long as the first tile has the maximum",
    edits: {
      "attend/fused": [{ find: "sum *= change;", replace: "" }],
      ...inAll(TEAM, { find: "sum *= change;", replace: "" }),
      "attend/unfused": [{ find: "parts[t] = sum * exp(own - maximum);", replace: "parts[t] = sum;" }],
      ...inAll(PREFILL, { find: "sum.a * change.a +", replace: "sum.a +" }, {
        find: "sum.b * change.b +",
        replace: "sum.b +",
      }),
    },
    cases: { attend: [attend.pageAndOne, attend.monotone], prefill: [prefill.large, prefill.chunks] },
  },
  {
    name: "no_maximum",
    bugClass: "softmax",
    what: "exponentials without subtracting the maximum: they overflow",
    like: "a softmax that is right for small logits",
    edits: {
      "attend/fused": [{
        find: "tile_maximum = max(tile_maximum, max(max(s.x, s.y), max(s.z, s.w)));",
        replace: "tile_maximum = 0.0;",
      }],
      ...inAll(
        TEAM,
        { find: "var largest = max(reference, score);", replace: "var largest = 0.0;" },
      ),
      "attend/unfused": [{ find: "let top = max(max(s.x, s.y), max(s.z, s.w));", replace: "let top = 0.0;" }],
      ...inAll(
        PREFILL,
        { find: "top.a = max(top.a, max(max(p0.a, p1.a), max(p2.a, p3.a)));", replace: "top.a = vec4(0.0);" },
        { find: "top.b = max(top.b, max(max(p0.b, p1.b), max(p2.b, p3.b)));", replace: "top.b = vec4(0.0);" },
      ),
    },
    cases: { attend: [attend.large], prefill: [prefill.large] },
  },
  {
    name: "maximum_of_the_first_tile",
    bugClass: "softmax",
    what: "the maximum that is subtracted is that of the first tile with tokens, whatever follows",
    like: "an online softmax whose maximum never moves: right while logits stay within the range of exp",
    edits: {
      "attend/fused": [{
        find: "let change = exp(maximum - tile_maximum);",
        replace: "if (maximum > MASKED) { tile_maximum = maximum; }\n      let change = exp(maximum - tile_maximum);",
      }],
      ...inAll(TEAM, { find: "score > reference + SLACK", replace: "score > reference && reference == MASKED" }),
      ...inAll(PREFILL, {
        find: "let change = OfRows(",
        replace: "top.a = select(top.a, maximum.a, maximum.a > vec4(MASKED));\n" +
          "top.b = select(top.b, maximum.b, maximum.b > vec4(MASKED));\n    let change = OfRows(",
        dispatch: "attend",
      }),
    },
    cases: { attend: [attend.jump], prefill: [prefill.large] },
  },
  {
    name: "softmax_of_base_2",
    bugClass: "softmax",
    what: "2ˣ in place of eˣ without log₂e in the scale",
    like: "exp2 is the faster instruction, and its factor is easily lost",
    edits: {
      "attend/fused": [{ find: "exp(", replace: "exp2(", dispatch: "attend" }],
      ...inAll(
        TEAM,
        { find: "exp(score - ", replace: "exp2(score - ", dispatch: "attend" },
        { find: "exp(reference - ", replace: "exp2(reference - ", dispatch: "attend" },
      ),
      "attend/unfused": [{ find: "exp(", replace: "exp2(", dispatch: "softmax" }],
      ...inAll(PREFILL, setParam("factor", (factor) => factor / Math.LOG2E)),
    },
    cases: { attend: [attend.pageAndOne], prefill: [prefill.ragged] },
  },
  {
    name: "not_normalized",
    bugClass: "softmax",
    what: "the output is not divided by the denominator",
    like: "the last step of an online softmax left to a caller that does not do it",
    edits: {
      "attend/fused": [{ find: "1.0 / sum", replace: "1.0" }],
      "attend/fused_subgroup": [{ find: "1.0 / total", replace: "1.0" }],
      "attend/fused_f16": [{ find: "1.0 / (total * WEIGHT_SCALE)", replace: "1.0 / WEIGHT_SCALE" }],
      "attend/unfused": [{ find: "- maximum) / sum", replace: "- maximum)" }],
      ...inAll(PREFILL, { find: "OfRows(1.0 / all.a, 1.0 / all.b)", replace: "OfRows(vec4(1.0), vec4(1.0))" }),
    },
    cases: { attend: [attend.pageAndOne], prefill: [prefill.ragged] },
  },
];

/** ∞, which WGSL refuses to compute from constants, with the help of a variable. */
const infinity = (variable: string) => `bitcast<f32>(0x7f800000u + 0u * ${variable})`;

/** Sequences and rows without tokens. */
export const EMPTY_FAULTS: readonly Fault[] = [
  {
    name: "zero_length_division",
    bugClass: "empty",
    what: "a row that sees no token is 0/0",
    like: "flashinfer#2883, vllm#37442: padded rows of length 0 are NaN and poison the batch",
    edits: {
      "attend/fused": [{ find: "select(0.0, 1.0 / sum, begin < limit)", replace: "1.0 / sum" }],
      ...inAll(TEAM, { find: "* factor, begin < limit)", replace: "* factor, true)" }),
      "attend/unfused": [{
        find: "select(exp(scores[at + quad] - maximum) / sum, vec4(0.0), unseen)",
        replace: "exp(scores[at + quad] - maximum) / sum",
      }],
      ...inAll(
        PREFILL,
        { find: "select(vec4(0.0), v, some)", replace: "v" },
        { find: "select(vec4(0.0), w, some)", replace: "w" },
      ),
    },
    cases: { attend: [attend.unseen, attend.nothing], prefill: [prefill.steps] },
  },
  {
    name: "lse_of_nothing_infinite",
    bugClass: "empty",
    what: "the log-sum-exp of no token is +∞: a merge gives it all the weight",
    like: "FlashMLA's convention, where FlashInfer has −∞ (and the contract −1e30)",
    edits: {
      "attend/fused": [{
        find: "select(MASKED, (maximum + log(sum))",
        replace: `select(${infinity("t")}, (maximum + log(sum))`,
      }],
      ...inAll(TEAM, {
        find: "select(MASKED, (reference + log(total))",
        replace: `select(${infinity("l")}, (reference + log(total))`,
      }),
      "attend/unfused": [{
        find: "select(MASKED, (maximum + log(sum))",
        replace: `select(${infinity("t")}, (maximum + log(sum))`,
      }],
    },
    cases: { attend: [attend.nothing, attend.unseen] },
  },
  {
    name: "empty_sequence_not_written",
    bugClass: "empty",
    what: "rows that see no token keep what the output held",
    like: "vllm#38436: stale output of padded rows; an early return before the stores",
    edits: {
      ...inAll(FUSED, { find: "let end = span.y;", replace: "let end = span.y;\n  if (begin >= end) { return; }" }),
      "attend/unfused": [{
        find: "let end = span.y;",
        replace: "let end = span.y;\n  if (begin >= end) { return; }",
        dispatch: "product",
      }],
      ...inAll(PREFILL, { find: "if (cg < DV / 4u)", replace: "if (some && cg < DV / 4u)" }),
    },
    cases: { attend: [attend.ragged], prefill: [prefill.steps] },
  },
];

const PARTIAL = binding("partial_lse");

/** The merge of splits, and where they meet. */
export const MERGE_FAULTS: readonly Fault[] = [
  {
    name: "merge_without_rescale",
    bugClass: "merge",
    what: "partial results are averaged, not weighed by their log-sum-exp",
    like: "a split-KV merge that is right where all splits weigh the same",
    edits: {
      ...inAll(ATTEND, {
        find: /exp\(logs_\d+ - maximum\)/g,
        replace: "1.0",
        dispatch: "merge",
      }),
      ...IN_MLA,
    },
    cases: { attend: [attend.split], mla: [mla.flowSplit] },
  },
  {
    name: "merge_of_base_2",
    bugClass: "merge",
    what: "natural log-sum-exps are merged as if their base were 2",
    like: "flashinfer#2113, vllm#47079: merge error of 0.1 at a prefix of 4,096",
    edits: {
      ...inAll(ATTEND, {
        find: /exp\((logs_\d+ - maximum)\)/g,
        replace: "exp2($1)",
        dispatch: "merge",
      }),
      ...IN_MLA,
    },
    cases: { attend: [attend.split, attend.splitMonotone], mla: [mla.flowSplit] },
  },
  {
    name: "partial_lse_of_base_2",
    bugClass: "merge",
    what: "partial results come with a log-sum-exp of base 2, and the merge takes it for a natural one",
    like: "flashinfer#4485, sglang#35045: the same API gives either base by backend",
    edits: inAll(ATTEND, setParam("lse_factor", () => Math.LOG2E, (d, l) => PARTIAL(d, l) && !binding("merges")(d, l))),
    cases: { attend: [attend.split, attend.splitMonotone] },
  },
  {
    name: "merge_misses_the_last_partial",
    bugClass: "merge",
    what: "the last split is not summed",
    like: "s < splits − 1, or a count of splits rounded down",
    edits: {
      ...inAll(ATTEND, {
        find: /(s \+ \d+u \* GROUPS) < splits/g,
        replace: "$1 + 1u < splits",
        dispatch: "merge",
      }),
      ...IN_MLA,
    },
    cases: { attend: [attend.split], mla: [mla.flowSplit] },
  },
  {
    name: "merge_of_a_share",
    bugClass: "merge",
    what: "of the threads that share a merge only the first one's splits count",
    like: "a reduction whose last step is forgotten: right up to eight splits",
    edits: inAll(ATTEND, {
      find: /exp\(maxima\[[1-9]\d*u[^\]]*\] - largest\)/g,
      replace: "0.0",
      dispatch: "merge",
    }),
    cases: { attend: [attend.manySplits, attend.manyMoreSplits] },
  },
  {
    name: "merge_of_shares_as_they_are",
    bugClass: "merge",
    what: "threads that share a merge have sums relative to maxima of their own, which are added as if it were one",
    like: "a reduction of (maximum, sum) pairs by their parts: right where the largest weights are spread",
    edits: inAll(ATTEND, {
      find: /exp\(maxima\[\d+u[^\]]*\] - largest\)/g,
      replace: "1.0",
      dispatch: "merge",
    }),
    cases: { attend: [attend.manySplits, attend.manyMoreSplits, attend.steppedSplits] },
  },
  {
    name: "merge_step_as_it_is",
    bugClass: "merge",
    what: "sums of the splits before are not scaled to the maximum of those that come",
    like: "an online softmax over splits that is right up to the first step",
    edits: inAll(ATTEND, {
      find: "let change = exp(maximum - largest);",
      replace: "let change = 1.0;",
      dispatch: "merge",
    }),
    cases: { attend: [attend.steppedSplits] },
  },
  {
    name: "merge_repeats_the_last_split",
    bugClass: "merge",
    what: "splits are read some at a time, and what fills the last step up to that number counts",
    like: "a clamped index without its mask: right where the count is a multiple of the step",
    edits: inAll(ATTEND, {
      find: /select\(0\.0, (exp\(logs_\d+ - maximum\)), [^)]*\)/g,
      replace: "$1",
      dispatch: "merge",
    }),
    cases: { attend: [attend.split, attend.manySplits] },
  },
  {
    name: "merge_keeps_the_first_lse",
    bugClass: "merge",
    what: "the log-sum-exp after the merge is that of the first split",
    like: "outputs merged, statistics forgotten: the next merge up is wrong",
    edits: inAll(ATTEND, {
      find: "let natural = maximum + log(sum);",
      replace: "let natural = partial_lse[first];",
      dispatch: "merge",
    }),
    cases: { attend: [attend.split] },
  },
  {
    name: "splits_skip_a_token",
    bugClass: "merge",
    what: "each split but the first begins one token late",
    like: "bounds of a chunk with both ends exclusive",
    edits: inAll(ATTEND, editItems((item) => void (item.begin += item.begin > 0 ? 1 : 0))),
    cases: { attend: [attend.split] },
  },
  {
    name: "splits_share_a_token",
    bugClass: "merge",
    what: "each split but the first begins one token early, which so counts twice",
    like: "bounds of a chunk with both ends inclusive",
    edits: inAll(FUSED, editItems((item) => void (item.begin -= item.begin > 0 ? 1 : 0))),
    cases: { attend: [attend.split] },
  },
];

/** The log-sum-exp. */
export const LSE_FAULTS: readonly Fault[] = [
  {
    name: "lse_of_base_2_for_e",
    bugClass: "lse",
    what: "a natural log-sum-exp is asked for, and that of base 2 is given",
    like: "flashinfer#2113: FlashInfer's own base is 2",
    edits: {
      ...inAll(ATTEND, setParam("lse_factor", () => Math.LOG2E, binding("lse"))),
      ...inAll(PREFILL, { find: "LSE2 == 1u", replace: "LSE2 >= 0u", dispatch: "attend" }),
      ...IN_MLA,
    },
    cases: { attend: [attend.pageAndOne], prefill: [prefill.ragged], mla: [mla.step] },
  },
  {
    name: "lse_of_base_e_for_2",
    bugClass: "lse",
    what: "that of base 2 is asked for, and the natural one is given",
    like: "flashinfer PR#4650, the other way round",
    edits: {
      ...inAll(ATTEND, setParam("lse_factor", () => 1, binding("lse2"))),
      ...inAll(PREFILL, { find: "LSE2 == 1u", replace: "LSE2 == 2u", dispatch: "attend" }),
    },
    cases: { attend: [attend.lse2, attend.lse2Split], prefill: [prefill.whole] },
  },
  {
    name: "lse_without_maximum",
    bugClass: "lse",
    what: "the running maximum is not added back",
    like: "the output is right without it: only who merges sees it",
    edits: {
      "attend/fused": [{ find: "(maximum + log(sum))", replace: "log(sum)" }],
      ...inAll(TEAM, { find: "(reference + log(total))", replace: "log(total)" }),
      "attend/unfused": [{ find: "(maximum + log(sum))", replace: "log(sum)", dispatch: "softmax" }],
      ...inAll(PREFILL, { find: "(maximum + log2(sum))", replace: "log2(sum)" }),
    },
    cases: { attend: [attend.pageAndOne], prefill: [prefill.ragged] },
  },
];
