import { assertAlmostEquals, assertEquals } from "@std/assert";
import { makeIncorrect, makeMeasured, makeReport, makeSkipped } from "../fixture.ts";
import { makeView } from "../html_data.ts";
import { aggregateOf, depth, pivot } from "./pivot.js";

Deno.test("pivot() counts right, wrong and skipped beside the figure", () => {
  const { data } = makeView(makeReport({
    results: [
      makeMeasured({ axes: { page: 16 }, centreNs: 10_000 }),
      makeMeasured({ axes: { page: 16, B: 8 }, centreNs: 30_000 }),
      makeIncorrect("attend/fused", { page: 16 }),
      makeSkipped("attend/fused", { page: 64 }),
      makeMeasured({ kernel: "attend/unfused", axes: { page: 64 }, verdict: "unstable", reasons: ["wide"] }),
    ],
  }));
  const options = { rows: "kernel", columns: "page", metric: "medianNs", aggregate: "best" };
  const { rows, columns, cells, range } = pivot(data, [0, 1, 2, 3, 4], options);
  assertEquals([rows, columns], [["attend/fused", "attend/unfused"], [16, 64]]);
  const cell = cells[0][0]!;
  assertEquals([cell.right, cell.wrong, cell.skipped, cell.doubtful], [2, 1, 0, 0]);
  assertAlmostEquals(cell.value!, 10_000, 100);
  assertEquals([cells[0][1]!.skipped, cells[0][1]!.value], [1, null]);
  assertEquals(cells[1][0], undefined);
  assertEquals(cells[1][1]!.doubtful, 1);
  assertEquals(range, [cell.value!, cells[1][1]!.value!]);
});

Deno.test("aggregateOf() knows which way is better", () => {
  assertEquals(aggregateOf([3, 1, 2, 10], "median", "lower"), 2.5);
  assertEquals(aggregateOf([3, 1, 2], "best", "lower"), 1);
  assertEquals(aggregateOf([3, 1, 2], "worst", "lower"), 3);
  assertEquals(aggregateOf([3, 1, 2], "best", "higher"), 3);
  assertEquals(aggregateOf([], "best", "higher"), null);
});

Deno.test("depth() is deeper for better, on a logarithmic scale over wide ranges", () => {
  assertEquals(depth(1, [1, 100], "lower"), 1);
  assertAlmostEquals(depth(10, [1, 100], "higher"), 0.5, 1e-12);
  assertAlmostEquals(depth(2, [1, 3], "higher"), 0.5, 1e-12);
  assertEquals(depth(0, [0, 10], "higher"), 0);
  assertEquals(depth(5, [5, 5], "higher"), 0.5);
});
