/**
 * Runs one case: inputs → launch → verify → measure → result.
 *
 * @module
 */
import { type CacheLayout, type Kernel, kernelName, type Launch } from "../kernels/kernel.ts";
import { checkLimits, missingFeature } from "../kernels/limits.ts";
import { AUTO, resolveBackend } from "../kernels/resolver.ts";
import type { KernelPrecision } from "../reference/precision.ts";
import type { Case } from "../suites/case.ts";
import { meterOf } from "./busy_meter.ts";
import { refuseValues } from "./cache_values.ts";
import { type CaseInputs, inputsKey } from "./case_inputs.ts";
import type { Gpu } from "./device.ts";
import { differentialOf } from "./differential.ts";
import type { FirstRun } from "./first_run.ts";
import { ExecutionError, guarded } from "./guard.ts";
import { checkInvariances } from "./invariance.ts";
import { isSameLayout, layoutsOf } from "./layouts.ts";
import { measureCases } from "./measure_case.ts";
import { type PairedKernel, pairKernel, worksOf } from "./pairing.ts";
import { prepare, type PreparedLaunch } from "./plan.ts";
import type { Differential, PlanTimes, ResolverChoice, Result, ResultBase, Stage, Verification } from "./result.ts";
import { checkSchedule } from "./schedule.ts";
import type { Session } from "./session.ts";
import { quantile } from "./statistics.ts";
import { TimingGroup } from "./timing_group.ts";
import type { Upload } from "./uploads.ts";
import { verifyCalls } from "./verify_case.ts";

/** A result without what every result has. */
export type Outcome<T = Result> = T extends Result ? Omit<T, keyof ResultBase> : never;

/** What becomes known of a case on its way, whatever its end. */
interface Trace {
  stage: Stage;
  resolver?: ResolverChoice;
  inputsMs?: number;
  checksMs?: number;
  compileMs?: number;
  gpuMs?: number;
  checkGpuMs?: number;
  /** Time that went to the cases that it was timed with, ms. */
  foreignMs: number;
  chosen?: Launch["chosen"];
  precision?: KernelPrecision;
  plan?: PlanTimes;
  differential?: Differential;
}

/** Updates of a plan that are timed where a case has no flow that needs some. */
const TIMED_UPDATES = 5;

/** What {@linkcode runCase} does beside running the case. */
export interface RunOptions {
  /** Cases whose inputs are made meanwhile. */
  readonly ahead?: readonly Case[];
  /** Cases that it is timed together with, itself among them. @default {itself alone} */
  readonly group?: TimingGroup;
  /** Gets what the case left where it is right; then nothing further is checked, compared or timed. */
  readonly take?: (run: FirstRun) => void | Promise<void>;
  /** Whether the case is checked and no more: neither compared nor timed. @default {false} */
  readonly checksOnly?: boolean;
}

const OUT_OF_MEMORY = "the device is out of memory";

/** Whether the device had no room for the case. */
export function isOutOfMemory(result: Result): boolean {
  return result.status === "skipped" && result.reason.startsWith(OUT_OF_MEMORY);
}

/** Runs `c`; what goes wrong is its result. */
export async function runCase(session: Session, c: Case, runOptions: RunOptions = {}): Promise<Result> {
  const before = performance.now();
  const trace: Trace = { stage: "launch", foreignMs: 0 };
  let outcome: Outcome;
  try {
    outcome = await attempt(session, c, trace, runOptions);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const stage = error instanceof ExecutionError && trace.stage !== "measure" ? error.stage : trace.stage;
    outcome = error instanceof ExecutionError && error.outOfMemory
      ? { status: "skipped", reason: `${OUT_OF_MEMORY}: ${message}` }
      : { status: "failed", stage, message };
  }
  const { gpu, clock } = session;
  const meter = meterOf(gpu);
  if (meter) trace.checkGpuMs = meter.take() * clock.tickNs / 1e6;
  const { stage: _, foreignMs, ...known } = trace;
  const hostMs = performance.now() - before - foreignMs;
  runOptions.group?.leave(c);
  return { id: c.id, axes: c.axes, hostMs, ...defined(known), ...outcome } as Result;
}

/** Members that are there: absent ones are left out of a report. */
function defined<T extends object>(members: T): Partial<T> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as Partial<T>;
}

async function attempt(
  session: Session,
  c: Case,
  trace: Trace,
  runOptions: RunOptions,
): Promise<Outcome> {
  const { ahead = [] } = runOptions;
  const { gpu } = session;
  const kernel = session.kernelOf(c);
  if (!kernel) throw new RangeError(`Cannot run "${kernelName(c)}": no such kernel was given`);
  trace.precision = kernel.precision;
  const paired = worksOf(c).map((work) => pairKernel(kernel, work, c.tuning));
  const refusal = refusalOf(session, c);
  trace.resolver = resolveBackend(AUTO, worksOf(c)[0], gpu.traits);
  if (refusal) return { status: "skipped", reason: refusal };

  const planned = c.tensors === undefined ? describe(paired, layoutsOf(c), gpu, trace) : undefined;
  if (typeof planned === "string") return { status: "skipped", reason: planned };

  trace.stage = "inputs";
  const before = performance.now();
  return await session.withInputs(c, async (inputs) => {
    trace.inputsMs = performance.now() - before;
    const excess = refuseValues(kernel, inputs);
    if (excess) return { status: "skipped", reason: excess };
    session.makeAhead(ahead.filter((other) => refusalOf(session, other) === undefined));
    trace.stage = "launch";
    const layouts = inputs.calls.map(({ layout }) => layout);
    const isPlanned = planned?.layouts.every((layout, i) => isSameLayout(layout, layouts[i]));
    const described = isPlanned ? planned! : describe(paired, layouts, gpu, trace);
    if (typeof described === "string") return { status: "skipped", reason: described };
    trace.stage = "run";
    const upload = await session.uploads.acquire(gpu, inputsKey(c), inputs);
    try {
      return await verifyAndMeasure({ session, c, kernel, paired, inputs, trace, runOptions, ...described }, upload);
    } finally {
      upload.release();
    }
  });
}

/** The launches of a case. */
interface Described {
  /** Layout of the cache for each call. */
  readonly layouts: readonly CacheLayout[];
  /** The launch of each call. */
  readonly launches: readonly Launch[];
  /** Host time to describe them, ms. */
  readonly describeMs: number;
}

/** Describes the launch of each call, or tells why one does not fit the device. */
function describe(
  paired: readonly PairedKernel[],
  layouts: readonly CacheLayout[],
  { traits }: Gpu,
  trace: Trace,
): Described | string {
  const before = performance.now();
  const launches = paired.map((each, i) => each.launch(layouts[i], traits));
  const describeMs = performance.now() - before;
  launches.forEach((launch, i) => paired[i].require(launch));
  trace.chosen = launches[0].chosen;
  const excess = launches.map((launch) => checkLimits(launch, traits)).find((reason) => reason !== undefined);
  return excess ?? { layouts, launches, describeMs };
}

/** Why the kernel of `c`, if it was given, or the device refuses the case before anything is made for it. */
function refusalOf(session: Session, c: Case): string | undefined {
  const { traits } = session.gpu;
  const kernel = session.kernelOf(c);
  if (!kernel) return undefined;
  const reasons = worksOf(c).map((work) => pairKernel(kernel, work, c.tuning).refuses(traits));
  return missingFeature(kernel.requires, traits.features) ?? reasons.find((reason) => reason !== undefined);
}

/** A case on its way. */
interface CaseRun extends Described {
  readonly session: Session;
  readonly c: Case;
  readonly kernel: Kernel;
  /** The kernel with the work of each call. */
  readonly paired: readonly PairedKernel[];
  readonly inputs: CaseInputs;
  readonly trace: Trace;
  readonly runOptions: RunOptions;
}

async function verifyAndMeasure(run: CaseRun, upload: Upload): Promise<Outcome> {
  const { session, c, launches, inputs, trace } = run;
  const { gpu, options } = session;
  const { deterministic = true } = run.kernel;
  trace.stage = "compile";
  const before = performance.now();
  const prepared = await prepare(gpu, launches[0], upload.ranges, { also: launches });
  trace.compileMs = prepared.compileMs;
  try {
    trace.stage = "run";
    const { checks, results, updatesMs, inputDigests, resultDigests } = await verifyCalls({
      ...run,
      gpu,
      tolerance: c.tolerance,
      deterministic,
      upload,
      first: prepared,
    });
    let verification: Verification = {
      passed: checks.length > 0 && checks.every(({ passed }) => passed),
      checks,
      coverage: inputs.coverage,
      ...blindTo(inputs),
    };
    if (!verification.passed) return { status: "incorrect", verification };
    const { take, checksOnly } = run.runOptions;
    // Where a failure is searched for, what one case of a sweep fails by must be checked in every smaller one.
    const sweepCases = checksOnly ? 1 : session.cases;
    const firstRun: FirstRun = { session, c, kernel: run.kernel, inputs, upload, sweepCases, launches, results };
    if (take) {
      await take(firstRun);
      return { status: "verified", verification };
    }
    const further = [...await checkInvariances(firstRun), ...await checkSchedule(firstRun)];
    trace.checksMs = performance.now() - before;
    verification = { ...verification, passed: further.every(({ passed }) => passed), checks: [...checks, ...further] };
    if (!verification.passed) return { status: "incorrect", verification };
    if (checksOnly) return { status: "verified", verification };
    trace.differential = await differentialOf(firstRun, (other, take) => runCase(session, other, { take }));
    if (options.timing === false) return { status: "verified", verification };
    trace.plan = await planTimes(run, prepared, updatesMs);
    if (launches.length > 1) {
      return { status: "verified", verification, reason: `not timed: a flow of ${launches.length} calls` };
    }
    if (launches[0].dispatches.length === 0) {
      return { status: "verified", verification, reason: "not timed: there is nothing to do" };
    }
    trace.stage = "measure";
    const { group = new TimingGroup([c], (verified) => measureCases(session, verified)) } = run.runOptions;
    const { outcome, gpuMs, foreignMs } = await group.join({
      c,
      call: inputs.calls[0],
      prepared,
      upload,
      deterministic,
      inputDigests,
      resultDigests,
      verification,
    });
    Object.assign(trace, { gpuMs, foreignMs });
    return outcome;
  } finally {
    prepared.destroy();
  }
}

/** The trivial outputs that calls would have accepted, where there are any. */
function blindTo({ calls }: CaseInputs): Pick<Verification, "blind"> {
  const prefix = (call: number) => calls.length === 1 ? "" : `call${call + 1}_`;
  const blind = calls.flatMap((call, i) => call.blind.map((name) => `${prefix(i)}${name}`));
  return blind.length === 0 ? {} : { blind };
}

/** Times of planning of a launch that has `plan` buffers. */
async function planTimes(
  { session: { gpu }, paired, launches, inputs, describeMs }: CaseRun,
  prepared: PreparedLaunch,
  updatesMs: readonly number[],
): Promise<PlanTimes | undefined> {
  if (!launches[0].buffers.some(({ role }) => role === "plan")) return undefined;
  const times = [...updatesMs];
  if (launches.length === 1) {
    await guarded(gpu, "run", () => {
      for (let i = 0; i < TIMED_UPDATES; i++) {
        const before = performance.now();
        prepared.update(paired[0].launch(inputs.calls[0].layout, gpu.traits));
        times.push(performance.now() - before);
      }
    });
  }
  if (times.length === 0) return undefined;
  return { planMs: describeMs / launches.length + prepared.prepareMs, updateMs: quantile(times, 0.5) };
}
