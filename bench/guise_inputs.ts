/**
 * The calls of a case as a batch that can be varied, and such a batch as the inputs of calls again.
 *
 * @module
 */
import type { CacheLayout } from "../kernels/kernel.ts";
import type { Work } from "../kernels/work.ts";
import { cumulative } from "../reference/metadata.ts";
import { HOSTILE_ENTRIES, pageTableOf, SPARE_ENTRIES } from "../reference/paging.ts";
import { pagesOf, total } from "../reference/shapes.ts";
import type { Batch, BatchCall } from "../reference/variations.ts";
import type { CaseCall, CaseInputs } from "./case_inputs.ts";
import { bytesOf } from "./inputs_buffers.ts";

/** Sizes by which the width of a row is told. */
interface Widths {
  readonly H: number;
  readonly R: number;
  readonly Dr: number;
  readonly Dn: number;
}

/** Elements of a token in each input that has a row for every token, by the contract of `BufferSpec`. */
const TOKEN_ELEMENTS: Readonly<Record<string, (sizes: Widths) => number>> = {
  q_latent: ({ H, R }) => H * R,
  q_nope: ({ H, Dn }) => H * Dn,
  q_pe: ({ H, Dr }) => H * Dr,
  latent: ({ H, R }) => H * R,
  compressed_kv: ({ R }) => R,
  kpe: ({ Dr }) => Dr,
};

/** Names of the buffers of a cache, combined or separate. */
const CACHE_NAMES: readonly string[] = ["cache", "ckv_cache", "kpe_cache"];

/** The batch that a case was made from. Its bytes are those of the inputs, not copied. */
export function readBatch({ calls, state }: CaseInputs): Batch {
  const buffers = new Map([...state, ...calls[0].buffers]);
  return {
    calls: calls.map((call, index) => ({ index, ...readCall(call) })),
    pages: calls[0].layout.pages,
    caches: new Map([...buffers].filter(([name]) => CACHE_NAMES.includes(name))),
    spareEntries: 0,
  };
}

function readCall({ work, source, buffers }: CaseCall): Omit<BatchCall, "index"> {
  const tensors = (sizes: Partial<Widths>, tokens: number) =>
    new Map(
      Object.entries(TOKEN_ELEMENTS).filter(([name]) => buffers.has(name)).map(([name, elements]) => {
        // Without heads or other sizes there is no tensor that asks for them.
        return [name, buffers.get(name)!.subarray(0, 4 * tokens * elements(sizes as Widths))];
      }),
    );
  if (work.operation === "project") {
    const { tokens, padding } = work.shape;
    const each = Array.from({ length: tokens }, (_, i) => i);
    return {
      sequences: each,
      q: each.map(() => 1),
      kv: each.map(() => 0),
      padding,
      tensors: tensors(work.shape, tokens),
      owned: each.map(() => new Int32Array(0)),
    };
  }
  const { q, kv } = work.shape;
  return {
    sequences: source.operation === "mla" ? source.inputs.call.sequences : q.map((_, b) => b),
    q,
    kv,
    padding: "padding" in work.shape ? work.shape.padding : 0,
    tensors: tensors(work.shape, total(q)),
    owned: readPages(source, kv),
  };
}

/** Physical pages of each sequence, from the page table or from the list. */
function readPages(source: CaseCall["source"], kv: readonly number[]): Int32Array[] {
  if (source.operation === "project") return [];
  if (source.operation === "attend" || source.operation === "prefill") {
    const { pageTable, tableWidth, shape: { page } } = source.inputs;
    return kv.map((tokens, b) => pageTable.subarray(b * tableWidth, b * tableWidth + pagesOf(tokens, page)));
  }
  const { cacheLoc, cuNumPages } = source.inputs;
  return kv.map((_, b) => cacheLoc.subarray(cuNumPages[b], cuNumPages[b + 1]));
}

/** What a call of a varied batch is launched with. */
export interface GuiseCall {
  /** What it computes. */
  readonly work: Work;
  /** How the cache is allocated. */
  readonly layout: CacheLayout;
  /** Inputs that the variation may have changed: all but caches and weights. */
  readonly buffers: ReadonlyMap<string, Uint8Array>;
}

/**
 * Call of a varied batch.
 *
 * @param work What the call of the case computes from which it was varied.
 */
export function writeCall(batch: Batch, call: BatchCall, work: Work): GuiseCall {
  const tokens = total(call.q);
  if (work.operation === "project") {
    const shape = { ...work.shape, tokens, padding: call.padding };
    return { work: { operation: "project", shape }, layout: { pages: 0, tableWidth: 0 }, buffers: call.tensors };
  }
  const { q, kv } = call;
  const isPadded = work.operation === "prefill" || work.operation === "mla";
  const changes = { B: q.length, q, kv, ...(isPadded ? { padding: call.padding } : {}) };
  const varied = { ...work, shape: { ...work.shape, ...changes } } as Exclude<Work, { readonly operation: "project" }>;
  const tensors = [...call.tensors].map(([name, bytes]) => {
    return [
      name,
      isPadded ? withPadding(bytes, tokens, call.padding, TOKEN_ELEMENTS[name](work.shape as Widths)) : bytes,
    ];
  }) as [string, Uint8Array][];
  const { entries, layout } = work.operation === "attend" || work.operation === "prefill"
    ? tableEntries(batch, call)
    : listEntries(batch, call);
  return { work: varied, layout, buffers: new Map([...tensors, ...entries]) };
}

/** The rows of a tensor, then rows of NaN, which no kernel may use. */
function withPadding(bytes: Uint8Array, tokens: number, padding: number, elements: number): Uint8Array {
  if (padding === 0) return bytes;
  const padded = new Float32Array((tokens + padding) * elements).fill(NaN);
  bytesOf(padded).set(bytes);
  return bytesOf(padded);
}

interface Entries {
  readonly entries: readonly [string, Uint8Array][];
  readonly layout: CacheLayout;
}

/** Page table, and what else tells lengths to `attend` and `prefill`. */
function tableEntries({ pages, spareEntries }: Batch, { q, kv, owned }: BatchCall): Entries {
  const allocation = { pages, starts: cumulative(owned.map(({ length }) => length)), owned: joined(owned) };
  const { pageTable, tableWidth } = pageTableOf(allocation, SPARE_ENTRIES + spareEntries);
  return {
    entries: [
      ["page_table", bytesOf(pageTable)],
      ["kv_len", bytesOf(Int32Array.from(kv))],
      ["cu_seqlen", bytesOf(cumulative(q))],
    ],
    layout: { pages, tableWidth },
  };
}

/** List of pages, and what else tells lengths to `append` and `mla`. */
function listEntries({ pages, spareEntries }: Batch, { q, kv, owned }: BatchCall): Entries {
  const unused = Array.from({ length: spareEntries }, (_, i) => HOSTILE_ENTRIES[i % HOSTILE_ENTRIES.length]);
  const cacheLoc = joined([...owned, Int32Array.from(unused)]);
  return {
    entries: [
      ["cu_seqlen", bytesOf(cumulative(q))],
      ["cu_num_pages", bytesOf(cumulative(owned.map(({ length }) => length)))],
      ["cache_loc", bytesOf(cacheLoc)],
      ["input_pos", bytesOf(Int32Array.from(kv, (tokens, b) => tokens - q[b]))],
    ],
    layout: { pages, tableWidth: cacheLoc.length },
  };
}

function joined(lists: readonly Int32Array[]): Int32Array {
  const all = new Int32Array(total(lists.map(({ length }) => length)));
  let at = 0;
  for (const list of lists) {
    all.set(list, at);
    at += list.length;
  }
  return all;
}
