import { assert, assertEquals } from "@std/assert";
import {
  type BlockLength,
  chooseSpan,
  MAX_SPLITS,
  MIN_SPLIT_TOKENS,
  sequenceSpan,
  SLOTS,
  spanOf,
  type SpanRequest,
} from "./splits.ts";

const TILE = 16;

/** Sequences of `blocks` blocks, all of which see the whole of their sequence. */
function decode(blocks: number, kv: readonly number[]): BlockLength[][] {
  return kv.map((end) => Array<BlockLength>(blocks).fill({ rows: 16, end }));
}

/** Parts into which the span that is chosen cuts the longest block. */
function splitsOf(sequences: readonly (readonly BlockLength[])[], options: Partial<SpanRequest> = {}): number {
  const end = Math.max(...sequences.flat().map((block) => block.end));
  return Math.max(1, Math.ceil(end / chooseSpan({ sequences, tile: TILE, ...options })));
}

/** The first two as measured; the others as the estimate has given them since. */
const DECODE: readonly [what: string, blocks: number, kv: number[], splits: number][] = [
  ["one sequence, 128 heads", 8, [8192], 32],
  ["64 sequences, 16 heads", 1, Array(64).fill(4096), 4],
  ["64 sequences, 128 heads", 4, Array(64).fill(4096), 1],
  ["16 sequences, 128 heads", 4, Array(16).fill(2048), 4],
  ["a short sequence", 1, [200], 1],
  ["an empty batch", 1, [0, 0, 0, 0], 1],
  ["two splits' worth of tokens", 1, [2 * MIN_SPLIT_TOKENS], 2],
];

for (const [what, blocks, kv, splits] of DECODE) {
  Deno.test(`chooseSpan() for ${what} makes ${splits} parts`, () => assertEquals(splitsOf(decode(blocks, kv)), splits));
}

/** Of team kernels, which take few tokens: all that an H200 ran within 8 % of the fastest of 1, 2, 4 … 512 splits. */
const TEAMS: readonly [what: string, blocks: number, B: number, kv: number, slots: number, splits: [number, number]][] =
  [
    ["64 tokens of 128 heads", 4, 1, 64, 132, [4, 16]],
    ["128 tokens of 4 sequences, 128 heads", 4, 4, 128, 132, [8, 8]],
    ["128 tokens of 16 sequences, 128 heads", 4, 16, 128, 132, [2, 2]],
    ["512 tokens of 16 sequences, 128 heads", 4, 16, 512, 132, [2, 2]],
    ["64 tokens of 64 sequences, 16 heads", 1, 64, 64, 264, [1, 4]],
    ["128 tokens of 64 sequences, 16 heads", 1, 64, 128, 264, [2, 4]],
    ["512 tokens of 16 sequences, 16 heads", 1, 16, 512, 264, [8, 16]],
    ["1024 tokens, 16 heads", 1, 1, 1024, 264, [64, 128]],
    ["4096 tokens, 16 heads", 1, 1, 4096, 264, [128, 256]],
    ["8192 tokens, 16 heads", 1, 1, 8192, 264, [128, 256]],
    ["32768 tokens, 4 heads, rank 256", 1, 1, 32768, 1056, [512, 512]],
  ];

for (const [what, blocks, B, kv, slots, [fewest, most]] of TEAMS) {
  Deno.test(`chooseSpan() for ${what} makes ${fewest} to ${most} parts`, () => {
    const splits = splitsOf(decode(blocks, Array(B).fill(kv)), { tile: 4, least: 16, slots });
    assert(fewest <= splits && splits <= most, `${splits}`);
  });
}

Deno.test("chooseSpan() leaves every span its tokens and fills the device once where the tokens allow", () => {
  for (let blocks = 1; blocks <= 600; blocks += 7) {
    for (const longest of [0, 1, 255, 512, 1000, 4096, 32768, 1e6]) {
      const span = chooseSpan({ sequences: decode(blocks, [longest]), tile: TILE });
      assert(span > 0 && span % TILE === 0);
      assert(span >= Math.min(longest, MIN_SPLIT_TOKENS), `${blocks} ${longest} ${span}`);
      assert(Math.ceil(longest / span) <= MAX_SPLITS);
      if (longest >= SLOTS * MIN_SPLIT_TOKENS && blocks < SLOTS / 2) assert(blocks * longest / span > SLOTS / 2);
    }
  }
});

Deno.test("chooseSpan() cuts a long sequence however many short ones are beside it", () => {
  const alone = splitsOf(decode(1, [131072]));
  const many = splitsOf(decode(1, [131072, ...Array(255).fill(16)]));
  assert(alone > 100 && many > 100 && many <= alone, `${alone} ${many}`);
});

Deno.test("chooseSpan() does not cut the triangle of a prefill whose blocks are many times the slots", () => {
  const prefill = Array.from({ length: 4096 }, (_, i): BlockLength => ({ rows: 32, end: 2 * (i + 1) }));
  assertEquals(splitsOf([prefill]), 1);
  // Of a short prompt the last blocks alone would run on and on.
  const few = Array.from({ length: 64 }, (_, i): BlockLength => ({ rows: 32, end: 128 * (i + 1) }));
  assert(splitsOf([few]) > 3);
});

Deno.test("chooseSpan() counts the workgroups of a span", () => {
  const sequences = decode(1, [65536]);
  assertEquals(splitsOf(sequences, { groups: 8 }), splitsOf(decode(8, [65536])));
  assertEquals(splitsOf(decode(1, [8192]), { groups: 8 }), 32);
  assert(splitsOf(sequences, { groups: 8 }) < splitsOf(sequences));
});

Deno.test("chooseSpan() stays between what the device demands and what it has room for", () => {
  const sequences = decode(8, [8192]);
  const rows = 8 * 16;
  assertEquals(splitsOf(sequences, { partialRows: 5 * rows }), 5);
  assertEquals(splitsOf(sequences, { spans: 8 * 5 }), 5);
  assertEquals(splitsOf(sequences, { longest: 80 }), 103);
  assertEquals(splitsOf(decode(8, [100]), { longest: 48 }), 3);
  assertEquals(splitsOf(sequences, { longest: 80, partialRows: rows }), 103);
  assertEquals(splitsOf(decode(1, [1e6]), { longest: 16 }), Math.ceil(1e6 / spanOf(1e6, MAX_SPLITS, TILE)));
});

Deno.test("sequenceSpan() cuts a sequence evenly, and no part is longer than the span", () => {
  for (const end of [1, 15, 16, 17, 300, 4095, 4096, 4097]) {
    for (const span of [16, 64, 256]) {
      const own = sequenceSpan([{ rows: 8, end: Math.floor(end / 2) }, { rows: 8, end }], span, TILE);
      assert(own % TILE === 0 && own <= span, `${end} ${span} ${own}`);
      const parts = Math.max(1, Math.ceil(end / own));
      assert(end - (parts - 1) * own > own - parts * TILE, `${end} ${span}: the last of ${parts} parts is too short`);
    }
  }
});
