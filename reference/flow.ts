/**
 * A flow: several calls of `mla` on one cache, with sequences that join, wait and leave.
 *
 * @module
 */
import { type MlaShape, total } from "./shapes.ts";

/** One call of a flow. */
export interface MlaCall {
  /** Shape of the call: only the sequences present, `kv` what they have after it, no `steps`. */
  readonly shape: MlaShape;
  /** The sequences present, by their numbers in the flow, ascending. Length `shape.B`. */
  readonly sequences: readonly number[];
}

/**
 * The calls of a shape. Without `steps` it is one call of all sequences, those without new tokens included; with
 * `steps` each call has the sequences that get new tokens in it. At first sequence b has `kv[b] − q[b]` tokens in the
 * cache.
 *
 * @throws {RangeError} If lists differ in length, a sequence has more new tokens than tokens, the steps of a sequence
 * do not add up to its q, or a step has no new token at all.
 */
export function callsOf(shape: MlaShape): MlaCall[] {
  const { steps, ...flow } = shape;
  const { B, q, kv } = flow;
  const fail = (reason: string): never => {
    throw new RangeError(`Cannot run an mla flow of ${B} sequences: ${reason}`);
  };
  if (q.length !== B || kv.length !== B) fail(`q has ${q.length} entries and kv ${kv.length}, needed are ${B}`);
  const early = q.findIndex((tokens, b) => !(tokens >= 0 && tokens <= kv[b]));
  if (early >= 0) fail(`q of sequence ${early} is ${q[early]}, needed is 0…${kv[early]}, its kv`);
  if (!steps) return [{ shape: flow, sequences: Array.from({ length: B }, (_, b) => b) }];
  for (let b = 0; b < B; b++) {
    const sum = total(steps.map((step) => step[b] ?? NaN));
    if (sum !== q[b]) fail(`the steps of sequence ${b} add up to ${sum}, needed is its q, ${q[b]}`);
  }
  const cached = kv.map((tokens, b) => tokens - q[b]);
  return steps.map((step, call) => {
    if (step.length !== B) fail(`step ${call} has ${step.length} entries, needed are ${B}`);
    const sequences = step.flatMap((tokens, b) => tokens > 0 ? [b] : []);
    if (sequences.length === 0) fail(`step ${call} has no new tokens`);
    for (const b of sequences) cached[b] += step[b];
    return {
      shape: {
        ...flow,
        B: sequences.length,
        q: sequences.map((b) => step[b]),
        kv: sequences.map((b) => cached[b]),
      },
      sequences,
    };
  });
}
