/**
 * The metadata of one call of `mla`, as inference servers hand it over: which tokens are new, which pages each sequence
 * owns, how long it is. Made here for tests, and checked here before anything reaches a GPU.
 *
 * - **Source** The contract of `flashinfer_trtllm_mla_with_cache`, NVIDIA/TensorRT-LLM pull request 12519.
 *
 * @module
 */
import type { Dtype } from "./dtypes.ts";
import { type Layout, type MlaShape, pagesOf, total } from "./shapes.ts";

/** Host metadata of one call. Arrays may be longer than the batch needs: servers allocate them once. */
export interface MlaMetadata {
  /**
   * `[12]`: prefill sequences and their tokens, extend sequences and their tokens, decode sequences and their tokens,
   * then longest sequence, most pages of a sequence, block offset multiplier, largest batch, tokens to gather, whether
   * to gather. Sequences stand in that order. Slots 6, 7 and 9 are bounds where they are not 0; slots 8, 10 and 11 are
   * not for this operator.
   */
  readonly batchInfo: Int32Array;
  /** First new token of each sequence, and the end: `[≥ num_seq+1]`, starts at 0. */
  readonly cuSeqlen: Int32Array;
  /** First entry in `cacheLoc` of each sequence, and the end: `[≥ num_seq+1]`, starts at 0. */
  readonly cuNumPages: Int32Array;
  /** Physical pages, sequence-major: `[≥ Σpages]`. */
  readonly cacheLoc: Int32Array;
  /** Tokens in the last page of each sequence, `(kv − 1) mod page + 1`, 0 for an empty one: `[≥ num_seq]`. */
  readonly lastPageLen: Int32Array;
  /** Tokens of each sequence, those of this call included: `[≥ num_seq]`. */
  readonly seqLenWithCache: Int32Array;
}

/** What {@linkcode makeMetadata} makes metadata of. */
export interface Batch {
  /** New tokens of each sequence `[B]`. */
  readonly q: readonly number[];
  /** Tokens of each sequence after the call `[B]`. */
  readonly kv: readonly number[];
  /** Tokens per page. */
  readonly page: number;
  /** Physical pages of each sequence, {@linkcode pagesOf} of them or more; the first ones count. */
  pagesOfSequence(b: number): ArrayLike<number>;
}

/** What metadata says, once it is known to be sound. */
export interface ReadMetadata {
  /** New tokens of each sequence `[B]`. */
  readonly q: readonly number[];
  /** Tokens of each sequence after the call `[B]`. */
  readonly kv: readonly number[];
  /** New tokens of the batch: rows of the inputs that count. */
  readonly tokens: number;
}

/** What {@linkcode readMetadata} checks metadata against. */
export interface MetadataBounds {
  /** Physical pages of the cache. */
  readonly pages: number;
  /** Tokens per page. */
  readonly page: number;
  /** Rows of q, compressed_kv and out; those past the last token are padding. */
  readonly rows: number;
}

/** Slots of `batchInfo`. */
export const BATCH_INFO_SLOTS = 12;

/** Entries of a block table that one TRT-LLM kernel reads at once cover this many tokens. */
const TABLE_ALIGNMENT_TOKENS = 128;

/**
 * Entries per row of a block table for sequences of up to `maxPages` pages: rounded up to `max(1, ⌊128/page⌋)`, so that
 * kernels may read entries in groups. What lies past a sequence's own pages is 0, a page that may hold anything.
 *
 * @example 1,025 tokens in pages of 32
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(blockTableWidth(33, 32), 36);
 * ```
 */
export function blockTableWidth(maxPages: number, page: number): number {
  const alignment = Math.max(1, Math.floor(TABLE_ALIGNMENT_TOKENS / page));
  return Math.ceil(Math.max(1, maxPages) / alignment) * alignment;
}

/** Tokens in the last page of a sequence of `kv` tokens; 0 for an empty one. */
export function lastPageLength(kv: number, page: number): number {
  return kv === 0 ? 0 : (kv - 1) % page + 1;
}

/**
 * Metadata of a batch in any order of its sequences. Only groups in the order prefill, extend, decode can be written
 * down, so they are taken from the end: the last sequences of one new token on cached ones are decode, the last of
 * those before with cached tokens are extend, all before are prefill. A decode step in front of a prompt is thus a
 * prefill with cached tokens, which the operator runs alike.
 *
 * @throws {RangeError} If a sequence has fewer pages than its tokens need.
 */
export function makeMetadata({ q, kv, page, pagesOfSequence }: Batch): MlaMetadata {
  const B = q.length;
  const pages = kv.map((tokens, b) => {
    const owned = Array.from(pagesOfSequence(b));
    const needed = pagesOf(tokens, page);
    if (owned.length >= needed) return owned.slice(0, needed);
    throw new RangeError(
      `Cannot make metadata of sequence ${b}: ${tokens} tokens need ${needed} pages, not ${owned.length}`,
    );
  });
  const cached = (b: number) => kv[b] > q[b];
  let decode = B;
  while (decode > 0 && q[decode - 1] === 1 && cached(decode - 1)) decode--;
  let extend = decode;
  while (extend > 0 && cached(extend - 1)) extend--;
  const group = (from: number, to: number) => [to - from, total(q.slice(from, to))];
  return {
    batchInfo: Int32Array.from([
      ...group(0, extend),
      ...group(extend, decode),
      ...group(decode, B),
      ...[largest(kv), largest(pages.map((owned) => owned.length)), 1, B, total(q), 0],
    ]),
    cuSeqlen: cumulative(q),
    cuNumPages: cumulative(pages.map((owned) => owned.length)),
    cacheLoc: Int32Array.from(pages.flat()),
    lastPageLen: Int32Array.from(kv, (tokens) => lastPageLength(tokens, page)),
    seqLenWithCache: Int32Array.from(kv),
  };
}

/**
 * The largest of the values, 0 of none. A spread of as many arguments as a batch has sequences may overflow the stack.
 */
function largest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

/** `[0, v₀, v₀+v₁, …]`. */
export function cumulative(values: readonly number[]): Int32Array<ArrayBuffer> {
  const sums = new Int32Array(values.length + 1);
  values.forEach((value, i) => sums[i + 1] = sums[i] + value);
  return sums;
}

/**
 * Lengths of a call, after checking all metadata: what passes can be appended and attended without reading or writing
 * outside the sequences' pages, and without two tokens in one slot.
 *
 * @throws {RangeError} At the first contradiction; the line names the array, the sequence and the value.
 */
export function readMetadata(metadata: MlaMetadata, bounds: MetadataBounds): ReadMetadata {
  const B = readBatchSize(metadata);
  const q = readCumulative("cu_seqlen", metadata.cuSeqlen, B);
  const counts = readCumulative("cu_num_pages", metadata.cuNumPages, B);
  const tokens = total(q);
  checkGroups(metadata.batchInfo, q);
  if (!(tokens <= bounds.rows)) fail(`cu_seqlen: ${tokens} tokens, q and out have ${bounds.rows} rows`);
  const kv = checkLengths(metadata, q, counts, bounds.page);
  checkBounds(metadata.batchInfo, kv, counts);
  checkPages(metadata, counts, bounds.pages);
  checkSlots(metadata, q, kv, bounds.page);
  return { q, kv, tokens };
}

function fail(reason: string): never {
  throw new RangeError(`Cannot read metadata: ${reason}`);
}

function readBatchSize({ batchInfo, lastPageLen, seqLenWithCache }: MlaMetadata): number {
  if (batchInfo.length !== BATCH_INFO_SLOTS) {
    fail(`batch_info has ${batchInfo.length} entries, ${BATCH_INFO_SLOTS} are needed`);
  }
  const negative = batchInfo.findIndex((value) => value < 0);
  if (negative >= 0) fail(`batch_info[${negative}] is ${batchInfo[negative]}: no slot is negative`);
  const B = batchInfo[0] + batchInfo[2] + batchInfo[4];
  if (B === 0) fail("batch_info counts no sequence");
  for (const [name, { length }] of [["last_page_len", lastPageLen], ["seq_len_with_cache", seqLenWithCache]] as const) {
    if (length < B) fail(`${name} has ${length} entries, batch_info counts ${B} sequences`);
  }
  return B;
}

/** Differences of the first `B + 1` entries. */
function readCumulative(name: string, sums: Int32Array, B: number): number[] {
  if (sums.length < B + 1) fail(`${name} has ${sums.length} entries, ${B} sequences need ${B + 1}`);
  if (sums[0] !== 0) fail(`${name}[0] is ${sums[0]}: it starts at 0`);
  return Array.from({ length: B }, (_, b) => {
    if (!(sums[b + 1] >= sums[b])) fail(`${name} falls from ${sums[b]} to ${sums[b + 1]} at sequence ${b}`);
    return sums[b + 1] - sums[b];
  });
}

const GROUPS = ["prefill", "extend", "decode"] as const;

function checkGroups(batchInfo: Int32Array, q: readonly number[]): void {
  let first = 0;
  GROUPS.forEach((group, i) => {
    const [count, tokens] = batchInfo.subarray(2 * i, 2 * i + 2);
    const members = q.slice(first, first + count);
    const found = total(members);
    if (found !== tokens) {
      fail(
        `batch_info[${2 * i + 1}] says ${tokens} ${group} tokens, cu_seqlen gives ${found} to those ${count} sequences`,
      );
    }
    const odd = group === "decode" ? members.findIndex((n) => n !== 1) : -1;
    if (odd >= 0) fail(`sequence ${first + odd} is counted as decode and has ${members[odd]} new tokens, not 1`);
    first += count;
  });
}

/** Lengths of the sequences, against new tokens, pages and last pages. */
function checkLengths(
  { lastPageLen, seqLenWithCache }: MlaMetadata,
  q: readonly number[],
  counts: readonly number[],
  page: number,
): number[] {
  return q.map((n, b) => {
    const kv = seqLenWithCache[b];
    if (!(kv >= n)) fail(`seq_len_with_cache[${b}] is ${kv}, less than the ${n} new tokens of that sequence`);
    const needed = pagesOf(kv, page);
    if (counts[b] !== needed) {
      fail(`cu_num_pages gives sequence ${b} ${counts[b]} pages, its ${kv} tokens in pages of ${page} need ${needed}`);
    }
    const last = lastPageLength(kv, page);
    if (lastPageLen[b] !== last) {
      fail(`last_page_len[${b}] is ${lastPageLen[b]}, ${kv} tokens in pages of ${page} leave ${last}`);
    }
    return kv;
  });
}

/** The slots of `batch_info` that bound lengths, where they are given. */
function checkBounds(batchInfo: Int32Array, kv: readonly number[], counts: readonly number[]): void {
  const bounds = [
    [6, "longest sequence", largest(kv)],
    [7, "most pages", largest(counts)],
    [9, "batch", kv.length],
  ] as const;
  for (const [slot, what, value] of bounds) {
    if (batchInfo[slot] !== 0 && batchInfo[slot] < value) {
      fail(`batch_info[${slot}] is ${batchInfo[slot]}, below the ${what} of ${value}`);
    }
  }
}

/** Pages that exist, each once in a sequence. */
function checkPages({ cuNumPages, cacheLoc }: MlaMetadata, counts: readonly number[], pages: number): void {
  const entries = total(counts);
  if (cacheLoc.length < entries) fail(`cache_loc has ${cacheLoc.length} entries, cu_num_pages counts ${entries}`);
  const owners = new Map<number, number>();
  counts.forEach((_, b) => {
    for (let i = cuNumPages[b]; i < cuNumPages[b + 1]; i++) {
      const page = cacheLoc[i];
      const place = `cache_loc[${i}] of sequence ${b} is page ${page}`;
      if (!(page >= 0 && page < pages)) fail(`${place}, the cache has pages 0…${pages - 1}`);
      if (owners.get(page) === b) fail(`${place}, which that sequence has already`);
      owners.set(page, b);
    }
  });
}

/** Sequences may share pages, a prefix for instance, but each new token needs a slot of its own. */
function checkSlots(
  { cuNumPages, cacheLoc }: MlaMetadata,
  q: readonly number[],
  kv: readonly number[],
  page: number,
): void {
  const writers = new Map<number, number>();
  q.forEach((n, b) => {
    for (let token = kv[b] - n; token < kv[b]; token++) {
      const physical = cacheLoc[cuNumPages[b] + Math.floor(token / page)];
      const slot = physical * page + token % page;
      const other = writers.get(slot);
      if (other !== undefined) {
        fail(`sequences ${other} and ${b} both have a new token in slot ${token % page} of page ${physical}`);
      }
      writers.set(slot, b);
    }
  });
}

/** Sizes of a model and of its buffers: what metadata does not say. */
export interface MlaDims {
  /** Query heads. */
  readonly H: number;
  /** `kv_lora_rank`. */
  readonly R: number;
  /** `qk_nope_head_dim`. */
  readonly Dn: number;
  /** `qk_rope_head_dim`. */
  readonly Dr: number;
  /** `v_head_dim`. */
  readonly Dv: number;
  /** Element type of the cache. */
  readonly cache: Dtype;
  /** Element type of `kv_b_proj`. */
  readonly weight: Dtype;
  /** How the cache lies in memory. @default {"combined"} */
  readonly layout?: Layout;
  /** Softmax scale. @default {1/√(Dn+Dr)} */
  readonly scale?: number;
}

/**
 * The shape of the call that `metadata` describes: what the kernels of `mla` are launched with.
 *
 * @throws {RangeError} If the metadata contradicts itself or `bounds`.
 */
export function mlaShapeOf(metadata: MlaMetadata, dims: MlaDims, bounds: MetadataBounds): MlaShape {
  const { q, kv, tokens } = readMetadata(metadata, bounds);
  const scale = dims.scale ?? 1 / Math.sqrt(dims.Dn + dims.Dr);
  return { ...dims, scale, B: q.length, q, kv, page: bounds.page, padding: bounds.rows - tokens, causal: true };
}
