/**
 * How many parts the tokens of a sequence are cut into, so that few sequences still fill a large GPU.
 *
 * @module
 */

/** Workgroups that a large GPU holds at once: 2 on each of the 132 multiprocessors of an H200. */
export const SLOTS = 264;

/** Fewest tokens worth a split of their own. */
export const MIN_SPLIT_TOKENS = 256;

/** Most splits of a sequence, chosen or asked for: each costs a row of partial output and a step of the merge. */
export const MAX_SPLITS = 1024;

/** Time that a workgroup needs before and after its tokens, in tokens: an estimate that gives the measured choices. */
const OVERHEAD_TOKENS = 64;

/** What the choice of splits depends on. */
export interface SplitRequest {
  /** Workgroups without a split: sequences × blocks of heads. */
  readonly blocks: number;
  /** Tokens of the longest sequence. */
  readonly maxKv: number;
}

/**
 * Splits that end the last wave of workgroups soonest: `⌈blocks·splits / SLOTS⌉` waves of `maxKv/splits` tokens each,
 * with a fixed cost per workgroup; the fewest where several are equal.
 *
 * - **Source** Measured on an H200 with a prototype of 16 heads per workgroup, not yet with the kernels here: B=1, H=128, kv=8192 is fastest with 32 splits (16: +35 %,
 *   64: +4 %), B=64, H=16, kv=4096 with 4 (2: +37 %, 8: +0.4 %).
 *
 * @example One sequence of 8192 tokens and eight blocks of heads fill the GPU once
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(chooseSplits({ blocks: 8, maxKv: 8192 }), 32);
 * ```
 * @returns At least 1, at most one split for every {@linkcode MIN_SPLIT_TOKENS} tokens.
 */
export function chooseSplits({ blocks, maxKv }: SplitRequest): number {
  const most = Math.max(1, Math.min(MAX_SPLITS, Math.floor(maxKv / MIN_SPLIT_TOKENS)));
  let best = 1;
  let bestCost = Infinity;
  for (let splits = 1; splits <= most; splits++) {
    const waves = Math.ceil(blocks * splits / SLOTS);
    const cost = waves * (maxKv / splits + OVERHEAD_TOKENS) + (splits > 1 ? OVERHEAD_TOKENS : 0);
    if (cost < bestCost) [best, bestCost] = [splits, cost];
  }
  return best;
}
