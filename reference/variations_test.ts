import { assertEquals } from "@std/assert";
import { ADDED, type Batch, movePages, padBatch, pickSequences, tokensIn } from "./variations.ts";

/** Three sequences of 1, 0 and 2 new tokens in a flow of two calls, the second without the first; pages of one byte. */
const BATCH: Batch = {
  calls: [
    {
      index: 0,
      sequences: [0, 1, 2],
      q: [1, 0, 2],
      kv: [3, 4, 2],
      padding: 1,
      tensors: new Map([["x", Uint8Array.of(1, 2, 3, 4, 5, 6)], ["none", new Uint8Array(0)]]),
      owned: [Int32Array.of(4, 0), Int32Array.of(2), Int32Array.of(1)],
    },
    {
      index: 1,
      sequences: [1, 2],
      q: [1, 1],
      kv: [5, 3],
      padding: 1,
      tensors: new Map([["x", Uint8Array.of(7, 8, 9, 10)]]),
      owned: [Int32Array.of(2), Int32Array.of(1)],
    },
  ],
  pages: 5,
  caches: new Map([["cache", Uint8Array.of(10, 11, 12, 13, 14)]]),
  spareEntries: 0,
};

Deno.test("pickSequences() takes rows, lengths and pages of each sequence along", () => {
  const [first, second] = pickSequences(BATCH, [2, 0, 1]).calls;
  assertEquals([first.sequences, first.q, first.kv], [[2, 0, 1], [2, 1, 0], [2, 3, 4]]);
  assertEquals(first.tensors.get("x"), Uint8Array.of(3, 4, 5, 6, 1, 2));
  assertEquals(first.tensors.get("none"), new Uint8Array(0));
  assertEquals(first.owned.map((pages) => [...pages]), [[1], [4, 0], [2]]);
  assertEquals([second.sequences, second.tensors.get("x")], [[2, 1], Uint8Array.of(9, 10, 7, 8)]);
  assertEquals([...tokensIn(first, BATCH.calls[0])], [1, 2, 0]);
});

Deno.test("pickSequences() leaves calls out in which nobody takes part", () => {
  const { calls, caches } = pickSequences(BATCH, [0]);
  assertEquals(calls.map(({ index, sequences }) => [index, sequences]), [[0, [0]]]);
  assertEquals(caches, BATCH.caches);
});

Deno.test("movePages() moves content and page numbers alike", () => {
  const { calls, caches } = movePages(BATCH, Int32Array.of(1, 2, 3, 4, 0));
  assertEquals(caches.get("cache"), Uint8Array.of(14, 10, 11, 12, 13));
  assertEquals(calls[0].owned.map((pages) => [...pages]), [[0, 1], [3], [2]]);
  assertEquals(calls[1].tensors, BATCH.calls[1].tensors);
});

Deno.test("padBatch() adds empty sequences with pages of their own, poisoned pages, rows and entries", () => {
  const poison = (name: string, bytes: number) => new Uint8Array(bytes).fill(name.length);
  const { calls, caches, pages, spareEntries } = padBatch(BATCH, {
    sequences: 2,
    pages: 1,
    rows: 3,
    entries: 4,
    poison,
  });
  assertEquals([pages, spareEntries, calls[0].padding], [8, 4, 4]);
  assertEquals(caches.get("cache"), Uint8Array.of(10, 11, 12, 13, 14, 5, 5, 5));
  for (const [i, { sequences, q, kv, owned, tensors }] of calls.entries()) {
    const before = BATCH.calls[i];
    assertEquals(sequences, [...before.sequences, ADDED, ADDED]);
    assertEquals([q, kv], [[...before.q, 0, 0], [...before.kv, 0, 0]]);
    assertEquals(owned.slice(-2), [Int32Array.of(5), Int32Array.of(6)]);
    assertEquals(tensors, before.tensors);
  }
});
