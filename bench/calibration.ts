/**
 * Measures what a device does at best, once per run: the timer's step, what passes and dispatches cost by themselves,
 * and the rates of memory and arithmetic that no kernel can pass. Figures of cases are held against it.
 *
 * @module
 */
import type { Launch } from "../kernels/kernel.ts";
import { checkLimits } from "../kernels/limits.ts";
import { total } from "../reference/shapes.ts";
import {
  fillLaunch,
  HARDWARE_SIZES,
  idleLaunch,
  type ProbeSizes,
  type RateName,
  rateProbes,
  SOFTWARE_SIZES,
} from "./calibration_probes.ts";
import { type Clock, probePass, spansOf, SPIN_PASSES, type TimedPass } from "./clock.ts";
import type { Gpu } from "./device.ts";
import { gpuPassTimer } from "./pass_timer.ts";
import { type BoundLaunch, prepare, type PreparedLaunch } from "./plan.ts";
import type { CalibratedFigure, Calibration } from "./result.ts";
import { peakAllowance } from "./judge.ts";
import { maxClockRatio, quantile } from "./statistics.ts";
import { warmUp } from "./warm_up.ts";

/** Pairs of passes that tell what a dispatch costs, and the dispatches by which the two differ. */
const [DISPATCH_PAIRS, MORE_DISPATCHES] = [12, 256];
/** Submissions of a rate at most, and the passes of each. */
const [SUBMISSIONS, PASSES] = [3, 8];
/** Time of the device after which a rate gets no further submission, ns: slow devices are steady soon enough. */
const ENOUGH_NS = 150_000_000;
/** Submissions in all that are taken again because the clock was not at its best, and the longest wait for it, ms. */
const [MAX_REJECTED, MAX_WAKE_MS] = [4, 3000];
/**
 * Share of the passes of a rate that may be faster than it: one of 24 that seems fast is a glitch of the timer, not a
 * limit.
 */
const FASTEST_SHARE = 0.1;

/** Figures by name: what {@linkcode calibrationOf} judges. */
export type Figures = { readonly [K in Exclude<keyof Calibration, "doubts" | "wallMs" | "gpuMs">]?: CalibratedFigure };

/**
 * Runs a step of a calibration; what it throws is a doubt, since a device that cannot be calibrated can still be used.
 */
type Attempt = <T>(what: string, step: () => Promise<T>) => Promise<T | undefined>;

/** Why no time of the run has a reading of the clock beside it. */
const CLOCK_UNREAD = "the timer is too coarse for the probe: how fast the clock ran was not checked";

/** Ways of doing the same work. */
interface BoundRate {
  readonly ways: readonly BoundLaunch[];
  /** Bytes or flops of each. */
  readonly work: number;
}

/** What is run, compiled and bound; absent what could not be. */
interface Probes {
  /** A launch that does next to nothing. */
  readonly idle?: BoundLaunch;
  /** Launches that tell rates, with the work of each. */
  readonly rates: ReadonlyMap<RateName, BoundRate>;
  /** Frees the buffers. */
  destroy(): void;
}

/**
 * Calibrates `gpu`, which has timestamps, and whose clock has been read. Takes about a second and a
 * half on a GPU and one on a CPU.
 *
 * @param wokenNs Device time that waking it has taken.
 * @returns What could be measured; nothing is thrown, what went wrong is among the doubts.
 */
export async function calibrate(gpu: Gpu, clock: Clock, wokenNs = 0): Promise<Calibration> {
  const before = performance.now();
  let gpuNs = wokenNs;
  const spend = (ns: number) => gpuNs += ns;
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
    quantumNs: { value: clock.quantumNs },
    emptyPassNs: { value: clock.passOverheadNs },
  };
  try {
    if (!gpu.adapter.software) {
      await attempt("warm-up", async () => spend(await wake(gpu, clock)));
      if (clock.bestProbeNs === undefined) doubts.push(CLOCK_UNREAD);
    }
    const spans = spannerOn(gpu, clock, spend);
    if (idle) figures = { ...figures, dispatchNs: await attempt("dispatchNs", () => dispatchCost(spans, idle)) };
    for (const [name, { ways, work }] of rates) {
      const figure = await attempt(name, async () => {
        const found: CalibratedFigure[] = [];
        for (const bound of ways) found.push(rateOf(work, await spansOfRate(spans, bound)));
        return fastestOf(found);
      });
      figures = { ...figures, [name]: figure };
    }
  } finally {
    destroy();
  }
  return calibrationOf(figures, { doubts, wallMs: performance.now() - before, gpuMs: gpuNs / 1e6 });
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
  const rates = new Map<RateName, BoundRate>();
  for (const { name, launches, work } of rateProbes(sizes, gpu.traits)) {
    const ways = await attempt(name, async () => {
      const bound: BoundLaunch[] = [];
      for (const launch of launches) bound.push((await make(launch, filled)).bind());
      return bound;
    });
    if (ways) rates.set(name, { ways, work });
  }
  return { idle, rates, destroy: () => own.forEach((prepared) => prepared.destroy()) };
}

/** A device with less memory than a laptop's gets what fits into a binding. */
function sizesFor({ adapter, traits: { limits } }: Gpu): ProbeSizes {
  const sizes = adapter.software ? SOFTWARE_SIZES : HARDWARE_SIZES;
  const room = Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
  return { ...sizes, memoryBytes: Math.min(sizes.memoryBytes, 2 ** Math.floor(Math.log2(room))) };
}

/** What one more dispatch costs: passes of one and of many, in turn. */
async function dispatchCost(spans: Spanner, idle: BoundLaunch): Promise<CalibratedFigure> {
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
  return figureOf(quantile(costsNs, 0.5), costsNs);
}

/** Spans of passes that are each one launch, in submissions so short that the device is not throttled for them. */
async function spansOfRate(spans: Spanner, bound: BoundLaunch): Promise<number[]> {
  const spansNs: number[] = [];
  for (let i = 0; i < SUBMISSIONS && total(spansNs) < ENOUGH_NS; i++) {
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
 * Spans at full clock: those that were not are taken again, and refused where the clock stays below the allowance that
 * figures have (a limit measured at half of it would condemn every kernel).
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

function spannerOn(gpu: Gpu, clock: Clock, spend: (ns: number) => void): Spanner {
  const run = async (passes: readonly TimedPass[]) => {
    const spansNs = (await spansOf(gpu, passes)).ticks.map((ticks) => ticks * clock.tickNs);
    spend(total(spansNs));
    return spansNs;
  };
  if (gpu.adapter.software) return run;
  const probe = probePass(gpu);
  return spannerOf(
    async (passes) => {
      const spansNs = await run([...Array(SPIN_PASSES).fill(probe), ...passes, probe]);
      const slowest = Math.max(spansNs[SPIN_PASSES - 1], spansNs[spansNs.length - 1]);
      return {
        spansNs: spansNs.slice(SPIN_PASSES, -1),
        clockRatio: clock.bestProbeNs === undefined ? 1 : slowest / clock.bestProbeNs,
      };
    },
    async () => spend(await wake(gpu, clock)),
  );
}

function wake(gpu: Gpu, clock: Clock): Promise<number> {
  return warmUp(gpuPassTimer(gpu, []), clock, { minMs: 0, maxMs: MAX_WAKE_MS });
}

/**
 * The rate of launches that each do `work`: of the fast ones, but not of the very fastest. NaN where none took any
 * time.
 */
export function rateOf(work: number, spansNs: readonly number[]): CalibratedFigure {
  const positive = spansNs.filter((ns) => ns > 0);
  if (positive.length === 0) return { value: NaN };
  return figureOf(work / (quantile(positive, FASTEST_SHARE) * 1e-9), positive);
}

/** The highest of rates at which a device did the same work; NaN where it did it in none. */
export function fastestOf(rates: readonly CalibratedFigure[]): CalibratedFigure {
  return rates.reduce((best, rate) => rate.value > best.value || Number.isNaN(best.value) ? rate : best, {
    value: NaN,
  });
}

function figureOf(value: number, readings: readonly number[]): CalibratedFigure {
  const [q1, median, q3] = [0.25, 0.5, 0.75].map((p) => quantile(readings, p));
  const spread = (q3 - q1) / Math.abs(median);
  return Number.isFinite(spread) ? { value, spread } : { value };
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}

/** Leaves out what is no number above zero: nothing would be within such a limit, or everything. */
export function calibrationOf(
  figures: Figures,
  { doubts, ...times }: Pick<Calibration, "doubts" | "wallMs" | "gpuMs">,
): Calibration {
  const entries = Object.entries(figures).filter(([, figure]) => figure !== undefined);
  const isBelieved = ({ value }: CalibratedFigure) => value > 0 && Number.isFinite(value);
  const refused = entries.filter(([, figure]) => !isBelieved(figure));
  return {
    ...Object.fromEntries(entries.filter(([, figure]) => isBelieved(figure))) as Figures,
    doubts: [...doubts, ...refused.map(([name, { value }]) => `${name}: it was measured as ${value}`)],
    ...times,
  };
}
