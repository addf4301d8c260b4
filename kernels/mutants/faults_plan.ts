/**
 * Faults of the whole operator's metadata and order, and of plan buffers.
 *
 * @module
 */
import { ATTEND, type Fault, IN_MLA, inAll, MLA, PREFILL, PROJECT } from "./fault.ts";
import { DIRECT, editDispatches, editItems, editPlan, labelled, setParam } from "./launch_edits.ts";
import { attend, mla, prefill, project } from "./shapes.ts";

/** Mistakes of the whole operator. */
export const MLA_FAULTS: readonly Fault[] = [
  {
    name: "nothing_appended",
    bugClass: "mla",
    what: "the new tokens are not written to the cache",
    like: "a cache update left to the caller",
    edits: inAll(MLA, { find: "if (slot == NOWHERE) { return; }\n  if (rope)", replace: "return;\n  if (rope)" }),
    cases: { mla: [mla.step] },
  },
  {
    name: "appended_after_attending",
    bugClass: "mla",
    what: "attention runs first: the new tokens are in the cache only for the next call",
    like: "two launches in the wrong order, or on two streams",
    edits: inAll(MLA, {
      launch: (launch) => ({
        ...launch,
        dispatches: [
          ...launch.dispatches.filter(({ label }) => label !== "append"),
          ...launch.dispatches.filter(({ label }) => label === "append"),
        ],
      }),
    }),
    cases: { mla: [mla.step] },
  },
  {
    name: "table_transposed",
    bugClass: "mla",
    what: "the page table is written [width, B], and read [B, width]",
    like: "a gather over cache_loc with its axes swapped",
    edits: inAll(
      MLA,
      { find: "let b = item / P.width;", replace: "let b = item % P.B;", dispatch: "block_table" },
      { find: "let i = item % P.width;", replace: "let i = item / P.B;", dispatch: "block_table" },
    ),
    cases: { mla: [mla.mixed, mla.step] },
  },
  {
    name: "new_tokens_counted_as_cached",
    bugClass: "mla",
    what: "the position of the first new token is the length after the call",
    like: "seq_len_with_cache taken for input_pos",
    edits: inAll(MLA, editPlan("input_pos", (words, { shape: { kv } }) => words.set(kv))),
    cases: { mla: [mla.prompt, mla.step] },
  },
  {
    name: "queries_projected_for_the_output",
    bugClass: "mla",
    what: "the last projection takes the queries in place of what attention gave",
    like: "a buffer bound twice; shapes are the same, nothing complains",
    edits: inAll(
      MLA,
      editDispatches(labelled("project v"), (dispatch) => ({
        ...dispatch,
        bindings: dispatch.bindings.map((name) => name === "latent" ? "q_latent" : name),
      })),
    ),
    cases: { mla: [mla.step] },
  },
  {
    name: "values_projected_with_keys",
    bugClass: "mla",
    what: "the output is projected with the rows of the keys",
    like: "one pointer to kv_b_proj for both projections",
    edits: inAll(MLA, { find: " + FIRST_ROW", replace: "" }),
    cases: { mla: [mla.step] },
  },
];

/** Plan buffers: lists that the host makes from the lengths. */
export const PLAN_FAULTS: readonly Fault[] = [
  {
    name: "sequence_of_the_next_item",
    bugClass: "plan",
    what: "each work item is attended with the pages of the next",
    like: "two arrays of a plan sorted differently",
    edits: {
      ...inAll(
        ATTEND,
        editPlan("work", (words) => {
          const first = words[0];
          for (let i = 0; i < words.length; i += 8) words[i] = i + 8 < words.length ? words[i + 8] : first;
        }),
      ),
      ...IN_MLA,
    },
    cases: { attend: [attend.rank512, attend.mixed], mla: [mla.step] },
  },
  {
    name: "item_twice",
    bugClass: "plan",
    what: "the first work item stands in the place of the last, too",
    like: "FlashMLA#28: more items than the scheduler metadata has room for",
    edits: inAll(ATTEND, editPlan("work", (words) => words.copyWithin(words.length - 8, 0, 8))),
    cases: { attend: [attend.rank512, attend.mixed] },
  },
  {
    name: "last_item_missing",
    bugClass: "plan",
    what: "the last work item is not done",
    like: "a count kept from before the batch grew",
    edits: {
      ...inAll(ATTEND, setParam("count", (count) => count - 1, labelled("scores", "softmax", "product", "attend"))),
      ...inAll(PREFILL, setParam("items", (count) => count - 1)),
      ...inAll(PROJECT, setParam("items", (count) => count - 1)),
    },
    cases: { attend: [attend.pageAndOne], prefill: [prefill.ragged], project: [project.q] },
  },
  {
    name: "slot_of_partials_off_by_one",
    bugClass: "plan",
    what: "partial results lie one row further than the merge looks for them",
    like: "a prefix sum that is inclusive on one side",
    edits: inAll(ATTEND, editItems((item) => void (item.slot += item.slot === DIRECT ? 0 : 1))),
    cases: { attend: [attend.split] },
  },
  {
    name: "merge_of_fewer_splits",
    bugClass: "plan",
    what: "the merge list counts one split less than there are",
    like: "splits counted before and after the last partial one is added",
    edits: inAll(
      ATTEND,
      editPlan("merges", (words) => {
        for (let i = 3; i < words.length; i += 4) words[i]--;
      }),
    ),
    cases: { attend: [attend.split] },
  },
  {
    name: "rows_of_the_next_merge",
    bugClass: "plan",
    what: "merged rows are written where those of the next merge belong",
    like: "an index into the list of merges that starts at 1",
    edits: inAll(
      ATTEND,
      editPlan("merges", (words) => {
        const first = words[0];
        for (let i = 0; i < words.length; i += 4) words[i] = i + 4 < words.length ? words[i + 4] : first;
      }),
    ),
    cases: { attend: [attend.chunkSplit] },
  },
];
