/**
 * Outputs that need no computation: zeros, a constant, the mean of the values that a row sees. A case that would accept
 * one although it is not the answer is blind: whatever passes it has shown nothing. KernelBench's level 1 had four such
 * problems among 60, a softmax one of them.
 *
 * They are judged as a kernel's output is, `out` on the reference's rows by the same limits, beside a log-sum-exp that
 * is right: a case must see a wrong output by itself. When one is the answer follows from shape and kind of inputs
 * alone.
 *
 * @module
 */
import { compare } from "./compare.ts";
import type { Emulation } from "./emulation.ts";
import type { AppendInputs, AttendInputs } from "./inputs.ts";
import { attendLimits, type Limits, projectedLimits, projectLimits } from "./limits.ts";
import type { AttendReference } from "./mla.ts";
import type { PrefillInputs, ProjectInputs } from "./model_inputs.ts";
import type { ProjectReference } from "./project.ts";
import type { ProjectedReference } from "./projected.ts";
import { type CachedBatch, rowsBySequence } from "./sequence_rows.ts";
import { type InputKind, total } from "./shapes.ts";
import { headWeights } from "./weights.ts";

/** An output of some rows: of each its entry in the list of rows, and its elements. */
type TrivialRows = Iterable<readonly [entry: number, row: ArrayLike<number>]>;

/** What trivial outputs are held against. */
interface Question {
  /** Right output `[rows, width]`. */
  readonly expected: Float64Array;
  /** How far an element may be from it. */
  readonly limits: Limits;
  /** Elements of a row. */
  readonly width: number;
}

/** A trivial output, and whether it is the answer. */
interface Candidate {
  readonly name: string;
  readonly isAnswer: boolean;
  readonly rows: TrivialRows;
}

/**
 * Names of the trivial outputs that an `attend` would accept though they are not its answer.
 *
 * @param kind Kind of its inputs; absent of recorded ones.
 */
export function blindAttend(
  inputs: AttendInputs,
  reference: AttendReference,
  kind?: InputKind,
  emulation?: Emulation,
): string[] {
  const limits = attendLimits(inputs.shape, reference, emulation).out;
  const question = { expected: reference.out, limits, width: inputs.shape.R };
  return acceptedOf(
    question,
    attentionCandidates(inputs, reference, question, kind, meanLatents(inputs, reference.rows)),
  );
}

/** The same of a `prefill` or the attention of a call of `mla`. */
export function blindProjected(
  inputs: PrefillInputs,
  reference: ProjectedReference,
  kind?: InputKind,
  emulation?: Emulation,
): string[] {
  const limits = projectedLimits(inputs.shape, reference, emulation).out;
  const question = { expected: reference.out, limits, width: inputs.shape.Dv };
  return acceptedOf(
    question,
    attentionCandidates(inputs, reference, question, kind, meanValues(inputs, reference.rows)),
  );
}

/** The same of a `project`. */
export function blindProject(
  { shape }: ProjectInputs,
  reference: ProjectReference,
  emulation?: Emulation,
): string[] {
  const limits = projectLimits(shape, reference, emulation);
  const question = { expected: reference.out, limits, width: shape.part === "q" ? shape.R : shape.Dv };
  return acceptedOf(question, constants(question, reference.rows.length === 0));
}

/** `untouched_cache` where an `append` would accept the cache as it was, though there are tokens to append. */
export function blindAppend(inputs: AppendInputs, expected: Uint8Array): string[] {
  if (total(inputs.shape.q) === 0) return [];
  return expected.every((byte, i) => byte === inputs.cache[i]) ? ["untouched_cache"] : [];
}

function attentionCandidates(
  { shape }: CachedBatch,
  { seen }: { readonly seen: Int32Array },
  question: Question,
  kind: InputKind | undefined,
  mean: TrivialRows,
): Candidate[] {
  const nothingSeen = seen.every((tokens) => tokens === 0);
  const equalWeights = kind === "equal" || shape.scale === 0 || seen.every((tokens) => tokens <= 1);
  return [...constants(question, nothingSeen), { name: "mean_of_values", isAnswer: equalWeights, rows: mean }];
}

/** Zeros and the mean of the right output. */
function constants({ expected, width }: Question, isAnswer: boolean): Candidate[] {
  const mean = expected.reduce((a, b) => a + b, 0) / Math.max(1, expected.length);
  const everywhere = (value: number): TrivialRows => {
    const row = new Float64Array(width).fill(value);
    return Array.from({ length: expected.length / width }, (_, entry) => [entry, row] as const);
  };
  return [
    { name: "zeros", isAnswer, rows: everywhere(0) },
    { name: "constant", isAnswer, rows: everywhere(Math.fround(mean)) },
  ];
}

function acceptedOf(question: Question, candidates: readonly Candidate[]): string[] {
  return candidates.filter(({ isAnswer, rows }) => !isAnswer && isAccepted(question, rows)).map(({ name }) => name);
}

/** Nearly always the first row decides; only where none is out of bound the whole is compared. */
function isAccepted({ expected, limits, width }: Question, rows: TrivialRows): boolean {
  const actual = new Float64Array(expected.length);
  for (const [entry, row] of rows) {
    for (let d = 0, at = entry * width; d < width; d++, at++) {
      actual[at] = row[d];
      if (!(Math.abs(row[d] - expected[at]) <= limits.bound[at])) return false;
    }
  }
  return compare({ name: "out", actual, expected, ...limits, width, place: () => NOWHERE }).passed;
}

const NOWHERE = { sequence: 0, token: 0, page: 0 };

/** Mean latent of the tokens that each row sees, zero of none. */
function* meanLatents(batch: CachedBatch, rows: Int32Array): Generator<readonly [number, Float64Array]> {
  const { R, Dr } = batch.shape;
  const W = R + Dr;
  for (const { first, seen, keys } of rowsBySequence(batch, rows)) {
    const sums = new Float64Array(R);
    let added = 0;
    for (const i of [...seen.keys()].sort((a, b) => seen[a] - seen[b])) {
      for (; added < seen[i]; added++) {
        for (let d = 0; d < R; d++) sums[d] += keys[added * W + d];
      }
      yield [first + i, sums.map((sum) => sum / Math.max(1, seen[i]))];
    }
  }
}

/** The same projected, `W_v` times the mean latent. */
function* meanValues(inputs: PrefillInputs, rows: Int32Array): Generator<readonly [number, Float64Array]> {
  const { H, R, Dv } = inputs.shape;
  const weights = new Map<number, Float64Array>();
  for (const [entry, latent] of meanLatents(inputs, rows)) {
    const head = rows[entry] % H;
    if (!weights.has(head)) weights.set(head, headWeights({ ...inputs.shape, kvB: inputs.kvB }, "v", head));
    const own = weights.get(head)!;
    const value = new Float64Array(Dv);
    for (let v = 0; v < Dv; v++) {
      for (let r = 0; r < R; r++) value[v] += own[v * R + r] * latent[r];
    }
    yield [entry, value];
  }
}
