import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Batch, blockTableWidth, makeMetadata, type MlaMetadata, mlaShapeOf, readMetadata } from "./metadata.ts";
import { pagesOf } from "./shapes.ts";

/** Metadata of a batch whose sequences own pages 0, 1, 2, … in order. */
function metadataOf(q: readonly number[], kv: readonly number[], page = 64, first = 0): MlaMetadata {
  const starts = kv.map((_, b) => first + kv.slice(0, b).reduce((sum, n) => sum + pagesOf(n, page), 0));
  const pagesOfSequence = (b: number) => Array.from({ length: pagesOf(kv[b], page) }, (_, i) => starts[b] + i);
  return makeMetadata({ q, kv, page, pagesOfSequence });
}

const BOUNDS = { pages: 12, page: 64, rows: 100 };

/** Two prompts, one extend of 3 and two decode steps. */
const MIXED = metadataOf([32, 32, 3, 1, 1], [32, 32, 67, 65, 128]);

Deno.test("makeMetadata() writes the mixed batch of the seed as the seed does", () => {
  const { batchInfo, ...arrays } = metadataOf([32, 32, 1, 1], [32, 32, 65, 65]);
  assertEquals([...batchInfo.subarray(0, 6)], [2, 64, 0, 0, 2, 2]);
  assertEquals(arrays, {
    cuSeqlen: Int32Array.of(0, 32, 64, 65, 66),
    cuNumPages: Int32Array.of(0, 1, 2, 4, 6),
    cacheLoc: Int32Array.of(0, 1, 2, 3, 4, 5),
    lastPageLen: Int32Array.of(32, 32, 1, 1),
    seqLenWithCache: Int32Array.of(32, 32, 65, 65),
  });
});

Deno.test("batch_info groups sequences in their order, whatever it is", () => {
  const cases: readonly [q: number[], kv: number[], groups: number[]][] = [
    [[1, 1], [65, 1000], [0, 0, 0, 0, 2, 2]],
    [[5, 2, 1], [5, 9, 9], [1, 5, 1, 2, 1, 1]],
    [[1], [1], [1, 1, 0, 0, 0, 0]], // a prompt of one token is no decode step
    [[1, 7, 1], [9, 7, 9], [2, 8, 0, 0, 1, 1]], // decode before a prompt: a prefill with cached tokens
    [[0, 4, 0], [0, 4, 6], [2, 4, 1, 0, 0, 0]],
    [[1, 0, 1], [9, 6, 9], [0, 0, 2, 1, 1, 1]],
  ];
  for (const [q, kv, groups] of cases) {
    const metadata = metadataOf(q, kv);
    assertEquals([...metadata.batchInfo.subarray(0, 6)], groups, `q=${q} kv=${kv}`);
    assertEquals(readMetadata(metadata, { ...BOUNDS, pages: 99 }), { q, kv, tokens: q.reduce((a, b) => a + b) });
  }
});

Deno.test("readMetadata() takes arrays that are longer than the batch, and pages of any size", () => {
  const longer = (values: Int32Array) => Int32Array.of(...values, -7, 2 ** 31 - 1);
  const { batchInfo, ...arrays } = MIXED;
  const padded = Object.fromEntries(Object.entries(arrays).map(([name, values]) => [name, longer(values)]));
  const read = readMetadata({ batchInfo, ...padded } as unknown as MlaMetadata, BOUNDS);
  assertEquals(read, { q: [32, 32, 3, 1, 1], kv: [32, 32, 67, 65, 128], tokens: 69 });
  for (const page of [1, 3, 16, 64, 4096]) {
    for (const kv of [0, 1, page - 1, page, page + 1, 3 * page + 2]) {
      const metadata = metadataOf([kv], [kv], page);
      assertEquals(readMetadata(metadata, { pages: 5000, page, rows: kv }).kv, [kv]);
    }
  }
});

/** A copy of the mixed batch in which entry `at` of `array` is `value`. */
function changed(array: keyof MlaMetadata, at: number, value: number): MlaMetadata {
  const values = MIXED[array].slice();
  values[at] = value;
  return { ...MIXED, [array]: values };
}

const REFUSED: readonly [metadata: MlaMetadata, reason: string][] = [
  [{ ...MIXED, batchInfo: new Int32Array(6) }, "batch_info has 6 entries, 12 are needed"],
  [{ ...MIXED, batchInfo: new Int32Array(12) }, "batch_info counts no sequence"],
  [changed("batchInfo", 2, -1), "batch_info[2] is -1: no slot is negative"],
  [changed("batchInfo", 4, 3), "last_page_len has 5 entries, batch_info counts 6 sequences"],
  [changed("batchInfo", 1, 63), "batch_info[1] says 63 prefill tokens, cu_seqlen gives 64 to those 2 sequences"],
  [changed("batchInfo", 3, 4), "batch_info[3] says 4 extend tokens, cu_seqlen gives 3 to those 1 sequences"],
  [changed("batchInfo", 5, 1), "batch_info[5] says 1 decode tokens, cu_seqlen gives 2 to those 2 sequences"],
  [
    { ...MIXED, batchInfo: Int32Array.of(2, 64, 0, 0, 3, 5, 0, 0, 0, 0, 0, 0) },
    "sequence 2 is counted as decode and has 3 new tokens, not 1",
  ],
  [changed("batchInfo", 6, 127), "batch_info[6] is 127, below the longest sequence of 128"],
  [changed("batchInfo", 7, 1), "batch_info[7] is 1, below the most pages of 2"],
  [changed("batchInfo", 9, 4), "batch_info[9] is 4, below the batch of 5"],
  [{ ...MIXED, seqLenWithCache: new Int32Array(4) }, "seq_len_with_cache has 4 entries, batch_info counts 5 sequences"],
  [{ ...MIXED, cuSeqlen: new Int32Array(5) }, "cu_seqlen has 5 entries, 5 sequences need 6"],
  [changed("cuSeqlen", 0, 1), "cu_seqlen[0] is 1: it starts at 0"],
  [changed("cuSeqlen", 1, 65), "cu_seqlen falls from 65 to 64 at sequence 1"],
  [{ ...MIXED, cuNumPages: new Int32Array(1) }, "cu_num_pages has 1 entries, 5 sequences need 6"],
  [changed("cuNumPages", 0, -1), "cu_num_pages[0] is -1: it starts at 0"],
  [changed("cuNumPages", 3, 1), "cu_num_pages falls from 2 to 1 at sequence 2"],
  [changed("cuNumPages", 3, 5), "cu_num_pages gives sequence 2 3 pages, its 67 tokens in pages of 64 need 2"],
  [
    changed("seqLenWithCache", 0, 31),
    "seq_len_with_cache[0] is 31, less than the 32 new tokens of that sequence",
  ],
  [changed("seqLenWithCache", 3, 64), "cu_num_pages gives sequence 3 2 pages, its 64 tokens in pages of 64 need 1"],
  [changed("seqLenWithCache", 3, 66), "last_page_len[3] is 1, 66 tokens in pages of 64 leave 2"],
  [changed("lastPageLen", 4, 0), "last_page_len[4] is 0, 128 tokens in pages of 64 leave 64"],
  [{ ...MIXED, cacheLoc: MIXED.cacheLoc.slice(0, 7) }, "cache_loc has 7 entries, cu_num_pages counts 8"],
  [changed("cacheLoc", 3, 12), "cache_loc[3] of sequence 2 is page 12, the cache has pages 0…11"],
  [changed("cacheLoc", 7, -1), "cache_loc[7] of sequence 4 is page -1, the cache has pages 0…11"],
  [changed("cacheLoc", 3, MIXED.cacheLoc[2]), "cache_loc[3] of sequence 2 is page 2, which that sequence has already"],
  [changed("cacheLoc", 1, 0), "sequences 0 and 1 both have a new token in slot 0 of page 0"],
];

Deno.test("readMetadata() refuses each contradiction in one line that names it", () => {
  assertEquals(readMetadata(MIXED, BOUNDS).tokens, 69);
  for (const [metadata, reason] of REFUSED) {
    const error = assertThrows(() => readMetadata(metadata, BOUNDS), RangeError);
    assertEquals(error.message, `Cannot read metadata: ${reason}`);
  }
  const error = assertThrows(() => readMetadata(MIXED, { ...BOUNDS, rows: 68 }), RangeError);
  assertEquals(error.message, "Cannot read metadata: cu_seqlen: 69 tokens, q and out have 68 rows");
  assertThrows(() => readMetadata(MIXED, { ...BOUNDS, rows: NaN }), RangeError, "q and out have NaN rows");
});

Deno.test("sequences may share their prefix, and pages in which each writes slots of its own", () => {
  const batch: Batch = { q: [1, 1], kv: [65, 66], page: 64, pagesOfSequence: () => [5, 7] };
  assertEquals(readMetadata(makeMetadata(batch), BOUNDS).kv, [65, 66]);
  assertThrows(() => readMetadata(makeMetadata({ ...batch, kv: [66, 66] }), BOUNDS), RangeError, "slot 1 of page 7");
});

Deno.test("metadata of more sequences than a call may have arguments is made and read", () => {
  const B = 200000;
  const batch = { q: new Array(B).fill(0), kv: new Array(B).fill(1), page: 16, pagesOfSequence: (b: number) => [b] };
  const { batchInfo } = makeMetadata(batch);
  assertEquals([...batchInfo], [0, 0, B, 0, 0, 0, 1, 1, 1, B, 0, 0]);
  assertEquals(readMetadata(makeMetadata(batch), { pages: B, page: 16, rows: 0 }).q.length, B);
});

Deno.test("makeMetadata() refuses a sequence without its pages", () => {
  const batch: Batch = { q: [1, 1], kv: [64, 65], page: 64, pagesOfSequence: () => [5] };
  const error = assertThrows(() => makeMetadata(batch), RangeError);
  assertEquals(error.message, "Cannot make metadata of sequence 1: 65 tokens need 2 pages, not 1");
});

Deno.test("blockTableWidth() rounds up to 128 tokens' worth of entries", () => {
  const widths = [[64, 1, 2], [32, 1, 4], [16, 1, 8], [128, 1, 1], [1, 1, 128], [256, 3, 3], [61, 3, 4], [3, 43, 84]];
  for (const [page, pages, width] of widths) assertEquals(blockTableWidth(pages, page), width, `page ${page}`);
  assertEquals(blockTableWidth(0, 64), 2);
});

Deno.test("known faults: an unaligned width, and the page size read off the wrong axis", () => {
  // 9,416 tokens in pages of 32 are 295 pages, and a kernel that reads four entries at once needs 296.
  const unaligned = 295;
  assert(unaligned % 4 !== 0 && blockTableWidth(unaligned, 32) === 296);
  // A cache [pages, page, 1, R+Dr] looks like one of 1 token per page: its metadata then contradicts itself.
  const error = assertThrows(() => readMetadata(MIXED, { ...BOUNDS, page: 1 }), RangeError);
  assertEquals(
    error.message,
    "Cannot read metadata: cu_num_pages gives sequence 0 1 pages, its 32 tokens in pages of 1 need 32",
  );
});

Deno.test("mlaShapeOf() gives the call's shape: scale by default 1/√(Dn+Dr), rows past the last token as padding", () => {
  const dims = { H: 4, R: 256, Dn: 128, Dr: 64, Dv: 128, cache: "bf16", weight: "bf16" } as const;
  const shape = mlaShapeOf(MIXED, dims, BOUNDS);
  assertEquals(shape, {
    ...dims,
    B: 5,
    q: [32, 32, 3, 1, 1],
    kv: [32, 32, 67, 65, 128],
    page: 64,
    padding: 31,
    scale: 1 / Math.sqrt(192),
    causal: true,
  });
  assertEquals(mlaShapeOf(MIXED, { ...dims, scale: 0.5, layout: "separate" }, BOUNDS).scale, 0.5);
});
