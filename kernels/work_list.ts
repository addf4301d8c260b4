/**
 * The work list of the `attend` family: which workgroup computes which rows over which tokens.
 *
 * A row is (query token, head), numbered `query token of the batch · H + head`; rows of one sequence share its keys.
 * The host makes the list from the lengths alone, so decode, q_len > 1, chunked prefill and mixed batches are one
 * kernel, and a plan is brought up to date by writing a new list: nothing is read back from the device.
 *
 * @module
 */
import type { AttendShape } from "../reference/shapes.ts";
import type { DeviceTraits, TokenLoop, Tuning } from "./kernel.ts";
import { chooseSpan, sequenceSpan, spanOf } from "./splits.ts";

/** Words of an item. */
export const ITEM_WORDS = 8;

/** Slot of an item that writes the final result. */
export const DIRECT = 0xffff_ffff;

/**
 * One workgroup's work. On the GPU two `vec4<u32>`: `(sequence, row, rows, slot)` and `(begin, end, offset, scores)`.
 *
 * Row `r` of the batch sees the tokens below `min(end, r / H + offset)`, `offset` as i32: by the causal rule
 * `kv − q − (first query token of the sequence) + 1`, without it 2³⁰. `end` is already cut to what the last row sees,
 * so masked tiles are never loaded.
 */
export interface WorkItem {
  /** Sequence: row of the page table. */
  readonly sequence: number;
  /** First row of the batch. */
  readonly row: number;
  /** Rows, at least 1 and at most those of a block. */
  readonly rows: number;
  /** First partial row that it writes, or {@linkcode DIRECT}. */
  readonly slot: number;
  /** First token. */
  readonly begin: number;
  /** Token after the last one; `begin` for rows that see none. */
  readonly end: number;
  /** See above. */
  readonly offset: number;
  /** First element of its part of a scratch of scores, in units of 16 (`unfused` only; else 0). */
  readonly scores: number;
}

/** Rows whose partial results are merged. On the GPU one `vec4<u32>`, in the order of the fields. */
export interface MergeItem {
  /** First row of the batch. */
  readonly row: number;
  /** Rows. */
  readonly rows: number;
  /** First partial row; that of row r in split s is `slot + s·rows + (r − row)`. */
  readonly slot: number;
  /** Partial results of each row, at least 2. */
  readonly splits: number;
}

/** What all workgroups of a launch have to do. */
export interface WorkList {
  /**
   * Items, the {@linkcode DIRECT} ones first. Those of the same span of one sequence stand together, long ones first.
   */
  readonly items: readonly WorkItem[];
  /** How many of them are {@linkcode DIRECT}. */
  readonly direct: number;
  /** Blocks of rows with several items. */
  readonly merges: readonly MergeItem[];
  /** Rows of the partial results. */
  readonly partialRows: number;
  /** Units of 16 f32 of the scores of all items, when they were asked for. */
  readonly scoreUnits: number;
  /** Most tokens of an item. */
  readonly longest: number;
}

/** What a kernel asks of its work list. */
export interface WorkRequest {
  /** Rows of a block: consecutive rows of one sequence, (query token, head) with the head running faster. */
  readonly rows: number;
  /** How it walks the tokens of an item. */
  readonly loop: TokenLoop;
  /** Workgroups of an item. @default 1 */
  readonly groups?: number;
  /** Workgroups that a large device holds at once. @default {SLOTS} */
  readonly slots?: number;
  /** Fewest tokens worth a split of their own. @default {MIN_SPLIT_TOKENS} */
  readonly least?: number;
  /** Whether items have a scratch of scores, `rows · ⌈(end − begin) / 16⌉` units of 16. @default false */
  readonly scores?: boolean;
}

/** Elements of a unit of scores. */
export const SCORE_UNIT = 16;

/** Offset of an item whose rows see all tokens: above every length, and no query token carries it past an i32. */
const UNMASKED = 2 ** 30;

interface Block {
  readonly sequence: number;
  readonly row: number;
  readonly rows: number;
  readonly end: number;
  readonly offset: number;
}

/**
 * Cuts a batch into items: blocks of rows, and where few of them would leave the device idle, spans of their tokens.
 *
 * Blocks of one sequence share the bounds of their spans, and ragged batches are cut into spans of about equal length
 * ({@linkcode chooseSpan}); `tuning.splits` cuts every block into that many instead. Spans without tokens are dropped,
 * but a block that sees no token keeps one item, which writes 0 and −1e30. A block with a single item writes the result
 * itself.
 *
 * @example One query token of one sequence, and nothing to split
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { decodeShape, deviceTraits } from "./testing.ts";
 * const request = { rows: 16, loop: { tile: 16, tileIterations: 9 } };
 * const { items, direct } = planWork(decodeShape({ H: 16, kv: [65] }), request, {}, deviceTraits());
 * assertEquals([items.length, direct], [1, 1]);
 * assertEquals(items[0], { sequence: 0, row: 0, rows: 16, slot: DIRECT, begin: 0, end: 65, offset: 65, scores: 0 });
 * ```
 * @param device Its limit on loops asks for shorter spans, its room for partial results for longer ones; where no span
 * meets both, `checkLimits` refuses the launch.
 */
export function planWork(shape: AttendShape, request: WorkRequest, tuning: Tuning, device: DeviceTraits): WorkList {
  const { loop: { tile }, scores = false } = request;
  const sequences = blocksOf(shape, request.rows);
  const span = tuning.splits === undefined ? spanFor(shape, sequences, request, device) : 0;
  const merges: MergeItem[] = [];
  const groups: WorkItem[][] = [];
  let partialRows = 0;
  for (const blocks of sequences) {
    const shared = sequenceSpan(blocks, span, tile);
    const first = groups.length;
    for (const block of blocks) {
      const own = tuning.splits === undefined ? shared : spanOf(block.end, tuning.splits, tile);
      const splits = Math.max(1, Math.ceil(block.end / own));
      const { sequence, row, rows, end, offset } = block;
      for (let s = 0; s < splits; s++) {
        const slot = splits === 1 ? DIRECT : partialRows + s * rows;
        const begin = s * own;
        const item = { sequence, row, rows, slot, begin, end: Math.min(end, begin + own), offset, scores: 0 };
        (groups[first + s] ??= []).push(item);
      }
      if (splits === 1) continue;
      merges.push({ row, rows, slot: partialRows, splits });
      partialRows += rows * splits;
    }
  }
  return { ...ordered(groups, scores), merges, partialRows };
}

/** Blocks of `rows` rows of each sequence that has query tokens; the last block of a sequence may have fewer. */
function blocksOf({ B, H, q, kv, causal }: AttendShape, rows: number): Block[][] {
  const sequences: Block[][] = [];
  let token = 0;
  for (let sequence = 0; sequence < B; sequence++) {
    const offset = causal ? kv[sequence] - q[sequence] - token + 1 : UNMASKED;
    const blocks: Block[] = [];
    const last = (token + q[sequence]) * H;
    for (let row = token * H; row < last; row += rows) {
      const next = Math.min(last, row + rows);
      const seen = Math.floor((next - 1) / H) + offset;
      blocks.push({ sequence, row, rows: next - row, end: Math.max(0, Math.min(kv[sequence], seen)), offset });
    }
    if (blocks.length > 0) sequences.push(blocks);
    token += q[sequence];
  }
  return sequences;
}

function spanFor(
  { R }: AttendShape,
  sequences: readonly (readonly Block[])[],
  { loop: { tile, tileIterations }, groups, slots, least }: WorkRequest,
  { limits, maxLoopIterations = Infinity }: DeviceTraits,
): number {
  const bytes = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  return chooseSpan({
    sequences,
    tile,
    groups,
    slots,
    least,
    longest: Math.max(1, Math.floor((maxLoopIterations - ENDS) / tileIterations)) * tile,
    partialRows: Math.floor(bytes / (4 * R)),
    spans: limits.maxComputeWorkgroupsPerDimension ** 2,
  });
}

/**
 * Items in the order in which they run: direct ones first, then long before short, so that no long one runs alone at
 * last.
 */
function ordered(
  groups: readonly WorkItem[][],
  scores: boolean,
): Pick<WorkList, "items" | "direct" | "scoreUnits" | "longest"> {
  const length = ({ begin, end }: WorkItem) => end - begin;
  const sorted = groups
    .map((items) => items.toSorted((a, b) => length(b) - length(a)))
    .sort((a, b) => length(b[0]) - length(a[0]));
  const direct: WorkItem[] = [];
  const split: WorkItem[] = [];
  let scoreUnits = 0;
  for (const item of sorted.flat()) {
    const placed = scores ? { ...item, scores: scoreUnits } : item;
    if (scores) scoreUnits += item.rows * Math.ceil(length(item) / SCORE_UNIT);
    (item.slot === DIRECT ? direct : split).push(placed);
  }
  return {
    items: [...direct, ...split],
    direct: direct.length,
    scoreUnits,
    longest: sorted.length > 0 ? length(sorted[0][0]) : 0,
  };
}

/** Most partial results of a row: 1 where every item is {@linkcode DIRECT}. */
export function mostSplits({ merges }: WorkList): number {
  return merges.reduce((most, { splits }) => Math.max(most, splits), 1);
}

/** Iterations beside those of tiles: the loops that end, of which a kernel has two inside each other at most. */
const ENDS = 2;

/** Upper bound of the iterations of an invocation over the longest item. */
export function itemIterations({ longest }: WorkList, { tile, tileIterations }: TokenLoop): number {
  return Math.ceil(longest / tile) * tileIterations + ENDS;
}

/** Content of the buffer `work`: two `vec4<u32>` per item. */
export function itemWords(items: readonly WorkItem[]): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(items.length * ITEM_WORDS);
  items.forEach(({ sequence, row, rows, slot, begin, end, offset, scores }, i) => {
    words.set([sequence, row, rows, slot, begin, end, offset >>> 0, scores], i * ITEM_WORDS);
  });
  return words;
}

/** Content of the buffer `merges`: one `vec4<u32>` per item. */
export function mergeWords(merges: readonly MergeItem[]): Uint32Array<ArrayBuffer> {
  return Uint32Array.from(merges.flatMap(({ row, rows, slot, splits }) => [row, rows, slot, splits]));
}
