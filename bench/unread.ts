/**
 * What a call may not depend on, in the buffers that it is given: slots of the cache that hold no token, entries of the
 * page table past a sequence's pages, rows of padding. They hold poison from the start (`reference/inputs.ts`).
 *
 * @module
 */
import { bitsView, DTYPE_BYTES, nanBits } from "../reference/dtypes.ts";
import type { AppendInputs, AttendInputs } from "../reference/inputs.ts";
import type { MlaCallInputs } from "../reference/mla_inputs.ts";
import type { PrefillInputs } from "../reference/model_inputs.ts";
import { type CacheShape, pagesOf, type PrefillShape, total } from "../reference/shapes.ts";
import type { CallSource, CaseInputs } from "./case_inputs.ts";
import { MOST_SPAN_WORDS, type PoisonedKind } from "./poison.ts";

/** Poisoned parts of one buffer. */
export interface PoisonedPart {
  /** Name of the buffer. */
  readonly name: string;
  /** What lies there. */
  readonly kind: PoisonedKind;
  /** First word (of 4 bytes) and word after the last one of each part, pair by pair, ascending; none is long. */
  readonly spans: Uint32Array<ArrayBuffer>;
}

/** What one call may not depend on. */
export interface Unread {
  /** Parts that it neither reads nor writes: they hold poison before and after it. */
  readonly idle: readonly PoisonedPart[];
  /** Parts that it writes without reading them. */
  readonly fresh: readonly PoisonedPart[];
}

/** Use of a slot of the cache by a call. */
const EMPTY = 0, HELD = 1, WRITTEN = 2;

/** What each call may not depend on. The cache of a flow fills from call to call. */
export function unreadOf({ calls, state }: Pick<CaseInputs, "calls" | "state">): Unread[] {
  let slots: Uint8Array | undefined;
  return calls.map(({ source }) => {
    if (source.operation !== "append" && source.operation !== "mla") return unreadOfReader(source);
    const { inputs } = source;
    const shape = source.operation === "append" ? source.inputs.shape : source.inputs.call.shape;
    slots = slots ? slots.map((use) => use === EMPTY ? EMPTY : HELD) : heldSlots(state, shape);
    markNew(slots, inputs, shape.page);
    return {
      idle: [
        ...cacheParts(shape, slots, EMPTY),
        ...(source.operation === "mla" ? paddingParts(source.inputs.call.shape, true) : []),
      ],
      fresh: cacheParts(shape, slots, WRITTEN),
    };
  });
}

function unreadOfReader(source: Exclude<CallSource, { operation: "append" | "mla" }>): Unread {
  if (source.operation === "project") return { idle: [], fresh: [] };
  const { inputs } = source;
  const idle = [...cacheParts(inputs.shape, readSlots(inputs), EMPTY), ...tableParts(inputs)];
  return {
    idle: source.operation === "prefill" ? [...idle, ...paddingParts(source.inputs.shape, false)] : idle,
    fresh: [],
  };
}

/** The slots of the cache, `[pages·page]`, of which some sequence reads the token. */
export function readSlots({ shape, pageTable, tableWidth, pages }: AttendInputs | PrefillInputs): Uint8Array {
  const { page } = shape;
  const slots = new Uint8Array(pages * page);
  shape.kv.forEach((tokens, b) => {
    for (let token = 0; token < tokens; token += page) {
      const at = pageTable[b * tableWidth + token / page] * page;
      slots.fill(HELD, at, at + Math.min(page, tokens - token));
    }
  });
  return slots;
}

/**
 * The slots of a cache `[pages·page]` that hold a token: those that do not begin with the poison. A flow's cache has
 * tokens of sequences that are not part of a call, so that its page table does not tell.
 */
export function heldSlots(state: ReadonlyMap<string, Uint8Array>, shape: CacheShape): Uint8Array {
  const { R, Dr, cache } = shape;
  const [name, width] = shape.layout === "separate" ? ["ckv_cache", R] : ["cache", R + Dr];
  const elements = bitsView(state.get(name)!, cache);
  const poison = nanBits(cache);
  return Uint8Array.from({ length: elements.length / width }, (_, slot) => {
    return elements[slot * width] === poison ? EMPTY : HELD;
  });
}

/** Marks the slots of the tokens that a call appends. */
function markNew(
  slots: Uint8Array,
  { cuSeqlen, cuNumPages, cacheLoc, inputPos }: AppendInputs | MlaCallInputs,
  page: number,
): void {
  inputPos.forEach((first, b) => {
    const end = first + cuSeqlen[b + 1] - cuSeqlen[b];
    for (let token = first; token < end; token++) {
      slots[cacheLoc[cuNumPages[b] + Math.floor(token / page)] * page + token % page] = WRITTEN;
    }
  });
}

/** The parts of the cache whose slots are of `use`, in the buffers of its layout. */
function cacheParts(shape: CacheShape, slots: Uint8Array, use: number): PoisonedPart[] {
  const { R, Dr, cache: kind } = shape;
  const part = (name: string, width: number): PoisonedPart[] => {
    const words = width * DTYPE_BYTES[kind] / 4;
    const runs = runsOf(slots.length, (slot) => slots[slot] === use);
    return partsOf(name, kind, runs.map(([from, to]) => [Math.ceil(from * words), Math.floor(to * words)]));
  };
  return shape.layout === "separate" ? [...part("ckv_cache", R), ...part("kpe_cache", Dr)] : part("cache", R + Dr);
}

/** Entries of the page table past each sequence's pages; an empty one owns a page too, whose slots are all poison. */
function tableParts({ shape, tableWidth }: AttendInputs | PrefillInputs): PoisonedPart[] {
  const rows = shape.kv.map((tokens, b): Run => {
    return [b * tableWidth + pagesOf(tokens, shape.page), (b + 1) * tableWidth];
  });
  return partsOf("page_table", "entry", rows);
}

/** Rows past the last token: of the queries, and of the new keys where a call has some. */
function paddingParts({ H, Dn, Dr, R, q, padding }: PrefillShape, keys: boolean): PoisonedPart[] {
  const tokens = total(q);
  const rows = (name: string, width: number) => partsOf(name, "f32", [[tokens * width, (tokens + padding) * width]]);
  const queries = [...rows("q_nope", H * Dn), ...rows("q_pe", H * Dr)];
  return keys ? [...queries, ...rows("compressed_kv", R), ...rows("kpe", Dr)] : queries;
}

/** First one and the one after the last. */
export type Run = readonly [from: number, to: number];

/** The longest runs of numbers below `count` that are `wanted`. */
function runsOf(count: number, wanted: (i: number) => boolean): Run[] {
  const runs: Run[] = [];
  for (let i = 0; i < count; i++) {
    if (!wanted(i)) continue;
    const from = i;
    while (i < count && wanted(i)) i++;
    runs.push([from, i]);
  }
  return runs;
}

/** Runs of words as parts, none when they are empty; long ones are cut. */
export function partsOf(name: string, kind: PoisonedKind, runs: readonly Run[]): PoisonedPart[] {
  const spans: number[] = [];
  for (const [from, to] of runs) {
    for (let at = from; at < to; at += MOST_SPAN_WORDS) spans.push(at, Math.min(at + MOST_SPAN_WORDS, to));
  }
  return spans.length === 0 ? [] : [{ name, kind, spans: Uint32Array.from(spans) }];
}
