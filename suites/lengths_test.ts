import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { batchOf, expandLengths, parseLengths, resizeLengths } from "./lengths.ts";

const RECORDED_NORMAL = [98, 35, 82, 176];

Deno.test("parseLengths() tells lengths from anything else", () => {
  assertEquals(parseLengths("65"), 65);
  assertEquals(parseLengths("1,63,64"), "1,63,64");
  assertEquals(parseLengths("rand(1..1024)"), "rand(1..1024)");
  for (const text of ["", "1,", "01", "-1", "1.5", "rand(2..1)", "rand(1..2147483648)", "rand(1..2)x", "boundary"]) {
    assertEquals(parseLengths(text), undefined, text);
  }
});

Deno.test("expandLengths() gives every sequence its length", () => {
  const options = { B: 3, seed: 0, axis: "kv" } as const;
  assertEquals(expandLengths(65, options), [65, 65, 65]);
  assertEquals(expandLengths("1,63,64", options), [1, 63, 64]);
  assertEquals(expandLengths("ramp(4..6)", options), [4, 5, 6]);
});

Deno.test("random lengths are the same for one seed on every machine", () => {
  // Recorded when the generator was written: another sequence would change what ids in stored baselines mean.
  assertEquals(expandLengths("rand(1..1024)", { B: 5, seed: 0, axis: "kv" }), [980, 138, 160, 671, 1024]);
});

Deno.test("random lengths depend on seed and axis, not on the size of the batch", () => {
  const make = (seed: number, axis: "q" | "kv", B = 64) => expandLengths("rand(0..1000)", { B, seed, axis });
  assertNotEquals(make(0, "kv"), make(1, "kv"));
  assertNotEquals(make(0, "kv"), make(0, "q"));
  assertEquals(make(0, "kv", 64).slice(0, 31), make(0, "kv", 32).slice(0, 31));
});

Deno.test("random lengths fill their range, ends included, and end with its largest", () => {
  const lengths = expandLengths("rand(3..6)", { B: 200, seed: 7, axis: "kv" });
  assertEquals([...new Set(lengths)].sort(), [3, 4, 5, 6]);
  assertEquals(lengths.at(-1), 6);
  assertEquals(expandLengths("rand(9..9)", { B: 2, seed: 0, axis: "kv" }), [9, 9]);
  const widest = expandLengths("rand(0..2147483647)", { B: 50, seed: 0, axis: "kv" });
  assert(widest.every((length) => Number.isInteger(length) && length >= 0 && length <= 2147483647));
});

Deno.test("resizeLengths() repeats or cuts a ragged batch and leaves the rest alone", () => {
  assertEquals(resizeLengths("1,63,64", 5), "1,63,64,1,63");
  assertEquals(resizeLengths("1,63,64", 2), "1,63");
  assertEquals(resizeLengths(65, 5), 65);
  assertEquals(resizeLengths("rand(1..9)", 5), "rand(1..9)");
  assertEquals(resizeLengths("boundary", 5), "boundary");
});

Deno.test("batchOf() is the number of sequences that lengths name", () => {
  assertEquals(batchOf("1,63,64"), 3);
  assertEquals(batchOf("ramp(1..140)"), 140);
  assertEquals(batchOf("rand(1..9)"), undefined);
  assertEquals(batchOf("boundary"), undefined);
  assertEquals(batchOf(65), undefined);
});

Deno.test("normal lengths lie around their mean with half of it as deviation, none below the least", () => {
  const lengths = expandLengths("normal(2..4096)", { B: 4000, seed: 1, axis: "kv" });
  const mean = lengths.reduce((a, b) => a + b) / lengths.length;
  const deviation = Math.sqrt(lengths.reduce((sum, n) => sum + (n - mean) ** 2, 0) / lengths.length);
  assert(Math.abs(mean - 4096) < 100 && Math.abs(deviation - 2048) < 100, `${mean} ${deviation}`);
  assertEquals(lengths.reduce((a, b) => Math.min(a, b)), 2);
  assert(lengths.every(Number.isInteger));
  // Recorded when the generator was written: ids in stored baselines mean these.
  assertEquals(expandLengths("normal(1..140)", { B: 4, seed: 0, axis: "kv" }), RECORDED_NORMAL);
});

Deno.test("idle lengths are those of normal, about half of them 0", () => {
  const options = { B: 1000, seed: 3, axis: "kv" } as const;
  const [normal, idle] = ["normal(2..140)", "idle(2..140)"].map((spec) => expandLengths(spec, options));
  const empty = idle.filter((length) => length === 0).length;
  assert(empty > 430 && empty < 570, String(empty));
  assert(idle.every((length, b) => length === 0 || length === normal[b]));
});
