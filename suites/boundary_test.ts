import { assert, assertEquals } from "@std/assert";
import { boundaryLengths, TILES } from "./boundary.ts";

Deno.test("boundaryLengths() visits both sides of the first two page edges and of each tile", () => {
  assertEquals(boundaryLengths({ page: 64 }), [0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129]);
  assertEquals(boundaryLengths({ page: 61 }), [0, 1, 31, 32, 33, 60, 61, 62, 63, 64, 65, 121, 122, 123]);
});

Deno.test("boundaryLengths() of one token per page has no length below zero and none twice", () => {
  assertEquals(boundaryLengths({ page: 1 }), [0, 1, 2, 3, 31, 32, 33, 63, 64, 65]);
});

Deno.test("boundaryLengths() of splits has fewer tokens than splits, and a full tile in each", () => {
  const plain = new Set(boundaryLengths({ page: 64 }));
  assertEquals(boundaryLengths({ page: 64, splits: 1 }), [...plain]);
  const added = boundaryLengths({ page: 64, splits: 5 }).filter((length) => !plain.has(length));
  assertEquals(added, [4, 5, 6, 319, 320, 321]);
});

Deno.test("the tiles of the kernels, powers of two up to 64, have their edges among those of TILES", () => {
  const lengths = boundaryLengths({ page: 64 });
  for (const tile of [1, 2, 4, 8, 16, 32, 64]) {
    for (const rest of [0, 1, tile - 1]) {
      assert(lengths.some((length) => length >= tile && length % tile === rest % tile), `${tile} ${rest} ${TILES}`);
    }
  }
});
