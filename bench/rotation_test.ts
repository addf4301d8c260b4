import { assert, assertEquals } from "@std/assert";
import { createStorage, readBack, writeStorage } from "./buffers.ts";
import { copiesFor, InputCopies } from "./rotation.ts";
import { withGpu } from "./testing.ts";

const cacheBytes = 64 * 2 ** 20;

Deno.test("copiesFor() makes launches touch more than twice the cache in turn, and copies nothing that does so by itself", () => {
  for (const touchedBytes of [1e6, 7e6, 60e6, 100e6, 2 * cacheBytes]) {
    assert((copiesFor({ touchedBytes, cacheBytes }) + 1) * touchedBytes > 2 * cacheBytes);
    assert((copiesFor({ touchedBytes, cacheBytes }) - 1) * touchedBytes <= 2 * cacheBytes);
  }
  // 64 sequences of 4,096 tokens at rank 512 in f16.
  assertEquals(copiesFor({ touchedBytes: 64 * 4096 * 576 * 2, cacheBytes }), 0);
});

Deno.test("InputCopies hold what their source held, and are shared by those that ask for the same source", () =>
  withGpu(async (gpu) => {
    const source = createStorage(gpu, "source", 1024);
    writeStorage(gpu, source, new Uint8Array(1024).fill(7));
    const copies = new InputCopies(gpu);
    assert(await copies.make([source], 2));
    const first = copies.get(source, 0);
    assert(await copies.make([source], 3));
    assertEquals(copies.get(source, 0), first);
    assertEquals(new Set([source, ...[0, 1, 2].map((i) => copies.get(source, i))].map(({ buffer }) => buffer)).size, 4);
    for (const bytes of await readBack(gpu, [0, 1, 2].map((i) => copies.get(source, i)))) {
      assertEquals(bytes, new Uint8Array(1024).fill(7));
    }
    copies.destroy();
  }));
