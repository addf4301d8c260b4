/**
 * Edits of what a launch says, for faults that are not in a shader.
 *
 * @module
 */
import type { BufferSpec, DispatchSpec, Launch } from "../kernel.ts";
import type { LaunchContext, LaunchEdit, Sizes } from "./fault.ts";
import { endOfLabel } from "./plant.ts";

/** Which dispatches an edit is for. */
export type Which = (dispatch: DispatchSpec, launch: Launch) => boolean;

/** The dispatches of these labels, or what follows the last slash of them. */
export function labelled(...labels: readonly string[]): Which {
  return (dispatch) => labels.includes(endOfLabel(dispatch));
}

/** The dispatches that bind one of these buffers. */
export function binding(...names: readonly string[]): Which {
  return ({ bindings, cacheBindings = [] }) => names.some((name) => [...bindings, ...cacheBindings].includes(name));
}

/** The dispatches that write a result, in place or not. */
export function writingResults({ bindings, cacheBindings = [] }: DispatchSpec, { buffers }: Launch): boolean {
  const results = buffers.filter(({ role }) => role === "output" || role === "inout").map(({ name }) => name);
  return [...bindings, ...cacheBindings].some((name) => results.includes(name));
}

/** Changes dispatches. */
export function editDispatches(
  which: Which,
  change: (dispatch: DispatchSpec, context: LaunchContext) => DispatchSpec,
): LaunchEdit {
  return {
    launch: (launch, context) => ({
      ...launch,
      dispatches: launch.dispatches.map((dispatch) => which(dispatch, launch) ? change(dispatch, context) : dispatch),
    }),
  };
}

/** Changes a field of the uniform, in every dispatch that has it. */
export function setParam(
  name: string,
  change: (value: number, shape: Sizes) => number,
  which: Which = () => true,
): LaunchEdit {
  return editDispatches(which, (dispatch, { shape }) => ({
    ...dispatch,
    params: dispatch.params.map(([own, type, value]) => [own, type, own === name ? change(value, shape) : value]),
  }));
}

/** Dispatches nothing. */
export function silence(which: Which): LaunchEdit {
  return editDispatches(which, (dispatch) => ({ ...dispatch, workgroups: [0, 0, 0] }));
}

/** Changes the contents of a plan buffer, a copy of which is handed over; a launch without it keeps what it is. */
export function editPlan(
  name: string,
  change: (words: Uint32Array | Int32Array, context: LaunchContext) => void,
): LaunchEdit {
  const edit = (spec: BufferSpec, context: LaunchContext): BufferSpec => {
    if (!spec.contents || spec.name.slice(spec.name.lastIndexOf("/") + 1) !== name) return spec;
    const contents = spec.contents.slice();
    change(contents, context);
    return { ...spec, contents };
  };
  return {
    launch: (launch, context) => ({ ...launch, buffers: launch.buffers.map((spec) => edit(spec, context)) }),
  };
}

/** An item of the work list of `attend`, its offset as i32. */
export interface AttendItem {
  /** Row of the page table. */
  sequence: number;
  /** First row. */
  row: number;
  /** Rows. */
  readonly rows: number;
  /** First partial row, or {@linkcode DIRECT}. */
  slot: number;
  /** First token. */
  begin: number;
  /** Token after the last one. */
  end: number;
  /** Row r sees the tokens below `r / H + offset`. */
  offset: number;
}

/** Slot of an item that writes the result. */
export const DIRECT = 0xffff_ffff;

/** Changes the items of the work list of `attend`. */
export function editItems(change: (item: AttendItem, context: LaunchContext, i: number) => void): LaunchEdit {
  return editPlan("work", (words, context) => {
    for (let i = 0; i < words.length; i += 8) {
      const [sequence, row, rows, slot, begin, end, offset] = words.subarray(i, i + 7);
      const item = { sequence, row, rows, slot, begin, end, offset: offset | 0 };
      change(item, context, i / 8);
      words.set([item.sequence, item.row, item.rows, item.slot, item.begin, item.end, item.offset], i);
    }
  });
}

/** An item of the work list of `prefill`. */
export interface PrefillItem {
  /** First query token. */
  first: number;
  /** Query tokens. */
  readonly rows: number;
  /** Tokens that the last one sees. */
  end: number;
  /** Row r sees the tokens below `r + limit`. */
  limit: number;
}

/** Changes the items of the work list of `prefill`. */
export function editPrefillItems(change: (item: PrefillItem, context: LaunchContext) => void): LaunchEdit {
  return editPlan("work", (words, context) => {
    for (let i = 0; i + 6 <= words.length; i += 6) {
      const [first, rows, , , end, limit] = words.subarray(i, i + 6);
      const item = { first, rows, end, limit: limit | 0 };
      change(item, context);
      words[i] = item.first;
      words[i + 4] = item.end;
      words[i + 5] = item.limit;
    }
  });
}

/** The sequence that query token `token` of the batch belongs to; −1 past the last. */
export function sequenceOf(token: number, q: readonly number[]): number {
  let end = 0;
  return q.findIndex((n) => token < (end += n));
}
