/**
 * Compares the samples of one case and mode with those of a baseline.
 *
 * @module
 */
import type { Samples } from "../bench/result.ts";
import { type Interval, medianInterval, quantile, repetitionsOf, separatingIntervals } from "../bench/statistics.ts";
import { formatShare, formatTimeNs } from "./figures.ts";

/**
 * What can be said of a change: `borderline` is a change within the margin whose interval reaches beyond it,
 * `inconclusive` one that may be a regression and is not shown to be.
 */
export type TimeVerdict = "regressed" | "inconclusive" | "borderline" | "improved" | "same";

/** Two runs of one case in one mode, side by side. */
export interface ModeComparison {
  /** Mode of both. */
  readonly mode: Samples["mode"];
  /** Median of the baseline: of its batches' medians, where it has batches. */
  readonly baselineNs: number;
  /** Median of the candidate. */
  readonly candidateNs: number;
  /** Candidate over baseline: above 1 is slower. */
  readonly ratio: number;
  /** Interval of the ratio from the two 95 % intervals; absent where a side has fewer than 6 batches. */
  readonly interval?: Interval;
  /** The ratio in cycles, where both sides have a clock probe. */
  readonly cyclesRatio?: number;
  /** What it amounts to. */
  readonly verdict: TimeVerdict;
  /** Why, in one line. */
  readonly reason: string;
}

/** How much must be shown, and how surely. */
export interface CompareOptions {
  /** Relative slow-down that is tolerated: 0.05 is 5 %. */
  readonly margin: number;
  /** Chance of any false regression among all {@linkcode CompareOptions.comparisons}. */
  readonly alpha: number;
  /** Comparisons that the gate makes in all. */
  readonly comparisons: number;
}

/**
 * Compares medians by their nonparametric intervals, those of batch medians where there are batches: passes of one
 * submission depend on each other, and no number of them says what the next run will be like. The ratio lies between
 * `candidate.low / baseline.high` and `candidate.high / baseline.low`.
 *
 * - **Regressed** needs the lower end of that interval above `1 + margin` at confidence `1 − alpha / comparisons` of
 *   either side. Each end misses its median with at most half of `alpha / comparisons`, so a false regression has at
 *   most that chance in this comparison and `alpha` in all of them (Bonferroni): what Holm's procedure guarantees too,
 *   without p-values, at some loss of power where many cases regress at once, when the verdict does not need it.
 * - **Few batches** 15 of them have no interval beyond 99.994 %, enough for 820 comparisons. With more, all batches of
 *   the candidate must lie above all of the baseline by the margin, and the reason says so: see
 *   {@linkcode separatingIntervals}.
 * - **Improved** and **same** block nothing and use the 95 % intervals.
 * - **Clock** Where both sides have a probe, the same must hold in cycles, time over the duration of the probe:
 *   otherwise a slower clock would pass for a slower kernel. The duration itself is used, not its ratio to the best of
 *   the session, because two sessions have two bests.
 *
 * @param baseline At least one sample.
 * @param candidate At least one sample, of the same mode and timer.
 */
export function compareSamples(baseline: Samples, candidate: Samples, options: CompareOptions): ModeComparison {
  const { margin, alpha, comparisons } = options;
  const sides = [repetitionsOf(baseline), repetitionsOf(candidate)] as const;
  const [baselineNs, candidateNs] = sides.map((side) => quantile(side, 0.5));
  const ratio = candidateNs / baselineNs;
  const interval = ratioOf(sides.map((side) => medianInterval(side)));
  const apart = separatingIntervals(sides, alpha / comparisons);
  const strict = apart && ratioOf(apart.intervals);
  const how = { margin, comparisons, ...apart?.isRange && { few: Math.min(...sides.map(({ length }) => length)) } };
  const classifyAt = (scale: number) => classify(ratio * scale, scaled(interval, scale), scaled(strict, scale), how);
  const inTime = classifyAt(1);
  const clock = clockScale(baseline, candidate);
  const base = { mode: candidate.mode, baselineNs, candidateNs, ratio, ...interval && { interval } };
  const change = `${changeInWords(ratio)} (${formatTimeNs(baselineNs)} → ${formatTimeNs(candidateNs)})`;
  if (clock === undefined) return { ...base, ...inTime, reason: `${candidate.mode}: ${change}${inTime.reason}` };
  const inCycles = classifyAt(clock);
  const both = agree(inTime.verdict, inCycles.verdict);
  const reason = inTime.verdict === inCycles.verdict
    ? inTime.reason
    : `, ${inTime.verdict} in time but ${inCycles.verdict} in cycles (${changeInWords(ratio * clock)})`;
  return { ...base, cyclesRatio: ratio * clock, verdict: both, reason: `${candidate.mode}: ${change}${reason}` };
}

/** Whether a verdict keeps the gate from passing. */
export function isBlocking(verdict: TimeVerdict): boolean {
  return verdict === "regressed" || verdict === "inconclusive";
}

function classify(
  ratio: number,
  interval: Interval | undefined,
  strict: Interval | undefined,
  { margin, comparisons, few }: { margin: number; comparisons: number; few?: number },
): { verdict: TimeVerdict; reason: string } {
  const slower = 1 + margin, faster = 1 / slower;
  if (interval === undefined) return { verdict: "inconclusive", reason: ", too few batches for an interval" };
  const span = `, 95 % interval ${changeInWords(interval.low)} … ${changeInWords(interval.high)}`;
  if (strict !== undefined && strict.low > slower) {
    const range = few === undefined
      ? ""
      : `, by the whole range of ${few} batches: so few have no interval for ${comparisons} comparisons`;
    return { verdict: "regressed", reason: `${span}${range}` };
  }
  if (!(ratio <= slower)) {
    const surely = `not shown at ${formatShare(margin)} among ${comparisons} comparisons`;
    return { verdict: "inconclusive", reason: `${span}, ${surely}` };
  }
  if (interval.high < faster) return { verdict: "improved", reason: span };
  if (!(interval.high / interval.low <= slower / faster)) {
    return { verdict: "inconclusive", reason: `${span}, wider than ±${formatShare(margin)}` };
  }
  const inside = interval.low >= faster && interval.high <= slower;
  return inside ? { verdict: "same", reason: span } : { verdict: "borderline", reason: span };
}

function agree(a: TimeVerdict, b: TimeVerdict): TimeVerdict {
  if (a === b) return a;
  return isBlocking(a) || isBlocking(b) ? "inconclusive" : "borderline";
}

function ratioOf([below, above]: readonly (Interval | undefined)[]): Interval | undefined {
  return below && above && { low: above.low / below.high, high: above.high / below.low };
}

function scaled(interval: Interval | undefined, scale: number): Interval | undefined {
  return interval && { low: interval.low * scale, high: interval.high * scale };
}

/** What turns a ratio of times into one of cycles; undefined where a side has no usable probe. */
function clockScale(baseline: Samples, candidate: Samples): number | undefined {
  const [before, after] = [baseline, candidate].map(({ clock }) => clock && (clock.beforeNs + clock.afterNs) / 2);
  const scale = before! / after!;
  return scale > 0 && Number.isFinite(scale) ? scale : undefined;
}

/** `+10.0 %`, `-0.51 %`. */
function changeInWords(ratio: number): string {
  return `${ratio >= 1 ? "+" : ""}${formatShare(ratio - 1)}`;
}
