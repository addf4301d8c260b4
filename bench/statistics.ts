/**
 * Statistics of raw samples. They are computed on reading and never stored, so a report cannot contradict its samples.
 *
 * @module
 */
import type { ClockProbe, Samples } from "./result.ts";

/** What is said about the samples of one mode; times in ns. */
export interface Summary {
  /** Samples. */
  readonly n: number;
  /** Median of what {@linkcode repetitionsOf} gives, the headline figure; the other quantiles are of the samples. */
  readonly medianNs: number;
  /**
   * Lower end of the 95 % interval of that median; absent for fewer than 6 repetitions, where no such interval exists.
   */
  readonly ciLowNs?: number;
  /** Upper end of that interval. */
  readonly ciHighNs?: number;
  /** Half the interval's width over the median. */
  readonly relativeHalfWidth?: number;
  /** Smallest sample. */
  readonly minNs: number;
  /** Lower quartile. */
  readonly q1Ns: number;
  /** Upper quartile. */
  readonly q3Ns: number;
  /** 95th percentile. */
  readonly p95Ns: number;
  /** Largest sample. */
  readonly maxNs: number;
  /** Median absolute deviation from the median, not scaled to a normal deviation. */
  readonly madNs: number;
  /** Samples beyond 1.5 and within 3 interquartile ranges from the quartiles: flagged, never dropped. */
  readonly outliersMild: number;
  /** Samples beyond 3 interquartile ranges from the quartiles. */
  readonly outliersSevere: number;
}

/** Samples, and how many of them each batch has. */
export type RawSamples = Pick<Samples, "samplesNs" | "batches">;

/** Confidence interval of a median, in the unit of the samples. */
export interface Interval {
  /** Lower end, one of the samples. */
  readonly low: number;
  /** Upper end, one of the samples. */
  readonly high: number;
}

/** Two times between which the samples switch, in the unit of the samples. */
export interface Modes {
  /** Median of the lower cluster. */
  readonly low: number;
  /** Median of the upper cluster. */
  readonly high: number;
  /** Share of samples in the lower cluster. */
  readonly lowShare: number;
}

/**
 * A median whose 95 % interval is wider than ±5 % is `unstable` whatever ended sampling: the gate's default margin is 5
 * % too, and a figure that cannot tell apart what the gate must tell apart is no basis for it.
 */
export const maxRelativeHalfWidth = 0.05;

/**
 * Probe time over the session's best beyond which times are `unstable`: a clock 5 % slower makes a kernel 5 % slower,
 * which is the gate's default margin, so such a time would pass for a regression, or hide one as a baseline.
 */
export const maxClockRatio = 1.05;

/**
 * The `p`-quantile of `samples`: with `h = (n − 1)·p`, linear between order statistics `⌊h⌋` and `⌈h⌉`.
 *
 * - **Unit** that of `samples`; order does not matter; the input is not modified.
 * - **Source** Hyndman & Fan, The American Statistician 50(4), 1996, definition 7 (NumPy's and R's default).
 *
 * @example Lower quartile of four
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(quantile([4, 1, 3, 2], 0.25), 1.75);
 * ```
 * @param samples Finite values, at least one.
 * @param p In `[0, 1]`; 0.5 is the median.
 * @throws {RangeError} If `samples` is empty or not finite, or `p` is outside `[0, 1]`.
 */
export function quantile(samples: readonly number[], p: number): number {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`Cannot take the quantile ${p}: it must lie in [0, 1]`);
  return quantileOfSorted(sorted(samples), p);
}

/**
 * Nonparametric confidence interval of the median: the order statistics `k` and `n + 1 − k` (from 1) with the largest
 * `k` for which `P(k ≤ Binomial(n, ½) ≤ n − k) ≥ confidence`. Exact for any continuous distribution of independent
 * samples.
 *
 * @param samples Finite values, at least one.
 * @param confidence In `(0, 1)`. @default {0.95}
 * @returns Undefined where even the full range of so few samples covers less (fewer than 6 for 95 %).
 * @throws {RangeError} If `samples` is empty or not finite, or `confidence` is outside `(0, 1)`.
 */
export function medianInterval(samples: readonly number[], confidence = 0.95): Interval | undefined {
  return intervalOfSorted(sorted(samples), confidence);
}

/** Intervals of two medians, in the order of the sides. */
export interface IntervalPair {
  /** Those of the medians; or of all values, where {@linkcode IntervalPair.isRange}. */
  readonly intervals: readonly [Interval, Interval];
  /** Whether there are too few values for intervals of their medians. */
  readonly isRange: boolean;
}

/**
 * Intervals of two medians that are apart by chance at most as often as `alpha`: those of confidence `1 − alpha`, each
 * end of which misses with half of that. Fifteen values have none beyond 99.994 %. Then the ranges of both sides are
 * taken, where they are apart by chance rarely enough: of `n + m` values of one distribution the `m` largest are those
 * of one side in one of `C(n + m, n)` orders (the extreme of the test by H. B. Mann and D. R. Whitney, Ann. Math. Stat.
 * 18, 1947).
 *
 * @returns Undefined where so few values cannot show it.
 * @throws {RangeError} If a side is empty or not finite, or `alpha` is outside `(0, 1)`.
 */
export function separatingIntervals(
  [a, b]: readonly [readonly number[], readonly number[]],
  alpha: number,
): IntervalPair | undefined {
  const [x, y] = [sorted(a), sorted(b)];
  const [low, high] = [x, y].map((side) => intervalOfSorted(side, 1 - alpha));
  if (low && high) return { intervals: [low, high], isRange: false };
  let orders = 1;
  for (let i = 1; i <= y.length; i++) orders *= (x.length + i) / i;
  if (!(1 / orders <= alpha)) return undefined;
  return { intervals: [rangeOfSorted(x), rangeOfSorted(y)], isRange: true };
}

/**
 * Half the width of the 95 % interval of the median, over the median.
 *
 * @returns Undefined for fewer than 6 samples.
 * @throws {RangeError} If `samples` is empty or not finite.
 */
export function medianHalfWidth(samples: readonly number[]): number | undefined {
  const interval = medianInterval(samples);
  return interval && (interval.high - interval.low) / 2 / quantile(samples, 0.5);
}

/**
 * The median of each batch. Passes of one submission share a moment of the device, so the interval of their median is
 * too narrow; that of batch medians is what a repetition would stay in.
 */
export function batchMedians({ samplesNs, batches = [] }: RawSamples): number[] {
  let end = 0;
  return batches.map((count) => samplesNs.slice(end, end += count)).filter((batch) => batch.length > 0)
    .map((batch) => quantile(batch, 0.5));
}

/**
 * What the median and its interval are taken from: the medians of batches, or the samples of a run that has none
 * (slopes of host time). On an H200 the intervals of the samples were narrower by 2 in the median and 14 at most, and
 * those of the first half of a run and of its last half disjoint in a quarter of all runs.
 */
export function repetitionsOf(run: RawSamples): readonly number[] {
  return run.batches === undefined ? run.samplesNs : batchMedians(run);
}

/** What became of a time from the first half of its batches to the last. */
export interface HalvesChange {
  /** Median of the last half over that of the first, less 1. */
  readonly change: number;
  /** Whether the 95 % intervals of both are apart. */
  readonly isApart: boolean;
}

/**
 * Compares the halves of values in the order taken; one in the middle belongs to neither. An interval of the median
 * takes the values for exchangeable: it closes around the middle of a slow drift.
 *
 * @returns Undefined for fewer than two.
 * @throws {RangeError} If a value is not finite.
 */
export function changeOfHalves(values: readonly number[]): HalvesChange | undefined {
  const half = Math.floor(values.length / 2);
  if (half === 0) return undefined;
  const halves = [values.slice(0, half), values.slice(-half)];
  const [first, last] = halves.map((part) => quantile(part, 0.5));
  const [before, after] = halves.map((part) => medianInterval(part));
  const isApart = before !== undefined && after !== undefined && (before.high < after.low || after.high < before.low);
  return { change: last / first - 1, isApart };
}

/**
 * Describes the samples of one mode.
 *
 * @param run Finite times in ns, at least one.
 * @throws {RangeError} If there is none or one is not finite.
 */
export function summarize(run: RawSamples): Summary {
  const x = sorted(run.samplesNs);
  const repetitions = sorted(repetitionsOf(run));
  const medianNs = quantileOfSorted(repetitions, 0.5);
  const q1Ns = quantileOfSorted(x, 0.25);
  const q3Ns = quantileOfSorted(x, 0.75);
  const interval = intervalOfSorted(repetitions, 0.95);
  const beyond = (factor: number) => {
    const reach = factor * (q3Ns - q1Ns);
    return x.filter((value) => value < q1Ns - reach || value > q3Ns + reach).length;
  };
  const outliersSevere = beyond(3);
  return {
    n: x.length,
    medianNs,
    ...interval && {
      ciLowNs: interval.low,
      ciHighNs: interval.high,
      relativeHalfWidth: (interval.high - interval.low) / 2 / medianNs,
    },
    minNs: x[0],
    q1Ns,
    q3Ns,
    p95Ns: quantileOfSorted(x, 0.95),
    maxNs: x[x.length - 1],
    madNs: quantileOfSorted(x.map((value) => Math.abs(value - medianNs)).sort(), 0.5),
    outliersMild: beyond(1.5) - outliersSevere,
    outliersSevere,
  };
}

/** Whether the interval of the median did not close to ±{@linkcode maxRelativeHalfWidth}, or does not exist. */
export function isUnstable(summary: Summary): boolean {
  return !(summary.relativeHalfWidth !== undefined && summary.relativeHalfWidth <= maxRelativeHalfWidth);
}

/**
 * Finds two modes: a kernel that runs now at one speed and now at another has a median that is a matter of luck, and an
 * interval of the median does not show it.
 *
 * The samples are cut in two where the squares within both parts sum to least (W. D. Fisher, JASA 53, 1958; Otsu's
 * threshold), a part holding at least a fifth of them. The parts are modes if their medians differ by more than 5 % of
 * the median of all, or by `apart` of it, and the gap between them, 90th percentile of the lower to 10th of the upper,
 * so that a few samples in transition do not hide it, exceeds three times the interquartile range of either. Halves of
 * one normal distribution have a gap of 0.3 such ranges, those of a uniform one (a steady drift) of 0.4. Simulated,
 * under 1 % of normal, log-normal (σ = 0.5), t₄ and drifting samples are taken for two modes from 20 samples on, and
 * none in thousands from 50 on; modes 8 % apart of 1 % deviation each are found in 8 of 10.
 *
 * Medians of batches scatter little: of 15 or more modes 2 % apart are two, which of normal ones that scatter by 1.2 %,
 * the most with which their interval closes to ±1 %, 0.2 % are taken for.
 *
 * @param samples Finite values, in any order.
 * @param options How far modes are `apart` at least, over the median, and the `least` number of samples.
 * @returns Undefined for one mode, and for fewer than `least` samples.
 * @throws {RangeError} If a sample is not finite or there is none.
 */
export function findModes(
  samples: readonly number[],
  { apart = 0.05, least = 20 }: { apart?: number; least?: number } = {},
): Modes | undefined {
  const x = sorted(samples);
  const n = x.length;
  if (n < least) return undefined;
  // Least squares within is most between: k (n − k) times the squared difference of the means.
  const total = x.reduce((sum, value) => sum + value);
  const fewest = Math.ceil(n / 5);
  let cut = fewest, below = 0, most = -1;
  for (let k = 1; k <= n - fewest; k++) {
    below += x[k - 1];
    const between = k * (n - k) * (below / k - (total - below) / (n - k)) ** 2;
    if (k >= fewest && between > most) [cut, most] = [k, between];
  }
  const parts = [x.subarray(0, cut), x.subarray(cut)];
  const [low, high] = parts.map((part) => quantileOfSorted(part, 0.5));
  const gap = quantileOfSorted(parts[1], 0.1) - quantileOfSorted(parts[0], 0.9);
  const spread = Math.max(...parts.map((part) => quantileOfSorted(part, 0.75) - quantileOfSorted(part, 0.25)));
  const isApart = high - low > apart * quantileOfSorted(x, 0.5) && gap > 3 * spread;
  return isApart ? { low, high, lowShare: cut / n } : undefined;
}

/** Probe time around the samples over the best of the session: 1 at full clock, 2 at half of it. */
export function clockRatio(clock: ClockProbe): number {
  return (clock.beforeNs + clock.afterNs) / 2 / clock.bestNs;
}

/** Ascending copy; typed arrays sort by value. */
function sorted(samples: readonly number[]): Float64Array {
  if (samples.length === 0) throw new RangeError("Cannot describe samples: there are none");
  const wrong = samples.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) throw new RangeError(`Cannot describe samples: sample ${wrong} is ${samples[wrong]}`);
  return Float64Array.from(samples).sort();
}

function quantileOfSorted(x: Float64Array, p: number): number {
  const h = (x.length - 1) * p;
  const below = Math.floor(h);
  return x[below] + (h - below) * (x[Math.ceil(h)] - x[below]);
}

function rangeOfSorted(x: Float64Array): Interval {
  return { low: x[0], high: x[x.length - 1] };
}

function intervalOfSorted(x: Float64Array, confidence: number): Interval | undefined {
  if (!(confidence > 0 && confidence < 1)) {
    throw new RangeError(`Cannot take an interval of confidence ${confidence}: it must lie between 0 and 1`);
  }
  // tail = P(Binomial(n, ½) ≤ k − 1), the chance that the k-th smallest sample lies above the median. Terms are kept as
  // logarithms because 2⁻ⁿ underflows at n = 1075.
  const n = x.length;
  let logTerm = -n * Math.LN2;
  let tail = 0;
  let k = 0;
  for (;;) {
    tail += Math.exp(logTerm);
    if (!(2 * tail <= 1 - confidence)) break;
    k++;
    logTerm += Math.log((n - k + 1) / k);
  }
  return k === 0 ? undefined : { low: x[k - 1], high: x[n - k] };
}
