/**
 * Faults that another version of the operator has for features, and those of its scale and its rope term.
 *
 * @module
 */
import { APPEND, ATTEND, type Fault, IN_MLA, inAll, PREFILL, TEAM } from "./fault.ts";
import { labelled, setParam } from "./launch_edits.ts";
import { append, appendSeparate, attend, mla, prefill } from "./shapes.ts";

/** Dispatches that find the cache by the page table. */
const READERS = labelled("scores", "product", "product_split", "attend", "attend_split", "expand");

/** Sets the softmax scale; `prefill` works in base 2 and holds it times log₂e. */
function scaled(change: Parameters<typeof setParam>[1]): Fault["edits"] {
  return {
    ...inAll(ATTEND, setParam("scale", change)),
    ...inAll(PREFILL, setParam("factor", (value, shape) => Math.LOG2E * change(value / Math.LOG2E, shape))),
    ...IN_MLA,
  };
}

/** What version "4-D" of TensorRT-LLM's pull request 12519 does and this operator must not. */
export const VARIANT_FAULTS: readonly Fault[] = [
  {
    name: "no_scale",
    bugClass: "variant",
    what: "the softmax scale that the caller gives is dropped",
    like: "TensorRT-LLM#12089: every MLA backend ignored `scale`",
    edits: scaled(() => 1),
    cases: { attend: [attend.pageAndOne], prefill: [prefill.ragged], mla: [mla.step] },
  },
  {
    name: "page_size_of_wrong_axis",
    bugClass: "variant",
    what: "a page counts as one token: its size is read off the axis before the last of a four-dimensional cache",
    like: "TensorRT-LLM pull request 12519: FlashInfer takes kv_cache.size(-2) for the page size",
    edits: {
      ...inAll([...ATTEND, ...APPEND, ...PREFILL], setParam("page", () => 1)),
      ...IN_MLA,
    },
    cases: {
      attend: [attend.pageAndOne],
      append: [append.prompt, appendSeparate.cached],
      prefill: [prefill.chunks],
      mla: [mla.step],
    },
  },
  {
    name: "table_width_unaligned",
    bugClass: "variant",
    what: "rows of the page table are read at the width that is used, not the one that was allocated",
    like: "vllm#39324, flashinfer#3915: width 295 of an aligned 296, every later row shifted",
    edits: { ...inAll([...ATTEND, ...PREFILL], setParam("width", (width) => width - 1, READERS)), ...IN_MLA },
    cases: { attend: [attend.rank512], prefill: [prefill.chunks], mla: [mla.step] },
  },
  {
    name: "longest_of_the_pool",
    bugClass: "variant",
    what: "every sequence is as long as the longest one of the batch",
    like: "TensorRT-LLM pull request 12519: max_seq_len of the pool taken for the length of a sequence",
    edits: {
      ...inAll([...ATTEND, ...PREFILL], {
        shape: (shape) => ({ ...shape, kv: shape.kv.map(() => Math.max(...shape.kv)) }),
      }),
      ...IN_MLA,
    },
    cases: { attend: [attend.ragged, attend.ragged512], prefill: [prefill.chunks], mla: [mla.mixed] },
  },
];

/** Wrong scales. */
export const SCALE_FAULTS: readonly Fault[] = [
  {
    name: "scale_of_absorbed_width",
    bugClass: "scale",
    what: "1/√(R+Dr), of the absorbed key, in place of 1/√(Dn+Dr)",
    like: "ollama#13893: GLM with 1/√576 for 1/√256 talks in loops; vllm#48658",
    edits: scaled((_, { R, Dr }) => 1 / Math.sqrt(R + Dr)),
    cases: { attend: [attend.pageAndOne], prefill: [prefill.ragged], mla: [mla.step] },
  },
  {
    name: "scale_without_rope",
    bugClass: "scale",
    what: "1/√Dn: the width of the rope part is left out",
    like: "Megatron-LM#1429, sglang#26203: a scale that is off by a constant",
    edits: scaled((_, { Dn }) => 1 / Math.sqrt(Dn)),
    cases: { attend: [attend.pageAndOne], prefill: [prefill.ragged], mla: [mla.step] },
  },
  {
    name: "scale_twice",
    bugClass: "scale",
    what: "the queries are scaled, and the scores again",
    like: "TensorRT-LLM#19112: q_scaling applied in one of two places too many",
    edits: scaled((value) => value * value),
    cases: { attend: [attend.pageAndOne], prefill: [prefill.ragged], mla: [mla.step] },
  },
];

/** Kernels that read the cache by the slots of tokens; teams do by their places. */
const BY_SLOT = [...ATTEND.filter((name) => !TEAM.includes(name)), ...PREFILL];
const COMBINED = { when: { layout: "combined" } } as const;
const SEPARATE = { when: { layout: "separate" } } as const;

/** Mistakes with the rope part of queries and keys. */
export const ROPE_FAULTS: readonly Fault[] = [
  {
    name: "no_rope",
    bugClass: "rope",
    what: "the rope term of the scores is dropped",
    like: "a kernel for Dr=0 taken for one of Dr=64 (minicpm3: Dr 32 falls back silently)",
    edits: {
      "attend/fused": [{ find: "c < DR / 8u", replace: "c < 0u" }],
      ...inAll(TEAM, { find: "return c * LANES + l < DR / 2u;", replace: "return c * LANES + l < 0u;" }),
      "attend/unfused": [{ find: "q_pe[", replace: "0.0 * q_pe[", dispatch: "scores" }],
      ...inAll(PREFILL, { find: "return rope[", replace: "return 0.0 * rope[", dispatch: "attend" }),
      ...IN_MLA,
    },
    cases: { attend: [attend.pageAndOne], prefill: [prefill.ragged], mla: [mla.step] },
  },
  {
    name: "rope_before_latent",
    bugClass: "rope",
    what: "the rope key is taken to lie in front of the latent",
    like: "two orders of one row of 576 in use: (latent, rope) and (rope, latent)",
    edits: {
      ...inAll(BY_SLOT, {
        find: "cache[slot * ((R + DR) / 8u) + i]",
        replace: "cache[slot * ((R + DR) / 8u) + (i + DR / 8u) % ((R + DR) / 8u)]",
        ...COMBINED,
      }),
      ...inAll(
        TEAM,
        { find: "return cache[place + i];", replace: "return cache[place + DR / 8u + i];", ...COMBINED },
        { find: "return cache[place + R / 8u + i][j];", replace: "return cache[place + i][j];", ...COMBINED },
      ),
      "append/combined": [
        { find: "(LATENT + ROPE) + piece]", replace: "(LATENT + ROPE) + ROPE + piece]" },
        { find: "(LATENT + ROPE) + LATENT + piece]", replace: "(LATENT + ROPE) + piece]" },
      ],
    },
    cases: { attend: [attend.pageAndOne], prefill: [prefill.ragged], append: [append.one] },
  },
  {
    name: "rope_stride_of_latents",
    bugClass: "rope",
    what: "rope keys of a cache of their own are found with the row length of the latents",
    like: "TensorRT-LLM#12089: a strided slice, 576 against 512, written out of bounds",
    edits: {
      ...inAll(BY_SLOT, { find: "kpe_cache[slot * (DR / 8u) +", replace: "kpe_cache[slot * (R / 8u) +", ...SEPARATE }),
      ...inAll(TEAM, {
        find: "return kpe_cache[place * (DR / 8u) + i][j];",
        replace: "return kpe_cache[place * (R / 8u) + i][j];",
        ...SEPARATE,
      }),
      "append/separate": [{ find: "kpe_cache[slot * ROPE", replace: "kpe_cache[slot * LATENT" }],
    },
    cases: { attend: [attend.separate], prefill: [prefill.separate], append: [appendSeparate.cached] },
  },
  {
    name: "rope_query_of_first_head",
    bugClass: "rope",
    what: "the rope part of the first head's query serves all heads, as the one rope key does",
    like: "k_pe is shared by the heads and q_pe is not: a broadcast on the wrong side",
    edits: {
      "attend/fused": [
        { find: "q_pe[row0 *", replace: "q_pe[first_row *" },
        { find: "q_pe[row1 *", replace: "q_pe[first_row *" },
      ],
      ...inAll(TEAM, { find: "q_pe[row *", replace: "q_pe[first_row *" }),
      "attend/unfused": [{ find: "q_pe[row *", replace: "q_pe[row / 8u * 8u *", dispatch: "scores" }],
      ...inAll(PREFILL, { find: "q_pe[at *", replace: "q_pe[(first + row) * P.H *", dispatch: "queries" }),
    },
    cases: { attend: [attend.pageAndOne], prefill: [prefill.ragged] },
  },
];
