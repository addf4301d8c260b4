/**
 * Paged allocation as an inference server leaves it after hours of use: pages in no order, a few owned by nobody, and
 * rubbish where nothing needs to be read.
 *
 * @module
 */
import { type CacheShape, pagesOf, total } from "./shapes.ts";
import { bitsView, DTYPE_BYTES, nanBits } from "./dtypes.ts";
import { permutation } from "./random.ts";

/** Pages of the pool that no sequence owns. */
export const UNOWNED_PAGES = 3;

/** Entries of a page-table row beyond the longest sequence's pages; unused, like those of shorter sequences. */
export const SPARE_ENTRIES = 1;

/** What fills unused page-table entries, in turn: followed, each would lead out of every cache. */
export const HOSTILE_ENTRIES: readonly number[] = [-1, 2147480000, 2147483647];

/** Which physical pages each sequence owns. */
export interface PageAllocation {
  /** Pages of the pool, owned or not. */
  readonly pages: number;
  /** First entry in `owned` of each sequence, and the end: `[B+1]`. */
  readonly starts: Int32Array;
  /** Physical pages, sequence-major: `[Σpages]`. */
  readonly owned: Int32Array;
}

/**
 * Deals a permuted pool to sequences of `kv` tokens, {@linkcode pagesOf} each, and leaves {@linkcode UNOWNED_PAGES}.
 *
 * @param key Stream of the permutation.
 */
export function allocatePages(kv: readonly number[], page: number, key: number): PageAllocation {
  const counts = kv.map((tokens) => pagesOf(tokens, page));
  const pages = total(counts) + UNOWNED_PAGES;
  const starts = new Int32Array(kv.length + 1);
  counts.forEach((count, b) => starts[b + 1] = starts[b] + count);
  return { pages, starts, owned: permutation(pages, key).slice(0, starts[kv.length]) };
}

/** A page table `[B, tableWidth]`. */
export interface PageTable {
  /** Physical pages of each sequence in order, then {@linkcode HOSTILE_ENTRIES}. */
  readonly pageTable: Int32Array<ArrayBuffer>;
  /** Entries per row. */
  readonly tableWidth: number;
}

/** The page table of an allocation, with at least `spare` unused entries in every row. */
export function pageTableOf({ starts, owned }: PageAllocation, spare: number = SPARE_ENTRIES): PageTable {
  const B = starts.length - 1;
  let widest = 1;
  for (let b = 0; b < B; b++) widest = Math.max(widest, starts[b + 1] - starts[b]);
  const tableWidth = widest + spare;
  const pageTable = Int32Array.from({ length: B * tableWidth }, (_, i) => HOSTILE_ENTRIES[i % HOSTILE_ENTRIES.length]);
  for (let b = 0; b < B; b++) pageTable.set(owned.subarray(starts[b], starts[b + 1]), b * tableWidth);
  return { pageTable, tableWidth };
}

/** A cache `[pages, page, R+Dr]` in which every element is the dtype's poison, {@linkcode nanBits}. */
export function poisonedCache(shape: CacheShape, pages: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pages * shape.page * (shape.R + shape.Dr) * DTYPE_BYTES[shape.cache]);
  bitsView(bytes, shape.cache).fill(nanBits(shape.cache));
  return bytes;
}
