/**
 * Measures what a device does at best, once per run: the timer's step, what passes and dispatches cost by themselves, and
 * the rates of memory and arithmetic that no kernel can pass. Figures of cases are held against it.
 *
 * @module
 */
import type { Launch } from "../kernels/kernel.ts";
import { checkLimits } from "../kernels/limits.ts";
import {
  fillLaunch,
  HARDWARE_SIZES,
  idleLaunch,
  type ProbeSizes,
  type RateName,
  rateProbes,
  SOFTWARE_SIZES,
} from "./calibration_probes.ts";
import { type Clock, spansOf, spansWithProbe, type TimedPass, warmUp } from "./clock.ts";
import type { Gpu } from "./device.ts";
import { type BoundLaunch, prepare, type PreparedLaunch } from "./plan.ts";
import type { CalibratedFigure, Calibration } from "./result.ts";
import { maxClockRatio, peakAllowance, quantile } from "./statistics.ts";

/** Passes without work; a timer that counts in steps shows its step in a thousand of them. */
const EMPTY_PASSES = 1024;
/** Pairs of passes that tell what a dispatch costs, and the dispatches by which the two differ. */
const [DISPATCH_PAIRS, MORE_DISPATCHES] = [12, 256];
/** Submissions of a rate at most, and the passes of each. */
const [SUBMISSIONS, PASSES] = [3, 8];
/** Time of the device after which a rate gets no further submission, ns: slow devices are steady soon enough. */
const ENOUGH_NS = 150_000_000;
/** Submissions in all that are taken again because the clock was not at its best, and the longest wait for it, ms. */
const [MAX_REJECTED, MAX_WAKE_MS] = [4, 3000];
/** Share of the passes of a rate that may be faster than it: one of 24 that seems fast is a glitch of the timer, not a limit. */
const FASTEST_SHARE = 0.1;

/** Figures by name: what {@linkcode calibrationOf} judges. */
export type Figures = { readonly [K in Exclude<keyof Calibration, "doubts" | "wallMs">]?: CalibratedFigure };

/** Runs a step of a calibration; what it throws is a doubt, since a device that cannot be calibrated can still be used. */
type Attempt = <T>(what: string, step: () => Promise<T>) => Promise<T | undefined>;

/** What is run, compiled and bound; absent what could not be. */
interface Probes {
  /** A launch that does next to nothing. */
  readonly idle?: BoundLaunch;
  /** Launches that tell rates, with the work of each. */
  readonly rates: ReadonlyMap<RateName, { readonly bound: BoundLaunch; readonly work: number }>;
  /** Frees the buffers. */
  destroy(): void;
}

/**
 * Calibrates `gpu`, which has timestamps, and whose clock has been read where it is hardware. Takes about a second and a
 * half on a GPU and one on a CPU.
 *
 * @returns What could be measured; nothing is thrown, what went wrong is among the doubts.
 */
export async function calibrate(gpu: Gpu, clock: Clock): Promise<Calibration> {
  const before = performance.now();
  const doubts = clock.doubt === undefined ? [] : [clock.doubt];
  const attempt: Attempt = async (what, step) => {
    try {
      return await step();
    } catch (error) {
      doubts.push(`${what}: ${oneLine((error as Error).message)}`);
    }
  };
  // Everything is compiled first: the clock falls while the host works.
  const { idle, rates, destroy } = await prepareProbes(gpu, attempt);
  let figures: Figures = {
    tickNs: { value: clock.tickNs, ...clock.tickSpread !== undefined && { spread: clock.tickSpread } },
  };
  try {
    if (!gpu.adapter.software) {
      await attempt("warm-up", () => warmUp(gpu, clock, { minMs: 0, maxMs: MAX_WAKE_MS }));
    }
    const spans = spannerOn(gpu, clock);
    figures = { ...figures, ...await attempt("passes", () => passFigures(spans, clock, idle)) };
    for (const [name, { bound, work }] of rates) {
      const figure = await attempt(name, async () => rateOf(work, await spansOfRate(spans, bound)));
      figures = { ...figures, [name]: figure };
    }
  } finally {
    destroy();
  }
  return calibrationOf(figures, { doubts, wallMs: performance.now() - before });
}

async function prepareProbes(gpu: Gpu, attempt: Attempt): Promise<Probes> {
  const own: PreparedLaunch[] = [];
  const sizes = sizesFor(gpu);
  const make = async (launch: Launch, buffers: PreparedLaunch["buffers"] = new Map()) => {
    const excess = checkLimits(launch, gpu.traits);
    if (excess !== undefined) throw new RangeError(excess);
    const prepared = await prepare(gpu, launch, buffers);
    own.push(prepared);
    return prepared;
  };
  const idle = await attempt("dispatchNs", async () => (await make(idleLaunch())).bind());
  const filled = await attempt("memory", async () => {
    const fill = await make(fillLaunch(sizes));
    await spansOf(gpu, [fill.bind()]);
    return fill.buffers;
  });
  const rates = new Map<RateName, { readonly bound: BoundLaunch; readonly work: number }>();
  for (const { name, launch, work } of rateProbes(sizes, gpu.traits.features)) {
    const bound = await attempt(name, async () => (await make(launch, filled)).bind());
    if (bound) rates.set(name, { bound, work });
  }
  return { idle, rates, destroy: () => own.forEach((prepared) => prepared.destroy()) };
}

/** A device with less memory than a laptop's gets what fits into a binding. */
function sizesFor({ adapter, traits: { limits } }: Gpu): ProbeSizes {
  const sizes = adapter.software ? SOFTWARE_SIZES : HARDWARE_SIZES;
  const room = Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
  return { ...sizes, memoryBytes: Math.min(sizes.memoryBytes, 2 ** Math.floor(Math.log2(room))) };
}

/** What is told by passes that do next to nothing. */
async function passFigures(spans: Spanner, clock: Clock, idle: BoundLaunch | undefined): Promise<Figures> {
  const emptyNs = await spans(Array(EMPTY_PASSES).fill({ encode() {} }));
  const emptyPassNs = figureOf(quantile(emptyNs, 0.5), emptyNs);
  if (!idle) return { quantumNs: { value: quantumOf(emptyNs, clock.tickNs) }, emptyPassNs };
  const passOf = (dispatches: number): TimedPass => ({
    encode(pass) {
      for (let i = 0; i < dispatches; i++) idle.encode(pass);
    },
  });
  const spansNs = await spans(Array(DISPATCH_PAIRS).fill([passOf(1), passOf(1 + MORE_DISPATCHES)]).flat());
  const costsNs = Array.from(
    { length: DISPATCH_PAIRS },
    (_, pair) => (spansNs[2 * pair + 1] - spansNs[2 * pair]) / MORE_DISPATCHES,
  );
  return {
    quantumNs: { value: quantumOf([...emptyNs, ...spansNs], clock.tickNs) },
    emptyPassNs,
    dispatchNs: figureOf(quantile(costsNs, 0.5), costsNs),
  };
}

/** Spans of passes that are each one launch, in submissions so short that the device is not throttled for them. */
async function spansOfRate(spans: Spanner, bound: BoundLaunch): Promise<number[]> {
  const spansNs: number[] = [];
  for (let i = 0; i < SUBMISSIONS && sum(spansNs) < ENOUGH_NS; i++) {
    spansNs.push(...await spans(Array(PASSES).fill(bound)));
  }
  return spansNs;
}

/** Spans of passes, ns. */
export type Spanner = (passes: readonly TimedPass[]) => Promise<readonly number[]>;

/** Spans with the clock around them, over the best of it: 1 at full clock, 2 at half. */
export interface ClockedSpans {
  readonly spansNs: readonly number[];
  readonly clockRatio: number;
}

/**
 * Spans at full clock: those that were not are taken again, and refused where the clock stays below the allowance that figures
 * have (a limit measured at half of it would condemn every kernel).
 *
 * @param submit Runs passes once.
 * @param wake Waits for the clock.
 */
export function spannerOf(
  submit: (passes: readonly TimedPass[]) => Promise<ClockedSpans>,
  wake: () => Promise<unknown>,
): Spanner {
  let rejected = 0;
  return async (passes) => {
    for (;;) {
      const { spansNs, clockRatio } = await submit(passes);
      if (clockRatio <= maxClockRatio) return spansNs;
      if (rejected === MAX_REJECTED) {
        if (clockRatio <= peakAllowance) return spansNs;
        throw new RangeError(`the clock stayed at ${(100 / clockRatio).toFixed(0)} % of its best`);
      }
      rejected++;
      await wake();
    }
  };
}

function spannerOn(gpu: Gpu, clock: Clock): Spanner {
  if (gpu.adapter.software) {
    return async (passes) => (await spansOf(gpu, passes)).ticks.map((ticks) => ticks * clock.tickNs);
  }
  return spannerOf(
    async (passes) => {
      const { spansNs, beforeNs, afterNs } = await spansWithProbe(gpu, clock, passes);
      return { spansNs, clockRatio: Math.max(beforeNs, afterNs) / (clock.bestProbeNs ?? Infinity) };
    },
    () => warmUp(gpu, clock, { minMs: 0, maxMs: MAX_WAKE_MS }),
  );
}

/** The rate of launches that each do `work`: of the fast ones, but not of the very fastest. NaN where none took any time. */
export function rateOf(work: number, spansNs: readonly number[]): CalibratedFigure {
  const positive = spansNs.filter((ns) => ns > 0);
  if (positive.length === 0) return { value: NaN };
  return figureOf(work / (quantile(positive, FASTEST_SHARE) * 1e-9), positive);
}

function figureOf(value: number, readings: readonly number[]): CalibratedFigure {
  const [q1, median, q3] = [0.25, 0.5, 0.75].map((p) => quantile(readings, p));
  const spread = (q3 - q1) / Math.abs(median);
  return Number.isFinite(spread) ? { value, spread } : { value };
}

/**
 * Step of a timer in ns, from spans that vary by little: their greatest common divisor in ticks. A step that is no whole
 * number of ticks (41.67 of 1 ns at 24 MHz, 819.2 of 80 ns where a browser rounds to 65,536 ns) leaves spans one tick beside
 * its multiples: then it is the mean span over those multiples.
 *
 * @returns NaN where no span is above zero.
 */
export function quantumOf(spansNs: readonly number[], tickNs: number): number {
  const ticks = [...new Set(spansNs.map((ns) => Math.round(ns / tickNs)))].filter((span) => span > 0).sort((a, b) =>
    a - b
  );
  if (ticks.length === 0) return NaN;
  const exact = ticks.reduce(greatestCommonDivisor);
  // Below eight ticks anything is near a multiple.
  const gaps = ticks.map((span, i) => span - (ticks[i - 1] ?? 0)).filter((gap) => gap >= 8);
  if (exact > 1 || gaps.length === 0) return exact * tickNs;
  const least = Math.min(...gaps);
  const counts = ticks.map((span) => Math.round(span / least));
  const step = sum(ticks) / sum(counts);
  const isNear = ticks.every((span, i) => Math.abs(span - counts[i] * step) <= 1);
  // Three of its residues are near: so few spans as might be by chance prove nothing.
  return isNear && (3 / step) ** (ticks.length - 1) < 1e-3 ? step * tickNs : tickNs;
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** Leaves out what is no number above zero: nothing would be within such a limit, or everything. */
export function calibrationOf(
  figures: Figures,
  { doubts, wallMs }: Pick<Calibration, "doubts" | "wallMs">,
): Calibration {
  const entries = Object.entries(figures).filter(([, figure]) => figure !== undefined);
  const isBelieved = ({ value }: CalibratedFigure) => value > 0 && Number.isFinite(value);
  const refused = entries.filter(([, figure]) => !isBelieved(figure));
  return {
    ...Object.fromEntries(entries.filter(([, figure]) => isBelieved(figure))) as Figures,
    doubts: [...doubts, ...refused.map(([name, { value }]) => `${name}: it was measured as ${value}`)],
    wallMs,
  };
}
