/**
 * Changes of a batch that must not change an answer: other order of its sequences, some of them alone, other pages,
 * padding. They move bytes and know nothing of values.
 *
 * @module
 */
import { total } from "./shapes.ts";

/** One call on a batch of sequences. For `project` every token is a sequence of one new token without pages. */
export interface BatchCall {
  /** Number of the call. */
  readonly index: number;
  /** Number of each sequence, the same in every call; {@linkcode ADDED} for those that only a variation has. */
  readonly sequences: readonly number[];
  /** New tokens of each sequence. */
  readonly q: readonly number[];
  /** Tokens in the cache of each sequence, this call's included. */
  readonly kv: readonly number[];
  /** Rows past the last token in tensors with a row for each. */
  readonly padding: number;
  /** Tensors with a row for each new token, without padding, by name: `[Σq, rowBytes]`. */
  readonly tensors: ReadonlyMap<string, Uint8Array>;
  /** Physical pages of each sequence, in order. */
  readonly owned: readonly Int32Array[];
}

/** One call or several on the same cache. */
export interface Batch {
  /** The calls in order. */
  readonly calls: readonly BatchCall[];
  /** Physical pages of the cache; 0 where there is none. */
  readonly pages: number;
  /** What the cache holds before the first call, by name: `[pages, pageBytes]`. */
  readonly caches: ReadonlyMap<string, Uint8Array>;
  /** Unused entries of the page table, beyond those that it has anyway. */
  readonly spareEntries: number;
}

/** Number of a sequence that a variation has added. */
export const ADDED = -1;

/**
 * The sequences `order` alone, in that order; calls in which none of them takes part are left out. Pages stay where
 * they are, those of the other sequences included.
 */
export function pickSequences(batch: Batch, order: readonly number[]): Batch {
  const calls = batch.calls.map((call) => pickInCall(call, order)).filter(({ sequences }) => sequences.length > 0);
  return { ...batch, calls };
}

function pickInCall(call: BatchCall, order: readonly number[]): BatchCall {
  const places = order.map((sequence) => call.sequences.indexOf(sequence)).filter((place) => place >= 0);
  const pick = <T>(values: readonly T[]) => places.map((place) => values[place]);
  const picked: BatchCall = {
    ...call,
    sequences: pick(call.sequences),
    q: pick(call.q),
    kv: pick(call.kv),
    owned: pick(call.owned),
  };
  const tokens = tokensIn(picked, call);
  const rows = total(call.q);
  return {
    ...picked,
    tensors: new Map(Array.from(call.tensors, ([name, bytes]) => [name, pickRows(bytes, rows, tokens)])),
  };
}

/** Rows `chosen` of a tensor of `rows` rows. */
export function pickRows(bytes: Uint8Array, rows: number, chosen: Int32Array): Uint8Array<ArrayBuffer> {
  const rowBytes = rows === 0 ? 0 : bytes.length / rows;
  const picked = new Uint8Array(chosen.length * rowBytes);
  chosen.forEach((row, i) => picked.set(bytes.subarray(row * rowBytes, (row + 1) * rowBytes), i * rowBytes));
  return picked;
}

/** Of each new token of `call`, its number among those of `original`, which has the same sequences and others. */
export function tokensIn(call: BatchCall, original: BatchCall): Int32Array<ArrayBuffer> {
  const first = new Map<number, number>();
  let token = 0;
  original.sequences.forEach((sequence, i) => {
    first.set(sequence, token);
    token += original.q[i];
  });
  return Int32Array.from(call.sequences.flatMap((sequence, i) => {
    const start = first.get(sequence) ?? 0;
    return Array.from({ length: call.q[i] }, (_, own) => start + own);
  }));
}

/** The same tokens in other physical pages: what was in page p is in page `pageTo[p]`, a permutation. */
export function movePages(batch: Batch, pageTo: Int32Array): Batch {
  const from = new Int32Array(pageTo.length);
  pageTo.forEach((to, page) => from[to] = page);
  return {
    ...batch,
    calls: batch.calls.map((call) => ({
      ...call,
      owned: call.owned.map((pages) => pages.map((page) => pageTo[page])),
    })),
    caches: new Map(Array.from(batch.caches, ([name, bytes]) => [name, pickRows(bytes, batch.pages, from)])),
  };
}

/** What {@linkcode padBatch} adds. */
export interface Padding {
  /** Sequences without any token behind the last one, with a page each as every sequence has. */
  readonly sequences: number;
  /** Pages that nobody owns, beyond those of the new sequences. */
  readonly pages: number;
  /** Rows past the last token. */
  readonly rows: number;
  /** Unused entries of the page table. */
  readonly entries: number;
  /** Content of a page that nobody has written, by the name of the cache. */
  poison(name: string, pageBytes: number): Uint8Array;
}

/** The same batch with what must not be looked at behind it. */
export function padBatch(batch: Batch, { sequences, pages, rows, entries, poison }: Padding): Batch {
  const added = Array.from({ length: sequences }, (_, i) => i);
  const morePages = sequences + pages;
  const calls = batch.calls.map((call): BatchCall => ({
    ...call,
    sequences: [...call.sequences, ...added.map(() => ADDED)],
    q: [...call.q, ...added.map(() => 0)],
    kv: [...call.kv, ...added.map(() => 0)],
    owned: [...call.owned, ...added.map((i) => Int32Array.of(batch.pages + i))],
    padding: call.padding + rows,
  }));
  const caches = new Map(Array.from(batch.caches, ([name, bytes]) => {
    const pageBytes = bytes.length / batch.pages;
    const longer = new Uint8Array(bytes.length + morePages * pageBytes);
    longer.set(bytes);
    const page = poison(name, pageBytes);
    for (let i = 0; i < morePages; i++) longer.set(page, bytes.length + i * pageBytes);
    return [name, longer];
  }));
  return { calls, pages: batch.pages + morePages, caches, spareEntries: batch.spareEntries + entries };
}
