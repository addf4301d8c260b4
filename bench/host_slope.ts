/**
 * Times launches by the host's clock, where the device has no timestamps.
 *
 * @module
 */
import type { Gpu } from "./device.ts";
import type { BoundLaunch } from "./execute.ts";
import { guarded, settled } from "./guard.ts";
import type { Samples } from "./result.ts";
import { quantile } from "./statistics.ts";

/** Most launches of one submission: the slower ones of a pair has twice as many, that of the last look three times. */
const MAX_LAUNCHES = 32768;
/** Submissions of three times the launches, against as many of one. */
const LINEARITY_PAIRS = 3;

/** How slopes are taken. */
export interface SlopeOptions {
  /** Device time that a pair should differ by, ms. */
  readonly spanMs: number;
  /** Pairs to take. */
  readonly pairs: number;
}

/** Times launches of `bound` by {@linkcode sampleSlopes}. */
export async function sampleByHostSlope(
  gpu: Gpu,
  bound: readonly BoundLaunch[],
  options: SlopeOptions,
): Promise<Omit<Samples, "mode" | "rotation">> {
  let next = 0;
  return await sampleSlopes(async (launches) => {
    const { before, done } = await guarded(gpu, "run", () => {
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (let i = 0; i < launches; i++) bound[next++ % bound.length].encode(pass);
      pass.end();
      const commands = encoder.finish();
      const before = performance.now();
      gpu.device.queue.submit([commands]);
      return { before, done: gpu.device.queue.onSubmittedWorkDone() };
    });
    await settled(gpu, done);
    return (performance.now() - before) * 1e6;
  }, options);
}

/**
 * Time per launch as the slope of host time over the number of launches, in ABBA order: the fixed cost of an await
 * (10 ms and more in Deno) cancels. One sample is one pair; a pair whose slope is not positive is noise and is counted
 * as a dropped span. At the end three times the launches must take what the slope says.
 *
 * @param hostNs Submits so many launches. Returns the host's time until they are done, ns.
 */
export async function sampleSlopes(
  hostNs: (launches: number) => Promise<number>,
  { spanMs, pairs }: SlopeOptions,
): Promise<Omit<Samples, "mode" | "rotation">> {
  await hostNs(1);
  // Doubling keeps noise in a pilot from choosing a submission that takes minutes.
  let launches = 1;
  while (launches < MAX_LAUNCHES && await hostNs(2 * launches) - await hostNs(launches) < spanMs * 1e6 / 2) {
    launches *= 2;
  }
  // The pilots may have been the first to wake the device.
  await hostNs(2 * launches);
  const samplesNs: number[] = [];
  let droppedSpans = 0;
  for (let pair = 0; pair < pairs; pair += 2) {
    const once = await hostNs(launches), twice = await hostNs(2 * launches);
    const twiceAgain = await hostNs(2 * launches), onceAgain = await hostNs(launches);
    for (const slopeNs of [(twice - once) / launches, (twiceAgain - onceAgain) / launches]) {
      if (slopeNs > 0) samplesNs.push(slopeNs);
      else droppedSpans++;
    }
  }
  const longNs: number[] = [];
  for (let pair = 0; pair < LINEARITY_PAIRS; pair++) {
    const once = await hostNs(launches);
    longNs.push((await hostNs(3 * launches) - once) / (2 * launches));
  }
  return {
    samplesNs,
    launchesPerPass: launches,
    droppedSpans,
    rejectedBatches: 0,
    ...samplesNs.length > 0 && { nonlinearity: quantile(longNs, 0.5) / quantile(samplesNs, 0.5) - 1 },
  };
}
