/**
 * What the cases of a sweep share: the device, its clock, the reference's Workers, inputs made and uploaded.
 *
 * @module
 */
import { type Kernel, kernelName } from "../kernels/kernel.ts";
import { describePrecision, F32 } from "../reference/precision.ts";
import type { RecordedTensors } from "../reference/recorded.ts";
import type { Case } from "../suites/case.ts";
import { type CaseInputs, inputsKey, makeCaseInputs } from "./case_inputs.ts";
import { calibrate } from "./calibration.ts";
import { startMeter } from "./busy_meter.ts";
import { calibrateClock, type Clock, IDEAL_TIMER } from "./clock.ts";
import { type Gpu, openGpu } from "./device.ts";
import type { Against } from "./differential.ts";
import type { MeasureOptions } from "./measure.ts";
import type { Calibration, Result } from "./result.ts";
import { ReferencePool } from "./reference_pool.ts";
import type { PackedOutputs } from "./stored_outputs.ts";
import { gpuPassTimer } from "./pass_timer.ts";
import { Uploads } from "./uploads.ts";
import { warmUp } from "./warm_up.ts";

/** Options of a sweep. */
export interface SweepOptions {
  /** Kernels by which cases are run: the variant of each case must be among them. */
  readonly kernels: readonly Kernel[];
  /** Whether verified cases are timed. @default {true} */
  readonly timing?: boolean;
  /** Cases that are in flight at once where none is timed. @default {8} */
  readonly inFlight?: number;
  /** Recorded tensors by `name@hash8`. */
  readonly recorded?: ReadonlyMap<string, RecordedTensors>;
  /** How to measure. @default by the kind of adapter */
  readonly measure?: MeasureOptions;
  /** What the device was measured to do at best. @default {measured where cases are timed, before the first} */
  readonly calibration?: Calibration;
  /** Called with it once it is measured here. */
  readonly onCalibration?: (calibration: Calibration) => void;
  /**
   * Flops that the reference of one case may cost; above it rows are sampled. @default {referenceBudget} of the sweep
   */
  readonly referenceBudgetFlops?: number;
  /** What each case that passes is compared with. @default {nothing} */
  readonly against?: Against;
  /** Called with the outputs of each case that passes. */
  readonly onOutputs?: (outputs: PackedOutputs) => void;
  /** Whether failing cases are made smaller, the first few of each kernel. @default {false} */
  readonly shrink?: boolean;
  /** Called with a failure before it is made smaller. */
  readonly onShrink?: (result: Result) => void;
  /** Called when a case begins. */
  readonly onBegin?: (c: Case) => void;
  /** A device that is already open; it is closed at the end. */
  readonly gpu?: Gpu;
}

/** What the reference of a case may cost where a CPU runs the kernels too, flops. */
const SOFTWARE_REFERENCE_FLOPS = 2e8;
/** What it may cost at least beside a GPU: rows at edges are compared in any case. */
const LEAST_REFERENCE_FLOPS = 1e8;
/** What it may cost beside a GPU in a sweep of few cases: about a second of a core. */
const MOST_REFERENCE_FLOPS = 3e9;
/** What all cases of a sweep beside a GPU may cost together: a quarter of a minute of 16 cores, were each a shape. */
const SWEEP_REFERENCE_FLOPS = 5e11;

/**
 * Flops that the reference of one case of a sweep may cost, by default. Sweeps of many cases compare fewer rows of
 * each: always those at edges, and of the random ones the first of those that a case run alone compares.
 */
export function referenceBudget(cases: number, software: boolean): number {
  if (software) return SOFTWARE_REFERENCE_FLOPS;
  return Math.min(MOST_REFERENCE_FLOPS, Math.max(LEAST_REFERENCE_FLOPS, SWEEP_REFERENCE_FLOPS / cases));
}

/**
 * Inputs that nobody uses and that are kept, beside those made ahead: of the shape just run, and of the one that comes
 * now.
 */
const IDLE_INPUTS = 2;

/** The inputs of a shape, with the limits of each precision that was asked for. */
interface MadeInputs {
  readonly byPrecision: Map<string, Promise<CaseInputs>>;
  users: number;
}

/** A sweep's open device, replaced when it is lost. */
export class Session {
  /** The device. */
  gpu: Gpu;
  /** Its clock. */
  clock: Clock = { ...IDEAL_TIMER };
  /** What the device does at best; absent where nothing is timed or there are no timestamps. */
  calibration?: Calibration;
  /** Inputs on the device. */
  uploads: Uploads = new Uploads();
  /** Options of the sweep. */
  readonly options: SweepOptions;
  /** Cases of the sweep. */
  readonly cases: number;
  readonly #referenceBudgetFlops: number;
  readonly #pool = new ReferencePool();
  readonly #inputs = new Map<string, MadeInputs>();
  #ahead: ReadonlySet<string> = new Set();

  private constructor(gpu: Gpu, options: SweepOptions, cases: number) {
    this.gpu = gpu;
    this.options = options;
    this.cases = cases;
    this.calibration = options.calibration;
    this.#referenceBudgetFlops = options.referenceBudgetFlops ?? referenceBudget(cases, gpu.adapter.software);
  }

  /**
   * Opens the device for a sweep of `cases` where `options` has none, and reads its clock and its limits where cases
   * are timed.
   */
  static async open(options: SweepOptions, cases: number): Promise<Session> {
    const session = new Session(options.gpu ?? await openGpu(), options, cases);
    await session.#startClock();
    return session;
  }

  /** Opens the device anew. */
  async reopen(): Promise<void> {
    this.gpu.close();
    this.uploads = new Uploads();
    this.gpu = await openGpu();
    await this.#startClock();
  }

  /** The kernel by which `c` is run, where it was given. */
  kernelOf(c: Case): Kernel | undefined {
    return this.options.kernels.find((kernel) => kernelName(kernel) === kernelName(c));
  }

  /**
   * Hands `work` the inputs of `c`, with the limits of its kernel's precision. They are made at most once while their
   * shape is in use or next, and so is what each precision adds.
   */
  async withInputs<T>(c: Case, work: (inputs: CaseInputs) => Promise<T>): Promise<T> {
    const key = inputsKey(c);
    let entry = this.#inputs.get(key);
    if (!entry) {
      entry = { byPrecision: new Map(), users: 0 };
      this.#evict();
    } else this.#inputs.delete(key);
    // The newest is last.
    this.#inputs.set(key, entry);
    entry.users++;
    const made = this.#make(c, entry);
    try {
      return await work(await made);
    } catch (error) {
      // What could not be made is tried again by the next case.
      if (await made.then(() => false, () => true)) this.#inputs.delete(key);
      throw error;
    } finally {
      entry.users--;
    }
  }

  /**
   * Begins to make the inputs of `cases`, which are to run next, where they are not there, in that order; they are kept
   * until other cases are next. What cannot be made is tried again by the case that needs it.
   */
  makeAhead(cases: readonly Case[]): void {
    this.#ahead = new Set(cases.map(inputsKey));
    for (const c of cases) this.withInputs(c, () => Promise.resolve()).catch(() => {});
  }

  /** Closes device and Workers. */
  close(): void {
    this.#pool.close();
    this.gpu.close();
  }

  #make(c: Case, { byPrecision }: MadeInputs): Promise<CaseInputs> {
    const { precision = F32 } = this.kernelOf(c) ?? {};
    const key = describePrecision(precision);
    let made = byPrecision.get(key);
    if (!made) {
      const [known] = byPrecision.values();
      made = known ? known.then((inputs) => inputs.inPrecision?.(precision) ?? inputs) : makeCaseInputs(c, {
        pool: this.#pool,
        recorded: this.options.recorded,
        referenceBudgetFlops: this.#referenceBudgetFlops,
        precision,
      });
      byPrecision.set(key, made);
    }
    return made;
  }

  #evict(): void {
    const idle = [...this.#inputs].filter(([key, { users }]) => users === 0 && !this.#ahead.has(key));
    for (const [key] of idle.slice(0, Math.max(0, idle.length - IDLE_INPUTS + 1))) this.#inputs.delete(key);
  }

  async #startClock(): Promise<void> {
    const { gpu, options } = this;
    if (options.timing === false || !gpu.traits.features.has("timestamp-query")) return;
    this.clock = await calibrateClock(gpu, gpu.adapter.software ? 0 : undefined);
    const wokenNs = gpu.adapter.software
      ? 0
      : await warmUp(gpuPassTimer(gpu, []), this.clock, { minMs: 1000, maxMs: 12_000 });
    startMeter(gpu);
    // A device that is opened anew is the same one: its limits are, and results of one run are held against one of
    // each.
    if (this.calibration) return;
    this.calibration = await calibrate(gpu, this.clock, wokenNs);
    options.onCalibration?.(this.calibration);
  }
}
