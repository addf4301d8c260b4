/**
 * Compares what a case left in another guise with what it left at first.
 *
 * @module
 */
import type { Work } from "../kernels/work.ts";
import type { Check, WorstElement } from "../reference/check.ts";
import { tokensSeen } from "../reference/rows.ts";
import { total } from "../reference/shapes.ts";
import { type BatchCall, tokensIn } from "../reference/variations.ts";
import type { CaseCall } from "./case_inputs.ts";
import { compareCaches } from "./guise_caches.ts";
import { type BatchResults, describe, differs, figures, type GuiseOutcome } from "./guise_outcome.ts";
import type { Results } from "./inputs_buffers.ts";

/** What {@linkcode compareGuise} compares. */
export interface GuiseToCompare {
  /** The last call of the case. */
  readonly call: CaseCall;
  /** The case as it ran first. */
  readonly first: BatchResults;
  /** The varied batch. */
  readonly other: BatchResults;
  /** What it must leave in the caches, by name. */
  readonly caches: ReadonlyMap<string, Uint8Array>;
  /** Whether the rows of sequence `i` of the varied batch's last call must be equal bit by bit. */
  isExact(i: number): boolean;
}

/**
 * Compares the rows of the last call and, where it changes them, the caches: bit by bit what must be equal; the rows of
 * other sequences take the place of those of the first run, and then that meets the checks of the case or does not.
 */
export function compareGuise(compared: GuiseToCompare): GuiseOutcome {
  const { call: { work }, other, caches } = compared;
  const rows = rowsOf(compared);
  const outcomes = [compareRows(compared, rows), compareBounds(compared, rows), ...compareCaches(work, caches, other)];
  const sum = (figure: "elements" | "exact" | "mismatches") => total(outcomes.map((outcome) => outcome[figure]));
  const { message, wrong } = outcomes.find(({ mismatches }) => mismatches > 0) ?? {};
  const used = outcomes.flatMap(({ budgetUsed }) => budgetUsed ?? []);
  return {
    elements: sum("elements"),
    exact: sum("exact"),
    mismatches: sum("mismatches"),
    ...(used.length > 0 ? { budgetUsed: Math.max(...used) } : {}),
    ...(message === undefined ? {} : { message }),
    ...(wrong ? { wrong } : {}),
  };
}

/** A new token of the varied batch's last call. */
interface TokenRow {
  /** Its number there. */
  readonly row: number;
  /** Its number in the last call of the case. */
  readonly from: number;
  /** Number of its sequence. */
  readonly sequence: number;
  /** Its number among the new tokens of the sequence. */
  readonly token: number;
  /** Whether it must be equal bit by bit. */
  readonly isExact: boolean;
}

/** The rows of the last call; none where all sequences had left the flow before. */
function rowsOf({ first, other, isExact }: GuiseToCompare): TokenRow[] {
  const last = other.batch.calls.at(-1)!;
  const original = first.batch.calls.at(-1)!;
  if (last.index !== original.index) return [];
  const from = tokensIn(last, original);
  let row = 0;
  return last.sequences.flatMap((sequence, i) =>
    Array.from({ length: last.q[i] }, (_, token) => ({ row, from: from[row++], sequence, token, isExact: isExact(i) }))
  );
}

/** An output with a row for each query token. */
interface RowOutput {
  readonly name: string;
  /** Elements of a row of one head. */
  readonly width: number;
  /** Elements of a row of all heads. */
  readonly rowElements: number;
  /** Whether rows past the last token follow, which must be zero. */
  readonly isPadded: boolean;
}

function rowOutputs({ operation, shape }: Work): RowOutput[] {
  if (operation === "append") return [];
  const output = (name: string, width: number, isPadded = false) => {
    return { name, width, rowElements: shape.H * width, isPadded };
  };
  if (operation === "project") {
    return shape.part === "q" ? [output("q_latent", shape.R)] : [output("out", shape.Dv, true)];
  }
  const out = operation === "attend" ? output("out", shape.R) : output("out", shape.Dv, true);
  return [out, output(shape.lseBase === "2" ? "lse2" : "lse", 1)];
}

/** Elements of a tensor as words, so that no NaN is equal to another and −0 is not 0. */
function words(results: Results, name: string): Uint32Array {
  const bytes = results.get(name)!;
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

function floatOf(word: number): number {
  return new Float32Array(Uint32Array.of(word).buffer)[0];
}

/** The rows that must be equal, and the rows of the padding, which must be zero. */
function compareRows({ call: { work }, first, other }: GuiseToCompare, rows: readonly TokenRow[]): GuiseOutcome {
  const exact = rows.filter(({ isExact }) => isExact);
  const outcomes = rowOutputs(work).flatMap(({ name, width, rowElements, isPadded }): GuiseOutcome[] => {
    const before = words(first.results, name), after = words(other.results, name);
    let mismatches = 0;
    let wrong: WorstElement | undefined;
    for (const { row, from, sequence, token } of exact) {
      for (let i = 0; i < rowElements; i++) {
        const actual = after[row * rowElements + i], expected = before[from * rowElements + i];
        if (actual === expected || mismatches++ > 0) continue;
        const place = { ...placeOf(work, first.batch.calls.at(-1)!, sequence, token), ...placeInRow(i, width) };
        wrong = { ...place, ...figures(floatOf(actual), floatOf(expected)) };
      }
    }
    const elements = exact.length * rowElements;
    const outcome = { elements, exact: elements, mismatches, ...(wrong ? differs(name, wrong) : {}) };
    const padding = isPadded ? other.batch.calls.at(-1)!.padding * rowElements : 0;
    return rows.length > 0 && padding > 0
      ? [outcome, checkPadding(after, rows.length * rowElements, padding)]
      : [outcome];
  });
  const sum = (figure: "elements" | "exact" | "mismatches") => total(outcomes.map((outcome) => outcome[figure]));
  const failed = outcomes.find(({ mismatches }) => mismatches > 0);
  return { ...failed, elements: sum("elements"), exact: sum("exact"), mismatches: sum("mismatches") };
}

/** The rows past the last token; zeros may have a sign. */
function checkPadding(after: Uint32Array, begin: number, elements: number): GuiseOutcome {
  const values = after.subarray(begin, begin + elements);
  const mismatches = values.reduce((count, word) => count + (floatOf(word) === 0 ? 0 : 1), 0);
  const at = values.findIndex((word) => floatOf(word) !== 0);
  const message = `out of the padding, at element ${at}, is ${floatOf(values[at])}: it must be 0`;
  return { elements, exact: elements, mismatches, ...(mismatches > 0 ? { message } : {}) };
}

/** Where a token stands in the case as it ran first. */
function placeOf(
  work: Work,
  { sequences, owned }: BatchCall,
  sequence: number,
  token: number,
): Pick<WorstElement, "sequence" | "token" | "page"> {
  if (work.operation === "project") return { sequence: 0, token: sequence, page: -1 };
  const b = sequences.indexOf(sequence);
  const seen = work.operation === "append" ? 0 : tokensSeen(work.shape, b, token);
  return { sequence: b, token, page: seen > 0 ? owned[b][Math.floor((seen - 1) / work.shape.page)] : -1 };
}

function placeInRow(i: number, width: number): Pick<WorstElement, "head" | "dim"> {
  return { head: Math.floor(i / width), ...(width > 1 ? { dim: i % width } : {}) };
}

/** The other rows in place of the first run's, by the checks of the case. */
function compareBounds({ call, first, other }: GuiseToCompare, rows: readonly TokenRow[]): GuiseOutcome {
  const bounded = rows.filter(({ isExact }) => !isExact);
  if (bounded.length === 0) return { elements: 0, exact: 0, mismatches: 0 };
  const outputs = rowOutputs(call.work);
  const merged = new Map(first.results);
  for (const { name, rowElements } of outputs) {
    const mixed = words(first.results, name).slice(), after = words(other.results, name);
    for (const { row, from } of bounded) {
      mixed.set(after.subarray(row * rowElements, (row + 1) * rowElements), from * rowElements);
    }
    merged.set(name, new Uint8Array(mixed.buffer));
  }
  const checks = call.check(merged);
  const failed = checks.find(({ passed }) => !passed);
  return {
    elements: bounded.length * total(outputs.map(({ rowElements }) => rowElements)),
    exact: 0,
    mismatches: failed ? Math.max(1, failed.mismatches) : 0,
    budgetUsed: Math.max(0, ...checks.map((check) => check.budgetUsed ?? 0)),
    ...(failed ? outOfBound(failed, call, first.results) : {}),
  };
}

/** The element that a check names, beside what the first run had there. */
function outOfBound(failed: Check, { work }: CaseCall, results: Results): Pick<GuiseOutcome, "message" | "wrong"> {
  const wrong = failed.first ?? failed.worst;
  if (!wrong) return { message: `${failed.name}: ${failed.message}` };
  const output = rowOutputs(work).find(({ name }) => name === failed.name || name === `${failed.name}2`);
  const at = output && elementOf(work, wrong, output);
  const before = at === undefined ? "" : `, in the first run ${floatOf(words(results, output!.name)[at])}`;
  return {
    wrong,
    message: `${failed.name} of ${describe(wrong)} is ${wrong.actual}${before}, by the reference ${wrong.expected}: ` +
      failed.message,
  };
}

/** Index of an element of a row output. */
function elementOf(work: Work, { sequence, token, head = 0, dim = 0 }: WorstElement, output: RowOutput): number {
  const first = "q" in work.shape ? total(work.shape.q.slice(0, sequence)) : 0;
  return (first + token) * output.rowElements + head * output.width + dim;
}
