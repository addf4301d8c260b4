import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseCaseId } from "../suites/case_id.ts";
import type { Plan } from "./protocol.ts";
import type { Calibration, Result } from "./result.ts";
import { type ChildOptions, startChild, supervise } from "./supervise.ts";

const MODULE = new URL("./testdata/faulty_kernels.ts", import.meta.url).href;
const OPTIONS: ChildOptions = { permissions: ["--allow-run"] };

async function run(
  variants: string[],
  caseLimitMs: number,
  signal?: AbortSignal,
  plan: Pick<Plan, "shrink"> = {},
): Promise<Result[]> {
  const cases = variants.map((variant, i) =>
    parseCaseId(`attend/${variant}:B=1;H=2;R=32;Dr=16;q=1;kv=${5 + i};page=4;cache=f32`)
  );
  const results: Result[] = [];
  const child = await startChild(OPTIONS);
  await supervise(cases, { kernelModules: [MODULE], recorded: [], timing: false, ...plan }, {
    ...OPTIONS,
    child,
    caseLimitMs: () => caseLimitMs,
    signal,
    onResult: (result) => void results.push(result),
  });
  return results;
}

Deno.test("supervise() survives a crash, an exit and a hang, and runs every other case", async () => {
  const results = await run(["fused", "aborts", "fused", "exits", "hangs", "fused"], 5000);
  assertEquals(results.map(({ status }) => status), ["verified", "failed", "verified", "failed", "failed", "verified"]);
  const failures = results.flatMap((result) => result.status === "failed" ? [result] : []);
  assertEquals(failures.map(({ stage }) => stage), ["crashed", "crashed", "timeout"]);
  assertMatch(failures[0].message, /SIGABRT/);
  assertMatch(failures[2].message, /no result within 5 s/);
});

Deno.test("what the first child calibrates holds for those that come after a crash", async () => {
  const calibrations: Calibration[] = [];
  const results: Result[] = [];
  const cases = ["fused", "aborts", "fused"].map((variant, i) =>
    parseCaseId(`attend/${variant}:B=1;H=2;R=32;Dr=16;q=1;kv=${5 + i};page=4;cache=f32`)
  );
  await supervise(cases, { kernelModules: [MODULE], recorded: [], timing: true }, {
    ...OPTIONS,
    child: await startChild(OPTIONS),
    caseLimitMs: () => 30_000,
    onCalibration: (calibration) => void calibrations.push(calibration),
    onResult: (result) => void results.push(result),
  });
  assertEquals(results.map(({ status }) => status), ["measured", "failed", "measured"]);
  assertEquals(calibrations.map(({ doubts }) => doubts), [[]]);
});

Deno.test("a time limit beyond what a timer takes is not over at once", async () => {
  assertEquals((await run(["fused"], 1e13)).map(({ status }) => status), ["verified"]);
});

Deno.test("when one of several cases in flight takes the process down, they run again alone and only it fails", async () => {
  const results = await run(["fused", "fused", "fused", "abortsLater", "fused", "fused", "fused"], 30_000);
  assertEquals(results.map(({ status }) => status), [
    "verified",
    "verified",
    "verified",
    "failed",
    "verified",
    "verified",
    "verified",
  ]);
});

Deno.test("when one of several variants that are timed together takes the process down, the others are timed alone", async () => {
  const cases = ["fused", "abortsLater", "fused_subgroup", "unfused"].map((variant) =>
    parseCaseId(`attend/${variant}:B=1;H=2;R=32;Dr=16;q=1;kv=5;page=4;cache=f32`)
  );
  const results: Result[] = [];
  await supervise([cases[0], ...cases], { kernelModules: [MODULE], recorded: [], timing: true }, {
    ...OPTIONS,
    child: await startChild(OPTIONS),
    caseLimitMs: () => 30_000,
    onResult: (result) => void results.push(result),
  });
  assertEquals(results.map(({ status }) => status), ["measured", "measured", "failed", "measured", "measured"]);
});

Deno.test("a kernel that throws, does not compile or writes nothing fails its case alone", async () => {
  const results = await run(["throws", "miscompiles", "idles", "fused"], 30_000);
  const [thrown, miscompiled, idle, fine] = results;
  assert(thrown.status === "failed" && thrown.stage === "launch");
  assertMatch(thrown.message, /^planted \(file:.*faulty_kernels\.ts:\d+:\d+\)$/);
  assert(miscompiled.status === "failed" && miscompiled.stage === "compile");
  assertMatch(miscompiled.message, /\d+:\d+.*workgroupBarier/s);
  assertEquals(idle.status, "incorrect");
  assertEquals(fine.status, "verified");
});

Deno.test("a child makes the failing cases smaller that it is asked to", async () => {
  const shrunk = async (shrink: boolean) => {
    const [result] = await run(["idles"], 30_000, undefined, { shrink });
    assert(result.status === "incorrect");
    return result.shrunk?.id;
  };
  assertEquals(await shrunk(true), "attend/idles:B=1;H=1;R=16;Dr=0;Dn=8;Dv=8;q=1;kv=1;page=1;cache=f32");
  assertEquals(await shrunk(false), undefined);
});

Deno.test("a failure stays what it was where a smaller case ends the process or hangs, and the others run", async () => {
  for (const variant of ["abortsInSmall", "hangsInSmall"]) {
    const results = await run(["fused", variant, "fused", "fused"], 4000, undefined, { shrink: true });
    assertEquals(results.map(({ status }) => status), ["verified", "incorrect", "verified", "verified"], variant);
    assertEquals("shrunk" in results[1], false);
  }
});

Deno.test("a child may start the Workers that a large reference needs", async () => {
  const c = parseCaseId("attend/fused:B=1;H=32;R=256;Dr=64;q=1;kv=1500;page=64;cache=f16");
  const results: Result[] = [];
  await supervise([c], { kernelModules: [], recorded: [], timing: false }, {
    child: await startChild(),
    caseLimitMs: () => 60_000,
    onResult: (result) => void results.push(result),
  });
  assertEquals(results.map(({ status }) => status), ["verified"], JSON.stringify(results));
});

Deno.test("supervise() ends without a result for the case in flight when it is interrupted", async () => {
  const interruption = new AbortController();
  setTimeout(() => interruption.abort(), 3000);
  const results = await run(["fused", "hangs", "fused"], 60_000, interruption.signal);
  assertEquals(results.map(({ status }) => status), ["verified"]);
});

Deno.test("supervise() ends when it is interrupted while a new child starts", async () => {
  const interruption = new AbortController();
  const results: Result[] = [];
  const cases = ["aborts", "fused", "fused"].map((variant, i) =>
    parseCaseId(`attend/${variant}:B=1;H=2;R=32;Dr=16;q=1;kv=${5 + i};page=4;cache=f32`)
  );
  await supervise(cases, { kernelModules: [MODULE], recorded: [], timing: false }, {
    ...OPTIONS,
    child: await startChild(OPTIONS),
    caseLimitMs: () => 30_000,
    signal: interruption.signal,
    onResult(result) {
      results.push(result);
      setTimeout(() => interruption.abort(), 5);
    },
  });
  assertEquals(results.map(({ status }) => status), ["failed"]);
});
