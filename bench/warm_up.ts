/**
 * Wakes the device: a GPU idles at a fraction of its clock.
 *
 * @module
 */
import { type Clock, spansIn } from "./clock.ts";
import type { PassTimer } from "./pass_timer.ts";
import { quantile } from "./statistics.ts";

/** Passes of the probe in one submission: about 20 ms at full clock. */
const PASSES = 100;
/** What they take at least on any GPU, ms: a timer that stands still must not keep the device for ever. */
const LEAST_MS = 5;
/** Submissions in a row that must be steady. */
const STEADY = 5;

/**
 * Keeps the device busy with the probe until it reads steady: at least `minMs` of device time, then until the last readings
 * are within 1 % of the best, at most `maxMs`.
 *
 * @returns Device time it took, ns.
 */
export async function warmUp(
  timer: Pick<PassTimer, "submit">,
  clock: Clock,
  { minMs, maxMs }: { minMs: number; maxMs: number },
): Promise<number> {
  let spentNs = 0, steady = 0;
  for (let i = 0; i * LEAST_MS < maxMs && spentNs < maxMs * 1e6; i++) {
    const stamps = await timer.submit(Array(PASSES).fill("probe"));
    const read = spansIn(stamps, clock.tickNs).map(({ ns }) => ns).filter((ns) => ns > 0);
    spentNs += read.reduce((sum, ns) => sum + ns, 0);
    if (read.length === 0) continue;
    const { bestProbeNs: before = Infinity } = clock;
    clock.bestProbeNs = Math.min(quantile(read, 0.25), before);
    // While the device wakes each reading is the best one so far.
    const isSteady = read.at(-1)! <= 1.01 * clock.bestProbeNs && before <= 1.01 * clock.bestProbeNs;
    steady = isSteady ? steady + 1 : 0;
    if (spentNs >= minMs * 1e6 && steady >= STEADY) break;
  }
  return spentNs;
}
