/**
 * Times verified cases, and compares what the timed launches left with what was verified.
 *
 * @module
 */
import { minBytes, workFlops } from "../kernels/work.ts";
import type { Check } from "../reference/check.ts";
import type { Case } from "../suites/case.ts";
import type { CaseCall } from "./case_inputs.ts";
import type { Gpu } from "./device.ts";
import type { Digest } from "./digests.ts";
import { readResults } from "./execute.ts";
import { judge, type Peaks } from "./judge.ts";
import { HARDWARE_MEASURE, measure, type MeasureOptions, SOFTWARE_MEASURE, type Subject } from "./measure.ts";
import type { PreparedLaunch } from "./plan.ts";
import type { Incorrect, Measured, Measurement, ResultBase, Verification } from "./result.ts";
import { peaksOf } from "./roofline.ts";
import { readBytesOf } from "./rotation.ts";
import { checkInputs } from "./round_checks.ts";
import type { Session } from "./session.ts";
import { readState, resetState } from "./timed_state.ts";
import type { Upload } from "./uploads.ts";

/** A verified case of one call. */
export interface VerifiedCase {
  /** The case. */
  readonly c: Case;
  /** Its call. */
  readonly call: CaseCall;
  /** The launch. */
  readonly prepared: PreparedLaunch;
  /** Its inputs. */
  readonly upload: Upload;
  /** Whether the kernel promises the same bits each time. */
  readonly deterministic: boolean;
  /** Digests of the inputs. */
  readonly inputDigests: ReadonlyMap<string, Digest>;
  /** Digests of what was verified. */
  readonly resultDigests: ReadonlyMap<string, Digest>;
  /** The passed verification. */
  readonly verification: Verification;
}

/** What became of a verified case that was timed. */
export interface TimedCase {
  /** Incorrect where the timed launches left something else that is wrong: their times mean nothing. */
  readonly outcome: Omit<Measured, keyof ResultBase> | Omit<Incorrect, keyof ResultBase>;
  /** Device time that was spent, ms; absent where it is not known. */
  readonly gpuMs?: number;
}

/** Measures cases that share their inputs, together. */
export async function measureCases(
  session: Session,
  verified: readonly VerifiedCase[],
): Promise<TimedCase[]> {
  const { gpu, clock, options } = session;
  const how = options.measure ?? (gpu.adapter.software ? SOFTWARE_MEASURE : HARDWARE_MEASURE);
  const { seed } = verified[0].c;
  const wrong = new Map<VerifiedCase, Verification>();
  const subjects = verified.map((each): Subject => ({
    prepared: each.prepared,
    readBytes: readBytesOf(each.prepared.launch, minBytes(each.call.work)),
    reset: () => resetState(gpu, each.prepared, each.upload),
    async inspect() {
      const checks = (await checkState(gpu, each)).map((check) => ({ ...check, name: `timed_${check.name}` }));
      const passed = checks.every((check) => check.passed);
      if (!passed) wrong.set(each, { ...each.verification, passed, checks });
      return passed;
    },
  }));
  const timed = await measure(gpu, clock, subjects, { ...how, seed });
  const interleaved = verified.length === 1 ? {} : { interleaved: { seed, cases: verified.map(({ c }) => c.id) } };
  return verified.map((each, i): TimedCase => {
    const { measurement: times, gpuMs } = timed[i];
    const { call: { work }, verification } = each;
    if (!times) return { outcome: { status: "incorrect", verification: wrong.get(each)! }, gpuMs };
    const measurement = { ...times, ...interleaved, minBytes: minBytes(work), flops: workFlops(work) };
    const judged = judge(measurement, limitsOf(session, each, measurement, how));
    const doubt = times.timer === "timestamp-query" ? clock.doubt : undefined;
    const { verdict, reasons } = doubt === undefined
      ? judged
      : { verdict: "invalid" as const, reasons: [doubt, ...judged.reasons] };
    return { outcome: { status: "measured", verification, measurement, verdict, reasons }, gpuMs };
  });
}

/**
 * What the device allows the launch. A CPU's limits are those of the moment, in company of who knows what, and its
 * times say nothing: they are not judged.
 */
function limitsOf(
  session: Session,
  { c, prepared }: VerifiedCase,
  { minBytes, runs }: Measurement,
  { cacheBytes }: MeasureOptions,
): Peaks {
  const { gpu, calibration } = session;
  if (!calibration || gpu.adapter.software) return {};
  const readBytes = readBytesOf(prepared.launch, minBytes);
  const rotation = runs.find(({ mode }) => mode === "cold")?.rotation ?? 0;
  return {
    ...peaksOf(calibration, session.kernelOf(c)),
    uncachedBytes: readBytes * rotation > 2 * cacheBytes ? readBytes : 0,
  };
}

/** What timed launches left must be what was verified, bit by bit where the kernel promises that. */
async function checkState(gpu: Gpu, verified: VerifiedCase): Promise<Check[]> {
  const { c, call, prepared, deterministic, inputDigests, resultDigests } = verified;
  const { guards, changed } = await readState(gpu, prepared, new Map([...inputDigests, ...resultDigests]));
  const checks = [guards, checkInputs(inputDigests.size, [...inputDigests.keys()].filter((name) => changed.has(name)))];
  const differing = [...resultDigests.keys()].filter((name) => changed.has(name));
  if (differing.length === 0) return checks;
  const results = await readResults(gpu, prepared);
  checks.push(...call.check(results, c.tolerance));
  if (deterministic) {
    const elements = differing.reduce((sum, name) => sum + results.get(name)!.length / 4, 0);
    const message = `${differing.map((name) => `"${name}"`).join(", ")} differ from what was verified`;
    checks.push({ name: "repeat", passed: false, elements, mismatches: differing.length, message });
  }
  return checks;
}
