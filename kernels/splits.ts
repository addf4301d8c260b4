/**
 * How long the spans are into which the tokens of a batch are cut, so that few sequences still fill a large GPU.
 *
 * @module
 */

/** Workgroups that a large GPU holds at once: 2 on each of the 132 multiprocessors of an H200. */
export const SLOTS = 264;

/** Fewest tokens worth a split of their own. */
export const MIN_SPLIT_TOKENS = 256;

/** Most splits of a sequence, chosen or asked for: each costs a row of partial output that the merge reads. */
export const MAX_SPLITS = 1024;

/** Time that a workgroup needs before and after its tokens, in tokens: an estimate that gives the measured choices. */
const OVERHEAD_TOKENS = 64;

/** Time that the merge needs, and for each split of a sequence, in tokens: on an H200 4 µs and 25 ns, a token 180 ns. */
const MERGE_TOKENS = 24, MERGE_TOKENS_PER_SPLIT = 1 / 8;

/** Rows of one sequence that see the same tokens, or fewer the earlier they are. */
export interface BlockLength {
  /** Rows of the block. */
  readonly rows: number;
  /** Tokens that its last row sees. */
  readonly end: number;
}

/** What the choice of the span depends on. */
export interface SpanRequest {
  /** Blocks of each sequence, ends ascending. */
  readonly sequences: readonly (readonly BlockLength[])[];
  /** Tokens of a tile: spans are whole numbers of them. */
  readonly tile: number;
  /** Workgroups of a span of a block. @default 1 */
  readonly groups?: number;
  /** Workgroups that a large device holds at once. @default {SLOTS} */
  readonly slots?: number;
  /** Fewest tokens worth a split of their own. @default {MIN_SPLIT_TOKENS} */
  readonly least?: number;
  /** Most tokens of a span that the device can run; kept to where there is no room for that. @default no such limit */
  readonly longest?: number;
  /** Partial rows that the device has room for. @default no such limit */
  readonly partialRows?: number;
  /** Spans that one dispatch can have. @default no such limit */
  readonly spans?: number;
}

/** Tokens of each span where `end` tokens are cut into at most `splits`: the last span may be shorter. */
export function spanOf(end: number, splits: number, tile: number): number {
  return Math.max(1, Math.ceil(end / (splits * tile))) * tile;
}

/** Tokens of the equal spans, none above `span`, that all blocks of a sequence share. */
export function sequenceSpan(blocks: readonly BlockLength[], span: number, tile: number): number {
  const end = blocks.at(-1)?.end ?? 0;
  return spanOf(end, Math.max(1, Math.ceil(end / span)), tile);
}

/**
 * The span that ends the last workgroup soonest, the longest span where several are equal. Spans run long ones first on
 * {@linkcode SLOTS} slots: the last ends no sooner than the work spread evenly, and no sooner than n of the n·SLOTS
 * longest ones in a row; each workgroup has a fixed cost, and so has the merge.
 *
 * - **Source** Measured on an H200 with a prototype of 16 heads per workgroup: B=1, H=128, kv=8192 is fastest with 32
 *   splits (16: +35 %, 64: +4 %), B=64, H=16, kv=4096 with 4 (2: +37 %, 8: +0.4 %).
 *
 * @example One sequence of 8192 tokens and eight blocks of heads fill the GPU once
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const sequence = Array(8).fill({ rows: 16, end: 8192 });
 * assertEquals(chooseSpan({ sequences: [sequence], tile: 16 }), 8192 / 32);
 * ```
 * @returns A positive multiple of `tile`; the longest block has 1 to {@linkcode MAX_SPLITS} of them, and unless
 * `longest` demands it none is much below `least`.
 */
export function chooseSpan(request: SpanRequest): number {
  const { sequences, tile, groups = 1, slots = SLOTS, least = MIN_SPLIT_TOKENS } = request;
  const { longest = Infinity, partialRows = Infinity, spans = Infinity } = request;
  const kinds = blockKinds(sequences);
  const end = kinds.reduce((most, { sequenceEnd }) => Math.max(most, sequenceEnd), 0);
  if (end === 0) return tile;
  const tokens = groups * kinds.reduce((sum, { end, count }) => sum + end * count, 0);
  const first = Math.max(1, Math.min(MAX_SPLITS, Math.ceil(end / longest)));
  const last = Math.max(first, Math.min(MAX_SPLITS, Math.floor(end / least)));
  let best = first;
  let bestCost = Infinity;
  for (let splits = first; splits <= last; splits++) {
    const cut = cutKinds(kinds, end, splits);
    if (splits > first && !(cut.partialRows <= partialRows && cut.spans * groups <= spans)) break;
    const merge = splits > 1 ? MERGE_TOKENS + splits * MERGE_TOKENS_PER_SPLIT : 0;
    const even = (tokens + cut.spans * groups * OVERHEAD_TOKENS) / slots + merge;
    if (even >= bestCost) break; // more splits are more workgroups, so they cannot be better
    const cost = Math.max(even, lastEnd(cut.lengths, groups, slots) + merge);
    if (cost < bestCost) [best, bestCost] = [splits, cost];
  }
  return spanOf(end, best, tile);
}

/** Blocks of the same length in sequences of the same length. */
interface BlockKind {
  readonly sequenceEnd: number;
  readonly end: number;
  /** Blocks. */
  count: number;
  /** Rows of all of them. */
  rows: number;
}

function blockKinds(sequences: SpanRequest["sequences"]): BlockKind[] {
  const kinds = new Map<number, Map<number, BlockKind>>();
  for (const blocks of sequences) {
    const sequenceEnd = blocks.at(-1)?.end ?? 0;
    const ofLength = kinds.get(sequenceEnd) ?? new Map<number, BlockKind>();
    kinds.set(sequenceEnd, ofLength);
    for (const { rows, end } of blocks) {
      const kind = ofLength.get(end) ?? { sequenceEnd, end, count: 0, rows: 0 };
      ofLength.set(end, kind);
      kind.count++;
      kind.rows += rows;
    }
  }
  return [...kinds.values()].flatMap((ofLength) => [...ofLength.values()]);
}

/** Spans of one length. */
type SpanCount = readonly [tokens: number, count: number];

/**
 * Spans of all blocks where `end` tokens are cut into `splits`, tiles left aside, and partial rows of the blocks cut.
 */
function cutKinds(
  kinds: readonly BlockKind[],
  end: number,
  splits: number,
): { lengths: SpanCount[]; spans: number; partialRows: number } {
  const lengths: SpanCount[] = [];
  let spans = 0, partialRows = 0;
  for (const kind of kinds) {
    const whole = Math.max(1, kind.sequenceEnd);
    const inWhole = Math.ceil(whole * splits / end);
    const own = whole / inWhole;
    const parts = Math.max(1, Math.ceil(kind.end * inWhole / whole));
    spans += parts * kind.count;
    if (parts > 1) {
      partialRows += parts * kind.rows;
      lengths.push([own, (parts - 1) * kind.count]);
    }
    lengths.push([kind.end - (parts - 1) * own, kind.count]);
  }
  return { lengths, spans, partialRows };
}

/** When the last span ends at the soonest if all run in the order of their lengths, one after another on each slot. */
function lastEnd(lengths: SpanCount[], groups: number, slots: number): number {
  lengths.sort(([a], [b]) => b - a);
  let before = 0, latest = 0;
  for (const [tokens, count] of lengths) {
    before += count * groups;
    latest = Math.max(latest, Math.ceil(before / slots) * (tokens + OVERHEAD_TOKENS));
  }
  return latest;
}
