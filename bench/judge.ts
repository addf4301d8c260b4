/**
 * Whether times can be believed.
 *
 * @module
 */
import { lackOf } from "./pass_length.ts";
import type { Measured, Measurement } from "./result.ts";
import {
  batchMedians,
  changeOfHalves,
  clockRatio,
  findModes,
  isUnstable,
  maxClockRatio,
  maxRelativeHalfWidth,
  repetitionsOf,
  summarize,
} from "./statistics.ts";

/**
 * Speeds that a device has been seen to reach; what seems faster was not measured right. An absent one is not judged.
 */
export interface Peaks {
  /** Of memory that no cache holds. */
  readonly bytesPerS?: number;
  /** Of independent FMAs. */
  readonly flopsPerS?: number;
  /** Bytes of a cold launch that certainly come from such memory. @default {those that it must move} */
  readonly uncachedBytes?: number;
}

/** Whether times can be believed, and why not. */
export interface Judgement {
  /** As in {@linkcode Measured}. */
  readonly verdict: Measured["verdict"];
  /** One line per reason, none when `ok`. */
  readonly reasons: readonly string[];
}

/**
 * Share of spans that may come back negative or zero, or overlap. A timestamp query has no business to return any, so
 * more make its times `invalid`; more slopes of host time make them `unstable`.
 */
export const maxDroppedShare = 0.01;

/**
 * Share of negative slopes beyond which host times are `invalid`. A slope is a difference of two noisy times: a few
 * below zero are that noise, but with a quarter of them the noise is as large as the time itself (a normal variable
 * is negative that often at a mean of 0.67 deviations), and dropping them biases what is left.
 */
export const maxDroppedSlopes = 0.25;

/**
 * Share by which host time over three times the launches may be off the line through one and two times as many: the
 * slope is no time of a launch where time does not grow with their number.
 */
export const maxNonlinearity = 0.05;

/** Batches in whose medians modes are looked for, at least. */
const MIN_MODE_BATCHES = 15;

/** Relative half-width at which sampling is taken to have stopped where a run does not say. */
const DEFAULT_TARGET = 0.01;

/** Factor by which a figure may pass a measured peak before it is impossible: peaks are measured, not known. */
export const peakAllowance = 1.2;

/**
 * Judges the times of a case.
 *
 * `invalid`: nothing was sampled; more than {@linkcode maxDroppedShare} of the spans were negative or zero (of host
 * slopes: {@linkcode maxDroppedSlopes}), or of them overlapped; or a figure is beyond {@linkcode peakAllowance} times a
 * peak. Bytes are held against the bandwidth of memory only when cold, since hot inputs may come from a cache.
 *
 * `unstable`: see {@linkcode isUnstable}; the budget ended sampling; the samples, or the medians of batches, have two
 * modes; the first and the last half of the batches are further apart than the interval was to be wide; passes were
 * shorter than the timer needs or covered no whole rotation; the first batches never agreed; host time did not grow
 * with the number of launches ({@linkcode maxNonlinearity}); more host slopes than {@linkcode maxDroppedShare} were
 * negative; or the clock was slower than {@linkcode maxClockRatio} allows.
 *
 * @param measurement Samples with the work of one launch.
 * @param peaks What the device has been seen to reach.
 */
export function judge(measurement: Measurement, peaks: Peaks = {}): Judgement {
  const invalid: string[] = [];
  const unstable: string[] = [];
  if (measurement.runs.length === 0) invalid.push("no samples were taken");
  for (const run of measurement.runs) {
    const { mode, samplesNs, droppedSpans, overlappingSpans = 0 } = run;
    const spans = samplesNs.length + droppedSpans;
    const maxDropped = measurement.timer === "host-slope" ? maxDroppedSlopes : maxDroppedShare;
    if (!(droppedSpans <= maxDropped * spans)) {
      invalid.push(`${mode}: timer unreliable, ${droppedSpans} of ${spans} spans were negative or zero`);
    } else if (!(droppedSpans <= maxDroppedShare * spans)) {
      unstable.push(`${mode}: ${droppedSpans} of ${spans} slopes of host time were negative or zero`);
    }
    if (!(overlappingSpans <= maxDroppedShare * spans)) {
      invalid.push(`${mode}: timer unreliable, ${overlappingSpans} of ${spans} spans began before the one ahead ended`);
    }
    if (samplesNs.length === 0) {
      invalid.push(`${mode}: no samples were taken`);
      continue;
    }
    const summary = summarize(run);
    if (!(summary.minNs > 0)) invalid.push(`${mode}: timer unreliable, a sample is ${summary.minNs} ns`);
    const { bytesPerS, flopsPerS, uncachedBytes = measurement.minBytes } = peaks;
    const seconds = summary.medianNs * 1e-9;
    if (bytesPerS !== undefined && mode === "cold" && !(uncachedBytes / seconds <= peakAllowance * bytesPerS)) {
      invalid.push(impossible(mode, uncachedBytes / seconds / 1e9, bytesPerS / 1e9, "GB/s"));
    }
    if (flopsPerS !== undefined && !(measurement.flops / seconds <= peakAllowance * flopsPerS)) {
      invalid.push(impossible(mode, measurement.flops / seconds / 1e12, flopsPerS / 1e12, "TFLOP/s"));
    }
    const { relativeHalfWidth: width } = summary;
    const medians = batchMedians(run);
    const halves = changeOfHalves(medians);
    const count = `${repetitionsOf(run).length} ${run.batches === undefined ? "samples" : "batches"}`;
    if (run.stopped === "budget") {
      unstable.push(
        `${mode}: the budget ended sampling after ${count}, ` +
          (width === undefined
            ? "too few for an interval of the median"
            : `the 95 % interval of the median of their medians at ±${(100 * width).toFixed(1)} %`) +
          (halves === undefined ? "" : `, halves ${(100 * Math.abs(halves.change)).toFixed(1)} % apart`),
      );
    } else if (isUnstable(summary)) {
      unstable.push(
        width === undefined
          ? `${mode}: ${count} are too few for an interval of the median`
          : `${mode}: the 95 % interval of the median is ±${(100 * width).toFixed(1)} % after ${count}, ` +
            `wider than ±${100 * maxRelativeHalfWidth} %`,
      );
    }
    if (run.isSettled === false) {
      unstable.push(`${mode}: never warm, no three batches in a row agreed`);
    }
    const { nonlinearity = 0 } = run;
    if (!(Math.abs(nonlinearity) <= maxNonlinearity)) {
      const [percent, way] = [(100 * Math.abs(nonlinearity)).toFixed(1), nonlinearity > 0 ? "more" : "less"];
      unstable.push(`${mode}: three times the launches take ${percent} % ${way} than the slope says`);
    }
    const { leastPassNs = 0, launchesPerPass: launches, rotation } = run;
    const lack = lackOf({ launches, launchNs: summary.medianNs, rotation, leastNs: leastPassNs });
    if (lack === "time") {
      const [tookUs, meantUs] = [launches * summary.medianNs, leastPassNs].map((ns) => (ns / 1000).toFixed(1));
      unstable.push(`${mode}: passes took ${tookUs} µs, the timer needs ${meantUs} µs`);
    } else if (lack === "rotation") {
      unstable.push(`${mode}: passes of ${launches} launches cover no whole rotation over ${rotation} copies`);
    }
    const { targetHalfWidth: target = DEFAULT_TARGET } = run;
    const batchModes = medians.length === 0
      ? undefined
      : findModes(medians, { apart: 2 * target, least: MIN_MODE_BATCHES });
    const modes = findModes(samplesNs) ?? batchModes;
    if (modes !== undefined) {
      const apart = (100 * (modes.high / modes.low - 1)).toFixed(1);
      const share = (100 * modes.lowShare).toFixed(0);
      const units = modes === batchModes ? "batches" : "samples";
      unstable.push(`${mode}: two modes ${apart} % apart, ${share} % of the ${units} in the faster`);
    }
    if (halves?.isApart && !(Math.abs(halves.change) <= target)) {
      const [change, way] = [(100 * Math.abs(halves.change)).toFixed(1), halves.change > 0 ? "slower" : "faster"];
      unstable.push(`${mode}: drift, the last half of the batches ${change} % ${way} than the first`);
    }
    if (run.clock !== undefined && !(clockRatio(run.clock) <= maxClockRatio)) {
      const percent = (100 / clockRatio(run.clock)).toFixed(0);
      unstable.push(`${mode}: the clock ran at ${percent} % of the best of the session`);
    }
  }
  return {
    verdict: invalid.length > 0 ? "invalid" : unstable.length > 0 ? "unstable" : "ok",
    reasons: [...invalid, ...unstable],
  };
}

function impossible(mode: string, value: number, peak: number, unit: string): string {
  return `${mode}: impossible, ${value.toPrecision(3)} ${unit} where the device was seen to reach ${
    peak.toPrecision(3)
  }`;
}
