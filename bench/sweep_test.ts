import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { attendFused } from "../kernels/attend_fused.ts";
import { KERNELS } from "../kernels/registry.ts";
import { tuningClass } from "../kernels/shape_class.ts";
import { withTable } from "../kernels/tuning_table.ts";
import type { Case } from "../suites/case.ts";
import { parseCaseId } from "../suites/case_id.ts";
import { type Gpu, openGpu } from "./device.ts";
import { fickle, scribbles } from "./testdata/faulty_kernels.ts";
import { SOFTWARE_MEASURE } from "./measure.ts";
import type { Calibration, Result } from "./result.ts";
import { casesAhead, runCases, type SweepOptions } from "./sweep.ts";

const ATTEND = "H=2;R=32;Dr=16;q=1;kv=9;page=4;cache=f32";

function cases(...ids: string[]): Case[] {
  return ids.map(parseCaseId);
}

async function run(list: readonly Case[], options: Partial<SweepOptions> = {}): Promise<Result[]> {
  return await Array.fromAsync(runCases(list, { kernels: KERNELS, ...options }));
}

Deno.test("runCases() verifies and times each kernel, and gives samples only with a passed verification", async () => {
  const results = await run(cases(
    `attend/unfused:B=1;${ATTEND}`,
    `attend/fused:B=1;${ATTEND}`,
    "append/combined:B=2;R=32;Dr=16;q=3;kv=9;page=4;cache=bf16",
  ));
  for (const result of results) {
    assert(result.status === "measured", JSON.stringify(result));
    assertEquals([result.verification.passed, result.verification.coverage], [true, 1]);
    assertGreater(result.measurement.runs[0].samplesNs.length, 5);
    assertEquals(result.measurement.timer, "timestamp-query");
  }
});

Deno.test("variants of a shape are timed in turn, told in their order, and a wrong one takes no other's time", async () => {
  const ids = ["unfused", "fickle", "fused"].map((variant) => `attend/${variant}:B=1;${ATTEND}`);
  const begun: string[] = [];
  const results = await run(cases("append/combined:B=1;R=32;Dr=16;q=3;kv=9;page=4;cache=f32", ...ids), {
    kernels: [...KERNELS, fickle],
    onBegin: ({ id }) => void begun.push(id),
  });
  const [alone, ...together] = results;
  assertEquals(together.map(({ id }) => id), ids);
  assertEquals(begun.slice(1), ids);
  assertEquals(together.map(({ status }) => status), ["measured", "incorrect", "measured"]);
  assert(alone.status === "measured");
  assertEquals(alone.measurement.interleaved, undefined);
  assertGreater(together.reduce((sum, { checkGpuMs }) => sum + checkGpuMs!, 0), 0);
  for (const result of together) {
    assertGreater(result.gpuMs!, 0);
    if (result.status === "measured") assertEquals(result.measurement.interleaved, { seed: 0, cases: ids });
  }
});

Deno.test("runCases() runs what is asked of a kernel's tuning, and skips what it does not take in one line", async () => {
  const results = await run(
    cases(
      `attend/fused:B=1;${ATTEND};rows=16;tile=4`,
      `mla/fused:B=1;${ATTEND};rows=16`,
      `attend/fused:B=1;${ATTEND};rows=12`,
      `attend/unfused:B=1;${ATTEND};tile=4`,
    ),
    { timing: false },
  );
  assertEquals(results.map((result) => result.status === "skipped" ? result.reason : result.chosen?.rows), [
    16,
    16,
    "rows=12: only 8, 16, 32",
    "tile=4: the kernel has no choice of tile",
  ]);
});

Deno.test("a kernel with an entry in the table passes every check, those in company of another class among them", async () => {
  const [c] = cases("attend/fused:B=4;H=3;R=32;Dr=16;q=1;kv=90,7,90,31;page=4;cache=f32");
  assert(c.operation === "attend");
  const shapes = tuningClass(c.shape);
  const table = [{ kernel: "attend/fused", device: {}, shapes, tuning: { rows: 32, splits: 3 }, source: "a test" }];
  const [result] = await run([c], { kernels: [withTable(attendFused, table)], timing: false });
  assert(result.status === "verified", JSON.stringify(result));
  assertEquals([result.chosen?.rows, result.chosen?.splits], [32, 3]);
  const checks = result.verification.checks.map(({ name }) => name);
  for (const name of ["alone", "batch_permuted", "padded", "splits"]) assert(checks.includes(name), name);
});

Deno.test("runCases() times by the slope of host time where the device has no timestamps, and says so", async () => {
  const gpu = await openGpu();
  const features = new Set([...gpu.traits.features].filter((name) => name !== "timestamp-query"));
  const [result] = await run(cases(`attend/fused:B=1;${ATTEND}`), {
    gpu: { ...gpu, traits: { ...gpu.traits, features } },
    measure: { ...SOFTWARE_MEASURE, slopeMs: 40 },
  });
  assert(result.status === "measured", JSON.stringify(result));
  assertEquals(result.measurement.timer, "host-slope");
  const [{ samplesNs }] = result.measurement.runs;
  assert(samplesNs.length > 0 && samplesNs.every((ns) => ns > 0));
});

/** What a device does that is slower than every figure measured here, or faster. */
function calibrationTo(flopsPerS: number): Calibration {
  const [f32FlopsPerS, readBytesPerS] = [{ value: flopsPerS }, { value: 1 }];
  return { f32FlopsPerS, readBytesPerS, copyBytesPerS: readBytesPerS, doubts: [], wallMs: 0 };
}

Deno.test("a time is invalid that is faster than the calibration of the hardware allows, and never one of a CPU", async () => {
  const verdicts = async (software: boolean, flopsPerS: number) => {
    const gpu = await openGpu();
    // Without timestamps, or the clock of the hardware that this pretends to be would be waited for.
    const features = new Set([...gpu.traits.features].filter((name) => name !== "timestamp-query"));
    const results = await run(
      cases(`attend/fused:B=1;${ATTEND}`, "append/combined:B=2;R=32;Dr=16;q=3;kv=9;page=4;cache=bf16"),
      {
        gpu: { ...gpu, adapter: { ...gpu.adapter, software }, traits: { ...gpu.traits, features } },
        measure: { ...SOFTWARE_MEASURE, budgetMs: 20 },
        calibration: calibrationTo(flopsPerS),
      },
    );
    return results.map((result) => {
      assert(result.status === "measured", JSON.stringify(result));
      return result.reasons.some((reason) => reason.includes("impossible")) ? "impossible" : "possible";
    });
  };
  // Hot bytes may come from a cache: `append` is not held against the one byte a second.
  assertEquals(await verdicts(false, 1), ["impossible", "possible"]);
  assertEquals(await verdicts(false, 1e15), ["possible", "possible"]);
  assertEquals(await verdicts(true, 1), ["possible", "possible"]);
});

Deno.test("runCases() calibrates once where cases are timed, not where it is told the limits or nothing is timed", async () => {
  const calibrated = async (options: Partial<SweepOptions>) => {
    let times = 0;
    const list = cases(`attend/fused:B=1;${ATTEND}`);
    await run(list, { ...options, onCalibration: () => void times++ });
    return times;
  };
  assertEquals(await calibrated({}), 1);
  assertEquals(await calibrated({ calibration: calibrationTo(1e12) }), 0);
  assertEquals(await calibrated({ timing: false }), 0);
});

Deno.test("a device that is lost is opened anew, and the cases after it run", async () => {
  const gpu: Gpu = await openGpu();
  const list = cases(...[5, 6, 7].map((kv) => `attend/fused:B=1;${ATTEND.replace("kv=9", `kv=${kv}`)}`));
  const results = await run(list, {
    gpu,
    timing: false,
    onBegin: (c) => c === list[1] && gpu.device.destroy(),
  });
  assertEquals([results[0].status, results[2].status], ["verified", "verified"]);
  const [, lost] = results;
  assert(lost.status === "verified" || lost.status === "failed");
  if (lost.status === "failed") assertMatch(lost.message, /lost|destroyed/i);
});

Deno.test("a case that does not fit the device, or lacks a feature, is skipped with the reason", async () => {
  const gpu = await openGpu();
  const traits = { ...gpu.traits, limits: { ...gpu.traits.limits, maxStorageBufferBindingSize: 1024 } };
  const needy = { ...attendFused, variant: "needy", requires: ["chromium-experimental-subgroup-matrix"] };
  const results = await run(cases(`attend/fused:B=1;${ATTEND}`, `attend/needy:B=1;${ATTEND}`), {
    kernels: [attendFused, needy],
    gpu: { ...gpu, traits },
    timing: false,
  });
  const reasons = results.map((result) => result.status === "skipped" ? result.reason : result.status);
  assertMatch(reasons[0], /needs \d+ bytes, the device's maxStorageBufferBindingSize is 1024/);
  assertMatch(reasons[1], /chromium-experimental-subgroup-matrix/);
});

Deno.test("a budget for the reference samples rows and records the coverage", async () => {
  const [result] = await run(cases("attend/fused:B=3;H=40;R=64;Dr=16;q=1;kv=33;page=4;cache=f16"), {
    timing: false,
    referenceBudgetFlops: 2e5,
  });
  assert(result.status === "verified", JSON.stringify(result));
  const { coverage, checks } = result.verification;
  assert(coverage > 0 && coverage < 1, String(coverage));
  assertEquals(checks.map(({ name }) => name).slice(0, 7), [
    "out",
    "lse",
    "unsampled",
    "poison",
    "repeat",
    "guards",
    "inputs_unchanged",
  ]);
});

Deno.test("a time is dropped when the timed launches left something else than was verified", async () => {
  const [result] = await run(cases(`attend/fickle:B=1;${ATTEND}`), { kernels: [fickle] });
  assert(result.status === "incorrect", JSON.stringify(result));
  assert(result.verification.checks.some(({ name, passed }) => name === "timed_out" && !passed));
});

Deno.test("a kernel cannot be fed what another one wrote: declaring an input read_write does not compile", async () => {
  const [written, after] = await run(cases(`attend/scribbles:B=1;${ATTEND}`, `attend/fused:B=1;${ATTEND}`), {
    kernels: [scribbles, attendFused],
    timing: false,
  });
  assert(written.status === "failed" && written.stage === "compile", JSON.stringify(written));
  assertMatch(written.message, /input "q_latent" read_write/);
  assertEquals(after.status, "verified");
});

Deno.test("a launch that dispatches nothing is verified and gets no time", async () => {
  const [result] = await run(cases("append/combined:B=2;R=32;Dr=16;q=0;kv=9;page=4;cache=bf16"));
  assertEquals(result.status, "verified");
});

Deno.test("casesAhead() takes all variants of some shapes that follow, as many as there is room for, one at least", () => {
  const shapes = [1, 2, 3, 4, 5, 6].map((kv) => `B=1;H=16;R=512;Dr=64;q=1;kv=${kv * 1000};page=64;cache=bf16`);
  const list = shapes.flatMap((shape) => ["unfused", "fused"].map((name) => parseCaseId(`attend/${name}:${shape}`)));
  assertEquals(casesAhead(list, Infinity), list.slice(0, 8));
  assertEquals(casesAhead(list, 0), list.slice(0, 2));
  // A token takes 2,304 bytes: three shapes have 6,000 of them, and four 10,000.
  assertEquals(casesAhead(list, 8000 * 2304), list.slice(0, 6));
  assertEquals(casesAhead(list.slice(0, 3), Infinity), list.slice(0, 3));
  assertEquals(casesAhead([], Infinity), []);
});
