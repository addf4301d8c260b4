/**
 * The work list of the `attend` family: which workgroup computes which rows over which tokens.
 *
 * A row is (query token, head), numbered `query token of the batch · H + head`; rows of one sequence share its keys. The
 * host makes the list from the lengths alone, so decode, q_len > 1, chunked prefill and mixed batches are one kernel, and a
 * plan is brought up to date by writing a new list: nothing is read back from the device.
 *
 * @module
 */

/** Words of an item. */
export const ITEM_WORDS = 8;

/** Slot of an item that writes the final result. */
export const DIRECT = 0xffff_ffff;

/**
 * One workgroup's work. On the GPU two `vec4<u32>`: `(sequence, row, rows, slot)` and `(begin, end, offset, scores)`.
 *
 * Row `r` of the batch sees the tokens below `min(end, r / H + offset)`, `offset` as i32: by the causal rule
 * `kv − q − (first query token of the sequence) + 1`, without it 2³⁰. `end` is already cut to what the last row sees, so
 * masked tiles are never loaded.
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
