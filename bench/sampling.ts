/**
 * Takes the samples of one subject, or of several in turn, so that a drift of the device meets all of them alike. Nothing
 * here touches a device: a test plants a timer of its own.
 *
 * The procedure: as many launches per pass as the timer needs; batches of passes, those of different subjects in random
 * order, the clock read around each; a batch that ran below the best clock is taken again; batches count from when three
 * medians in a row agree; and the interval of the median of batch medians, which passes that depend on each other do not
 * narrow, says when it is enough.
 *
 * @module
 */
import { permutation, streamKey } from "../reference/random.ts";
import { type Batch, type BatchReading, passesOf, submitBatches } from "./batches.ts";
import { type Clock, MAX_PASSES_PER_SUBMISSION } from "./clock.ts";
import type { PassTimer } from "./pass_timer.ts";
import { type Sampled, type SamplingOptions, Series } from "./series.ts";
import { maxClockRatio } from "./statistics.ts";
import { warmUp } from "./warm_up.ts";

/** Submissions to find the length of passes. */
const MAX_PILOTS = 6;
/** Most device time of a submission, ns, as it is expected: half a second must hold it where it was expected wrong. */
const MAX_SUBMISSION_NS = 0.25e9;
/** Times that the device is woken because a batch ran below its best clock; after that such batches count, and are judged. */
const MAX_WAKES = 5;
/** Longest device time to wake it, ms. */
const MAX_WAKE_MS = 3000;

/**
 * Samples every subject of `timer` until its interval closes or its budget is spent.
 *
 * @param clock Is read, and updated where a better probe is met.
 * @param options When it is enough, and the `seed` of the order.
 * @returns One for each subject.
 */
export async function sampleTogether(
  timer: PassTimer,
  clock: Clock,
  options: SamplingOptions & { readonly seed: number },
): Promise<Sampled[]> {
  const all = timer.rotations.map((rotation, subject) => new Series(subject, rotation, { clock, options }));
  for (let pilots = 0; pilots < MAX_PILOTS; pilots++) {
    const open = all.filter(({ pass }) => !pass.isFound);
    if (open.length === 0) break;
    for (const { series, reading } of await submit(timer, clock, open, ({ pilot }) => pilot)) series.tune(reading);
  }
  let queue: Series[] = [], rounds = 0, wakes = 0;
  for (;;) {
    queue = queue.filter(isOpen);
    if (queue.length === 0) {
      const open = all.filter(isOpen);
      const wanted = Math.max(0, ...open.map((series) => series.wanted));
      if (wanted === 0) break;
      for (let i = 0; i < wanted; i++) queue.push(...shuffled(open, streamKey(options.seed, rounds++)));
    }
    const next = queue.splice(0, fitting(queue));
    const taken = await submit(timer, clock, next, ({ batch }) => batch);
    const isCounted = ({ reading }: { reading: BatchReading }) => wakes === MAX_WAKES || !isSlow(reading, clock);
    for (const { series, reading } of taken.filter(isCounted)) series.add(reading);
    const slow = taken.filter((each) => !isCounted(each));
    if (slow.length === 0) continue;
    for (const { series, reading } of slow) series.reject(reading);
    wakes++;
    share(next, await warmUp(timer, clock, { minMs: 0, maxMs: MAX_WAKE_MS }));
  }
  return all.map((series) => series.end());
}

/** Submits a batch of each of `list`, in order. */
async function submit(timer: PassTimer, clock: Clock, list: readonly Series[], batchOf: (series: Series) => Batch) {
  const { batches, probeNs } = await submitBatches(timer, clock, list.map(batchOf));
  share(list, probeNs);
  return list.map((series, i) => ({ series, reading: batches[i] }));
}

/** Divides device time that is nobody's own. */
function share(list: readonly Series[], ns: number): void {
  for (const series of list) series.gpuNs += ns / list.length;
}

function isOpen({ stopped }: Series): boolean {
  return stopped === undefined;
}

function isSlow({ beforeNs = 0, afterNs = 0 }: BatchReading, { bestProbeNs = Infinity }: Clock): boolean {
  return Math.max(beforeNs, afterNs) > maxClockRatio * bestProbeNs;
}

function shuffled<T>(list: readonly T[], key: number): T[] {
  return Array.from(permutation(list.length, key), (i) => list[i]);
}

/** How many of the first of `queue` are one submission: at least one. */
function fitting(queue: readonly Series[]): number {
  const batches: Batch[] = [];
  let ns = 0;
  for (const { batch, pass } of queue) {
    ns += batch.passes * pass.passNs;
    batches.push(batch);
    const isTooMuch = ns > MAX_SUBMISSION_NS || passesOf(batches) > MAX_PASSES_PER_SUBMISSION;
    if (isTooMuch && batches.length > 1) return batches.length - 1;
  }
  return batches.length;
}
