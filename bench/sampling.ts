/**
 * Takes the samples of one subject, or of several in turn, so that a drift of the device meets all of them alike.
 * Nothing here touches a device: a test plants a timer of its own.
 *
 * The procedure: as many launches per pass as the timer needs; batches of passes, those of different subjects in random
 * order, the clock read around each; a batch that ran below the best clock is taken again; batches count from when
 * three medians in a row agree; and the interval of the median of batch medians, which passes that depend on each other
 * do not narrow, says when it is enough: for all of them at once, so that every batch that counts was taken in company.
 *
 * @module
 */
import { permutation, streamKey } from "../reference/random.ts";
import { type Batch, type BatchReading, encodeBatches, passesOf, type SubmissionReading } from "./batches.ts";
import { type Clock, type EncodedPasses, MAX_PASSES_PER_SUBMISSION } from "./clock.ts";
import type { PassTimer } from "./pass_timer.ts";
import { type Sampled, type SamplingOptions, Series } from "./series.ts";
import { maxClockRatio } from "./statistics.ts";
import { warmUp } from "./warm_up.ts";

/** Submissions to find the length of passes. */
const MAX_PILOTS = 6;
/** Most device time of a submission, ns, as it is expected: half a second must hold it where it was expected wrong. */
const MAX_SUBMISSION_NS = 0.25e9;
/**
 * Times that the device is woken because a batch ran below its best clock; after that such batches count, and are
 * judged.
 */
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
  // A pilot at a fallen clock makes launches look slow, and passes of them too short.
  const pilots = atBestClock(timer, clock, {
    batchOf: ({ pilot }) => pilot,
    take: (series, { reading }) => series.tune(reading),
  });
  for (let taken = 0; taken < MAX_PILOTS;) {
    const open = all.filter(({ pass }) => !pass.isFound);
    if (open.length === 0) break;
    const pilot = pilots.encode(open);
    pilot.encoded.submit();
    if (await pilots.end(pilot)) taken++;
  }
  const batches = atBestClock(timer, clock, {
    batchOf: ({ batch }) => batch,
    take: (series, { reading, launches }) => series.add(reading, launches),
  });
  let queue: Series[] = [], rounds = 0;
  let running: Submission | undefined;
  for (;;) {
    // Nothing ends within a round: each look is at as many batches of every series.
    if (queue.length === 0 && !running) queue = roundsOf(all, () => streamKey(options.seed, rounds++));
    // What follows is encoded while the device runs what was submitted before, and submitted as soon as that has ended.
    const next = queue.length > 0 ? batches.encode(queue.splice(0, fitting(queue))) : undefined;
    if (!next && !running) break;
    const ended = running && batches.end(running);
    next?.encoded.submit();
    await ended;
    running = next;
    queue = queue.filter(({ affordable }) => affordable > 0);
  }
  return all.map((series) => series.end());
}

/**
 * The next batches, in rounds: each has every series, closed ones too, so that none is sampled alone while another is
 * open (alone an H200's kernel took 5 % longer). Where one affords fewer rounds than another wants the others have
 * several batches in each. None once all are closed; or nobody is left to keep the last one company: then that ends as
 * well.
 */
function roundsOf(all: readonly Series[], key: () => number): Series[] {
  const open = all.filter(isOpen);
  if (open.length === 0) return [];
  const members = all.filter(({ affordable }) => affordable > 0);
  const isAlone = members.length === 1 && all.filter(({ stopped }) => stopped !== "timer").length > 1;
  if (isAlone || !open.some((series) => members.includes(series))) {
    for (const series of open) series.stopped = "budget";
    return [];
  }
  const wanted = Math.max(...open.map((series) => series.wanted));
  const rounds = Math.min(wanted, ...members.map(({ affordable }) => affordable));
  const round = members.flatMap((series) =>
    Array<Series>(series.affordable < wanted ? 1 : Math.ceil(wanted / rounds)).fill(series)
  );
  return Array.from({ length: rounds }, () => shuffled(round, key())).flat();
}

/** A batch that was read. */
interface Read {
  readonly reading: BatchReading;
  /** Launches of each of its passes. */
  readonly launches: number;
}

/** Which batch of a series is submitted, and what takes its reading. */
interface Taking {
  readonly batchOf: (series: Series) => Batch;
  readonly take: (series: Series, read: Read) => void;
}

/** Batches on their way. */
interface Submission {
  /** The series of each. */
  readonly list: readonly Series[];
  /** What is asked of each. */
  readonly asked: readonly Batch[];
  /** The batches. */
  readonly encoded: EncodedPasses<SubmissionReading>;
  /** How often the device had been woken when they were encoded; nothing wakes it before they are submitted. */
  readonly wakes: number;
}

/**
 * Encodes a batch of each series of a list, in order; and, at the end, hands on those that ran at the best clock. Where
 * one did not the device is woken, a few times; then all are handed on. `end` tells whether all were.
 */
function atBestClock(timer: PassTimer, clock: Clock, { batchOf, take }: Taking) {
  let wakes = 0;
  return {
    encode(list: readonly Series[]): Submission {
      const asked = list.map(batchOf);
      return { list, asked, encoded: encodeBatches(timer, clock, asked), wakes };
    },
    async end(submission: Submission): Promise<boolean> {
      const { list, asked, encoded } = submission;
      const { batches, probeNs } = await encoded.read();
      share(list, probeNs);
      const isTaken = (reading: BatchReading) => submission.wakes >= MAX_WAKES || !isSlow(reading, clock);
      list.forEach((series, i) => {
        if (isTaken(batches[i])) take(series, { reading: batches[i], launches: asked[i].launches });
        else series.reject(batches[i]);
      });
      if (batches.every(isTaken)) return true;
      // What was submitted before the device was woken, and read after, says nothing new.
      if (submission.wakes === wakes) {
        wakes++;
        share(list, await warmUp(timer, clock, { minMs: 0, maxMs: MAX_WAKE_MS }));
      }
      return false;
    },
  };
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
