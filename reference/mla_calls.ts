/**
 * The inputs of each call of a flow, cut from the values of all its tokens.
 *
 * @module
 */
import type { MlaCall } from "./flow.ts";
import { withPadding } from "./model_inputs.ts";
import type { PageAllocation } from "./paging.ts";
import { queryStarts } from "./rows.ts";
import { type MlaShape, pagesOf, total } from "./shapes.ts";

/** Inputs of one call of `mla`. T is the sum of the call's q, P the padding, whose rows hold NaN. */
export interface MlaCallInputs {
  /** Shape and sequences of the call. */
  readonly call: MlaCall;
  /** Queries without position `[T+P, H, Dn]`. */
  readonly qNope: Float32Array;
  /** Rope part of the queries `[T+P, H, Dr]`. */
  readonly qPe: Float32Array;
  /** New latents `[T+P, R]`. */
  readonly compressedKv: Float32Array;
  /** New rope keys `[T+P, Dr]`. */
  readonly kpe: Float32Array;
  /** First new token of each sequence present, and the end `[B+1]`. */
  readonly cuSeqlen: Int32Array;
  /** First entry in `cacheLoc` of each sequence present, and the end `[B+1]`. */
  readonly cuNumPages: Int32Array;
  /** Physical pages of the sequences present, those that they need after the call, sequence-major `[Σpages]`. */
  readonly cacheLoc: Int32Array;
  /** Tokens already in the cache of each sequence present `[B]`. */
  readonly inputPos: Int32Array;
  /** Tokens in the cache of each sequence present after the call `[B]`. */
  readonly kvLen: Int32Array;
}

/** What all calls of a flow draw from: values of every new token, sequence-major. */
export interface FlowTensors {
  /** `[Σq, H, Dn]` */
  readonly qNope: Float32Array;
  /** `[Σq, H, Dr]` */
  readonly qPe: Float32Array;
  /** `[Σq, R]` */
  readonly compressedKv: Float32Array;
  /** `[Σq, Dr]` */
  readonly kpe: Float32Array;
}

/** The inputs of each call, from the values of all new tokens of the flow. */
export function cutIntoCalls(
  shape: MlaShape,
  calls: readonly MlaCall[],
  { starts, owned }: PageAllocation,
  tensors: FlowTensors,
): MlaCallInputs[] {
  const { H, R, Dn, Dr, page } = shape;
  // The next new token of each sequence, among all of the flow.
  const next = queryStarts(shape);
  return calls.map((call) => {
    const { q, kv, padding } = call.shape;
    const ranges = call.sequences.map((b, i) => [next[b], next[b] += q[i]] as const);
    const rows = (values: Float32Array, width: number) => {
      const cut = new Float32Array(total(q) * width);
      let at = 0;
      for (const [from, to] of ranges) {
        cut.set(values.subarray(from * width, to * width), at);
        at += (to - from) * width;
      }
      return withPadding(cut, padding * width);
    };
    const pages = call.sequences.map((b, i) => owned.subarray(starts[b], starts[b] + pagesOf(kv[i], page)));
    return {
      call,
      qNope: rows(tensors.qNope, H * Dn),
      qPe: rows(tensors.qPe, H * Dr),
      compressedKv: rows(tensors.compressedKv, R),
      kpe: rows(tensors.kpe, Dr),
      cuSeqlen: queryStarts(call.shape),
      cuNumPages: queryStarts({ B: pages.length, q: pages.map((own) => own.length) }),
      cacheLoc: Int32Array.from(pages.flatMap((own) => [...own])),
      inputPos: Int32Array.from(kv, (tokens, i) => tokens - q[i]),
      kvLen: Int32Array.from(kv),
    };
  });
}
