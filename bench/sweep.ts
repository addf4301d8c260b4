/**
 * Runs cases one after another on a device of this process: inputs → launch → verify → measure → result.
 *
 * @module
 */
import { type Kernel, kernelName, type Launch } from "../kernels/kernel.ts";
import { checkLimits, missingFeature } from "../kernels/limits.ts";
import { minBytes, workFlops } from "../kernels/work.ts";
import type { RecordedTensors } from "../reference/recorded.ts";
import type { Case } from "../suites/case.ts";
import { type CaseInputs, inputsKey, makeCaseInputs } from "./case_inputs.ts";
import { calibrateClock, type Clock, warmUp } from "./clock.ts";
import { type Gpu, openGpu } from "./device.ts";
import { type BufferRange, uploadStorage, writeStorage } from "./buffers.ts";
import { encodePoison, isAlive, prepare, type PreparedLaunch, readResults, runOnce } from "./execute.ts";
import { ExecutionError, guarded } from "./guard.ts";
import { HARDWARE_MEASURE, measure, type MeasureOptions, SOFTWARE_MEASURE, type Subject } from "./measure.ts";
import { ReferencePool } from "./reference_pool.ts";
import type { Check, Result, Stage, Verification } from "./result.ts";
import { judge } from "./statistics.ts";

/** Options of {@linkcode runCases}. */
export interface SweepOptions {
  /** Kernels by which cases are run: the variant of each case must be among them. */
  readonly kernels: readonly Kernel[];
  /** Whether verified cases are timed. @default {true} */
  readonly timing?: boolean;
  /** Recorded tensors by `name@hash8`. */
  readonly recorded?: ReadonlyMap<string, RecordedTensors>;
  /** How to measure. @default by the kind of adapter */
  readonly measure?: MeasureOptions;
  /** Flops that the reference of one case may cost; above it rows are sampled. @default by the kind of adapter */
  readonly referenceBudgetFlops?: number;
  /** Called when a case begins. */
  readonly onBegin?: (c: Case) => void;
  /** A device that is already open; it is closed at the end. */
  readonly gpu?: Gpu;
}

const HARDWARE_REFERENCE_FLOPS = 3e9;
const SOFTWARE_REFERENCE_FLOPS = 2e8;

/** A sweep's open device, replaced when it is lost. */
interface Session {
  gpu: Gpu;
  clock: Clock;
  readonly pool: ReferencePool;
  /** Inputs by {@linkcode inputsKey}: those in use and those being made ahead. */
  readonly inputs: Map<string, Promise<CaseInputs>>;
  /** Input buffers on the device, of the key in use. */
  uploaded?: { readonly key: string; readonly ranges: Map<string, BufferRange> };
}

/**
 * Runs `cases` in order and yields the result of each. A case that fails leaves the next ones a working device.
 *
 * @throws {NoAdapterError} Where WebGPU finds no adapter.
 */
export async function* runCases(cases: readonly Case[], options: SweepOptions): AsyncGenerator<Result, void> {
  const gpu = options.gpu ?? await openGpu();
  const session: Session = { gpu, clock: { tickNs: 1 }, pool: new ReferencePool(), inputs: new Map() };
  try {
    if (options.timing !== false) session.clock = await startClock(gpu);
    for (const [i, c] of cases.entries()) {
      options.onBegin?.(c);
      if (session.gpu.lost) await reopen(session, options);
      // On a GPU the host is idle while kernels run: the next shape's reference is made meanwhile.
      const next = session.gpu.adapter.software ? undefined : cases.slice(i).find((d) => inputsKey(d) !== inputsKey(c));
      yield await withLoss(session.gpu, await runCase(session, c, options, next));
    }
  } finally {
    session.pool.close();
    session.gpu.close();
  }
}

/** `result`, and where the device did not survive it, that it was lost. */
async function withLoss(gpu: Gpu, result: Result): Promise<Result> {
  if (result.status !== "failed" || await isAlive(gpu)) return result;
  gpu.lost ??= "it stopped working";
  return { ...result, message: `the device was lost (${gpu.lost}): ${result.message}` };
}

async function startClock(gpu: Gpu): Promise<Clock> {
  if (gpu.adapter.software || !gpu.traits.features.has("timestamp-query")) return { tickNs: 1 };
  const clock = await calibrateClock(gpu);
  await warmUp(gpu, clock, { minMs: 1000, maxMs: 12_000 });
  return clock;
}

async function reopen(session: Session, options: SweepOptions): Promise<void> {
  session.gpu.close();
  session.uploaded = undefined;
  session.gpu = await openGpu();
  if (options.timing !== false) session.clock = await startClock(session.gpu);
}

/** A result without what every result has. */
type Outcome<T = Result> = T extends Result ? Omit<T, "id" | "axes" | "hostMs"> : never;

async function runCase(session: Session, c: Case, options: SweepOptions, next?: Case): Promise<Result> {
  const before = performance.now();
  const trace: { stage: Stage; compileMs?: number; chosen?: Launch["chosen"] } = { stage: "launch" };
  let outcome: Outcome;
  try {
    outcome = await attempt(session, c, options, trace, next);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const stage = error instanceof ExecutionError && trace.stage !== "measure" ? error.stage : trace.stage;
    outcome = error instanceof ExecutionError && error.outOfMemory
      ? { status: "skipped", reason: `the device is out of memory: ${message}` }
      : { status: "failed", stage, message };
  }
  const { compileMs, chosen } = trace;
  return {
    id: c.id,
    axes: c.axes,
    hostMs: performance.now() - before,
    ...(compileMs === undefined ? {} : { compileMs }),
    ...(chosen === undefined ? {} : { chosen }),
    ...outcome,
  } as Result;
}

async function attempt(
  session: Session,
  c: Case,
  options: SweepOptions,
  trace: { stage: Stage; compileMs?: number; chosen?: Launch["chosen"] },
  next?: Case,
): Promise<Outcome> {
  const { gpu } = session;
  const kernel = options.kernels.find((k) => kernelName(k) === kernelName(c));
  if (!kernel) throw new RangeError(`Cannot run "${kernelName(c)}": no such kernel was given`);
  const refusal = missingFeature(kernel.requires, gpu.traits.features) ?? refuse(kernel, c, gpu);
  if (refusal) return { status: "skipped", reason: refusal };

  trace.stage = "inputs";
  const inputs = await inputsOf(session, c, options);
  if (next) void inputsOf(session, next, options).catch(() => {});
  trace.stage = "launch";
  const launch = launchOf(kernel, c, inputs, gpu);
  trace.chosen = launch.chosen;
  const excess = checkLimits(launch, gpu.traits);
  if (excess) return { status: "skipped", reason: excess };

  trace.stage = "compile";
  const uploaded = await upload(session, c, inputs);
  const prepared = await prepare(gpu, launch, uploaded);
  trace.compileMs = prepared.compileMs;
  try {
    trace.stage = "run";
    return await verifyAndMeasure(session, c, prepared, inputs, options, trace);
  } finally {
    prepared.destroy();
    // An operation that works in place has changed its inputs.
    if (launch.buffers.some(({ role }) => role === "inout")) release(session);
  }
}

async function verifyAndMeasure(
  session: Session,
  c: Case,
  prepared: PreparedLaunch,
  inputs: CaseInputs,
  options: SweepOptions,
  trace: { stage: Stage },
): Promise<Outcome> {
  const { gpu, clock } = session;
  const results = await runOnce(gpu, prepared);
  const verification = verify(inputs, inputs.check(results));
  if (!verification.passed) return { status: "incorrect", verification };
  if (options.timing === false) return { status: "verified", verification };

  // Nothing is dispatched when there is nothing to do, and nothing cannot be timed.
  if (prepared.launch.dispatches.length === 0) return { status: "verified", verification };

  trace.stage = "measure";
  let wrong: Verification | undefined;
  const subject: Subject = {
    prepared,
    touchedBytes: minBytes(c),
    reset: () => reset(gpu, prepared, inputs),
    async inspect() {
      const timed = await readResults(gpu, prepared);
      if ([...results].every(([name, bytes]) => equalBytes(bytes, timed.get(name)!))) return true;
      const again = verify(inputs, inputs.check(timed).map((check) => ({ ...check, name: `timed_${check.name}` })));
      if (!again.passed) wrong = again;
      return again.passed;
    },
  };
  const how = options.measure ?? (gpu.adapter.software ? SOFTWARE_MEASURE : HARDWARE_MEASURE);
  const times = await measure(gpu, clock, subject, how);
  if (!times) return { status: "incorrect", verification: wrong! };
  const measurement = { ...times, minBytes: minBytes(c), flops: workFlops(c) };
  const { verdict, reasons } = judge(measurement);
  return clock.doubt !== undefined && times.timer === "timestamp-query"
    ? { status: "measured", verification, measurement, verdict: "invalid", reasons: [clock.doubt, ...reasons] }
    : { status: "measured", verification, measurement, verdict, reasons };
}

/** Poisons outputs and scratch, and gives buffers that are changed in place their first content. */
async function reset(gpu: Gpu, prepared: PreparedLaunch, inputs: CaseInputs): Promise<void> {
  await guarded(gpu, "run", () => {
    const encoder = gpu.device.createCommandEncoder();
    encodePoison(gpu, encoder, prepared);
    gpu.device.queue.submit([encoder.finish()]);
    for (const { name, role } of prepared.launch.buffers) {
      if (role === "inout") writeStorage(gpu, prepared.buffers.get(name)!, inputs.buffers.get(name)!);
    }
  });
}

function verify(inputs: CaseInputs, checks: readonly Check[]): Verification {
  return { passed: checks.length > 0 && checks.every(({ passed }) => passed), checks, coverage: inputs.coverage };
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

// A kernel and a case of one operation belong together; TypeScript cannot see that the tags are equal.
function refuse(kernel: Kernel, c: Case, gpu: Gpu): string | undefined {
  if (kernel.operation === "attend" && c.operation === "attend") return kernel.refuses(c.shape, c.tuning, gpu.traits);
  if (kernel.operation === "append" && c.operation === "append") return kernel.refuses(c.shape, c.tuning, gpu.traits);
  throw new TypeError(`Cannot run "${c.id}" with ${kernelName(kernel)}: the operations differ`);
}

function launchOf(kernel: Kernel, c: Case, { layout }: CaseInputs, gpu: Gpu): Launch {
  if (kernel.operation === "attend" && c.operation === "attend") {
    return kernel.launch(c.shape, layout, c.tuning, gpu.traits);
  }
  if (kernel.operation === "append" && c.operation === "append") {
    return kernel.launch(c.shape, layout, c.tuning, gpu.traits);
  }
  throw new TypeError(`Cannot run "${c.id}" with ${kernelName(kernel)}: the operations differ`);
}

/** Inputs of `c`, made at most once while its shape is in use or next. */
function inputsOf(session: Session, c: Case, options: SweepOptions): Promise<CaseInputs> {
  const key = inputsKey(c);
  let inputs = session.inputs.get(key);
  if (!inputs) {
    // The shape in use and the one ahead: older ones go.
    while (session.inputs.size >= 2) session.inputs.delete(session.inputs.keys().next().value!);
    const software = session.gpu.adapter.software;
    inputs = makeCaseInputs(c, {
      pool: session.pool,
      recorded: options.recorded,
      referenceBudgetFlops: options.referenceBudgetFlops ??
        (software ? SOFTWARE_REFERENCE_FLOPS : HARDWARE_REFERENCE_FLOPS),
    });
    session.inputs.set(key, inputs);
  }
  return inputs;
}

async function upload(session: Session, c: Case, inputs: CaseInputs): Promise<ReadonlyMap<string, BufferRange>> {
  const key = inputsKey(c);
  if (session.uploaded?.key === key) return session.uploaded.ranges;
  release(session);
  const ranges = new Map<string, BufferRange>();
  session.uploaded = { key, ranges };
  try {
    await guarded(session.gpu, "run", () => {
      for (const [name, data] of inputs.buffers) ranges.set(name, uploadStorage(session.gpu, name, data));
    });
  } catch (error) {
    release(session);
    throw error;
  }
  return ranges;
}

function release(session: Session): void {
  for (const { buffer } of session.uploaded?.ranges.values() ?? []) buffer.destroy();
  session.uploaded = undefined;
}
