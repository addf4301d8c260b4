/**
 * Times a prepared launch: many launches per pass, many passes per await, the clock read around them.
 *
 * @module
 */
import {
  type Clock,
  FULL_CLOCK,
  MAX_PASSES_PER_SUBMISSION,
  spansOf,
  spansWithProbe,
  type TimedPass,
  warmUp,
} from "./clock.ts";
import type { Gpu } from "./device.ts";
import { type BoundLaunch, type BufferRange, createStorage, guarded, type PreparedLaunch } from "./execute.ts";
import type { Measurement, Samples, Timer } from "./result.ts";
import { summarize } from "./statistics.ts";

/** How long and how carefully to measure. */
export interface MeasureOptions {
  /** Device time to spend on the samples of one mode, ms. */
  readonly budgetMs: number;
  /** Samples below which the interval is not trusted. */
  readonly minSamples: number;
  /** Relative half-width of the median's interval at which sampling stops. */
  readonly targetHalfWidth: number;
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
  cacheBytes: 64 << 20,
  modes: ["cold", "hot"],
};

/** Software: a few samples show that the path works; the times say nothing. */
export const SOFTWARE_MEASURE: MeasureOptions = {
  budgetMs: 12,
  minSamples: 6,
  targetHalfWidth: 0.05,
  cacheBytes: 0,
  modes: ["hot"],
};

/** A pass shorter than this is dominated by the timer's quantum and the pass's own overhead, ns. */
const MIN_PASS_NS = 200_000;
const MAX_LAUNCHES_PER_PASS = 512;
const MAX_ROTATION = 256;
const MAX_ROTATION_BYTES = 2 * 2 ** 30;
const CLOCK_RETRIES = 6;

/** Measures `prepared` in every mode of `options`. */
export async function measure(
  gpu: Gpu,
  clock: Clock,
  prepared: PreparedLaunch,
  options: MeasureOptions,
): Promise<Pick<Measurement, "timer" | "runs">> {
  const timer: Timer = gpu.traits.features.has("timestamp-query") ? "timestamp-query" : "host-slope";
  const runs: Samples[] = [];
  for (const mode of options.modes) {
    // Cold figures by host slope would need rotation inside one huge submission; only timestamps give them.
    if (mode === "cold" && timer === "host-slope" && options.modes.includes("hot")) continue;
    const rotation = await rotate(gpu, prepared, mode, options.cacheBytes);
    if (!rotation) continue;
    try {
      const run = timer === "timestamp-query"
        ? await sampleByTimestamps(gpu, clock, rotation.bound, options)
        : await sampleByHostSlope(gpu, rotation.bound, options);
      runs.push({ mode, rotation: rotation.bound.length, ...run });
    } finally {
      rotation.destroy();
    }
  }
  return { timer, runs };
}

type TimedSamples = Omit<Samples, "mode" | "rotation">;

async function sampleByTimestamps(
  gpu: Gpu,
  clock: Clock,
  bound: readonly BoundLaunch[],
  options: MeasureOptions,
): Promise<TimedSamples> {
  let next = 0;
  const passOf = (launches: number): TimedPass => ({
    encode(pass) {
      for (let i = 0; i < launches; i++) bound[next++ % bound.length].encode(pass);
    },
  });
  const submit = async (count: number, launches: number) => {
    const passes = Array.from({ length: count }, () => passOf(launches));
    if (!gpu.adapter.software) return await spansWithProbe(gpu, clock, passes);
    const spansNs = (await spansOf(gpu, passes)).map((ticks) => ticks * clock.tickNs);
    return { spansNs, beforeNs: 0, afterNs: 0 };
  };
  const pilot = (await submit(2, 1)).spansNs;
  const launchNs = Math.max(1, pilot[1] > 0 ? pilot[1] : pilot[0]);
  const launchesPerPass = gpu.adapter.software
    ? 1
    : Math.max(1, Math.min(MAX_LAUNCHES_PER_PASS, 2 ** Math.ceil(Math.log2(MIN_PASS_NS / launchNs))));
  const passNs = launchNs * launchesPerPass;
  const perBatch = Math.max(
    6,
    Math.min(256, MAX_PASSES_PER_SUBMISSION, Math.ceil(options.budgetMs * 1e6 / 3 / passNs)),
  );
  const samplesNs: number[] = [];
  let droppedSpans = 0, spentNs = 0, retries = 0;
  let beforeNs = 0, afterNs = 0;
  do {
    const batch = await submit(perBatch, launchesPerPass);
    const positive = batch.spansNs.filter((ns) => ns > 0);
    const full = Math.max(batch.beforeNs, batch.afterNs) <= FULL_CLOCK * (clock.bestProbeNs ?? Infinity);
    if (!full && retries++ < CLOCK_RETRIES) {
      await warmUp(gpu, clock, { minMs: 0, maxMs: 3000 });
      continue;
    }
    samplesNs.push(...positive.map((ns) => ns / launchesPerPass));
    droppedSpans += batch.spansNs.length - positive.length;
    spentNs += batch.spansNs.reduce((a, b) => a + Math.abs(b), 0);
    beforeNs = Math.max(beforeNs, batch.beforeNs);
    afterNs = Math.max(afterNs, batch.afterNs);
    if (positive.length === 0) break;
  } while (spentNs < options.budgetMs * 1e6 && !isSettled(samplesNs, options));
  const probe = clock.bestProbeNs === undefined ? {} : { clock: { beforeNs, afterNs, bestNs: clock.bestProbeNs } };
  return { samplesNs, launchesPerPass, droppedSpans, ...probe };
}

function isSettled(samplesNs: readonly number[], { minSamples, targetHalfWidth }: MeasureOptions): boolean {
  if (samplesNs.length < minSamples) return false;
  const { relativeHalfWidth } = summarize(samplesNs);
  return relativeHalfWidth !== undefined && relativeHalfWidth <= targetHalfWidth;
}

/**
 * Time per launch as the slope of host time over the number of launches, in ABBA order: the fixed cost of an await
 * (10 ms and more in Deno) cancels. One sample is one pair.
 */
async function sampleByHostSlope(
  gpu: Gpu,
  bound: readonly BoundLaunch[],
  options: MeasureOptions,
): Promise<TimedSamples> {
  let next = 0;
  const hostNs = async (launches: number) => {
    const before = performance.now();
    await guarded(gpu, "run", async () => {
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (let i = 0; i < launches; i++) bound[next++ % bound.length].encode(pass);
      pass.end();
      gpu.device.queue.submit([encoder.finish()]);
      await gpu.device.queue.onSubmittedWorkDone();
    });
    return (performance.now() - before) * 1e6;
  };
  await hostNs(1);
  const spanNs = options.budgetMs * 1e6 / 4;
  const pilotNs = Math.max(1000, (await hostNs(33) - await hostNs(1)) / 32);
  const launches = Math.max(1, Math.min(65536, Math.ceil(spanNs / pilotNs)));
  const samplesNs: number[] = [];
  let droppedSpans = 0;
  for (let pair = 0; pair < Math.max(4, options.minSamples / 2); pair++) {
    const once = await hostNs(launches), twice = await hostNs(2 * launches);
    const twiceAgain = await hostNs(2 * launches), onceAgain = await hostNs(launches);
    for (const slopeNs of [(twice - once) / launches, (twiceAgain - onceAgain) / launches]) {
      if (slopeNs > 0) samplesNs.push(slopeNs);
      else droppedSpans++;
    }
  }
  return { samplesNs, launchesPerPass: launches, droppedSpans };
}

interface Rotation {
  readonly bound: readonly BoundLaunch[];
  destroy(): void;
}

/**
 * Binds the launch to as many copies of its inputs as exceed twice the device's cache together (cold), or to the inputs
 * as they are (hot). Outputs are shared, so that launches that write them stay serialized.
 *
 * @returns Undefined where a cold figure cannot be had: too little room, or inputs so small that the copies would be
 * too many.
 */
async function rotate(
  gpu: Gpu,
  prepared: PreparedLaunch,
  mode: "cold" | "hot",
  cacheBytes: number,
): Promise<Rotation | undefined> {
  if (mode === "hot") {
    return { bound: [await guarded(gpu, "run", () => prepared.bind())], destroy() {} };
  }
  const inputs = prepared.launch.buffers.filter(({ role }) => role === "input" || role === "inout");
  const bytes = inputs.reduce((sum, spec) => sum + spec.bytes, 0);
  const copies = Math.max(2, Math.ceil(2 * cacheBytes / bytes) + 1);
  if (copies > MAX_ROTATION || (copies - 1) * bytes > MAX_ROTATION_BYTES) return undefined;
  const own: GPUBuffer[] = [];
  const destroy = () => own.forEach((buffer) => buffer.destroy());
  try {
    const bound = await guarded(gpu, "run", () => {
      const encoder = gpu.device.createCommandEncoder();
      const bound = [prepared.bind()];
      for (let copy = 1; copy < copies; copy++) {
        const replaced = new Map<string, BufferRange>();
        for (const { name } of inputs) {
          const source = prepared.buffers.get(name)!;
          const target = createStorage(gpu, `${name} ${copy}`, source.size);
          own.push(target.buffer);
          encoder.copyBufferToBuffer(source.buffer, source.offset, target.buffer, 0, source.size);
          replaced.set(name, target);
        }
        bound.push(prepared.bind(replaced));
      }
      gpu.device.queue.submit([encoder.finish()]);
      return bound;
    });
    return { bound, destroy };
  } catch (error) {
    destroy();
    if ((error as { outOfMemory?: boolean }).outOfMemory) return undefined;
    throw error;
  }
}
