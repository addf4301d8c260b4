/**
 * Times a verified case, and compares what the timed launches left with what was verified.
 *
 * @module
 */
import { minBytes, workFlops } from "../kernels/work.ts";
import type { Check } from "../reference/check.ts";
import type { Case } from "../suites/case.ts";
import type { CaseCall } from "./case_inputs.ts";
import type { Digest } from "./digests.ts";
import { HARDWARE_MEASURE, measure, type MeasureOptions, SOFTWARE_MEASURE, type Subject } from "./measure.ts";
import type { PreparedLaunch } from "./plan.ts";
import type { Incorrect, Measured, Measurement, ResultBase, Verification } from "./result.ts";
import { peaksOf } from "./roofline.ts";
import { checkInputs } from "./round_checks.ts";
import type { Session } from "./session.ts";
import { judge, type Peaks } from "./statistics.ts";
import { readState, resetState, type TimedState } from "./timed_state.ts";
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
  /** What was verified, by buffer name. */
  readonly results: ReadonlyMap<string, Uint8Array>;
  /** Whether the kernel promises the same bits each time. */
  readonly deterministic: boolean;
  /** Digests of the inputs. */
  readonly inputDigests: ReadonlyMap<string, Digest>;
  /** The passed verification. */
  readonly verification: Verification;
}

/** Measures it. Incorrect where the timed launches left something else that is wrong: their times mean nothing. */
export async function measureCase(
  session: Session,
  verified: VerifiedCase,
): Promise<Omit<Measured, keyof ResultBase> | Omit<Incorrect, keyof ResultBase>> {
  const { gpu, clock, options } = session;
  const { call, prepared, upload, verification } = verified;
  let wrong: Verification | undefined;
  const work = { minBytes: minBytes(call.work), flops: workFlops(call.work) };
  const subject: Subject = {
    prepared,
    touchedBytes: work.minBytes,
    reset: () => resetState(gpu, prepared, upload),
    async inspect() {
      const state = await readState(gpu, prepared, verified.inputDigests);
      const checks = checkState(verified, state).map((check) => ({ ...check, name: `timed_${check.name}` }));
      const passed = checks.every((check) => check.passed);
      if (!passed) wrong = { ...verification, passed, checks };
      return passed;
    },
  };
  const how = options.measure ?? (gpu.adapter.software ? SOFTWARE_MEASURE : HARDWARE_MEASURE);
  const times = await measure(gpu, clock, subject, how);
  if (!times) return { status: "incorrect", verification: wrong! };
  const measurement = { ...times, ...work };
  const { verdict, reasons } = judge(measurement, limitsOf(session, prepared, measurement, how));
  return clock.doubt !== undefined && times.timer === "timestamp-query"
    ? { status: "measured", verification, measurement, verdict: "invalid", reasons: [clock.doubt, ...reasons] }
    : { status: "measured", verification, measurement, verdict, reasons };
}

/**
 * What the device allows the launch. A CPU's limits are those of the moment, in company of who knows what, and its times say
 * nothing: they are not judged.
 */
function limitsOf(
  { gpu, calibration }: Session,
  { launch }: PreparedLaunch,
  { minBytes, runs }: Measurement,
  { cacheBytes }: MeasureOptions,
): Peaks {
  if (!calibration || gpu.adapter.software) return {};
  const bytesOf = (...roles: string[]) =>
    launch.buffers.reduce((sum, { role, bytes }) => roles.includes(role) ? sum + bytes : sum, 0);
  // Outputs are written to the same place each time and may stay in a cache, and pages that sequences share are read once.
  const readBytes = Math.min(minBytes - bytesOf("output"), bytesOf("input", "inout"));
  const rotation = runs.find(({ mode }) => mode === "cold")?.rotation ?? 0;
  return { ...peaksOf(calibration), uncachedBytes: readBytes * rotation > cacheBytes ? readBytes : 0 };
}

/** What timed launches left must be what was verified, bit by bit where the kernel promises that. */
function checkState({ c, call, results, deterministic, inputDigests }: VerifiedCase, state: TimedState): Check[] {
  const differing = [...results].filter(([name, bytes]) => !equalBytes(bytes, state.results.get(name)!));
  const checks = [state.guards, checkInputs(inputDigests.size, state.changedInputs)];
  if (differing.length === 0) return checks;
  checks.push(...call.check(state.results, c.tolerance));
  if (deterministic) {
    const names = differing.map(([name]) => `"${name}"`).join(", ");
    const elements = differing.reduce((sum, [, bytes]) => sum + bytes.length / 4, 0);
    const message = `${names} differ from what was verified`;
    checks.push({ name: "repeat", passed: false, elements, mismatches: differing.length, message });
  }
  return checks;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
