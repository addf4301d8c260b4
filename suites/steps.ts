/**
 * The steps of a flow: the new tokens of each of several calls on one cache, as the axis `q` of `mla` writes them.
 *
 * Steps are joined by `>`; each is the lengths of a batch. `1x5` stands for five steps in which every sequence has one
 * new token: `32,16>16,8>1x5` is a prompt in two chunks and five decode steps. A sequence with 0 is not part of that
 * call.
 *
 * @module
 */
import type { AxisValue } from "./axes.ts";
import { batchOf, expandLengths, type LengthsOptions, parseLengths, resizeLengths } from "./lengths.ts";

/** Most calls of a flow: more is a typing error. */
export const MAX_STEPS = 8192;

const REPEATED = /^(0|[1-9]\d*)x([1-9]\d*)$/;

/** Whether `text` is written as steps. */
export function hasSteps(text: AxisValue): boolean {
  return /[>x]/.test(String(text));
}

/**
 * Reads steps.
 *
 * @returns The text, or the lengths where it is a single step; undefined if it is neither.
 */
export function parseSteps(text: string): AxisValue | undefined {
  const steps = readSteps(text);
  if (steps === undefined || steps.length > MAX_STEPS) return undefined;
  return steps.length === 1 ? steps[0] : text;
}

function readSteps(text: AxisValue): AxisValue[] | undefined {
  const steps: AxisValue[] = [];
  for (const part of String(text).split(">")) {
    const repeated = REPEATED.exec(part);
    const lengths = parseLengths(repeated ? repeated[1] : part);
    const count = repeated ? Number(repeated[2]) : 1;
    if (lengths === undefined || count > MAX_STEPS) return undefined;
    for (let i = 0; i < count; i++) steps.push(lengths);
  }
  return steps;
}

/** The steps of what {@linkcode parseSteps} returned, a single one for lengths without `>`. */
export function stepsOf(spec: AxisValue): readonly AxisValue[] {
  return readSteps(spec) ?? [spec];
}

/** The one spelling of `steps`: neighbours of the same single length become `1x5`. */
export function joinSteps(steps: readonly AxisValue[]): AxisValue {
  if (steps.length === 1) return steps[0];
  const parts: string[] = [];
  for (let i = 0; i < steps.length;) {
    let end = i + 1;
    while (typeof steps[i] === "number" && steps[end] === steps[i]) end++;
    parts.push(end - i > 1 ? `${steps[i]}x${end - i}` : String(steps[i]));
    i = end;
  }
  return parts.join(">");
}

/** The new tokens of every step and sequence, `[steps][B]`. Random lengths are drawn anew for each step. */
export function expandSteps(spec: AxisValue, options: Omit<LengthsOptions, "axis">): number[][] {
  // A step of its own seed, so that random steps differ; the first one is what the lengths alone would be.
  return stepsOf(spec).map((step, i) => expandLengths(step, { ...options, seed: (options.seed + i) >>> 0, axis: "q" }));
}

/** Each step of `spec` repeated or cut to `B` sequences, as {@linkcode resizeLengths} does. */
export function resizeSteps(spec: AxisValue, B: number): AxisValue {
  return joinSteps(stepsOf(spec).map((step) => resizeLengths(step, B)));
}

/** Sequences that the steps name themselves; undefined where they fit any batch. */
export function batchOfSteps(spec: AxisValue): number | undefined {
  return stepsOf(spec).map(batchOf).find((B) => B !== undefined);
}
