/**
 * Page numbers are checked on the host before anything runs: a kernel leaves out a page that the cache does not have,
 * and its answer would be wrong without a word.
 *
 * @module
 */

/** A page table `[B, tableWidth]`. */
export interface TableToCheck {
  /** Tokens per page. */
  readonly shape: { readonly page: number };
  /** Physical pages of each sequence. */
  readonly pageTable: Int32Array;
  /** Entries per row. */
  readonly tableWidth: number;
  /** Physical pages of the cache. */
  readonly pages: number;
}

/**
 * Checks the entries that sequences of `kv` tokens use; others may hold anything.
 *
 * @throws {RangeError} If one is no page of the cache, or a row is too short; the message is one line.
 */
export function checkPageTable({ shape, pageTable, tableWidth, pages }: TableToCheck, kv: readonly number[]): void {
  kv.forEach((tokens, sequence) => {
    const used = Math.ceil(tokens / shape.page);
    const of = `of sequence ${sequence} in page_table`;
    if (used > tableWidth) {
      throw new RangeError(
        `Cannot read ${tokens} tokens ${of}: they need ${used} entries of ${shape.page} tokens, a row has ${tableWidth}`,
      );
    }
    const at = sequence * tableWidth;
    checkEntries(pageTable.subarray(at, at + used), pages, of);
  });
}

/** Page numbers sequence-major. */
export interface ListToCheck {
  /** Tokens per page. */
  readonly page: number;
  /** Physical pages `[Σpages]`. */
  readonly cacheLoc: Int32Array;
  /** First entry of each sequence, and the end `[B+1]`. */
  readonly cuNumPages: Int32Array;
  /** Physical pages of the cache. */
  readonly pages: number;
}

/**
 * Checks the entries that sequences of `kv` tokens use.
 *
 * @throws {RangeError} If one is no page of the cache, or a sequence has too few; the message is one line.
 */
export function checkCacheLoc({ page, cacheLoc, cuNumPages, pages }: ListToCheck, kv: readonly number[]): void {
  kv.forEach((tokens, sequence) => {
    const used = Math.ceil(tokens / page);
    const from = cuNumPages[sequence];
    const end = cuNumPages[sequence + 1];
    const of = `of sequence ${sequence} in cache_loc`;
    if (!(from >= 0 && end <= cacheLoc.length && end - from >= used)) {
      throw new RangeError(
        `Cannot read ${tokens} tokens ${of}: they need ${used} entries of ${page} tokens, cu_num_pages gives it ` +
          `${from} to ${end} of ${cacheLoc.length}`,
      );
    }
    checkEntries(cacheLoc.subarray(from, from + used), pages, of);
  });
}

function checkEntries(entries: Int32Array, pages: number, of: string): void {
  const entry = entries.findIndex((physical) => !(physical >= 0 && physical < pages));
  if (entry < 0) return;
  throw new RangeError(
    `Cannot follow entry ${entry} ${of}: it is ${entries[entry]}, the cache has pages 0 to ${pages - 1}`,
  );
}
