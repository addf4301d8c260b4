import { assert, assertEquals, assertGreater, assertLessOrEqual, assertThrows } from "@std/assert";
import { allRows, attendFlops, placeOf, queryStarts, sampleRows, tokensSeen } from "./rows.ts";
import type { AttendShape } from "./shapes.ts";

const SHAPE: AttendShape = {
  B: 4,
  H: 3,
  R: 32,
  Dr: 16,
  Dn: 16,
  Dv: 16,
  q: [2, 0, 1, 3],
  kv: [10, 5, 0, 3],
  page: 4,
  cache: "f16",
  scale: 1,
  causal: true,
};

Deno.test("tokensSeen() follows the causal rule, aligned at the bottom right", () => {
  assertEquals([0, 1].map((i) => tokensSeen(SHAPE, 0, i)), [9, 10]);
  assertEquals([0, 1, 2].map((i) => tokensSeen(SHAPE, 3, i)), [1, 2, 3]);
  assertEquals(tokensSeen({ ...SHAPE, causal: false }, 0, 0), 10);
  assertEquals(tokensSeen({ ...SHAPE, q: [12, 0, 1, 3] }, 0, 0), 0);
});

Deno.test("placeOf() finds sequence, token and head of every row, past sequences without queries", () => {
  const starts = queryStarts(SHAPE);
  const places = Array.from(allRows(SHAPE), (row) => placeOf(SHAPE, starts, row));
  assertEquals(places.map((p) => p.sequence).join(""), "000000222333333333");
  assertEquals(places.map((p) => p.token).join(""), "000111000000111222");
  assertEquals(places.map((p) => p.head).join(""), "012".repeat(6));
  assertThrows(() => placeOf(SHAPE, starts, 18), RangeError, "rows 0…17");
  assertThrows(() => placeOf(SHAPE, starts, -1), RangeError, "row -1");
});

Deno.test("attendFlops() counts 2·(2R+Dr) per attended pair", () => {
  assertEquals(attendFlops(SHAPE), 2 * 80 * 3 * (9 + 10 + 0 + 1 + 2 + 3));
  assertEquals(attendFlops(SHAPE, Int32Array.of(0, 17)), 2 * 80 * (9 + 3));
});

const MANY: AttendShape = {
  ...SHAPE,
  B: 60,
  H: 16,
  q: Array(60).fill(1),
  kv: Array.from({ length: 60 }, (_, b) => 1 + (b * 37) % 256),
  page: 16,
};

Deno.test("sampleRows() takes every row where the budget allows", () => {
  assertEquals(sampleRows(MANY, attendFlops(MANY), 1), allRows(MANY));
});

Deno.test("sampleRows() stays within its budget, uses it up, and takes the boundary rows first", () => {
  const budget = attendFlops(MANY) / 5;
  const rows = sampleRows(MANY, budget, 1);
  const flops = attendFlops(MANY, rows);
  assertLessOrEqual(flops, budget);
  assertGreater(flops, 0.95 * budget);
  assertEquals(rows, rows.toSorted());
  assertEquals(new Set(rows).size, rows.length);
  const { kv } = MANY;
  const boundary = [0, 59, kv.indexOf(Math.min(...kv)), kv.indexOf(Math.max(...kv))];
  boundary.push(...[0, 1, 15].map((rest) => kv.findIndex((n) => n % 16 === rest)));
  for (const wanted of [rows, sampleRows(MANY, 0, 1)]) {
    for (const b of boundary) assert(wanted.includes(b * 16) && wanted.includes(b * 16 + 15), `sequence ${b}`);
  }
});

Deno.test("sampleRows() takes the queries on both sides of page ends, and the first that sees a token", () => {
  const shape: AttendShape = { ...MANY, B: 4, q: [100, 1, 120, 30], kv: [150, 70, 120, 20] };
  const rows = sampleRows(shape, 0, 1);
  const starts = queryStarts(shape);
  const seen = (b: number) => [
    ...new Set(
      Array.from(rows, (row) => placeOf(shape, starts, row)).filter((p) => p.sequence === b).map((p) => p.seen),
    ),
  ];
  assertEquals(seen(0), [51, 64, 65, 144, 145, 150]);
  assertEquals(seen(1), [70]);
  assertEquals(seen(2), [1, 16, 17, 112, 113, 120]);
  // Ten queries come before the first token.
  assertEquals(seen(3), [0, 1, 16, 17, 20]);
  assert(rows.every((row) => row % 16 === 0 || row % 16 === 15));
  const whole = { ...shape, causal: false };
  assertEquals(sampleRows(whole, 0, 1).length, 2 * (3 * 2 + 1));
  // A page of one token ends at every query.
  assertEquals(sampleRows({ ...shape, B: 1, q: [9], kv: [9], page: 1 }, 0, 1).length, 2 * 3);
});

Deno.test("sampleRows() depends on the seed only beyond the boundary rows", () => {
  const budget = attendFlops(MANY) / 5;
  assertEquals(sampleRows(MANY, budget, 1), sampleRows(MANY, budget, 1));
  assert(sampleRows(MANY, budget, 1).join() !== sampleRows(MANY, budget, 2).join());
  assertEquals(sampleRows(MANY, 0, 1), sampleRows(MANY, 0, 2));
});

Deno.test("sampleRows() of a batch without queries is empty", () => {
  assertEquals(sampleRows({ ...SHAPE, q: [0, 0, 0, 0] }, 0, 1).length, 0);
});
