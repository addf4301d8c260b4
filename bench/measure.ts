/**
 * Times a verified launch: many launches per pass, many passes per await, the clock read around them.
 *
 * @module
 */
import { type Clock, MAX_PASSES_PER_SUBMISSION, spansOf, spansWithProbe, warmUp } from "./clock.ts";
import type { Gpu } from "./device.ts";
import type { BoundLaunch, PreparedLaunch } from "./execute.ts";
import { sampleByHostSlope } from "./host_slope.ts";
import type { Measurement, Samples } from "./result.ts";
import { bindCold, bindHot } from "./rotation.ts";
import { maxClockRatio, quantile, summarize } from "./statistics.ts";

/** How long and how carefully to measure. */
export interface MeasureOptions {
  /** Device time to spend on the samples of one mode, ms. */
  readonly budgetMs: number;
  /** Samples below which the interval is not trusted. */
  readonly minSamples: number;
  /** Relative half-width of the median's interval at which sampling stops. */
  readonly targetHalfWidth: number;
  /** Submissions over which the samples are spread at least, so that they see more than one moment of the device. */
  readonly minBatches: number;
  /** Least time of a pass, ns: shorter ones are dominated by the timer's quantum and the pass's own cost. */
  readonly minPassNs: number;
  /** Bytes that the largest cache of the device is assumed to hold: WebGPU does not say. */
  readonly cacheBytes: number;
  /** Modes to measure, the headline first. */
  readonly modes: readonly ("cold" | "hot")[];
}

/** Hardware: cold first. 64 MiB covers the caches of today's GPUs (an H200 has 60 MB, Apple and AMD less or as much). */
export const HARDWARE_MEASURE: MeasureOptions = {
  budgetMs: 120,
  minSamples: 20,
  targetHalfWidth: 0.01,
  minBatches: 5,
  minPassNs: 200_000,
  cacheBytes: 64 << 20,
  modes: ["cold", "hot"],
};

/** Software: a few samples show that the path works; the times say nothing. */
export const SOFTWARE_MEASURE: MeasureOptions = {
  budgetMs: 12,
  minSamples: 6,
  targetHalfWidth: 0.05,
  minBatches: 1,
  minPassNs: 0,
  cacheBytes: 0,
  modes: ["hot"],
};

const MAX_LAUNCHES_PER_PASS = 512;
/** A pass covers whole rotations, or its time would depend on the copy, unless that takes longer than this, ns. */
const MAX_PASS_NS = 50_000_000;
/** Multiple of the budget at which even the least number of samples is cut: launches that take seconds. */
const MAX_SPENT = 8;
/** Submissions that are measured again because the clock was not at its best. */
const MAX_REJECTED = 6;
/** Longest wait for the clock before one is measured again, ms. */
const MAX_WAKE_MS = 3000;

/** A verified launch that is to be timed. */
export interface Subject {
  /** The launch. */
  readonly prepared: PreparedLaunch;
  /** Bytes that one launch touches. */
  readonly touchedBytes: number;
  /** Puts every buffer that the launch writes back into the state before a first run: poison, or its first content. */
  readonly reset: () => Promise<void>;
  /** Whether the result buffers hold what was verified; called after each mode. */
  readonly inspect: () => Promise<boolean>;
}

/**
 * Measures `subject` in every mode of `options` that it can be measured in.
 *
 * @returns Undefined where the timed launches left a wrong result: their times mean nothing.
 */
export async function measure(
  gpu: Gpu,
  clock: Clock,
  subject: Subject,
  options: MeasureOptions,
): Promise<Pick<Measurement, "timer" | "tickNs" | "runs"> | undefined> {
  const timestamps = gpu.traits.features.has("timestamp-query");
  const runs: Samples[] = [];
  for (const mode of options.modes) {
    // A slope of host time needs thousands of launches in one submission; cold ones would need as many copies.
    if (mode === "cold" && !timestamps) continue;
    const rotation = mode === "hot"
      ? await bindHot(gpu, subject.prepared)
      : await bindCold(gpu, subject.prepared, { touchedBytes: subject.touchedBytes, cacheBytes: options.cacheBytes });
    if (!rotation) continue;
    try {
      await subject.reset();
      const run = timestamps
        ? await sampleByTimestamps(makeSampler(gpu, clock, rotation.bound), options)
        : await sampleByHostSlope(gpu, rotation.bound, { spanMs: options.budgetMs / 2, pairs: options.minSamples });
      if (!await subject.inspect()) return undefined;
      runs.push({ mode, rotation: rotation.bound.length, ...run });
    } finally {
      rotation.destroy();
    }
  }
  return timestamps ? { timer: "timestamp-query", tickNs: clock.tickNs, runs } : { timer: "host-slope", runs };
}

/** Submits passes of launches and reads their spans, and the clock around them. */
interface Sampler {
  /** Copies of the inputs that the launches rotate over. */
  readonly rotation: number;
  submit(
    passes: number,
    launches: number,
  ): Promise<{ spansNs: readonly number[]; beforeNs?: number; afterNs?: number }>;
  /** Best reading of the clock so far; undefined where it is not read. */
  best(): number | undefined;
  /** Keeps the device busy until it is at its best clock. */
  wake(): Promise<unknown>;
}

function makeSampler(gpu: Gpu, clock: Clock, bound: readonly BoundLaunch[]): Sampler {
  let next = 0;
  const passOf = (launches: number) => ({
    encode(pass: GPUComputePassEncoder) {
      for (let i = 0; i < launches; i++) bound[next++ % bound.length].encode(pass);
    },
  });
  return {
    rotation: bound.length,
    async submit(passes, launches) {
      const work = Array.from({ length: passes }, () => passOf(launches));
      if (!gpu.adapter.software) return await spansWithProbe(gpu, clock, work);
      return { spansNs: (await spansOf(gpu, work)).ticks.map((span) => span * clock.tickNs) };
    },
    best: () => clock.bestProbeNs,
    wake: () => warmUp(gpu, clock, { minMs: 0, maxMs: MAX_WAKE_MS }),
  };
}

/** Takes samples until their interval closes or the budget is spent. */
async function sampleByTimestamps(
  sampler: Sampler,
  options: MeasureOptions,
): Promise<Omit<Samples, "mode" | "rotation">> {
  const budgetNs = options.budgetMs * 1e6;
  const { launchesPerPass, passNs } = await choosePass(sampler, options.minPassNs);
  const share = Math.ceil(budgetNs / options.minBatches / passNs);
  const passes = Math.max(passNs > budgetNs ? 2 : 6, Math.min(256, MAX_PASSES_PER_SUBMISSION, share));
  const samplesNs: number[] = [], beforeNs: number[] = [], afterNs: number[] = [];
  let droppedSpans = 0, rejectedBatches = 0, spentNs = 0, batches = 0;
  while (batches < options.minBatches || (spentNs < budgetNs && !isSettled(samplesNs, options))) {
    const batch = await sampler.submit(passes, launchesPerPass);
    const slowest = Math.max(batch.beforeNs ?? 0, batch.afterNs ?? 0);
    if (!(slowest <= maxClockRatio * (sampler.best() ?? Infinity)) && rejectedBatches < MAX_REJECTED) {
      rejectedBatches++;
      await sampler.wake();
      continue;
    }
    const positive = batch.spansNs.filter((ns) => ns > 0);
    batches++;
    samplesNs.push(...positive.map((ns) => ns / launchesPerPass));
    droppedSpans += batch.spansNs.length - positive.length;
    spentNs += batch.spansNs.reduce((sum, ns) => sum + Math.abs(ns), 0);
    if (batch.beforeNs !== undefined) beforeNs.push(batch.beforeNs);
    if (batch.afterNs !== undefined) afterNs.push(batch.afterNs);
    if (positive.length === 0 || spentNs > MAX_SPENT * budgetNs) break;
  }
  const bestNs = sampler.best();
  const clock = bestNs === undefined || beforeNs.length === 0
    ? {}
    : { clock: { beforeNs: quantile(beforeNs, 0.5), afterNs: quantile(afterNs, 0.5), bestNs } };
  return { samplesNs, launchesPerPass, droppedSpans, rejectedBatches, ...clock };
}

/** Launches per pass such that a pass is long enough to be timed and covers whole rotations. */
async function choosePass(
  sampler: Sampler,
  minPassNs: number,
): Promise<{ launchesPerPass: number; passNs: number }> {
  const spanOf = async (launches: number) => {
    const { spansNs: [first, second] } = await sampler.submit(2, launches);
    return Math.max(1, second > 0 ? second : first);
  };
  let launches = 1;
  let passNs = await spanOf(launches);
  // A pass of one launch includes the pass's own cost, so the first guess is too small for short launches.
  for (let round = 0; round < 3 && passNs < minPassNs && launches < MAX_LAUNCHES_PER_PASS; round++) {
    launches = Math.min(MAX_LAUNCHES_PER_PASS, Math.ceil(1.25 * launches * minPassNs / passNs));
    passNs = await spanOf(launches);
  }
  const whole = Math.ceil(launches / sampler.rotation) * sampler.rotation;
  const wholeNs = passNs / launches * whole;
  return wholeNs <= MAX_PASS_NS ? { launchesPerPass: whole, passNs: wholeNs } : { launchesPerPass: launches, passNs };
}

function isSettled(samplesNs: readonly number[], { minSamples, targetHalfWidth }: MeasureOptions): boolean {
  if (samplesNs.length < minSamples) return false;
  const { relativeHalfWidth } = summarize(samplesNs);
  return relativeHalfWidth !== undefined && relativeHalfWidth <= targetHalfWidth;
}
