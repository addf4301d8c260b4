import { assert, assertEquals } from "@std/assert";
import { createStorage, readBack, writeStorage } from "./buffers.ts";
import { copiesFor, InputCopies, readBytesOf } from "./rotation.ts";
import { withGpu } from "./testing.ts";

const cacheBytes = 64 * 2 ** 20;

Deno.test("copiesFor() makes launches read more than twice the cache in turn, and copies nothing that does so by itself", () => {
  for (const readBytes of [1e6, 7e6, 60e6, 100e6, 2 * cacheBytes]) {
    assert((copiesFor({ readBytes, cacheBytes }) + 1) * readBytes > 2 * cacheBytes);
    assert((copiesFor({ readBytes, cacheBytes }) - 1) * readBytes <= 2 * cacheBytes);
  }
  // 64 sequences of 4,096 tokens at rank 512 in f16.
  assertEquals(copiesFor({ readBytes: 64 * 4096 * 576 * 2, cacheBytes }), 0);
});

Deno.test("pages that sequences share are read once: launches rotate over as many more copies", () => {
  // 16 sequences on the same 4 MiB of pages, a MiB of queries, 3 MiB of outputs.
  const mib = 2 ** 20;
  const sizes = [["cache", "input", 4 * mib], ["q", "input", mib], ["out", "output", 3 * mib]] as const;
  const buffers = sizes.map(([name, role, bytes]) => ({ name, role, bytes }));
  const minBytes = (sequences: number) => (4 * sequences + 1 + 3) * mib;
  assertEquals(readBytesOf({ buffers }, minBytes(16)), 5 * mib);
  assertEquals(copiesFor({ readBytes: readBytesOf({ buffers }, minBytes(16)), cacheBytes }), Math.ceil(128 / 5));
  // A launch that needs less than its buffers hold reads no more than it must.
  assertEquals(readBytesOf({ buffers }, minBytes(0.5)), 3 * mib);
  // What reads nothing cannot be cold.
  assertEquals(copiesFor({ readBytes: 0, cacheBytes }), Infinity);
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
