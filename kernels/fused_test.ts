import { assert, assertEquals } from "@std/assert";
import type { AttendShape } from "../reference/shapes.ts";
import { attendFused } from "./attend_fused.ts";
import { blockOfRows } from "./fused.ts";
import { decodeShape, deviceTraits } from "./testing.ts";
import { DIRECT, ITEM_WORDS } from "./work_list.ts";

const ROWS: readonly [what: string, shape: Partial<AttendShape>, rows: number][] = [
  ["decode of 3 heads", { H: 3 }, 8],
  ["decode of 8 heads", { H: 8, kv: [9, 0, 70000] }, 8],
  ["decode of 9 heads", { H: 9 }, 16],
  ["decode of 17 heads", { H: 17 }, 32],
  ["decode of 128 heads, rank 512", { H: 128, R: 512 }, 16],
  ["decode of 128 heads, rank 1024", { H: 128, R: 1024 }, 8],
  ["prefill of 3 heads", { H: 3, q: [64], kv: [64] }, 32],
  ["two query tokens of 8 heads", { H: 8, q: [2], kv: [64] }, 16],
  ["a short prompt among long decodes of 8 heads", { H: 8, q: [1, 1, 4], kv: [9000, 9000, 4] }, 8],
  ["one decode among long prompts of 8 heads", { H: 8, q: [900, 1], kv: [900, 900] }, 32],
  ["sequences that ask nothing", { H: 8, q: [0, 1], kv: [9000, 1] }, 8],
];

for (const [what, shape, rows] of ROWS) {
  Deno.test(`blockOfRows() for ${what} is ${rows}`, () => assertEquals(blockOfRows(decodeShape(shape)).ROWS, rows));
}

Deno.test("a fused launch computes its items in two dispatches of one shader, each writing where its items say", () => {
  const shape = decodeShape({ q: [1, 3], kv: [5, 300], lseBase: "2" });
  const { dispatches, buffers } = attendFused.launch(shape, { pages: 9, tableWidth: 5 }, { splits: 3 }, deviceTraits());
  const [direct, split, merge] = dispatches;
  assertEquals(dispatches.map(({ label }) => label), ["attend", "attend_split", "merge"]);
  assertEquals(direct.shader, split.shader);
  assertEquals(direct.bindings.slice(-2), ["out", "lse2"]);
  assertEquals(split.bindings.slice(-2), ["partial_out", "partial_lse"]);
  const param = (dispatch: typeof direct, name: string) => dispatch.params.find(([field]) => field === name)![2];
  assertEquals([direct, split, merge].map((dispatch) => param(dispatch, "lse_factor")), [Math.LOG2E, 1, Math.LOG2E]);
  const work = buffers.find(({ name }) => name === "work")!;
  const items = work.contents!.length / ITEM_WORDS;
  const slot = (item: number) => work.contents![item * ITEM_WORDS + 3];
  assertEquals([param(direct, "first"), param(split, "first")], [0, param(direct, "count")]);
  assertEquals(param(direct, "count") + param(split, "count"), items);
  for (let i = 0; i < items; i++) assertEquals(slot(i) === DIRECT, i < param(direct, "count"));
});

Deno.test("a launch without a split has neither merge nor partial results", () => {
  const { dispatches, buffers } = attendFused.launch(decodeShape(), { pages: 9, tableWidth: 5 }, {}, deviceTraits());
  assertEquals(dispatches.map(({ label }) => label), ["attend"]);
  assert(!buffers.some(({ name }) => name === "partial_out" || name === "merges"));
});
