/**
 * Compares what a case left in another guise with what it left at first.
 *
 * @module
 */
import type { Work } from "../kernels/work.ts";
import type { Check, WorstElement } from "../reference/check.ts";
import { decode, DTYPE_BYTES } from "../reference/dtypes.ts";
import { tokensSeen } from "../reference/rows.ts";
import { total } from "../reference/shapes.ts";
import { type Batch, type BatchCall, tokensIn } from "../reference/variations.ts";
import type { CaseCall } from "./case_inputs.ts";
import type { Results } from "./inputs_buffers.ts";

/** What {@linkcode compareGuise} compares. */
export interface GuiseToCompare {
  /** The last call of the case. */
  readonly call: CaseCall;
  /** The case's batch, and what its last call left. */
  readonly first: { readonly batch: Batch; readonly results: Results };
  /** The varied batch, and what its last call left. */
  readonly other: { readonly batch: Batch; readonly results: Results };
  /** Whether the rows of sequence `i` of the varied batch's last call must be equal bit by bit. */
  isExact(i: number): boolean;
}

/** Outcome of one comparison. */
export interface GuiseOutcome {
  /** Elements compared. */
  readonly elements: number;
  /** Those of them that had to be equal bit by bit. */
  readonly exact: number;
  /** Elements that differ, or are out of bound. */
  readonly mismatches: number;
  /** Largest share of a bound that was used, of elements with a bound. */
  readonly budgetUsed?: number;
  /** In one line, the first element that is wrong. */
  readonly message?: string;
  /** The first element that is wrong. */
  readonly wrong?: WorstElement;
}

/** An output with a row for each query token. */
interface RowOutput {
  readonly name: string;
  /** Elements of a row of one head. */
  readonly width: number;
  /** Whether rows past the last token follow, which must be zero. */
  readonly isPadded: boolean;
}

function rowOutputs({ operation, shape }: Work): RowOutput[] {
  switch (operation) {
    case "append":
      return [];
    case "project":
      return shape.part === "q"
        ? [{ name: "q_latent", width: shape.R, isPadded: false }]
        : [{ name: "out", width: shape.Dv, isPadded: true }];
    default: {
      const lse = { name: shape.lseBase === "2" ? "lse2" : "lse", width: 1, isPadded: false };
      const isLatent = operation === "attend";
      return [{ name: "out", width: isLatent ? shape.R : shape.Dv, isPadded: !isLatent }, lse];
    }
  }
}

/**
 * Compares rows of the last call and, where the call changes it, the cache: bit by bit what must be equal; the rows of other
 * sequences take the place of those of the first run, and then that meets the checks of the case or does not.
 */
export function compareGuise(compared: GuiseToCompare): GuiseOutcome {
  const { first, other } = compared;
  const last = other.batch.calls.at(-1)!;
  // A sequence that left a flow early has no rows in its last call.
  const isLast = last.index === first.batch.calls.length - 1;
  const rows = isLast ? [compareRows(compared, last), compareBounds(compared, last)] : [];
  const outcomes = [...rows, ...compareCaches(compared)];
  const sum = (pick: (outcome: GuiseOutcome) => number) => total(outcomes.map(pick));
  const wrong = outcomes.find(({ mismatches }) => mismatches > 0);
  const used = outcomes.flatMap(({ budgetUsed }) => budgetUsed ?? []);
  return {
    elements: sum(({ elements }) => elements),
    exact: sum(({ exact }) => exact),
    mismatches: sum(({ mismatches }) => mismatches),
    ...(used.length > 0 ? { budgetUsed: Math.max(...used) } : {}),
    ...(wrong?.message === undefined ? {} : { message: wrong.message }),
    ...(wrong?.wrong ? { wrong: wrong.wrong } : {}),
  };
}

/** Elements of a tensor as words, so that no NaN is equal to another and −0 is not 0. */
function words(results: Results, name: string): Uint32Array {
  const bytes = results.get(name)!;
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

function floatOf(word: number): number {
  return new Float32Array(Uint32Array.of(word).buffer)[0];
}

/** The rows of sequences that must be equal, and the rows of the padding, which must be zero. */
function compareRows({ call, first, other, isExact }: GuiseToCompare, last: BatchCall): GuiseOutcome {
  const original = first.batch.calls.at(-1)!;
  const tokens = tokensIn(last, original);
  let elements = 0, mismatches = 0;
  let wrong: WorstElement | undefined, name = "", inPadding = false;
  for (const output of rowOutputs(call.work)) {
    const heads = "H" in call.work.shape ? call.work.shape.H : 1;
    const rowElements = heads * output.width;
    const before = words(first.results, output.name), after = words(other.results, output.name);
    const compareRow = (row: number, from: number | undefined, place: (i: number) => Omit<WorstElement, "actual">) => {
      for (let i = 0; i < rowElements; i++) {
        const expected = from === undefined ? 0 : before[from * rowElements + i];
        const actual = after[row * rowElements + i];
        // Zeros of the padding may have a sign.
        if (actual === expected || (from === undefined && floatOf(actual) === 0)) continue;
        if (mismatches++ === 0) {
          wrong = { ...place(i), ...values(floatOf(actual), floatOf(expected)), bound: 0 };
          name = output.name;
          inPadding = from === undefined;
        }
      }
      elements += rowElements;
    };
    let row = 0;
    last.sequences.forEach((sequence, b) => {
      const isCompared = isExact(b);
      for (let token = 0; token < last.q[b]; token++, row++) {
        if (!isCompared) continue;
        compareRow(row, tokens[row], (i) => ({
          ...placeOf(call.work, original, sequence, token),
          head: Math.floor(i / output.width),
          ...(output.width > 1 ? { dim: i % output.width } : {}),
          expected: 0,
          bound: 0,
        }));
      }
    });
    for (let i = 0; output.isPadded && i < last.padding; i++) {
      compareRow(row + i, undefined, (at) => ({
        sequence: -1,
        token: row + i,
        page: -1,
        head: Math.floor(at / output.width),
        dim: at % output.width,
        expected: 0,
        bound: 0,
      }));
    }
  }
  const message = wrong &&
    (inPadding
      ? `${name} of padding row ${wrong.token} is ${wrong.actual}: it must be 0`
      : `${name} of ${
        describe(wrong)
      } is ${wrong.actual}, in the first run ${wrong.expected}: they must be equal bit by bit`);
  return { elements, exact: elements, mismatches, ...(wrong ? { wrong, message } : {}) };
}

/** Where an element of a row stands in the case as it ran first. */
function placeOf(work: Work, original: BatchCall, sequence: number, token: number): Pick<
  WorstElement,
  "sequence" | "token" | "page"
> {
  if (work.operation === "project") return { sequence: 0, token: sequence, page: -1 };
  const b = original.sequences.indexOf(sequence);
  const seen = work.operation === "append" ? original.kv[b] : tokensSeen(work.shape, b, token);
  const entry = Math.floor((seen - 1) / work.shape.page);
  return { sequence: b, token, page: seen > 0 ? original.owned[b][entry] : -1 };
}

function values(actual: number, expected: number): Pick<WorstElement, "actual" | "expected" | "absError"> {
  const isFinite = Number.isFinite(actual) && Number.isFinite(expected);
  return {
    actual: Number.isFinite(actual) ? actual : String(actual),
    expected: Number.isFinite(expected) ? expected : String(expected),
    ...(isFinite ? { absError: Math.abs(actual - expected) } : {}),
  };
}

function describe({ sequence, token, head, dim }: WorstElement): string {
  return [
    `sequence ${sequence}`,
    `token ${token}`,
    ...(head === undefined ? [] : [`head ${head}`]),
    ...(dim === undefined ? [] : [`dim ${dim}`]),
  ].join(", ");
}

/** The rows of the other sequences in place of the first run's, by the checks of the case. */
function compareBounds({ call, first, other, isExact }: GuiseToCompare, last: BatchCall): GuiseOutcome {
  const tokens = tokensIn(last, first.batch.calls.at(-1)!);
  const bounded: [row: number, from: number][] = [];
  let row = 0;
  last.sequences.forEach((_, b) => {
    for (let token = 0; token < last.q[b]; token++, row++) {
      if (!isExact(b)) bounded.push([row, tokens[row]]);
    }
  });
  const nothing = { elements: 0, exact: 0, mismatches: 0 };
  if (bounded.length === 0) return nothing;
  const merged = new Map(first.results);
  let elements = 0;
  for (const { name, width } of rowOutputs(call.work)) {
    const rowElements = ("H" in call.work.shape ? call.work.shape.H : 1) * width;
    const mixed = words(first.results, name).slice(), after = words(other.results, name);
    for (const [row, to] of bounded) {
      mixed.set(after.subarray(row * rowElements, (row + 1) * rowElements), to * rowElements);
    }
    merged.set(name, new Uint8Array(mixed.buffer));
    elements += bounded.length * rowElements;
  }
  const checks = call.check(merged);
  const failed = checks.find(({ passed }) => !passed);
  const budgetUsed = Math.max(0, ...checks.map((check) => check.budgetUsed ?? 0));
  if (!failed) return { ...nothing, elements, budgetUsed };
  return {
    elements,
    exact: 0,
    mismatches: Math.max(1, failed.mismatches),
    budgetUsed,
    ...outOfBound(failed, call, first.results),
  };
}

/** The element that a check names, beside what the first run had there. */
function outOfBound(failed: Check, { work }: CaseCall, results: Results): Pick<GuiseOutcome, "message" | "wrong"> {
  const wrong = failed.first ?? failed.worst;
  if (!wrong) return { message: `${failed.name}: ${failed.message}` };
  const output = rowOutputs(work).find(({ name }) => name.startsWith(failed.name));
  const before = output && "H" in work.shape
    ? ` (in the first run ${floatOf(words(results, output.name)[elementOf(work, wrong, output.width)])})`
    : "";
  return {
    wrong,
    message: `${failed.name} of ${describe(wrong)} is ${wrong.actual}${before}, by the reference ${wrong.expected}: ` +
      failed.message,
  };
}

/** Index of an element of a row output. */
function elementOf(work: Work, { sequence, token, head = 0, dim = 0 }: WorstElement, width: number): number {
  if (work.operation === "append") return 0;
  const starts = work.operation === "project" ? 0 : total(work.shape.q.slice(0, sequence));
  return ((starts + token) * work.shape.H + head) * width + dim;
}

/** The caches, bit by bit: pages of the sequences as the first run left them, all others as they were. */
function compareCaches({ call: { work }, first, other }: GuiseToCompare): GuiseOutcome[] {
  if (work.operation !== "append" && work.operation !== "mla") return [];
  const { cache: dtype } = work.shape;
  return [...other.batch.caches].filter(([, initial]) => initial.length > 0).map(([name, initial]) => {
    const pageBytes = initial.length / other.batch.pages;
    const expected = initial.slice();
    const owners = lastPages(other.batch);
    const originals = lastPages(first.batch);
    for (const [sequence, pages] of owners) {
      originals.get(sequence)!.forEach((page, i) => {
        const before = first.results.get(name)!.subarray(page * pageBytes, (page + 1) * pageBytes);
        expected.set(before, pages[i] * pageBytes);
      });
    }
    const size = DTYPE_BYTES[dtype];
    const actual = other.results.get(name)!;
    const elements = expected.length / size;
    let mismatches = 0, at = -1;
    for (let i = 0; i < elements; i++) {
      let differs = false;
      for (let byte = i * size; byte < (i + 1) * size; byte++) differs ||= actual[byte] !== expected[byte];
      if (differs && mismatches++ === 0) at = i;
    }
    if (at < 0) return { elements, exact: elements, mismatches };
    const value = (bytes: Uint8Array) => decode(bytes.slice(at * size, (at + 1) * size), dtype)[0];
    const pageElements = pageBytes / size;
    const page = Math.floor(at / pageElements);
    const width = pageElements / work.shape.page;
    const slot = Math.floor(at % pageElements / width);
    const owner = [...owners].find(([, pages]) => pages.includes(page));
    const wrong: WorstElement = {
      sequence: owner?.[0] ?? -1,
      token: owner ? owner[1].indexOf(page) * work.shape.page + slot : -1,
      dim: at % width,
      page,
      ...values(value(actual), value(expected)),
      bound: 0,
    };
    const where = owner ? describe(wrong) : `page ${page}, which is nobody's, dim ${wrong.dim}`;
    const message = `${name} of ${where} is ${wrong.actual}, in the first run ${wrong.expected}: ` +
      "they must be equal bit by bit";
    return { elements, exact: elements, mismatches, wrong, message };
  });
}

/** Pages of each sequence at the end, by its number; those that were added are left out. */
function lastPages({ calls }: Batch): Map<number, Int32Array> {
  const pages = new Map<number, Int32Array>();
  for (const { sequences, owned } of calls) {
    sequences.forEach((sequence, b) => sequence >= 0 && pages.set(sequence, owned[b]));
  }
  return pages;
}
