import { assert, assertEquals } from "@std/assert";
import { chooseSplits, MAX_SPLITS, MIN_SPLIT_TOKENS, SLOTS } from "./splits.ts";

const MEASURED: readonly [what: string, blocks: number, maxKv: number, splits: number][] = [
  ["one sequence, 128 heads", 8, 8192, 32],
  ["64 sequences, 16 heads", 64, 4096, 4],
  ["a short sequence", 1, 200, 1],
  ["an empty batch", 4, 0, 1],
  ["two splits' worth of tokens", 1, 2 * MIN_SPLIT_TOKENS, 2],
];

for (const [what, blocks, maxKv, splits] of MEASURED) {
  Deno.test(`chooseSplits() for ${what} gives ${splits}`, () => assertEquals(chooseSplits({ blocks, maxKv }), splits));
}

Deno.test("chooseSplits() leaves every split its tokens and fills the device once where the tokens allow", () => {
  for (let blocks = 1; blocks <= 600; blocks += 7) {
    for (const maxKv of [0, 1, 255, 512, 1000, 4096, 32768, 1e6]) {
      const splits = chooseSplits({ blocks, maxKv });
      assert(splits === 1 || maxKv / splits >= MIN_SPLIT_TOKENS, `${blocks} ${maxKv} ${splits}`);
      assert(splits >= 1 && splits <= MAX_SPLITS);
      if (maxKv >= SLOTS * MIN_SPLIT_TOKENS && blocks < SLOTS / 2) assert(blocks * splits > SLOTS / 2);
    }
  }
});
