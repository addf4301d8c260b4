/**
 * Faults of the products with `kv_b_proj` and of the expanded form.
 *
 * @module
 */
import { type Fault, inAll, MLA, PREFILL, PROJECT } from "./fault.ts";
import { mla, prefill, project } from "./shapes.ts";

/** Mistakes of `project`. */
export const PROJECT_FAULTS: readonly Fault[] = [
  {
    name: "keys_for_values",
    bugClass: "project",
    what: "values are projected with the rows of the keys",
    like: "kv_b_proj split in the wrong half: [Dn, Dv] of a head, not of all heads",
    edits: inAll(PROJECT, { find: " + FIRST_ROW", replace: "" }),
    cases: { project: [project.v] },
  },
  {
    name: "not_transposed",
    bugClass: "project",
    what: "the rows of the values are taken along the sum, as those of the keys are",
    like: "W_k is used transposed in the absorbed form, W_v is not",
    edits: inAll(PROJECT, { find: "TRANSPOSED == 1u", replace: "TRANSPOSED == 2u" }),
    cases: { project: [project.v] },
  },
  {
    name: "last_chunk_of_the_sum_lost",
    bugClass: "project",
    what: "the last elements of each sum are left out",
    like: "a loop over k that ends one step early",
    edits: {
      "project/tiled": [{ find: "k < K; k += 16u", replace: "k + 16u < K; k += 16u" }],
      "project/vector": [{ find: "k8 < STEPS; k8 += SLICES", replace: "k8 + 1u < STEPS; k8 += SLICES" }],
    },
    cases: { project: [project.q, project.v] },
  },
  {
    name: "padding_not_zero",
    bugClass: "project",
    what: "rows past the last token keep what the output held",
    like: "vllm#37815: padded rows are not cleared and reach the next layer",
    edits: inAll([...PROJECT, ...MLA], { find: "P.zero_begin", replace: "P.zero_end" }),
    cases: { project: [project.padding], mla: [mla.prompt] },
  },
  {
    name: "heads_before_tokens",
    bugClass: "project",
    what: "the output is laid out [heads, tokens], not [tokens, heads]",
    like: "the batched product's own order, and a transpose that is forgotten",
    edits: {
      "project/tiled": [{ find: "(row * P.heads + h)", replace: "(h * P.tokens + row)" }],
      "project/vector": [{
        find: "((p.token + token) * P.heads + p.h)",
        replace: "(p.h * P.tokens + p.token + token)",
      }],
    },
    cases: { project: [project.q] },
  },
  {
    name: "last_outputs_lost",
    bugClass: "project",
    what: "the last outputs of a head are not written",
    like: "a bound of a tile that is off by one vector",
    edits: {
      "project/tiled": [{
        find: "if (quad + COLUMN_GROUPS < N / 4u)",
        replace: "if (quad + COLUMN_GROUPS + 1u < N / 4u)",
      }],
      "project/vector": [{ find: "if (quad < N / 4u &&", replace: "if (quad + 1u < N / 4u &&" }],
    },
    cases: { project: [project.q, project.v] },
  },
  {
    name: "slices_not_summed",
    bugClass: "project",
    what: "only the last slices of a sum count",
    like: "split-k whose last reduction overwrites where it should add",
    edits: { "project/vector": [{ find: "sum += a + b;", replace: "sum = a + b;" }] },
    cases: { project: [project.q, project.v, project.manyQ, project.manyV] },
  },
  {
    name: "tokens_of_a_group_swapped",
    bugClass: "project",
    what: "the second token of a tile is read in place of the first",
    like: "a transposition of a tile with an index wrong",
    edits: {
      "project/tiled": [{ find: "x[min(row, last)", replace: "x[min(row + 1u, last)" }],
      "project/vector": [{ find: "load_x(token, h, k8)", replace: "load_x(token + 1u, h, k8)" }],
    },
    cases: { project: [project.q] },
  },
];

/** Mistakes of the expanded form. */
export const PREFILL_FAULTS: readonly Fault[] = [
  {
    name: "keys_and_values_swapped",
    bugClass: "prefill",
    what: "the rows of kv_b_proj are taken to be values first, then keys",
    like: "two orders of the fused projection in use",
    edits: inAll(PREFILL, { find: "let c = row % (DN + DV);", replace: "let c = (row % (DN + DV) + DV) % (DN + DV);" }),
    cases: { prefill: [prefill.ragged, prefill.chunks] },
  },
  {
    name: "value_tail_lost",
    bugClass: "prefill",
    what: "the last elements of each value are 0",
    like: "a kernel for Dv = Dn given another Dv; GLM-4.7-Flash has 256",
    edits: inAll(PREFILL, {
      find: "quad >= DV / 4u) { return vec4(0.0); }",
      replace: "quad + 1u >= DV / 4u) { return vec4(0.0); }",
    }),
    cases: { prefill: [prefill.wide] },
  },
  {
    name: "last_token_not_expanded",
    bugClass: "prefill",
    what: "the last token of each sequence has no key and no value",
    like: "a chunk of the context rounded down",
    edits: inAll(PREFILL, {
      find: "if (token >= end) { return NOWHERE; }",
      replace: "if (token + 1u >= end) { return NOWHERE; }",
    }),
    cases: { prefill: [prefill.ragged] },
  },
  {
    name: "last_group_not_expanded",
    bugClass: "prefill",
    what: "the last four tokens of the batch are not unfolded",
    like: "a grid rounded down",
    edits: inAll(PREFILL, {
      find: "if (quad >= P.token_quads || row",
      replace: "if (quad + 1u >= P.token_quads || row",
    }),
    cases: { prefill: [prefill.ragged] },
  },
  {
    name: "last_queries_lost",
    bugClass: "prefill",
    what: "query tokens past the last whole group of four are not read",
    like: "a vector load whose remainder is dropped",
    edits: inAll(PREFILL, { find: "(item.rows + 3u) / 4u", replace: "(item.rows / 4u)" }),
    cases: { prefill: [prefill.ragged] },
  },
  {
    name: "token_of_the_batch",
    bugClass: "prefill",
    what: "tokens are looked for by their number in the batch, not in their sequence",
    like: "the start of the sequence (cu_kv_seqlen) not subtracted",
    edits: inAll(PREFILL, {
      find: "let token = 4u * quad - sequences[b].x;",
      replace: "let token = 4u * quad;",
    }),
    cases: { prefill: [prefill.ragged] },
  },
  {
    name: "keys_of_the_first_head",
    bugClass: "prefill",
    what: "every head attends with the keys of the first",
    like: "keys broadcast as in multi-query attention",
    edits: inAll(PREFILL, {
      find: "head * DN * P.token_quads + item.token_quad,",
      replace: "item.token_quad,",
    }),
    cases: { prefill: [prefill.ragged] },
  },
  {
    name: "padding_of_prompt_not_zero",
    bugClass: "prefill",
    what: "rows past the last query token keep what the output held",
    like: "vllm#37815, of a prompt",
    edits: inAll(PREFILL, {
      find: "if (row >= item.rows) { return; }\n  let at",
      replace: "if (row >= item.rows || item.first + row >= P.queries) { return; }\n  let at",
    }),
    cases: { prefill: [prefill.separate, prefill.steps] },
  },
];
