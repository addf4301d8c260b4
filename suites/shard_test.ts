import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { estimateCost } from "./cost.ts";
import { expandSuites } from "./expand.ts";
import { shapeKey } from "./select.ts";
import { parseShard, shard } from "./shard.ts";
import { TEST_KERNELS } from "./testing.ts";

const cases = expandSuites({ suites: ["default"], kernelsAvailable: TEST_KERNELS, software: false, full: false });

Deno.test("shards are a partition that keeps the order and the variants of a shape together", () => {
  for (const count of [1, 2, 3, 7]) {
    const parts = Array.from({ length: count }, (_, i) => shard(cases, i + 1, count, true));
    const where = new Map(parts.flatMap((part, i) => part.map((testCase) => [testCase.id, i] as const)));
    assertEquals(where.size, cases.length);
    assertEquals(parts.flat().length, cases.length);
    for (const part of parts) assertEquals(part, cases.filter((testCase) => part.includes(testCase)));
    const shardsOfShape = new Set(cases.map((testCase) => `${shapeKey(testCase)} ${where.get(testCase.id)}`));
    assertEquals(shardsOfShape.size, new Set(cases.map(shapeKey)).size);
  }
});

Deno.test("shards have nearly equal work where no shape is most of it", () => {
  const even = expandSuites({ suites: ["rank256"], kernelsAvailable: TEST_KERNELS, software: false, full: false });
  const work = [1, 2, 3, 4].map((index) =>
    shard(even, index, 4, true).reduce((sum, testCase) => sum + estimateCost(testCase).flops, 0)
  );
  assertLess(Math.max(...work) / Math.min(...work), 1.2);
});

Deno.test("on a GPU the largest shape of default does not take a shard of its own", () => {
  const parts = [1, 2].map((index) => shard(cases, index, 2, false).length);
  assertLess(Math.max(...parts) / Math.min(...parts), 1.3);
});

Deno.test("more shards than shapes leaves some empty and loses none", () => {
  const few = cases.slice(0, 3);
  const parts = Array.from({ length: 9 }, (_, i) => shard(few, i + 1, 9, true));
  assertEquals(parts.flat(), few);
  assert(parts.some((part) => part.length === 0));
});

Deno.test("shard() and parseShard() refuse what is no part", () => {
  assertEquals(parseShard("2/4"), { index: 2, count: 4 });
  for (const text of ["0/4", "5/4", "0/0"]) {
    assertEquals(
      assertThrows(() => parseShard(text), RangeError).message,
      `Cannot take shard ${text}: it is i/n with i from 1 to n, for instance 2/4`,
    );
  }
  for (const text of ["", "2", "2/", "/4", "-1/4", "1.5/4", "1/4/2", "a/b", " 1/4"]) {
    assertEquals(
      assertThrows(() => parseShard(text), SyntaxError).message,
      `Cannot read shard ${JSON.stringify(text)}: it is i/n with i from 1 to n, for instance 2/4`,
    );
  }
  for (const [index, count] of [[0, 2], [3, 2], [1.5, 2], [NaN, 2], [1, NaN]]) {
    assertThrows(() => shard(cases, index, count, false), RangeError, "Cannot take shard");
  }
});
