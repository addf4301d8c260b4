/**
 * Did this change make a kernel wrong or slower? Two reports in, a verdict with its reasons out.
 *
 * @module
 */
import { fingerprintDifferences } from "../bench/fingerprint.ts";
import type { Measured, Measurement, Report, Result, Samples } from "../bench/result.ts";
import { compareSamples, type ModeComparison } from "./compare.ts";
import { formatShare, kernelOf } from "./figures.ts";
import { explain } from "./outcome.ts";

/** What {@linkcode gate} may be told. */
export interface GateOptions {
  /**
   * Relative slow-down that is tolerated. The default suits two runs on one machine that is not shared: with a bias of
   * 0.7 % per process their ratio has a deviation of 1 %, so 5 % is five of them, one false alarm in thousands of runs
   * of 300 cases, where 3 % would be one in three. On shared runners sessions drift by more: compare there what was
   * run together.
   * @default {0.05}
   */
  readonly margin?: number;
  /** Chance of any false regression by the noise of samples, over all cases. @default {0.05} */
  readonly alpha?: number;
  /**
   * The candidate was meant to run a part only: missing cases are named but keep nothing from passing. What it did run
   * must still be covered as in the baseline.
   * @default {false}
   */
  readonly partial?: boolean;
}

/**
 * What became of a case, worst first. `lost`: the baseline covers more of it, the candidate skips it, no longer times
 * it or leaves out a mode. `skipped`: not covered by the baseline either. `verified`: right, but its time was not
 * compared, for a reason that is given.
 */
export const caseVerdicts = [
  "incorrect",
  "failed",
  "invalid",
  "regressed",
  "inconclusive",
  "lost",
  "missing",
  "renamed",
  "skipped",
  "borderline",
  "verified",
  "new",
  "improved",
  "same",
] as const;
/** See {@linkcode caseVerdicts}. */
export type CaseVerdict = typeof caseVerdicts[number];

/** One case of either report. */
export interface GateCase {
  /** Case id. */
  readonly id: string;
  /** What became of it. */
  readonly verdict: CaseVerdict;
  /** Why; may hold what a compiler said. */
  readonly reason: string;
  /** Its times by mode, where both reports have them, the headline first. */
  readonly comparisons: readonly ModeComparison[];
}

/** What the gate found. */
export interface GateOutcome {
  /** The whole. */
  readonly verdict: "pass" | "regressed" | "incorrect" | "inconclusive" | "invalid";
  /** 0 pass, 1 regressed, 2 incorrect or failed, 3 inconclusive, 4 invalid. */
  readonly exitCode: 0 | 1 | 2 | 3 | 4;
  /** Why, in a line each; none when passed. */
  readonly reasons: readonly string[];
  /** Why times were not compared at all; absent when they were. */
  readonly timesNotGated?: string;
  /** Cases whose times were compared. */
  readonly compared: number;
  /** Every case of either report, worst first, the slowest first among equals. */
  readonly cases: readonly GateCase[];
  /** How many cases there are of each kind. */
  readonly counts: Readonly<Record<CaseVerdict, number>>;
  /** The margin that was used. */
  readonly margin: number;
  /** Whether missing cases were forgiven. */
  readonly partial: boolean;
}

/**
 * Judges `candidate` against `baseline`.
 *
 * Correctness comes first: one incorrect or failed case of the candidate is 2. Times are compared where both reports
 * come from the same adapter and it is no software adapter, the case is `ok` in both, and timer and mode agree, and how
 * they were taken: over as many copies of the inputs, both alone or both in company. See {@linkcode compareSamples} for
 * the rule, which goes by batches. On a software adapter ratios are reported and decide nothing. A gate that compared
 * no time (on a software adapter: verified no case of the baseline) is invalid, 4, as is a time that cannot be
 * believed. Whatever the baseline covers and the candidate does not makes it inconclusive, 3: cases that are gone or
 * skipped, and, where times are gated, times and modes that are gone. Nobody can say that these are neither wrong nor
 * slower. A candidate of `verify` has lost its times and is right at best, thus inconclusive too. New cases and those
 * that the baseline skips as well are named and change nothing.
 *
 * @throws {RangeError} If `margin` is not positive or `alpha` not between 0 and 1.
 */
export function gate(baseline: Report, candidate: Report, options: GateOptions = {}): GateOutcome {
  const { margin = 0.05, alpha = 0.05, partial = false } = options;
  if (!(margin > 0 && margin < Infinity)) {
    throw new RangeError(`Cannot gate with a margin of ${margin}: it must be positive, 0.05 is 5 %`);
  }
  if (!(alpha > 0 && alpha < 1)) {
    throw new RangeError(`Cannot gate with an alpha of ${alpha}: it must lie between 0 and 1`);
  }
  const { software } = candidate.environment.adapter;
  const [difference] = fingerprintDifferences(baseline.environment, candidate.environment);
  const timesNotGated = difference !== undefined
    ? `baseline and candidate differ: ${difference}`
    : software
    ? "times of a software adapter are not gated"
    : undefined;
  const before = new Map(baseline.results.map((result) => [result.id, result]));
  const after = new Map(candidate.results.map((result) => [result.id, result]));

  const pairs = difference !== undefined
    ? []
    : candidate.results.flatMap((result) => pairOf(before.get(result.id), result));
  const comparisons = pairs.reduce((sum, pair) => sum + pair.modes.length, 0);
  const compared = new Map(pairs.map(({ id, modes }) => [
    id,
    modes.map(([then, now]) => compareSamples(then, now, { margin, alpha, comparisons })),
  ]));

  const renames = findRenames(baseline.results, candidate.results);
  const cases = [
    ...candidate.results.map((result): GateCase => {
      const comparisons = compared.get(result.id) ?? [];
      const then = before.get(result.id);
      const formerly = renames.find((rename) => rename.to === result.id)?.from;
      return {
        id: result.id,
        comparisons,
        ...judgeCase(then, result, { comparisons, timesNotGated, software, formerly }),
      };
    }),
    ...baseline.results.filter(({ id }) => !after.has(id)).map(({ id, status }): GateCase => {
      if (status === "skipped") {
        return { id, comparisons: [], verdict: "skipped", reason: "skipped in the baseline, not in the candidate" };
      }
      const to = renames.find((rename) => rename.from === id)?.to;
      return to === undefined
        ? { id, comparisons: [], verdict: "missing", reason: `${status} in the baseline, not in the candidate` }
        : { id, comparisons: [], verdict: "renamed", reason: `now ${to}` };
    }),
  ].sort((a, b) =>
    caseVerdicts.indexOf(a.verdict) - caseVerdicts.indexOf(b.verdict) || slowest(b.comparisons) - slowest(a.comparisons)
  );
  const counts = Object.fromEntries(
    caseVerdicts.map((verdict) => [verdict, cases.filter((one) => one.verdict === verdict).length]),
  ) as Record<CaseVerdict, number>;
  const gated = timesNotGated === undefined ? compared.size : 0;
  const verified = candidate.results.filter((result) => before.has(result.id) && isRight(result)).length;
  const onlyVerified = candidate.environment.command === "verify" && counts.lost > 0;
  const nothing = software || onlyVerified
    ? verified === 0 ? "no case of the baseline was verified" : undefined
    : gated === 0
    ? `no time was compared: ${timesNotGated ?? "no case has believable times that were taken alike in both"}`
    : undefined;
  return {
    ...overall({ counts, nothing, partial, margin }),
    ...timesNotGated !== undefined && { timesNotGated },
    compared: gated,
    cases,
    counts,
    margin,
    partial,
  };
}

type Overall = Pick<GateOutcome, "verdict" | "exitCode" | "reasons">;

function overall({ counts, nothing, partial, margin }: {
  counts: Readonly<Record<CaseVerdict, number>>;
  nothing: string | undefined;
  partial: boolean;
  margin: number;
}): Overall {
  const some = (count: number, text: string) => count > 0 ? [`${count} ${count === 1 ? "case" : "cases"} ${text}`] : [];
  const levels: Overall[] = [
    {
      verdict: "incorrect",
      exitCode: 2,
      reasons: [...some(counts.incorrect, "incorrect"), ...some(counts.failed, "failed")],
    },
    {
      verdict: "invalid",
      exitCode: 4,
      reasons: [
        ...some(counts.invalid, "with times that cannot be believed"),
        ...nothing === undefined ? [] : [nothing],
      ],
    },
    {
      verdict: "regressed",
      exitCode: 1,
      reasons: some(counts.regressed, `slower by more than ${formatShare(margin)}`),
    },
    {
      verdict: "inconclusive",
      exitCode: 3,
      reasons: [
        ...some(counts.inconclusive, "inconclusive"),
        ...some(counts.lost, "not covered as in the baseline"),
        ...partial ? [] : some(counts.missing, "of the baseline missing"),
        ...partial ? [] : some(counts.renamed, "of the baseline renamed, thus without a baseline"),
      ],
    },
  ];
  const first = levels.find(({ reasons }) => reasons.length > 0);
  // The first level decides; what else is wrong is said all the same.
  return first === undefined
    ? { verdict: "pass", exitCode: 0, reasons: [] }
    : { ...first, reasons: levels.flatMap(({ reasons }) => reasons) };
}

interface CaseContext {
  readonly comparisons: readonly ModeComparison[];
  readonly timesNotGated: string | undefined;
  readonly software: boolean;
  readonly formerly: string | undefined;
}

function judgeCase(then: Result | undefined, now: Result, context: CaseContext): Pick<GateCase, "verdict" | "reason"> {
  const { comparisons, timesNotGated, software, formerly } = context;
  if (now.status === "incorrect" || now.status === "failed") return { verdict: now.status, reason: explain(now) };
  if (now.status === "skipped") {
    const before = then === undefined ? "new" : then.status === "skipped" ? "" : `${then.status} in the baseline`;
    const verdict = then !== undefined && isRight(then) ? "lost" : "skipped";
    return { verdict, reason: [now.reason, before].filter(Boolean).join("; ") };
  }
  if (now.status === "measured" && now.verdict === "invalid" && !software) {
    return { verdict: "invalid", reason: explain(now) };
  }
  if (then === undefined) {
    return { verdict: "new", reason: formerly === undefined ? "not in the baseline" : `formerly ${formerly}` };
  }
  if (timesNotGated !== undefined) return { verdict: "verified", reason: timesNotGated };
  const findings: Pick<GateCase, "verdict" | "reason">[] = [...comparisons, ...lostTimes(then, now)];
  if (findings.length > 0) {
    // caseVerdicts is in order of gravity and holds every verdict of a comparison.
    const [worst] = findings.toSorted((a, b) => caseVerdicts.indexOf(a.verdict) - caseVerdicts.indexOf(b.verdict));
    return { verdict: worst.verdict, reason: findings.map(({ reason }) => reason).join("; ") };
  }
  if (then.status === "measured" && then.verdict === "ok" && now.status === "measured" && now.verdict === "unstable") {
    return { verdict: "inconclusive", reason: explain(now) };
  }
  return { verdict: "verified", reason: whyNotCompared(then, now) };
}

/** What of the baseline's times the candidate has nothing to set against. */
function lostTimes(then: Result, now: Result): { verdict: "lost"; reason: string }[] {
  if (then.status !== "measured") return [];
  const lost = (reason: string) => [{ verdict: "lost" as const, reason }];
  if (now.status !== "measured") return lost("measured in the baseline, the candidate has no time");
  const difference = howTheyDiffer(then.measurement, now.measurement);
  if (difference !== undefined) return lost(difference);
  return sampledRuns(then).flatMap((before) => {
    const { mode, rotation } = before;
    const after = sampledRuns(now).find((run) => run.mode === mode);
    if (after === undefined) return lost(`${mode}: measured in the baseline, not in the candidate`);
    return after.rotation === rotation ? [] : lost(`${mode}: the copies differ: ${rotation} and ${after.rotation}`);
  });
}

function sampledRuns({ measurement }: Measured): Samples[] {
  return measurement.runs.filter(({ samplesNs }) => samplesNs.length > 0);
}

/**
 * In what two times of one case were taken differently, so that neither is slower or faster than the other. Alone an
 * H200's kernel took 5 % longer than in turn with others; with which others is left open, or a new kernel would leave
 * those that it joins without a baseline.
 */
function howTheyDiffer(then: Measurement, now: Measurement): string | undefined {
  if (then.timer !== now.timer) return `the timers differ: ${then.timer} and ${now.timer}`;
  const [before, after] = [then, now].map(({ interleaved }) => (interleaved?.cases.length ?? 1) > 1);
  if (before === after) return undefined;
  const [first, second] = before ? ["in turn with others", "alone"] : ["alone", "in turn with others"];
  return `timed ${first} in the baseline, ${second} in the candidate`;
}

function whyNotCompared(then: Result, now: Result): string {
  if (now.status !== "measured") return "the candidate has no time";
  if (then.status !== "measured") return `the baseline has no time: ${then.status}`;
  if (then.verdict !== "ok") return `the baseline's time is ${then.verdict}`;
  return "no mode was sampled in both alike";
}

/** Samples of the modes that both results have, where their times may stand side by side. */
function pairOf(then: Result | undefined, now: Result) {
  if (!isTimed(then) || !isTimed(now) || howTheyDiffer(then.measurement, now.measurement)) return [];
  const modes = sampledRuns(now).flatMap((run) => {
    const match = sampledRuns(then).find(({ mode, rotation }) => mode === run.mode && rotation === run.rotation);
    return match ? [[match, run] as const] : [];
  });
  return modes.length > 0 ? [{ id: now.id, modes }] : [];
}

function isTimed(result: Result | undefined): result is Measured {
  return result?.status === "measured" && result.verdict === "ok";
}

function isRight({ status }: Result): boolean {
  return status === "measured" || status === "verified";
}

function slowest(comparisons: readonly ModeComparison[]): number {
  return Math.max(0, ...comparisons.map(({ ratio }) => ratio));
}

/** Cases gone and cases new that have the same operation and axes, one of each: presumably a kernel by another name. */
function findRenames(before: readonly Result[], after: readonly Result[]): { from: string; to: string }[] {
  const key = (result: Result) =>
    JSON.stringify([kernelOf(result.id).split("/")[0], Object.entries(result.axes).sort(([a], [b]) => a < b ? -1 : 1)]);
  const only = (some: readonly Result[], others: readonly Result[]) => {
    const ids = new Set(others.map(({ id }) => id));
    return Map.groupBy(some.filter(({ id }) => !ids.has(id)), key);
  };
  const appeared = only(after, before);
  return [...only(before, after)].flatMap(([key, gone]) => {
    const come = appeared.get(key) ?? [];
    return gone.length === 1 && come.length === 1 ? [{ from: gone[0].id, to: come[0].id }] : [];
  });
}
