import { assert, assertEquals } from "@std/assert";
import { chooseSplits, MAX_SPLITS, MIN_SPLIT_TOKENS, SLOTS } from "./splits.ts";

const MEASURED: readonly [what: string, blocks: number, kv: number[], splits: number][] = [
  ["one sequence, 128 heads", 8, [8192], 32],
  ["64 sequences, 16 heads", 1, Array(64).fill(4096), 4],
  ["a short sequence", 1, [200], 1],
  ["an empty batch", 1, [0, 0, 0, 0], 1],
  ["two splits' worth of tokens", 1, [2 * MIN_SPLIT_TOKENS], 2],
];

for (const [what, blocks, kv, splits] of MEASURED) {
  Deno.test(`chooseSplits() for ${what} gives ${splits}`, () => assertEquals(chooseSplits({ blocks, kv }), splits));
}

Deno.test("chooseSplits() leaves every split its tokens and fills the device once where the tokens allow", () => {
  for (let blocks = 1; blocks <= 600; blocks += 7) {
    for (const longest of [0, 1, 255, 512, 1000, 4096, 32768, 1e6]) {
      const splits = chooseSplits({ blocks, kv: [longest] });
      assert(splits === 1 || longest / splits >= MIN_SPLIT_TOKENS, `${blocks} ${longest} ${splits}`);
      assert(splits >= 1 && splits <= MAX_SPLITS);
      if (longest >= SLOTS * MIN_SPLIT_TOKENS && blocks < SLOTS / 2) assert(blocks * splits > SLOTS / 2);
    }
  }
});

Deno.test("chooseSplits() cuts a long sequence however many short ones are beside it", () => {
  const alone = chooseSplits({ blocks: 1, kv: [131072] });
  const many = chooseSplits({ blocks: 1, kv: [131072, ...Array(255).fill(16)] });
  assert(alone > 100 && many > 8 && many <= alone, `${alone} ${many}`);
});

Deno.test("chooseSplits() stays between what the device demands and what it has room for", () => {
  assertEquals(chooseSplits({ blocks: 8, kv: [8192], most: 5 }), 5);
  assertEquals(chooseSplits({ blocks: 8, kv: [8192], least: 100 }), 100);
  assertEquals(chooseSplits({ blocks: 8, kv: [100], least: 3 }), 3);
  assertEquals(chooseSplits({ blocks: 8, kv: [8192], least: 100, most: 5 }), 100);
  assertEquals(chooseSplits({ blocks: 8, kv: [8192], least: 1e9 }), MAX_SPLITS);
});
