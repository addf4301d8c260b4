/**
 * Wakes the device: a GPU idles at a fraction of its clock.
 *
 * @module
 */
import { canReadClock, type Clock, spansIn, submitAndRead } from "./clock.ts";
import type { PassTimer } from "./pass_timer.ts";
import { quantile } from "./statistics.ts";

/** Passes of the probe in one submission: about 20 ms at full clock. */
const PASSES = 100;
/** What they take at least on any GPU, ms: a timer that stands still must not keep the device for ever. */
const LEAST_MS = 5;
/** Submissions in a row that must be steady. */
const STEADY = 5;

/**
 * Keeps the device busy with the probe until it reads steady: at least `minMs` of device time, then until the last
 * readings are within 1 % of the best, at most `maxMs`. A timer too coarse for one pass of the probe tells how long all
 * of a submission took, with what is between them.
 *
 * @returns Device time it took, ns.
 */
export async function warmUp(
  timer: Pick<PassTimer, "encode">,
  clock: Clock,
  { minMs, maxMs }: { minMs: number; maxMs: number },
): Promise<number> {
  let spentNs = 0, steady = 0, best = clock.bestProbeNs ?? Infinity;
  for (let i = 0; i * LEAST_MS < maxMs && spentNs < maxMs * 1e6; i++) {
    const stamps = await submitAndRead(timer.encode(Array(PASSES).fill("probe")));
    const read = spansIn(stamps, clock.tickNs).map(({ ns }) => ns).filter((ns) => ns > 0);
    spentNs += read.reduce((sum, ns) => sum + ns, 0);
    if (read.length === 0) continue;
    const before = best;
    const isRead = canReadClock(clock, read);
    const lastNs = isRead ? read.at(-1)! : Number(stamps[stamps.length - 1] - stamps[0]) * clock.tickNs / PASSES;
    best = Math.min(isRead ? quantile(read, 0.25) : lastNs, before);
    // What is in flight meanwhile may have read a better one.
    if (isRead) clock.bestProbeNs = Math.min(best, clock.bestProbeNs ?? Infinity);
    // While the device wakes each reading is the best one so far.
    const isSteady = lastNs <= 1.01 * best && before <= 1.01 * best;
    steady = isSteady ? steady + 1 : 0;
    if (spentNs >= minMs * 1e6 && steady >= STEADY) break;
  }
  return spentNs;
}
