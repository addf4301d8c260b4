/**
 * Faults of the causal rule, of rows of a mixed batch, and of heads.
 *
 * @module
 */
import { APPEND, ATTEND, type Fault, FUSED, IN_MLA, inAll, PREFILL, TEAM } from "./fault.ts";
import { editItems, editPrefillItems, sequenceOf } from "./launch_edits.ts";
import { append, appendSeparate, attend, mla, prefill, project } from "./shapes.ts";

/** The causal rule aligned wrongly. */
export const CAUSAL_FAULTS: readonly Fault[] = [
  {
    name: "top_left_aligned",
    bugClass: "causal",
    what: "query i sees key j where j ≤ i: cached tokens are not counted",
    like: "flash-attention before 2.1: the causal rule aligned at the first token",
    edits: {
      ...inAll(
        ATTEND,
        editItems((item, { shape: { q, kv } }) => {
          item.offset -= kv[item.sequence] - q[item.sequence];
        }),
      ),
      ...inAll(
        PREFILL,
        editPrefillItems((item, { shape: { q, kv } }) => {
          const b = sequenceOf(item.first, q);
          if (b >= 0) item.limit -= kv[b] - q[b];
        }),
      ),
      ...IN_MLA,
    },
    cases: { attend: [attend.nineQueries], prefill: [prefill.chunks], mla: [mla.mixed] },
  },
  {
    name: "sees_the_next_token",
    bugClass: "causal",
    what: "each query sees one token too many",
    like: "j ≤ i + kv − q written with < on one side and a length on the other",
    edits: {
      ...inAll(FUSED, { find: "bitcast<i32>(offset)", replace: "bitcast<i32>(offset) + 1" }),
      "attend/unfused": [{ find: "/ P.H) + i32(span.z))", replace: "/ P.H) + i32(span.z) + 1)", dispatch: "softmax" }],
      ...inAll(PREFILL, {
        find: "let low = i32(row) + item.limit;",
        replace: "let low = i32(row) + item.limit + 1;",
        dispatch: "attend",
      }),
      ...IN_MLA,
    },
    cases: { attend: [attend.twoQueries], prefill: [prefill.ragged], mla: [mla.mixed] },
  },
  {
    name: "does_not_see_itself",
    bugClass: "causal",
    what: "each query sees one token too few",
    like: "the other off by one: j < i + kv − q",
    edits: {
      ...inAll(FUSED, { find: "bitcast<i32>(offset)", replace: "bitcast<i32>(offset) - 1" }),
      "attend/unfused": [{ find: "/ P.H) + i32(span.z))", replace: "/ P.H) + i32(span.z) - 1)", dispatch: "softmax" }],
      ...inAll(PREFILL, {
        find: "let low = i32(row) + item.limit;",
        replace: "let low = i32(row) + item.limit - 1;",
        dispatch: "attend",
      }),
      ...IN_MLA,
    },
    cases: { attend: [attend.twoQueries], prefill: [prefill.ragged], mla: [mla.mixed] },
  },
  {
    name: "no_causal_rule",
    bugClass: "causal",
    what: "every query sees the whole sequence",
    like: "a flag that is not passed on: right for decode, wrong for a chunk",
    edits: { ...inAll([...ATTEND, ...PREFILL], { shape: (shape) => ({ ...shape, causal: false }) }), ...IN_MLA },
    cases: { attend: [attend.twoQueries], prefill: [prefill.ragged], mla: [mla.mixed] },
  },
  {
    name: "heads_counted_as_queries",
    bugClass: "causal",
    what: "a row's number is taken for its query's: later heads see more",
    like: "rows are (query, head): a division by the number of heads is missing",
    edits: {
      ...inAll(FUSED, { find: "i32(row / P.H)", replace: "i32(row)" }),
      "attend/unfused": [{ find: "i32((rows.y + r) / P.H)", replace: "i32(rows.y + r)", dispatch: "softmax" }],
      ...IN_MLA,
    },
    cases: { attend: [attend.twoQueries], mla: [mla.prompt] },
  },
  {
    name: "limit_of_the_block",
    bugClass: "causal",
    what: "every row of a block sees what its last row sees",
    like: "the causal rule kept tile by tile, not row by row",
    edits: {
      "attend/fused": [{ find: "limit_of(first_row + t,", replace: "limit_of(first_row + rows - 1u," }],
      ...inAll(TEAM, { find: "limit_of(first_row + soft_row,", replace: "limit_of(first_row + rows - 1u," }),
      "attend/unfused": [{
        find: "i32((rows.y + r) / P.H)",
        replace: "i32((rows.y + rows.z - 1u) / P.H)",
        dispatch: "softmax",
      }],
      ...inAll(PREFILL, {
        find: "let low = i32(row) + item.limit;",
        replace: "let low = i32(item.rows) - 1 + item.limit;",
        dispatch: "attend",
      }),
      ...IN_MLA,
    },
    cases: { attend: [attend.nineQueries], prefill: [prefill.ragged], mla: [mla.prompt] },
  },
  {
    name: "diagonal_tile_skipped",
    bugClass: "causal",
    what: "a block walks only the tokens that its first row sees",
    like: "a causal skip of tiles that are partly seen",
    edits: {
      ...inAll(
        ATTEND,
        editItems((item, { shape: { H } }) => {
          item.end = Math.max(item.begin, Math.min(item.end, Math.floor(item.row / H) + item.offset));
        }),
      ),
      ...inAll(
        PREFILL,
        editPrefillItems((item) => {
          item.end = Math.max(0, Math.min(item.end, item.limit));
        }),
      ),
      ...IN_MLA,
    },
    cases: { attend: [attend.nineQueries], prefill: [prefill.ragged], mla: [mla.prompt] },
  },
];

/** Rows of the wrong sequence. */
export const BATCH_FAULTS: readonly Fault[] = [
  {
    name: "decode_rows_from_the_wrong_end",
    bugClass: "batch",
    what: "in a mixed batch the rows of the decode steps are taken from its beginning",
    like: "TensorRT-LLM pull request 12519: q[:num_decode] where prompts come first",
    edits: {
      ...inAll(
        ATTEND,
        editItems((item, { shape: { q, H } }) => {
          if (q[item.sequence] !== 1) return;
          const token = Math.floor(item.row / H);
          const place = q.slice(0, item.sequence).filter((n) => n === 1).length;
          item.row += (place - token) * H;
          item.offset += token - place;
        }),
      ),
      ...inAll(
        PREFILL,
        editPrefillItems((item, { shape: { q } }) => {
          const b = sequenceOf(item.first, q);
          if (q[b] === 1) item.first = q.slice(0, b).filter((n) => n === 1).length;
        }),
      ),
      ...IN_MLA,
    },
    cases: { attend: [attend.mixed], prefill: [prefill.ragged, prefill.steps], mla: [mla.mixed] },
  },
  {
    name: "lengths_of_the_neighbour",
    bugClass: "batch",
    what: "each sequence is as long as the next one",
    like: "lengths sorted by group, queries not",
    edits: {
      ...inAll([...ATTEND, ...PREFILL], { shape: (shape) => ({ ...shape, kv: [...shape.kv.slice(1), shape.kv[0]] }) }),
      ...IN_MLA,
    },
    cases: { attend: [attend.ragged], prefill: [prefill.ragged], mla: [mla.mixed] },
  },
  {
    name: "queries_of_the_first_sequence",
    bugClass: "batch",
    what: "all sequences are asked with the queries of the first",
    like: "an index into the query that lacks the start of its sequence (cu_seqlen)",
    edits: {
      ...inAll(FUSED, { find: "= first_row + min(", replace: "= min(" }),
      "attend/unfused": [{ find: "= rows.y + min(", replace: "= min(", dispatch: "scores" }],
      ...inAll(PREFILL, { find: "(first + row) * P.H", replace: "row * P.H", dispatch: "queries" }),
      ...IN_MLA,
    },
    cases: { attend: [attend.rank512], prefill: [prefill.ragged], mla: [mla.step] },
  },
  {
    name: "sequence_of_the_query_token",
    bugClass: "batch",
    what: "the row of the page table is the number of the query token, as if each sequence had one",
    like: "FlashMLA-ETAP#2: right at q_len 1, NaN at 2",
    edits: {
      ...inAll(FUSED, { find: "let sequence = place.x;", replace: "let sequence = place.y / P.H;" }),
      "attend/unfused": [{ find: "slot_of(rows.x,", replace: "slot_of(rows.y / P.H,", dispatch: "product" }],
      ...IN_MLA,
    },
    cases: { attend: [attend.mixed], mla: [mla.mixed] },
  },
  {
    name: "empty_sequences_not_skipped",
    bugClass: "batch",
    what: "the search for a token's sequence stops at the one before empty ones",
    like: "a binary search with < for ≤: right while no sequence is empty",
    edits: {
      ...inAll(APPEND, { find: "cu_seqlen[middle] <= token", replace: "cu_seqlen[middle] < token" }),
      ...inAll(PREFILL, { find: "sequences[middle].x <= 4u * quad", replace: "sequences[middle].x < 4u * quad" }),
    },
    cases: { append: [append.ragged, appendSeparate.ragged], prefill: [prefill.ragged] },
  },
];

const NO_LAST_HEAD = "if (h + 1u == P.heads) { return; }";

/** Wrong heads. */
export const HEAD_FAULTS: readonly Fault[] = [
  {
    name: "last_head_skipped",
    bugClass: "heads",
    what: "the last head of a group is not computed",
    like: "vllm#35850: head counts below 16 not filled up",
    edits: {
      "attend/fused": [{ find: "if (r < rows &&", replace: "if (r + 1u < rows &&" }],
      ...inAll(TEAM, { find: "if (r < rows)", replace: "if (r + 1u < rows)" }),
      "attend/unfused": [{
        find: " < rows.z) { store_row",
        replace: " + 1u < rows.z) { store_row",
        dispatch: "product",
      }],
      "project/tiled": [{
        find: "let h = item / P.row_tiles / COLUMN_TILES;",
        replace: `let h = item / P.row_tiles / COLUMN_TILES;\n  ${NO_LAST_HEAD}`,
      }],
      "project/vector": [{
        find: "let h = item / P.groups / BLOCKS;",
        replace: `let h = item / P.groups / BLOCKS;\n  ${NO_LAST_HEAD}`,
      }],
      ...inAll(PREFILL, {
        find: "let head = index % P.heads;",
        replace: "let head = index % P.heads;\n  if (head + 1u == P.heads) { return; }",
        dispatch: "attend",
      }),
      ...IN_MLA,
    },
    cases: { attend: [attend.pageAndOne], project: [project.q], prefill: [prefill.ragged], mla: [mla.step] },
  },
  {
    name: "rows_past_the_group_written",
    bugClass: "heads",
    what: "a group that is not full writes all its rows, those of the next sequence among them",
    like: "a bound on the rows of a tile that is missing where heads fill none",
    edits: {
      "attend/fused": [{ find: "if (r < rows && chunk", replace: "if (chunk" }],
      ...inAll(TEAM, { find: "if (r < rows)", replace: "if (r >= 0u)" }),
      "attend/unfused": [{ find: " < rows.z) { store_row", replace: " < 32u) { store_row", dispatch: "product" }],
    },
    cases: { attend: [attend.oddHeads, attend.mixed, attend.many] },
  },
  {
    name: "heads_share_a_query",
    bugClass: "heads",
    what: "neighbouring heads of a thread are asked with one query",
    like: "heads repeated to fill a tile of 16, and taken for heads of their own",
    edits: {
      "attend/fused": [{
        find: "let row1 = first_row + min(row + 1u, rows - 1u);",
        replace: "let row1 = row0;",
      }],
      ...inAll(TEAM, { find: "(team_row + (1u ^ own_row), rows", replace: "(team_row + (0u ^ own_row), rows" }),
      "attend/unfused": [{
        find: "let row0 = rows.y + min(t / 4u, rows.z - 1u);",
        replace: "let row0 = rows.y + min(t / 8u * 2u, rows.z - 1u);",
      }],
    },
    cases: { attend: [attend.pageAndOne] },
  },
  {
    name: "weight_of_the_next_head",
    bugClass: "heads",
    what: "each head is projected with the rows of kv_b_proj of the next",
    like: "a shard of the heads that starts at another head than its weight",
    edits: {
      "project/tiled": [{
        find: "let first = h * HEAD_ROWS + FIRST_ROW;",
        replace: "let first = (h + 1u) % P.heads * HEAD_ROWS + FIRST_ROW;",
      }],
      "project/vector": [{
        find: "(h * HEAD_ROWS + FIRST_ROW",
        replace: "((h + 1u) % P.heads * HEAD_ROWS + FIRST_ROW",
      }],
      ...inAll(PREFILL, {
        find: "let head = row / (DN + DV);",
        replace: "let head = (row / (DN + DV) + 1u) % (P.rows / (DN + DV));",
      }),
    },
    cases: { project: [project.q, project.v], prefill: [prefill.ragged] },
  },
];
