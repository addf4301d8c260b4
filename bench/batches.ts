/**
 * Submits passes in batches, the clock read around each of them in the submission that is timed: a probe in one of its
 * own would read another clock.
 *
 * @module
 */
import { canReadClock, type Clock, type EncodedPasses, type Span, spansIn, SPIN_PASSES } from "./clock.ts";
import type { PassTimer, Work } from "./pass_timer.ts";
import { quantile } from "./statistics.ts";

/** Passes of one subject in a row. */
export interface Batch extends Work {
  /** How many. */
  readonly passes: number;
}

/** What was read of a batch. */
export interface BatchReading {
  /** Its passes. */
  readonly spans: readonly Span[];
  /** The probe right before; absent where there is none, the timer lost it or is too coarse for it. */
  readonly beforeNs?: number;
  /** The probe right after. */
  readonly afterNs?: number;
}

/** What was read of a submission. */
export interface SubmissionReading {
  /** Its batches. */
  readonly batches: readonly BatchReading[];
  /** Device time of the probe, ns. */
  readonly probeNs: number;
}

/** Passes of a submission of `batches`. */
export function passesOf(batches: readonly Batch[]): number {
  return batches.reduce((sum, { passes }) => sum + passes + 1, SPIN_PASSES);
}

/** Encodes `batches`, the device kept busy with the probe before the first one and the probe between them. */
export function encodeBatches(
  timer: PassTimer,
  clock: Clock,
  batches: readonly Batch[],
): EncodedPasses<SubmissionReading> {
  const probes = (count: number) => Array<"probe">(timer.hasProbe ? count : 0).fill("probe");
  const passes = batches.flatMap(({ passes, ...work }) => [...Array<Work>(passes).fill(work), ...probes(1)]);
  const encoded = timer.encode([...probes(SPIN_PASSES), ...passes]);
  return {
    submit: () => encoded.submit(),
    read: async () => readingOf(timer, clock, batches, await encoded.read()),
  };
}

function readingOf(
  { hasProbe }: PassTimer,
  clock: Clock,
  batches: readonly Batch[],
  stamps: readonly bigint[],
): SubmissionReading {
  const spans = spansIn(stamps, clock.tickNs);
  const spin = spans.slice(0, hasProbe ? SPIN_PASSES : 0).map(({ ns }) => ns).filter((ns) => ns > 0);
  // A lower quartile, not the least: one glitch of the timer would be the best clock for ever.
  const isRead = canReadClock(clock, spin);
  if (isRead) clock.bestProbeNs = Math.min(quantile(spin, 0.25), clock.bestProbeNs ?? Infinity);
  let at = hasProbe ? SPIN_PASSES : 0;
  let probeNs = spin.reduce((sum, ns) => sum + ns, 0);
  const probeNsAt = (i: number) => hasProbe ? Math.max(0, spans[i].ns) : 0;
  const readAt = (i: number) => isRead && probeNsAt(i) > 0 ? spans[i].ns : undefined;
  const readings = batches.map(({ passes }): BatchReading => {
    const end = at + passes;
    const reading = { spans: spans.slice(at, end), beforeNs: readAt(at - 1), afterNs: readAt(end) };
    probeNs += probeNsAt(end);
    at = hasProbe ? end + 1 : end;
    return reading;
  });
  return { batches: readings, probeNs };
}
