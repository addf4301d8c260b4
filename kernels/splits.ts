/**
 * How many parts the tokens of a sequence are cut into, so that few sequences still fill a large GPU.
 *
 * @module
 */
import { total } from "../reference/shapes.ts";

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
  /** Workgroups of a sequence without a split: its blocks of heads. */
  readonly blocks: number;
  /** Tokens of each sequence. */
  readonly kv: readonly number[];
  /** Fewest splits that the device can run; kept to where `most` contradicts it. @default 1 */
  readonly least?: number;
  /** Most splits that the device has room for. @default no such limit */
  readonly most?: number;
}

/**
 * Splits that end the last wave of workgroups soonest: `⌈blocks·splits / SLOTS⌉` waves of `longest/splits` tokens each,
 * with a fixed cost per workgroup; the fewest where several are equal. Sequences count for their share of the longest: many
 * short ones beside it do not fill the device, they only cost their workgroups.
 *
 * - **Source** Measured on an H200 with a prototype of 16 heads per workgroup, not yet with the kernels here: B=1, H=128,
 *   kv=8192 is fastest with 32 splits (16: +35 %, 64: +4 %), B=64, H=16, kv=4096 with 4 (2: +37 %, 8: +0.4 %).
 *
 * @example One sequence of 8192 tokens and eight blocks of heads fill the GPU once
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(chooseSplits({ blocks: 8, kv: [8192] }), 32);
 * ```
 * @returns 1 to {@linkcode MAX_SPLITS}; above `least` at most one split for every {@linkcode MIN_SPLIT_TOKENS} tokens.
 */
export function chooseSplits({ blocks, kv, least = 1, most = Infinity }: SplitRequest): number {
  const longest = Math.max(...kv);
  const first = Math.max(1, Math.min(MAX_SPLITS, least));
  const last = Math.max(first, Math.min(MAX_SPLITS, most, Math.floor(longest / MIN_SPLIT_TOKENS)));
  const full = longest > 0 ? blocks * total(kv) / longest : 0;
  const idle = blocks * kv.length - full;
  let best = first;
  let bestCost = Infinity;
  for (let splits = first; splits <= last; splits++) {
    const busy = Math.ceil(full * splits / SLOTS) * (longest / splits + OVERHEAD_TOKENS);
    const cost = busy + idle * splits / SLOTS * OVERHEAD_TOKENS + (splits > 1 ? OVERHEAD_TOKENS : 0);
    if (cost < bestCost) [best, bestCost] = [splits, cost];
  }
  return best;
}
