/**
 * What must not change an answer: order of the batch, choice of pages, neighbours, splits, padding. A case that passed
 * runs again in other guises (`relations.ts`), and what they leave is compared with what the case left.
 *
 * @module
 */
import type { Launch, Tuning } from "../kernels/kernel.ts";
import { isSameReduction, type Reductions, reductionsOf, splitsOf } from "../kernels/reduction.ts";
import { minBytes, type Work, workFlops } from "../kernels/work.ts";
import type { Check } from "../reference/check.ts";
import { total } from "../reference/shapes.ts";
import type { Batch, BatchCall } from "../reference/variations.ts";
import type { FirstRun } from "./first_run.ts";
import { readBatch } from "./guise_inputs.ts";
import type { GuiseOutcome } from "./guise_outcome.ts";
import { isSameLaunch, planGuise, type PlannedGuise } from "./guise_run.ts";
import { tryAndCompare } from "./guise_trial.ts";
import { type Relation, RELATIONS } from "./relations.ts";

/** What a case may cost at most to be run in other guises, a dozen or so. */
const MOST_WORK = {
  /** On an adapter that is a CPU, beside others that use it. */
  software: { flops: 5e7, bytes: 8 << 20 },
  /** On a GPU, where it is the host's copies that count. */
  hardware: { flops: 5e10, bytes: 128 << 20 },
} as const;

/**
 * Bytes of a case up to which all its guises are in flight at once, about a dozen. Waiting for the device takes 10 ms
 * in Deno however little there is to do, and ends for all of them together.
 */
const TOGETHER_BYTES = 16 << 20;

/** Cases of a sweep that are run in other guises. */
export const MOST_CASES = 2000;

/** Runs the case in other guises and compares what must be equal: a check for each relation that could be tried. */
export async function checkInvariances(run: FirstRun): Promise<Check[]> {
  if (!isTried(run)) return [];
  const batch = readBatch(run.inputs);
  const { work } = run.inputs.calls.at(-1)!;
  const first = reductionsIn(work, batch.calls.at(-1)!, run.launches.at(-1)!);
  const relations = RELATIONS.filter(({ operations }) => operations.includes(run.c.operation));
  const check = (relation: Relation) => checkRelation({ run, batch, first }, relation);
  if (bytesOf(run) <= TOGETHER_BYTES) return (await Promise.all(relations.map(check))).flatMap((one) => one ?? []);
  const checks: Check[] = [];
  for (const relation of relations) checks.push(...[await check(relation)].flatMap((one) => one ?? []));
  return checks;
}

/** Whether the case is small enough to be run again, and one of those drawn from a large sweep. */
export function isTried(run: FirstRun): boolean {
  const { session, c, inputs, sweepCases } = run;
  const limit = MOST_WORK[session.gpu.adapter.software ? "software" : "hardware"];
  const flops = total(inputs.calls.map(({ work }) => workFlops(work)));
  return flops <= limit.flops && bytesOf(run) <= limit.bytes && isDrawn(c.id, sweepCases);
}

/**
 * Bytes of a run of the case: a cache that is changed in place is copied and read back in whole, however few tokens are
 * appended.
 */
function bytesOf({ inputs: { calls, state } }: FirstRun): number {
  return Math.max(
    total(calls.map(({ work }) => minBytes(work))),
    total([...state.values()].map(({ length }) => length)),
  );
}

/**
 * Whether a case is one of those that are run in other guises, of a sweep of so many cases: all of them up to
 * {@linkcode MOST_CASES}, and of more about as many, the same ones each time.
 */
export function isDrawn(id: string, cases: number): boolean {
  return hash(id) * cases < MOST_CASES * 2 ** 32;
}

/** FNV-1a of a text: 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}

/** A case that ran, with what the comparisons of all relations need. */
interface Tried {
  readonly run: FirstRun;
  readonly batch: Batch;
  /** How its last call reduces. */
  readonly first: Reductions;
}

async function checkRelation(tried: Tried, relation: Relation): Promise<Check | undefined> {
  const { run, batch } = tried;
  const outcomes = await Promise.all(
    planAll(tried, relation).map(async (guise) => {
      const isExact = exactness(tried, relation, guise);
      const outcome = await tryAndCompare(run, { batch, guise, isExact: (i) => isExact[i] });
      return outcome ? [{ label: guise.label, ...outcome }] : [];
    }),
  );
  return toCheck(relation, outcomes.flat());
}

/** The guises that the kernel runs and that differ from the case and from each other. */
function planAll(tried: Tried, relation: Relation): PlannedGuise[] {
  const { run, batch } = tried;
  const { c, launches } = run;
  // The expanded form of `mla` has no splits: asking for some would take the other form.
  if (relation.equality === "bounds" && c.operation === "mla" && launches[0].chosen.splits === undefined) return [];
  const known = [launches];
  const planned: PlannedGuise[] = [];
  for (const guise of relation.guises({ c, batch })) {
    const tuning = { ...c.tuning, ...guise.tuning };
    const plan = planGuise(run, guise, tuning);
    if (!plan) continue;
    const own = plan.planned.map(({ launch }) => launch);
    if (guise.tuning && known.some((others) => own.every((launch, i) => isSameLaunch(launch, others[i])))) continue;
    known.push(own);
    planned.push(guise.isAlone ? cutAsInBatch(tried, plan, tuning) : plan);
  }
  return planned;
}

/**
 * A sequence alone, cut into as many spans as in its batch where the kernel can be told so and would not do it by
 * itself.
 */
function cutAsInBatch(tried: Tried, plan: PlannedGuise, tuning: Tuning): PlannedGuise {
  const last = plan.planned.at(-1)!;
  const place = tried.batch.calls[last.call.index].sequences.indexOf(last.call.sequences[0]);
  const splits = splitsOf(tried.first, place);
  const isSame = (guise: PlannedGuise) => reducedAlike(tried, guise)[0];
  if (splits === undefined || tuning.splits !== undefined || isSame(plan)) return plan;
  const forced = planGuise(tried.run, plan, { ...tuning, splits });
  return forced && isSame(forced) ? forced : plan;
}

/** Of each sequence of a guise's last call, whether its rows must be equal to those of the first run bit by bit. */
function exactness(tried: Tried, { equality }: Relation, guise: PlannedGuise): boolean[] {
  const isDeterministic = tried.run.kernel.deterministic !== false;
  const alike = reducedAlike(tried, guise);
  return alike.map((same) => isDeterministic && (equality === "bits" || (equality === "plan" && same)));
}

/** Of each sequence of a guise's last call, whether it is summed there in the order of the case. */
function reducedAlike({ run: { inputs }, batch, first }: Tried, { planned }: PlannedGuise): boolean[] {
  const { call, work, launch } = planned.at(-1)!;
  const own = reductionsIn(work, call, launch);
  const { sequences } = batch.calls.at(-1)!;
  const isLast = call.index === inputs.calls.length - 1;
  return call.sequences.map((sequence, i) => isLast && isSameReduction(first, sequences.indexOf(sequence), own, i));
}

function reductionsIn({ operation, shape }: Work, { q }: BatchCall, launch: Launch): Reductions {
  return reductionsOf(operation, { B: q.length, q, H: "H" in shape ? shape.H : 1 }, launch);
}

/** The check of a relation, undefined where nothing could be tried. */
function toCheck({ name }: Relation, outcomes: readonly (GuiseOutcome & { label: string })[]): Check | undefined {
  const elements = total(outcomes.map((outcome) => outcome.elements));
  if (elements === 0) return undefined;
  const wrong = outcomes.find(({ mismatches }) => mismatches > 0);
  const used = outcomes.flatMap(({ budgetUsed }) => budgetUsed ?? []);
  return {
    name,
    passed: wrong === undefined,
    ...(wrong ? { message: `${wrong.label}: ${wrong.message}` } : {}),
    elements,
    mismatches: total(outcomes.map(({ mismatches }) => mismatches)),
    exactElements: total(outcomes.map(({ exact }) => exact)),
    ...(used.length > 0 ? { budgetUsed: Math.min(Number.MAX_VALUE, Math.max(...used)) } : {}),
    ...(wrong?.wrong ? { first: wrong.wrong } : {}),
  };
}
