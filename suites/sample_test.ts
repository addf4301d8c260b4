import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { parseAxis } from "./axis_values.ts";
import type { Case } from "./case.ts";
import { parseCaseId } from "./case_id.ts";
import { type ExpandOptions, expandSuites } from "./expand.ts";
import { crossProduct, oneAtATime, SOFTWARE_SHAPES, spread, withinSoftwareBudget } from "./sample.ts";
import { shapeKey } from "./select.ts";
import type { Group, Suite } from "./suite.ts";
import { TEST_KERNELS } from "./testing.ts";

Deno.test("crossProduct() is every combination, oneAtATime() the control and its neighbours", () => {
  const dimensions = [["a", "b"], ["c"], ["d", "e", "f"]];
  assertEquals(crossProduct(dimensions).map((c) => c.join("")), ["acd", "ace", "acf", "bcd", "bce", "bcf"]);
  assertEquals(oneAtATime(dimensions).map((c) => c.join("")), ["acd", "bcd", "ace", "acf"]);
  assertEquals(crossProduct([["a"], []]), []);
  assertEquals(oneAtATime([["a"], []]), []);
  assertEquals([crossProduct([]), oneAtATime([])], [[[]], [[]]]);
});

Deno.test("spread() takes evenly, the first included", () => {
  assertEquals(spread([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 4), [0, 2, 5, 7]);
  assertEquals(spread([0, 1], 4), [0, 1]);
});

Deno.test("withinSoftwareBudget() refuses what takes a CPU seconds", () => {
  const at = (B: number, kv: number) =>
    withinSoftwareBudget(parseCaseId(`attend/fused:B=${B};H=16;R=256;Dr=64;q=1;kv=${kv};page=64;cache=f32`));
  assert(at(1, 1024));
  assert(!at(1, 200_000), "by bytes and flops");
  assert(!at(64, 4096));
});

const axes = { B: [1, 2, 3, 4], H: [8, 16, 32], page: [16, 64], kv: [65, 100_000] };
const sampledGroup: Group = { operation: "attend", variants: "all", axes };

function expand(group: Partial<Group>, options: Partial<ExpandOptions> = {}): Case[] {
  const suite: Suite = { name: "s", summary: "", groups: [{ ...sampledGroup, ...group }] };
  return expandSuites({
    suites: ["s"],
    registry: [suite],
    kernelsAvailable: TEST_KERNELS,
    software: true,
    full: false,
    ...options,
  });
}

const shapes = (cases: readonly Case[]) => new Set(cases.map(shapeKey)).size;

Deno.test("a software adapter samples: the control case, one axis changed at a time, nothing beyond its budget", () => {
  const cases = expand({});
  assertEquals(shapes(cases), 1 + 3 + 2 + 1);
  assert(cases.every(withinSoftwareBudget));
  for (const { axes } of cases) {
    const changed = [axes.B !== 1, axes.H !== 8, axes.page !== 16].filter((is) => is).length;
    assertLessOrEqual(changed, 1);
  }
});

Deno.test("--full, a filter and hardware switch sampling off", () => {
  assertEquals(shapes(expand({}, { full: true })), 48);
  assertEquals(shapes(expand({}, { filter: "*" })), 48);
  assertEquals(shapes(expand({}, { software: false })), 48);
});

Deno.test("a group says whether a software adapter runs all or nothing of it", () => {
  assertEquals(shapes(expand({ onSoftware: "all" })), 48);
  const rest: Suite = { name: "s", summary: "", groups: [sampledGroup, { ...sampledGroup, onSoftware: "nothing" }] };
  assertEquals(shapes(expand({}, { registry: [rest] })), 7);
});

Deno.test("a sample has at most the stated number of shapes, the control among them", () => {
  const many = Array.from({ length: 500 }, (_, i) => i + 1);
  const cases = expand({ axes: { B: [3], kv: many } });
  assertEquals(shapes(cases), SOFTWARE_SHAPES);
  assertEquals(cases[0].axes.kv, 1);
  const pages = Array.from({ length: 40 }, (_, i) => i + 1);
  assertEquals(shapes(expand({ axes: { page: pages, kv: ["boundary"] } })), SOFTWARE_SHAPES);
});

Deno.test("axis values are replaced after the sample, so all that were asked for run", () => {
  const cases = expand({}, { axes: [parseAxis("kv=1..200"), parseAxis("H=8"), parseAxis("page=64")] });
  assertEquals(new Set(cases.map(({ axes }) => axes.kv)).size, 200);
  const edges = expand({ axes: { kv: ["boundary"] } }, { axes: [parseAxis("page=61")] });
  assert(edges.some(({ axes }) => axes.kv === 121));
});

Deno.test("a seed changes no case but its seed", () => {
  const group = { axes: { page: [64, 1, 2, 3, 5, 7, 11, 13], kv: ["boundary"] } };
  assertEquals(
    expand(group, { seed: 5 }).map(({ id }) => id.replace(";seed=5", "")),
    expand(group).map(({ id }) => id),
  );
});

Deno.test("a sample has a shape of every group, however large the others are", () => {
  const many = Array.from({ length: 500 }, (_, i) => i + 1);
  const groups: Group[] = [
    { ...sampledGroup, axes: { kv: many } },
    { ...sampledGroup, axes: { B: [2] } },
    { ...sampledGroup, axes: { page: many, kv: [300] } },
  ];
  const cases = expand({}, { registry: [{ name: "s", summary: "", groups }] });
  assertEquals(shapes(cases), SOFTWARE_SHAPES);
  assert(cases.some(({ axes }) => axes.B === 2));
  assertEquals(cases[0].axes.kv, 1);
});
