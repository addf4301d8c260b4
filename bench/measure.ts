/**
 * Times verified launches: those of one shape together, many launches per pass, many passes per await.
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import type { Gpu } from "./device.ts";
import type { PreparedLaunch } from "./execute.ts";
import { sampleByHostSlope } from "./host_slope.ts";
import { gpuPassTimer } from "./pass_timer.ts";
import type { Measurement, Samples } from "./result.ts";
import { bindCold, bindHot, InputCopies, type Rotation } from "./rotation.ts";
import { sampleTogether } from "./sampling.ts";
import type { Sampled, SamplingOptions } from "./series.ts";

export type { SamplingOptions } from "./series.ts";

/** How long and how carefully to measure. */
export interface MeasureOptions extends SamplingOptions {
  /** Bytes that the largest cache of the device is assumed to hold: WebGPU does not say. */
  readonly cacheBytes: number;
  /** Device time by which two submissions should differ that a slope of host time is taken from, ms. */
  readonly slopeMs: number;
  /** Modes to measure, the headline first. */
  readonly modes: readonly ("cold" | "hot")[];
}

/**
 * Hardware: cold first. Launches rotate over twice 64 MiB: more than the 60 MB of an H200, the 72 of an RTX 4090 and
 * the 96 of an RTX 5090, just as much as the 128 of an RX 6900, and not as much as the 256 of an MI300X, where a cold
 * time may be one of the cache. A pass has 200 µs at least: a microsecond that work costs a pass and an empty one does
 * not show is half a percent then, half of what the interval may be wide. The interval of the median of 15 batches is
 * seven tenths as wide as that of 10.
 */
export const HARDWARE_MEASURE: MeasureOptions = {
  minBatches: 15,
  minSamples: 30,
  targetHalfWidth: 0.01,
  batchMs: 12,
  budgetMs: 1000,
  maxWarmUpBatches: 20,
  minPassNs: 200_000,
  cacheBytes: 64 << 20,
  slopeMs: 60,
  modes: ["cold", "hot"],
};

/** Software: a few samples show that the path works; the times say nothing. */
export const SOFTWARE_MEASURE: MeasureOptions = {
  minBatches: 6,
  minSamples: 6,
  targetHalfWidth: 0.05,
  batchMs: 1,
  budgetMs: 12,
  maxWarmUpBatches: 0,
  minPassNs: 0,
  cacheBytes: 0,
  slopeMs: 6,
  modes: ["hot"],
};

/** A verified launch that is to be timed. */
export interface Subject {
  /** The launch. */
  readonly prepared: PreparedLaunch;
  /** Bytes that one launch reads, each once. */
  readonly readBytes: number;
  /** Puts every buffer that the launch writes back into the state before a first run: poison, or its first content. */
  readonly reset: () => Promise<void>;
  /** Whether the result buffers hold what was verified; called after each mode. */
  readonly inspect: () => Promise<boolean>;
}

/** What was measured of one subject. */
export interface Timed {
  /** Its times; undefined where the timed launches left a wrong result: they mean nothing. */
  readonly measurement?: Pick<Measurement, "timer" | "tickNs" | "quantumNs" | "passOverheadNs" | "cacheBytes" | "runs">;
  /** Device time that was spent, ms; absent where the device has no timestamps. */
  readonly gpuMs?: number;
}

/**
 * Measures `subjects`, which share their inputs, in every mode of `options` that they can be measured in. Where the
 * device has timestamps their batches alternate.
 *
 * @param options How, and the `seed` of the order.
 * @returns One for each subject.
 */
export async function measure(
  gpu: Gpu,
  clock: Clock,
  subjects: readonly Subject[],
  options: MeasureOptions & { readonly seed: number },
): Promise<Timed[]> {
  const timestamps = gpu.traits.features.has("timestamp-query");
  const known = subjects.map((subject) => ({ subject, runs: [] as Samples[], gpuMs: 0, isWrong: false }));
  for (const mode of options.modes) {
    // A slope of host time needs thousands of launches in one submission; cold ones would need as many copies.
    if (mode === "cold" && !timestamps) continue;
    const copies = new InputCopies(gpu);
    try {
      const bound: { each: typeof known[number]; rotation: Rotation }[] = [];
      for (const each of known.filter(({ isWrong }) => !isWrong)) {
        const { prepared, readBytes } = each.subject;
        const rotation = mode === "hot"
          ? await bindHot(gpu, prepared)
          : await bindCold(gpu, prepared, copies, { readBytes, cacheBytes: options.cacheBytes });
        if (rotation) bound.push({ each, rotation });
      }
      await Promise.all(bound.map(({ each }) => each.subject.reset()));
      const sampled = await sample(gpu, clock, bound.map(({ rotation }) => rotation), options);
      const isRight = await Promise.all(bound.map(({ each }) => each.subject.inspect()));
      bound.forEach(({ each, rotation }, i) => {
        each.runs.push({ mode, rotation: rotation.length, ...sampled[i].samples });
        each.gpuMs += sampled[i].gpuMs;
        each.isWrong = !isRight[i];
      });
    } finally {
      copies.destroy();
    }
  }
  const { tickNs, quantumNs, passOverheadNs } = clock;
  const { cacheBytes } = options;
  return known.map(({ runs, gpuMs, isWrong }): Timed => ({
    ...isWrong ? {} : {
      measurement: timestamps
        ? { timer: "timestamp-query", tickNs, quantumNs, passOverheadNs, cacheBytes, runs }
        : { timer: "host-slope", runs },
    },
    ...timestamps ? { gpuMs } : {},
  }));
}

/** Pairs of submissions that slopes of host time are taken from, at most: they take seconds. */
const MAX_SLOPES = 20;

async function sample(
  gpu: Gpu,
  clock: Clock,
  rotations: readonly Rotation[],
  options: MeasureOptions & { readonly seed: number },
): Promise<Sampled[]> {
  if (gpu.traits.features.has("timestamp-query")) {
    return await sampleTogether(gpuPassTimer(gpu, rotations), clock, options);
  }
  const sampled: Sampled[] = [];
  const how = { spanMs: options.slopeMs, pairs: Math.min(MAX_SLOPES, options.minSamples) };
  for (const bound of rotations) sampled.push({ samples: await sampleByHostSlope(gpu, bound, how), gpuMs: 0 });
  return sampled;
}
