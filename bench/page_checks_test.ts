import { assertEquals, assertThrows } from "@std/assert";
import { checkCacheLoc, checkPageTable } from "./page_checks.ts";

const TABLE = { shape: { page: 4 }, tableWidth: 3, pages: 10, pageTable: Int32Array.of(7, 2, -1, 9, 0, 2147483647) };
const LIST = { page: 4, pages: 10, cacheLoc: Int32Array.of(7, 2, 9, 0, 3), cuNumPages: Int32Array.of(0, 2, 2, 5) };

Deno.test("page numbers that tokens need must be pages of the cache; others may be anything", () => {
  checkPageTable(TABLE, [8, 5]);
  checkPageTable(TABLE, [0, 0]);
  checkCacheLoc(LIST, [8, 0, 9]);
  for (
    const [change, kv, message] of [
      [{}, [9, 5], "Cannot follow entry 2 of sequence 0 in page_table: it is -1, the cache has pages 0 to 9"],
      [{}, [8, 9], "Cannot follow entry 2 of sequence 1 in page_table: it is 2147483647, the cache has pages 0 to 9"],
      [{ pages: 9 }, [8, 5], "Cannot follow entry 0 of sequence 1 in page_table: it is 9, the cache has pages 0 to 8"],
      [{}, [13, 5], "Cannot read 13 tokens of sequence 0 in page_table: they need 4 entries of 4 tokens, a row has 3"],
    ] as const
  ) assertEquals(assertThrows(() => checkPageTable({ ...TABLE, ...change }, kv), RangeError).message, message);
});

Deno.test("entries of cache_loc that tokens need must exist and be pages of the cache", () => {
  for (
    const [change, kv, message] of [
      [
        { pages: 9 },
        [8, 0, 1],
        "Cannot follow entry 0 of sequence 2 in cache_loc: it is 9, the cache has pages 0 to 8",
      ],
      [
        {},
        [8, 1, 9],
        "Cannot read 1 tokens of sequence 1 in cache_loc: they need 1 entries of 4 tokens, cu_num_pages gives it 2 to 2 of 5",
      ],
      [
        { cuNumPages: Int32Array.of(0, 2, 2, 6) },
        [8, 0, 9],
        "Cannot read 9 tokens of sequence 2 in cache_loc: they need 3 entries of 4 tokens, cu_num_pages gives it 2 to 6 of 5",
      ],
    ] as const
  ) assertEquals(assertThrows(() => checkCacheLoc({ ...LIST, ...change }, kv), RangeError).message, message);
});
