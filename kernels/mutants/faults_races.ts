/**
 * Missing barriers. A race need not be lost each time: the last cases have many workgroups of several subgroups, and
 * every launch is repeated.
 *
 * @module
 */
import { APPEND, ATTEND, type Fault, inAll, inAttendOf, PREFILL } from "./fault.ts";
import { append, appendSeparate, attend, mla, prefill, project } from "./shapes.ts";

/** Races. */
export const RACE_FAULTS: readonly Fault[] = [
  {
    name: "race_at_rank_256",
    bugClass: "race",
    what: "no barrier before the product with the values at rank 256; at 512 there is one",
    like: "FlashMLA-ETAP#1: 17 of 49 shapes of rank 256 wrong and changing, those of 512 right",
    edits: {
      "attend/fused": [{
        find: "factor[t] = change;\n    }\n    workgroupBarrier();",
        replace: "factor[t] = change;\n    }\n    if (R != 256u) { workgroupBarrier(); }",
      }],
      "attend/unfused": [{
        find: "finite(values[t + 64u]);\n    }\n    workgroupBarrier();",
        replace: "finite(values[t + 64u]);\n    }\n    if (R != 256u) { workgroupBarrier(); }",
      }],
      ...inAttendOf(["mla/unfused", "mla/fused"]),
    },
    cases: { attend: [attend.heads63, attend.races], mla: [mla.prompt] },
  },
  {
    name: "tile_not_awaited",
    bugClass: "race",
    what: "a tile is used before all threads have staged their part",
    like: "the barrier after a copy to workgroup memory left out",
    edits: {
      "attend/fused": [{
        find: "store_tile(i + 4u * THREADS, c4);\n    }\n    workgroupBarrier();",
        replace: "store_tile(i + 4u * THREADS, c4);\n    }",
      }],
      "attend/unfused": [{
        find: "+ 1u] = high(k);\n    workgroupBarrier();",
        replace: "+ 1u] = high(k);",
      }],
      "project/tiled": [{
        find: "if (t < PIECES) { store_w(t, q); }\n    workgroupBarrier();",
        replace: "if (t < PIECES) { store_w(t, q); }",
      }],
      "project/vector": [{ find: "workgroupBarrier();\n  let token", replace: "let token" }],
      ...inAll(PREFILL, {
        find: "store_key(t, 1u, k1);\n      workgroupBarrier();",
        replace: "store_key(t, 1u, k1);",
        dispatch: "attend",
      }),
      ...inAll(APPEND, { find: "workgroupBarrier();\n  write(rope, i0", replace: "write(rope, i0" }),
    },
    cases: {
      attend: [attend.heads63, attend.races],
      project: [project.q, project.manyQ, project.races],
      prefill: [prefill.ragged, prefill.races],
      append: [append.prompt, append.races, appendSeparate.cached, appendSeparate.races],
    },
  },
  {
    name: "tile_overwritten",
    bugClass: "race",
    what: "the next tile is staged while slower threads still use this one",
    like: "the barrier at the end of the loop left out, because it seems to come right after another",
    edits: {
      "attend/fused": [{ find: "workgroupBarrier(); // tile, prob and factor are free", replace: "" }],
      "attend/unfused": [{ find: "workgroupBarrier(); // values and prob are free", replace: "" }],
      "project/tiled": [{
        find: "q = load_w(t, h, k, first_column); }\n    workgroupBarrier();",
        replace: "q = load_w(t, h, k, first_column); }",
      }],
      "project/vector": [{
        find: "if (token <= i) { store_sum(token, p); }\n  workgroupBarrier();",
        replace: "if (token <= i) { store_sum(token, p); }",
      }],
      ...inAll(PREFILL, {
        find: "workgroupBarrier(); // the pool is free\n      store_query",
        replace: "store_query",
        dispatch: "attend",
      }),
    },
    cases: {
      attend: [attend.heads63, attend.races],
      project: [project.manyQ, project.races],
      prefill: [prefill.ragged, prefill.races],
    },
  },
  {
    name: "reduction_not_awaited",
    bugClass: "race",
    what: "a reduction reads what other threads have not written yet",
    like: "two reductions through one array: what is read is the other's, which is a number, too",
    edits: {
      "attend/unfused": [{
        find: "parts[t] = sum * exp(own - maximum);\n  workgroupBarrier();",
        replace: "parts[t] = sum * exp(own - maximum);",
      }],
      ...inAll(PREFILL, {
        find: "store_partial(rg, cg, own);\n    workgroupBarrier();",
        replace: "store_partial(rg, cg, own);",
        dispatch: "attend",
      }),
    },
    cases: { attend: [attend.long512, attend.races], prefill: [prefill.ragged, prefill.races] },
  },
  {
    name: "merge_sums_not_awaited",
    bugClass: "race",
    what: "the first threads of a merge add up sums that the others have not written yet",
    like: "the last step of a reduction, whose barrier costs as much as the step",
    edits: inAll(ATTEND, {
      find: "sums[t] = sum;\n    workgroupBarrier();",
      replace: "sums[t] = sum;",
      dispatch: "merge",
    }),
    cases: { attend: [attend.manySplits, attend.manyMoreSplits] },
  },
];
