/**
 * Faults of pages and slots, of the end of a sequence, and of indices that overflow.
 *
 * @module
 */
import { APPEND, ATTEND, type Fault, FUSED, IN_MLA, inAll, MLA, PREFILL, PROJECT, TEAM } from "./fault.ts";
import { editDispatches } from "./launch_edits.ts";
import { append, appendSeparate, attend, mla, prefill, project } from "./shapes.ts";

/** The kernels that follow a page table. */
const READERS = [...ATTEND, ...PREFILL];
/** Those of them that tell tokens past the end from others; in the teams' table such a token is the last one again. */
const TELLING = READERS.filter((name) => !TEAM.includes(name));

/** Wrong pages and slots. */
export const PAGING_FAULTS: readonly Fault[] = [
  {
    name: "page_off_by_one",
    bugClass: "paging",
    what: "the last token of a page is looked for in the next page",
    like: "flashinfer#885, sglang#8593: page sizes above 1 wrong",
    edits: {
      ...inAll(TELLING, { find: "token / P.page]", replace: "(token + 1u) / P.page]" }),
      ...inAll(TEAM, { find: "+ t / P.page]", replace: "+ (t + 1u) / P.page]" }),
      ...inAll(APPEND, { find: "cu_num_pages[b] + pos / P.page;", replace: "cu_num_pages[b] + (pos + 1u) / P.page;" }),
      ...inAll(MLA, { find: "first + i, P.entries", replace: "first + i + 1u, P.entries", dispatch: "block_table" }),
    },
    cases: {
      // A team looks for the first token of a tile alone where no tile crosses a page.
      attend: [attend.pageAndOne, attend.page3],
      prefill: [prefill.chunks],
      append: [append.prompt, appendSeparate.cached],
      mla: [mla.step],
    },
  },
  {
    name: "slot_off_by_one",
    bugClass: "paging",
    what: "a token is looked for one slot further in its page",
    like: "vllm#31282: last_page_len off, a slot read that nobody has written",
    edits: {
      ...inAll(TELLING, { find: "+ token % P.page;", replace: "+ (token + 1u) % P.page;" }),
      ...inAll(TEAM, { find: "+ t % P.page);", replace: "+ (t + 1u) % P.page);" }),
      ...inAll(APPEND, { find: "+ pos % P.page;", replace: "+ (pos + 1u) % P.page;" }),
    },
    cases: { attend: [attend.pageAndOne], prefill: [prefill.chunks], append: [append.one, appendSeparate.cached] },
  },
  {
    name: "pages_of_the_first_sequence",
    bugClass: "paging",
    what: "all sequences are looked for in the pages of the first",
    like: "a row of the page table chosen by a batch index that stays 0",
    edits: {
      "attend/unfused": [{ find: "b * P.width", replace: "0u * P.width" }],
      ...inAll(FUSED, { find: "sequence * P.width", replace: "0u * P.width" }),
      ...inAll(PREFILL, { find: "b * P.width", replace: "0u * P.width" }),
      ...inAll(APPEND, { find: "let entry = cu_num_pages[b]", replace: "let entry = cu_num_pages[0]" }),
      ...inAll(MLA, { find: "let first = cu_num_pages[b];", replace: "let first = cu_num_pages[0];" }),
    },
    cases: {
      attend: [attend.rank512],
      prefill: [prefill.ragged],
      append: [append.decode, appendSeparate.ragged],
      mla: [mla.step],
    },
  },
  {
    name: "pages_taken_as_contiguous",
    bugClass: "paging",
    what: "the pages of a sequence are taken to follow its first one",
    like: "flashinfer#3219: zeros for indices of pages that are not contiguous",
    edits: {
      "attend/unfused": [{
        find: "u32(page_table[b * P.width + token / P.page])",
        replace: "u32(page_table[b * P.width]) + token / P.page",
      }],
      "attend/fused": [{
        find: "u32(page_table[sequence * P.width + token / P.page])",
        replace: "u32(page_table[sequence * P.width]) + token / P.page",
      }],
      ...inAll(TEAM, {
        find: "u32(page_table[sequence * P.width + t / P.page])",
        replace: "u32(page_table[sequence * P.width]) + t / P.page",
      }),
      ...inAll(PREFILL, {
        find: "u32(page_table[b * P.width + token / P.page])",
        replace: "u32(page_table[b * P.width]) + token / P.page",
      }),
      ...inAll(APPEND, {
        find: "u32(cache_loc[entry])",
        replace: "u32(cache_loc[cu_num_pages[b]]) + pos / P.page",
      }),
      ...inAll(MLA, {
        find: "cache_loc[min(first + i, P.entries - 1u)]",
        replace: "cache_loc[min(first, P.entries - 1u)] + i32(i)",
      }),
    },
    cases: {
      attend: [attend.pageAndOne, attend.page3],
      prefill: [prefill.chunks],
      append: [append.prompt, appendSeparate.cached, appendSeparate.ragged],
      mla: [mla.step],
    },
  },
  {
    name: "page_0_read_through_padding",
    bugClass: "paging",
    what: "the tile past the last token is filled from page 0, which may hold NaN: 0·NaN is NaN",
    like: "vllm#57156: invalid indices gather slot 0; flashinfer#941: NaN in unused slots",
    edits: {
      ...inAll(["attend/unfused", "attend/fused"], {
        find: "if (token >= end) { return NOWHERE; }",
        replace: "if (token >= end) { return token % P.page; }",
      }),
      ...inAll(
        TEAM,
        {
          find: "let t = min(token, max(limit, 1u) - 1u);",
          replace: "if (token >= limit) { return token_place(token % P.page); }\n  let t = token;",
        },
        // Each token is taken from its own place, where tiles of a page are counted from their first.
        { find: "if (ALIGNED == 0u)", replace: "if (ALIGNED <= 1u)" },
      ),
      ...IN_MLA,
    },
    cases: { attend: [attend.rank512, attend.long512, attend.page3], mla: [mla.mixed, mla.mixedSeparate, mla.flow] },
  },
];

/** Mistakes at the end of a sequence. */
export const TAIL_FAULTS: readonly Fault[] = [
  {
    name: "no_last_partial_tile",
    bugClass: "tail",
    what: "tokens after the last whole tile are dropped",
    like: "flashinfer#4347: pages above 128 wrong where the length is no whole number of tiles",
    edits: {
      ...inAll(["attend/unfused", "attend/fused"], {
        find: "first < end; first += T",
        replace: "first + T <= end; first += T",
      }),
      ...inAll(TEAM, { find: "&& block + tile < bound;", replace: "&& block + tile + TILE <= bound;" }),
      ...inAll(PREFILL, {
        find: "first < item.end; first += TILE",
        replace: "first + TILE <= item.end; first += TILE",
      }),
      ...IN_MLA,
    },
    cases: { attend: [attend.pageAndOne], prefill: [prefill.ragged], mla: [mla.step] },
  },
  {
    name: "reads_past_the_end",
    bugClass: "tail",
    what: "one slot past the last token is read: its weight is 0, but it may hold NaN",
    like: "flashinfer#941, vllm#57017: NaN in unused slots of the last page makes all of the output NaN",
    edits: {
      ...inAll(["attend/unfused", "attend/fused"], { find: "if (token >= end)", replace: "if (token > end)" }),
      ...inAll(TEAM, { find: "let t = min(token, max(limit, 1u) - 1u);", replace: "let t = min(token, limit);" }),
      ...IN_MLA,
    },
    cases: { attend: [attend.pageAndOne], mla: [mla.step] },
  },
  {
    name: "last_token_lost",
    bugClass: "tail",
    what: "the last token of each sequence is not seen",
    like: "a length taken before the new token is appended: decode does not see itself",
    edits: {
      "attend/unfused": [{ find: "min(i32(span.y), i32(", replace: "min(i32(span.y) - 1, i32(" }],
      ...inAll(FUSED, { find: "let end = span.y;", replace: "let end = max(span.y, 1u) - 1u;" }),
      ...inAll(PREFILL, {
        find: "let end = i32(item.end);",
        replace: "let end = i32(item.end) - 1;",
        dispatch: "attend",
      }),
      ...IN_MLA,
    },
    cases: { attend: [attend.pageAndOne], prefill: [prefill.ragged], mla: [mla.step] },
  },
  {
    name: "first_token_lost",
    bugClass: "tail",
    what: "the first token of each sequence is not seen",
    like: "indices that start at 1: the sink token, which models lean on, is lost",
    edits: {
      "attend/unfused": [{
        find: "vec4(0u, 1u, 2u, 3u) >= vec4(seen);",
        replace: "vec4(0u, 1u, 2u, 3u) - 1u >= vec4(seen - min(seen, 1u));",
      }],
      ...inAll(FUSED, { find: "let begin = span.x;", replace: "let begin = span.x + 1u;" }),
    },
    cases: { attend: [attend.pageAndOne] },
  },
  {
    name: "padding_in_the_denominator",
    bugClass: "tail",
    what: "what fills the last tile counts in the softmax, with scores of 0",
    like: "flashinfer#3716: padding lanes stay in the denominator where the length is no multiple of the tile",
    edits: {
      "attend/fused": [
        { find: "select(vec4(MASKED), s * P.scale, token < vec4(limit))", replace: "s * P.scale" },
        {
          find: "select(vec4(0.0), exp(prob[i * ROWS + t] - maximum), token < vec4(limit))",
          replace: "exp(prob[i * ROWS + t] - maximum)",
        },
      ],
      "attend/fused_subgroup": [
        { find: "select(MASKED, s_0 * P.scale, present)", replace: "select(0.0, s_0 * P.scale, present)" },
        { find: "select(0.0, exp(score - reference), present)", replace: "exp(score - reference)" },
      ],
      "attend/fused_f16": [
        {
          find: "select(MASKED, s_0 * scale_of_score, present)",
          replace: "select(0.0, s_0 * scale_of_score, present)",
        },
        { find: "select(0.0, exp(score - reference), present)", replace: "exp(score - reference)" },
      ],
      "attend/unfused": [{ find: ">= vec4(seen);", replace: ">= vec4(4u * quads);" }],
      ...inAll(PREFILL, {
        find: "if (first + TILE > block.seen_by_all) { mask(&s, first + 4u * cg, 4u * rg, item); }",
        replace: "",
      }),
    },
    cases: { attend: [attend.pageAndOne], prefill: [prefill.whole] },
  },
];

/**
 * `pages·page·width` in 32 bits overflows from 2³² on; these wrap where small caches get, at the power of two named.
 */
export const OVERFLOW_FAULTS: readonly Fault[] = [
  {
    name: "slots_wrap",
    bugClass: "overflow",
    what: "page·size wraps, scaled down from 2³² to 2⁷ tokens of the cache",
    like: "flashinfer: page indices from 262,144 on overflowed 32 bits",
    edits: {
      ...inAll(TELLING, {
        find: "return page_id * P.page + token % P.page;",
        replace: "return (page_id * P.page + token % P.page) & 0x7fu;",
      }),
      ...inAll(TEAM, {
        find: "token_place(page_id * P.page + t % P.page);",
        replace: "token_place((page_id * P.page + t % P.page) & 0x7fu);",
      }),
      ...inAll(APPEND, {
        find: "return page_id * P.page + pos % P.page;",
        replace: "return (page_id * P.page + pos % P.page) & 0x7fu;",
      }),
    },
    cases: {
      attend: [attend.page3, attend.ragged],
      prefill: [prefill.ragged],
      append: [append.decode, append.prompt, appendSeparate.ragged],
    },
  },
  {
    name: "elements_wrap",
    bugClass: "overflow",
    what: "page·size·width, or an index of the weight, wraps, scaled down from 2³² to 2¹² pieces of 16 bytes",
    like: "flashinfer: page·size·width in 32 bits, correct up to 4 GiB of cache",
    edits: {
      ...inAll(TELLING, {
        find: "cache[slot * ((R + DR) / 8u) + i]",
        replace: "cache[(slot * ((R + DR) / 8u) + i) & 0xfffu]",
        when: { layout: "combined" },
      }),
      ...inAll(TEAM, {
        find: "return cache[place + i];",
        replace: "return cache[(place + i) & 0xfffu];",
        when: { layout: "combined" },
      }),
      "append/combined": [{
        find: "cache[slot * (LATENT + ROPE) + piece]",
        replace: "cache[(slot * (LATENT + ROPE) + piece) & 0xfffu]",
      }],
      "append/separate": [{
        find: "ckv_cache[slot * LATENT + piece]",
        replace: "ckv_cache[(slot * LATENT + piece) & 0xfffu]",
      }],
      "project/tiled": [{
        find: "let at = row * (R / 8u) + chunk;",
        replace: "let at = (row * (R / 8u) + chunk) & 0xfffu;",
      }],
      "project/vector": [{
        find: "* WIDTH + select(n8, k8, TRANSPOSED == 1u);",
        replace: "* WIDTH % 0x1000u + select(n8, k8, TRANSPOSED == 1u);",
      }],
    },
    cases: {
      attend: [attend.page3, attend.ragged],
      prefill: [prefill.ragged],
      append: [append.decode, append.prompt, appendSeparate.ragged, appendSeparate.cached],
      project: [project.q, project.v],
    },
  },
  {
    name: "second_row_of_the_grid_lost",
    bugClass: "overflow",
    what:
      "workgroups are numbered by x alone, scaled down from more than 65,535 of them to more than half of any number",
    like: "a grid that is folded over x and y because a dimension has a limit",
    edits: inAll(
      [...ATTEND, ...APPEND, ...PROJECT, ...PREFILL],
      editDispatches(({ workgroups: [x, y] }) => x > 1 && y === 1, (dispatch) => ({
        ...dispatch,
        workgroups: [Math.ceil(dispatch.workgroups[0] / 2), 2, 1],
      })),
      { find: "workgroup.x + workgroup.y * grid.x", replace: "workgroup.x" },
    ),
    cases: {
      attend: [attend.ragged],
      append: [append.prompt, appendSeparate.cached],
      project: [project.manyQ],
      prefill: [prefill.ragged],
    },
  },
];
