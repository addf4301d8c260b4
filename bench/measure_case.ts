/**
 * Times a verified case, and compares what the timed launches left with what was verified.
 *
 * @module
 */
import { minBytes, workFlops } from "../kernels/work.ts";
import type { Case } from "../suites/case.ts";
import type { CaseCall } from "./case_inputs.ts";
import type { Gpu } from "./device.ts";
import { encodePoison, readResults } from "./execute.ts";
import { guarded } from "./guard.ts";
import { HARDWARE_MEASURE, measure, SOFTWARE_MEASURE, type Subject } from "./measure.ts";
import type { PreparedLaunch } from "./plan.ts";
import type { Incorrect, Measured, ResultBase, Verification } from "./result.ts";
import type { Session } from "./session.ts";
import { judge } from "./statistics.ts";
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
  /** The passed verification. */
  readonly verification: Verification;
}

/** Measures it. Incorrect where the timed launches left something else that is wrong: their times mean nothing. */
export async function measureCase(
  { gpu, clock, options }: Session,
  { c, call, prepared, upload, results, verification }: VerifiedCase,
): Promise<Omit<Measured, keyof ResultBase> | Omit<Incorrect, keyof ResultBase>> {
  let wrong: Verification | undefined;
  const work = { minBytes: minBytes(call.work), flops: workFlops(call.work) };
  const subject: Subject = {
    prepared,
    touchedBytes: work.minBytes,
    reset: () => reset(gpu, prepared, upload),
    async inspect() {
      const timed = await readResults(gpu, prepared);
      if ([...results].every(([name, bytes]) => equalBytes(bytes, timed.get(name)!))) return true;
      const checks = call.check(timed, c.tolerance).map((check) => ({ ...check, name: `timed_${check.name}` }));
      const passed = checks.every((check) => check.passed);
      if (!passed) wrong = { ...verification, passed, checks };
      return passed;
    },
  };
  const how = options.measure ?? (gpu.adapter.software ? SOFTWARE_MEASURE : HARDWARE_MEASURE);
  const times = await measure(gpu, clock, subject, how);
  if (!times) return { status: "incorrect", verification: wrong! };
  const measurement = { ...times, ...work };
  const { verdict, reasons } = judge(measurement);
  return clock.doubt !== undefined && times.timer === "timestamp-query"
    ? { status: "measured", verification, measurement, verdict: "invalid", reasons: [clock.doubt, ...reasons] }
    : { status: "measured", verification, measurement, verdict, reasons };
}

/** Poisons outputs and scratch, and gives buffers that are changed in place their first content. */
async function reset(gpu: Gpu, prepared: PreparedLaunch, upload: Upload): Promise<void> {
  await guarded(gpu, "run", () => {
    const encoder = gpu.device.createCommandEncoder();
    encodePoison(gpu, encoder, prepared);
    gpu.device.queue.submit([encoder.finish()]);
    upload.restore();
  });
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
