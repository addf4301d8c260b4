/**
 * In which order a launch sums what a sequence sees, read off its work list: where it is the same in two launches, the
 * bits of the results are the same, whatever else is in the batch.
 *
 * @module
 */
import { queryStarts } from "../reference/rows.ts";
import type { Launch, Operation } from "./kernel.ts";
import { PREFILL_ITEM_WORDS } from "./prefill_plan.ts";
import { DIRECT, ITEM_WORDS } from "./work_list.ts";

/** The batch of a launch, as far as its work list counts in it. */
export interface ReducedBatch {
  /** Sequences. */
  readonly B: number;
  /** New tokens of each sequence. */
  readonly q: readonly number[];
  /** Query heads. */
  readonly H: number;
}

/** How one launch reduces. */
export interface Reductions {
  /**
   * Of each sequence which rows are blocked together and over which tokens each block runs, as a text; undefined where
   * the launch has no list that tells.
   */
  readonly sequences: readonly (string | undefined)[];
  /** The shaders, which hold every tile size, and what else must agree. */
  readonly shaders: ReadonlySet<string>;
}

/**
 * How `launch` reduces each sequence of `batch`.
 *
 * The blocks of a sequence start at its own first row and the spans of a block are those of its items, so both say all
 * of the order of its sums, together with the tile sizes in the shaders. Of the causal rule nothing enters: it decides
 * what is right, not in which order it is summed. `append` sums nothing; in a `project` a token is summed for itself,
 * by what the kernel chose; so is one of `mla` where no token is new.
 */
export function reductionsOf(operation: Operation, { B, q, H }: ReducedBatch, launch: Launch): Reductions {
  const starts = queryStarts({ B, q });
  const lists = launch.buffers.filter(({ list }) => list !== undefined);
  const blocks = Array.from({ length: B }, (): string[] => []);
  for (const { list, contents } of lists) {
    if (list === "attend") attendBlocks(contents!, starts, H, blocks);
    else prefillBlocks(contents!, starts, blocks);
  }
  const isTold = lists.length > 0 || operation === "append" || operation === "project" || starts[B] === 0;
  const shaders = new Set(launch.dispatches.map(({ shader }) => shader));
  if (operation === "project") shaders.add(JSON.stringify(launch.chosen));
  return { sequences: blocks.map((own) => isTold ? own.sort().join(" ") : undefined), shaders };
}

/**
 * Adds `row+rows:begin-end`, rows counted from the sequence's own first one, of every item; `*` marks a partial result.
 */
function attendBlocks(words: ArrayLike<number>, starts: Int32Array, H: number, blocks: string[][]): void {
  for (let at = 0; at + ITEM_WORDS <= words.length; at += ITEM_WORDS) {
    const [sequence, row, rows, slot, begin, end] = [0, 1, 2, 3, 4, 5].map((i) => words[at + i]);
    const partial = slot === DIRECT ? "" : "*";
    blocks[sequence]?.push(`${row - starts[sequence] * H}+${rows}:${begin}-${end}${partial}`);
  }
}

/** Adds `token+tokens:0-end` of every item; those of the padding belong to no sequence. */
function prefillBlocks(words: ArrayLike<number>, starts: Int32Array, blocks: string[][]): void {
  for (let at = 0; at + PREFILL_ITEM_WORDS <= words.length; at += PREFILL_ITEM_WORDS) {
    const [first, rows, , , end] = [0, 1, 2, 3, 4].map((i) => words[at + i]);
    const sequence = sequenceOf(first, starts);
    blocks[sequence]?.push(`${first - starts[sequence]}+${rows}:0-${end}`);
  }
}

/** The sequence that a query token belongs to; those without any are skipped. Past the last token it is B. */
function sequenceOf(token: number, starts: Int32Array): number {
  let low = 0, high = starts.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (starts[middle] <= token) low = middle;
    else high = middle;
  }
  return low;
}

/**
 * Spans into which the tokens of sequence `i` are cut, 1 where none is; undefined where the launch has no list that
 * tells.
 */
export function splitsOf({ sequences }: Reductions, i: number): number | undefined {
  const spans = new Map<string, number>();
  for (const item of sequences[i]?.split(" ") ?? []) {
    const block = item.split(":")[0];
    spans.set(block, (spans.get(block) ?? 0) + 1);
  }
  return spans.size === 0 ? undefined : Math.max(...spans.values());
}

/**
 * Whether sequence `i` of one launch and sequence `j` of another are summed in the same order. The shaders of one
 * launch must be among those of the other: a batch with a sequence that is split has a merge beside what one without
 * has.
 */
export function isSameReduction(a: Reductions, i: number, b: Reductions, j: number): boolean {
  const own = a.sequences[i];
  if (own === undefined || own !== b.sequences[j]) return false;
  return a.shaders.isSubsetOf(b.shaders) || b.shaders.isSubsetOf(a.shaders);
}
