/**
 * The rows of an `attend`: row `(query token of the batch)·H + head`, how many tokens each sees, what the work is, and
 * which rows to verify where all are too many.
 *
 * @module
 */
import { type AttendShape, type PrefillShape, type ProjectShape, total } from "./shapes.ts";
import { permutation, streamKey } from "./random.ts";

const SAMPLE_STREAM = 7;

/** Tokens that query `i` of sequence `b` attends to: all, or by the causal rule those up to its own (0 … kv). */
export function tokensSeen(shape: AttendShape, b: number, i: number): number {
  const kv = shape.kv[b];
  return shape.causal ? Math.max(0, kv - shape.q[b] + i + 1) : kv;
}

/** Where a row stands in the batch. */
export interface RowPlace {
  /** Sequence. */
  readonly sequence: number;
  /** Query token of that sequence. */
  readonly token: number;
  /** Head. */
  readonly head: number;
  /** Tokens it attends to. */
  readonly seen: number;
}

/** First query token of each sequence, and the end: `[B+1]`. */
export function queryStarts(shape: { readonly B: number; readonly q: readonly number[] }): Int32Array<ArrayBuffer> {
  const starts = new Int32Array(shape.B + 1);
  for (let b = 0; b < shape.B; b++) starts[b + 1] = starts[b] + shape.q[b];
  return starts;
}

/**
 * Place of `row`.
 *
 * @param starts {@linkcode queryStarts} of the shape.
 * @throws {RangeError} If the batch has no such row.
 */
export function placeOf(shape: AttendShape, starts: Int32Array, row: number): RowPlace {
  const queryToken = Math.floor(row / shape.H);
  if (!(row >= 0 && queryToken < starts[shape.B])) {
    throw new RangeError(`Cannot place row ${row}: the batch has rows 0…${starts[shape.B] * shape.H - 1}`);
  }
  let low = 0;
  let high = shape.B - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= queryToken) low = middle;
    else high = middle - 1;
  }
  const token = queryToken - starts[low];
  return { sequence: low, token, head: row % shape.H, seen: tokensSeen(shape, low, token) };
}

/** Every row of the batch. */
export function allRows(shape: AttendShape): Int32Array<ArrayBuffer> {
  return Int32Array.from({ length: total(shape.q) * shape.H }, (_, row) => row);
}

/** Entries of a list of rows by head, `row mod H`. */
export function groupByHead(rows: Int32Array, H: number): Map<number, number[]> {
  const groups = new Map<number, number[]>();
  rows.forEach((row, i) => {
    const group = groups.get(row % H);
    if (group) group.push(i);
    else groups.set(row % H, [i]);
  });
  return groups;
}

/** Floating-point operations of the attended (row, token) pairs, `2·(2R+Dr)` each; of `rows` only, where given. */
export function attendFlops(shape: AttendShape, rows?: Int32Array): number {
  let pairs = 0;
  if (rows === undefined) {
    for (let b = 0; b < shape.B; b++) {
      for (let i = 0; i < shape.q[b]; i++) pairs += shape.H * tokensSeen(shape, b, i);
    }
  } else {
    const starts = queryStarts(shape);
    for (const row of rows) pairs += placeOf(shape, starts, row).seen;
  }
  return 2 * (2 * shape.R + shape.Dr) * pairs;
}

/** Floating-point operations of a reference whose rows cost some beside those of {@linkcode attendFlops}. */
function referenceFlops(shape: AttendShape, perRow: number, rows?: Int32Array): number {
  return attendFlops(shape, rows) + perRow * (rows?.length ?? total(shape.q) * shape.H);
}

/**
 * Rows to verify within `budgetFlops`: all of them if they fit. Otherwise always those of {@linkcode edgeRows}, then
 * rows drawn at random until the budget is used.
 *
 * @param perRow Flops that a row costs beside its attention. @default {0}
 * @returns Ascending row indices.
 */
export function sampleRows(
  shape: AttendShape,
  budgetFlops: number,
  seed: number,
  perRow = 0,
): Int32Array<ArrayBuffer> {
  const everyRow = allRows(shape);
  if (referenceFlops(shape, perRow) <= budgetFlops || everyRow.length === 0) return everyRow;
  const starts = queryStarts(shape);
  const chosen = edgeRows(shape, starts);
  const flopsPerToken = 2 * (2 * shape.R + shape.Dr);
  let flops = referenceFlops(shape, perRow, Int32Array.from(chosen));
  for (const row of permutation(everyRow.length, streamKey(seed, SAMPLE_STREAM))) {
    if (flops >= budgetFlops) break;
    if (chosen.has(row)) continue;
    const rowFlops = perRow + flopsPerToken * placeOf(shape, starts, row).seen;
    if (flops + rowFlops > budgetFlops) continue;
    chosen.add(row);
    flops += rowFlops;
  }
  return Int32Array.from(chosen).sort();
}

/**
 * Rows at which a kernel goes wrong first: the first and last head of the first and last query of the first, last,
 * shortest and longest sequence, of those with the fewest and the most new tokens, and of the first whose length ends a
 * page, passes its end by one, and misses it by one; and of all these the queries on both sides of the first and the
 * last page end among their own tokens, and the first query that sees a token.
 */
function edgeRows(shape: AttendShape, starts: Int32Array): Set<number> {
  const { B, H, page, q, kv } = shape;
  const queried = Array.from({ length: B }, (_, b) => b).filter((b) => q[b] > 0);
  const byLength = queried.toSorted((a, b) => kv[a] - kv[b]);
  const byQueries = queried.toSorted((a, b) => q[a] - q[b]);
  const sequences = [
    ...[queried, byLength, byQueries].flatMap((order) => [order[0], order.at(-1)!]),
    ...[0, 1, page - 1].map((past) => queried.find((b) => kv[b] > 0 && kv[b] % page === past % page) ?? queried[0]),
  ];
  const rows = new Set<number>();
  for (const b of sequences) {
    for (const query of edgeQueries(shape, b)) {
      for (const head of [0, H - 1]) rows.add((starts[b] + query) * H + head);
    }
  }
  return rows;
}

/** Query tokens of a sequence at the edges of {@linkcode edgeRows}; without the causal rule the first and the last. */
function edgeQueries({ q, kv, page, causal }: AttendShape, b: number): number[] {
  const queries = [0, q[b] - 1];
  if (causal) {
    // Query i sees i + past + 1 tokens.
    const past = kv[b] - q[b];
    const firstEnd = Math.ceil((Math.max(0, past) + 1) / page) * page, lastEnd = Math.floor(kv[b] / page) * page;
    queries.push(-past, ...[firstEnd, lastEnd].flatMap((end) => [end - past - 1, end - past]));
  }
  return queries.filter((query) => query >= 0 && query < q[b]);
}

/** Flops of the reference of the projections of one row: q_nope·W_k, W_v·latent and the latter's condition. */
function projectionFlops({ R, Dn, Dv }: PrefillShape): number {
  return 2 * R * (Dn + 2 * Dv);
}

/** Rows to verify of a `prefill` or a call of `mla`: {@linkcode sampleRows}, where a row costs its projections too. */
export function sampleProjectedRows(shape: PrefillShape, budgetFlops: number, seed: number): Int32Array<ArrayBuffer> {
  return sampleRows(shape, budgetFlops, seed, projectionFlops(shape));
}

/** Floating-point operations of `attendProjected` for `rows`, by default every row: to share work out. */
export function projectedFlops(shape: PrefillShape, rows?: Int32Array): number {
  return referenceFlops(shape, projectionFlops(shape), rows);
}

/**
 * Rows `token·H + head` of a `project` to verify within `budgetFlops`: all if they fit, otherwise the first and the
 * last head of the first and the last token, then rows drawn at random.
 *
 * @returns Ascending row indices.
 */
export function sampleProjectRows(shape: ProjectShape, budgetFlops: number, seed: number): Int32Array<ArrayBuffer> {
  const { tokens, H, R, Dn, Dv, part } = shape;
  const rows = tokens * H;
  const fitting = Math.floor(budgetFlops / (4 * R * (part === "q" ? Dn : Dv)));
  if (rows <= fitting) return Int32Array.from({ length: rows }, (_, row) => row);
  const chosen = new Set([0, H - 1, rows - H, rows - 1]);
  for (const row of permutation(rows, streamKey(seed, SAMPLE_STREAM))) {
    if (chosen.size >= fitting) break;
    chosen.add(row);
  }
  return Int32Array.from(chosen).sort();
}
