import { assertEquals, assertThrows } from "@std/assert";
import { callsOf } from "./flow.ts";
import type { MlaShape } from "./shapes.ts";

const SHAPE: MlaShape = {
  B: 3,
  H: 2,
  R: 16,
  Dr: 16,
  Dn: 8,
  Dv: 8,
  q: [5, 0, 4],
  kv: [5, 7, 10],
  page: 4,
  cache: "f16",
  weight: "bf16",
  padding: 2,
  scale: 0.2,
  causal: true,
};

Deno.test("callsOf() of a shape without steps is one call of all sequences", () => {
  assertEquals(callsOf(SHAPE), [{ shape: SHAPE, sequences: [0, 1, 2] }]);
});

Deno.test("callsOf() gives each call the sequences with new tokens and what they have after it", () => {
  const calls = callsOf({ ...SHAPE, steps: [[4, 0, 0], [1, 0, 3], [0, 0, 1]] });
  assertEquals(calls.map(({ shape, sequences }) => ({ sequences, B: shape.B, q: shape.q, kv: shape.kv })), [
    { sequences: [0], B: 1, q: [4], kv: [4] },
    { sequences: [0, 2], B: 2, q: [1, 3], kv: [5, 9] },
    { sequences: [2], B: 1, q: [1], kv: [10] },
  ]);
  for (const { shape } of calls) {
    assertEquals([shape.padding, "steps" in shape, shape.weight], [2, false, "bf16"]);
  }
});

Deno.test("callsOf() refuses steps that do not add up, in one line", () => {
  const refuses = (change: Partial<MlaShape>, message: string) =>
    assertThrows(() => callsOf({ ...SHAPE, ...change }), RangeError, message);
  refuses({ steps: [[5, 0, 3]] }, "the steps of sequence 2 add up to 3, needed is its q, 4");
  refuses({ steps: [[5, 0]] }, "the steps of sequence 2 add up to NaN");
  refuses({ steps: [[5, 0, 4, 1]] }, "step 0 has 4 entries, needed are 3");
  refuses({ steps: [[5, 0, 4], [0, 0, 0]] }, "step 1 has no new tokens");
  refuses({ q: [6, 0, 4] }, "q of sequence 0 is 6, needed is 0…5, its kv");
  refuses({ q: [5, 0] }, "q has 2 entries and kv 3, needed are 3");
});
