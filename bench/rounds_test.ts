import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { attendFused } from "../kernels/attend_fused.ts";
import type { AttendKernel } from "../kernels/kernel.ts";
import { appendCombined } from "../kernels/append_combined.ts";
import { parseCaseId } from "../suites/case_id.ts";
import { makeCaseInputs } from "./case_inputs.ts";
import type { Gpu } from "./device.ts";
import { pairKernel, worksOf } from "./pairing.ts";
import { prepare, type PreparedLaunch } from "./plan.ts";
import { encodeFill } from "./poison.ts";
import type { Check, Result } from "./result.ts";
import { ReferencePool } from "./reference_pool.ts";
import { runCases } from "./sweep.ts";
import {
  keepsLarger,
  readsBehindQueries,
  readsBehindWork,
  saysItVaries,
  variesLittle,
  weighsTailByZero,
  weighsTailTiny,
  writesBehind,
  writesBehindLater,
} from "./testdata/poison_faults.ts";
import { withGpu } from "./testing.ts";
import { Uploads } from "./uploads.ts";
import { verifyCalls } from "./verify_case.ts";

const SIZES = "H=2;R=32;Dr=16;q=1;kv=9,6;page=8;cache=f32";
const CHECKS = ["poison", "repeat", "guards", "inputs_unchanged"];

async function run(kernel: AttendKernel, axes = SIZES): Promise<Result> {
  const c = parseCaseId(`attend/${kernel.variant}:B=2;${axes}`);
  const [result] = await Array.fromAsync(runCases([c], { kernels: [kernel], timing: false }));
  return result;
}

function failed(checks: readonly Check[]): string[] {
  return checks.filter(({ passed }) => !passed).map(({ name }) => name);
}

function failedOf(result: Result): string[] {
  assert(result.status === "incorrect", JSON.stringify(result));
  return failed(result.verification.checks);
}

function messageOf(result: Result, name: string): string {
  assert(result.status === "incorrect", JSON.stringify(result));
  return result.verification.checks.find((check) => check.name === name)!.message!;
}

Deno.test("a kernel that weighs unused slots by zero fails under NaN", async () => {
  const result = await run(weighsTailByZero);
  assertEquals(failedOf(result), ["out", "poison"]);
  assertMatch(messageOf(result, "poison"), /words of "out" differ, the first at byte \d+, where unused memory holds/);
});

Deno.test("a kernel that weighs them by little, and drops NaN, fails under large finite values alone", async () => {
  assertEquals(failedOf(await run(weighsTailTiny)), ["poison"]);
});

Deno.test("a kernel that depends on what its output held, or on what follows an input or a plan, fails poison alone", async () => {
  for (const kernel of [keepsLarger, readsBehindQueries, readsBehindWork]) {
    assertEquals([kernel.variant, ...failedOf(await run(kernel))], [kernel.variant, "poison"]);
  }
});

Deno.test("a kernel that writes behind an output, or behind scratch, fails guards, which says where", async () => {
  const result = await run(writesBehind);
  assertEquals(failedOf(result), ["guards"]);
  assertEquals(
    messageOf(result, "guards"),
    '"lse" was written behind itself: 1 words changed, the first byte 0 bytes past its end',
  );
  const split = await run(writesBehind, `${SIZES.replace("kv=9,6", "kv=300")};splits=2`);
  assertEquals(failedOf(split), ["guards"]);
  assertMatch(messageOf(split, "guards"), /^"partial_lse" was written behind itself/);
});

Deno.test("what timed launches alone write behind a buffer drops their time", async () => {
  const c = parseCaseId(`attend/${writesBehindLater.variant}:B=1;${SIZES.replace("kv=9,6", "kv=9")}`);
  const [result] = await Array.fromAsync(runCases([c], { kernels: [writesBehindLater] }));
  assertEquals(failedOf(result), ["timed_guards"]);
});

Deno.test("a kernel that is declared non-deterministic may vary within its bounds, and no further", async () => {
  const { status } = await run(variesLittle);
  assertEquals(status, "verified");
  const result = await run(saysItVaries);
  assertEquals(failedOf(result), ["poison"]);
  assertMatch(messageOf(result, "poison"), /declared non-deterministic, but lse is out of bounds/);
});

/** Checks of one case whose plan is changed by `wrap`. */
async function verifyWrapped(
  kernel: typeof attendFused | typeof appendCombined,
  axes: string,
  wrap: (plan: PreparedLaunch, gpu: Gpu) => PreparedLaunch,
): Promise<readonly Check[]> {
  const c = parseCaseId(`${kernel.operation}/${kernel.variant}:B=2;${axes}`);
  const pool = new ReferencePool();
  let checks: readonly Check[] = [];
  try {
    await withGpu(async (gpu) => {
      const inputs = await makeCaseInputs(c, { pool, referenceBudgetFlops: 1e9 });
      const upload = await new Uploads().acquire(gpu, "", inputs);
      const paired = worksOf(c).map((work) => pairKernel(kernel, work, c.tuning));
      const launches = paired.map((each, i) => each.launch(inputs.calls[i].layout, gpu.traits));
      const first = wrap(await prepare(gpu, launches[0], upload.ranges), gpu);
      ({ checks } = await verifyCalls({ gpu, deterministic: true, paired, launches, inputs, upload, first }));
    });
  } finally {
    pool.close();
  }
  return checks;
}

/** Encodes the n-th time (from 1 on) by `encode`. */
function onTurn(
  plan: PreparedLaunch,
  encode: (turn: number, pass: GPUComputePassEncoder, encodeAll: () => void) => void,
): PreparedLaunch {
  let turn = 0;
  return {
    ...plan,
    launch: plan.launch,
    bind(replaced) {
      const bound = plan.bind(replaced);
      return { encode: (pass) => encode(++turn, pass, () => bound.encode(pass)) };
    },
  };
}

Deno.test("the same plan without a fault passes every check", async () => {
  for (
    const [kernel, axes] of [[attendFused, SIZES], [appendCombined, "R=32;Dr=16;q=3;kv=9,6;page=8;cache=f16"]] as const
  ) {
    const checks = await verifyWrapped(kernel, axes, (plan) => onTurn(plan, (_turn, _pass, all) => all()));
    assertEquals(failed(checks), []);
    assertEquals(checks.slice(-4).map(({ name }) => name), CHECKS);
    assert(checks.every(({ elements }) => elements > 0), JSON.stringify(checks));
  }
});

Deno.test("a launch that is left out once is missed: what an earlier one left is poisoned", async () => {
  const names = (missing: number) =>
    verifyWrapped(attendFused, SIZES, (plan) => onTurn(plan, (turn, _pass, all) => turn === missing || all())).then(
      failed,
    );
  assertEquals(await names(1), ["poison", "repeat"]);
  assertEquals(await names(2), ["poison"]);
  assertEquals(await names(3), ["out", "lse", "repeat"]);
  const append = await verifyWrapped(
    appendCombined,
    "R=32;Dr=16;q=3;kv=9,6;page=8;cache=f16",
    (plan) => onTurn(plan, (turn, _pass, all) => turn === 3 || all()),
  );
  assertEquals(failed(append), ["cache", "repeat"]);
});

Deno.test("a large cache is read back once for all that leave it alike; what differs is read, and found wrong", () =>
  withGpu(async (gpu) => {
    const c = parseCaseId("append/combined:B=2;R=512;Dr=64;q=3;kv=4000;page=64;cache=f32");
    const pool = new ReferencePool();
    try {
      const inputs = await makeCaseInputs(c, { pool, referenceBudgetFlops: 1e9 });
      const paired = worksOf(c).map((work) => pairKernel(appendCombined, work, c.tuning));
      const launches = paired.map((each) => each.launch(inputs.calls[0].layout, gpu.traits));
      const verify = async (isLeftOut: boolean) => {
        const upload = await new Uploads().acquire(gpu, "", inputs);
        const plan = await prepare(gpu, launches[0], upload.ranges);
        const first = onTurn(plan, (_turn, _pass, all) => isLeftOut || all());
        return await verifyCalls({ gpu, deterministic: true, paired, launches, inputs, upload, first });
      };
      const [right, wrong, again] = [await verify(false), await verify(true), await verify(false)];
      assertEquals([right, wrong, again].map(({ checks }) => failed(checks)), [[], ["cache", "poison"], []]);
      const twice = await verify(false);
      assertStrictEquals(twice.results.get("cache"), again.results.get("cache"));
      assert(wrong.results.get("cache") !== again.results.get("cache"));
    } finally {
      pool.close();
    }
  }));

Deno.test("a launch that reads something else the third time fails repeat, and the reference where it is far off", async () => {
  const checks = await verifyWrapped(attendFused, SIZES, (plan) => {
    const zeros = new Map([["q_latent", plan.buffers.get("q_pe")!]]);
    return onTurn(plan, (turn, pass, all) => turn === 3 ? plan.bind(zeros).encode(pass) : all());
  });
  assertEquals(failed(checks).filter((name) => CHECKS.includes(name)), ["repeat"]);
});

Deno.test("a binding that is wider than its buffer, on either side, is seen in the bands", async () => {
  for (
    const [side, shift, where] of [["before", -256, /256 bytes before its beginning/], [
      "behind",
      256,
      /past its end/,
    ]] as const
  ) {
    const checks = await verifyWrapped(attendFused, SIZES, (plan) => ({
      ...plan,
      launch: plan.launch,
      bind(replaced = new Map()) {
        const { buffer, offset, size } = plan.buffers.get("out")!;
        // All rows are written as far off as that.
        return plan.bind(new Map([...replaced, ["out", { buffer, offset: offset + shift, size }]]));
      },
    }));
    assert(failed(checks).includes("guards"), side);
    const { message } = checks.find(({ name }) => name === "guards")!;
    assertMatch(message!, new RegExp(`^"out" was written ${side} itself`));
    assertMatch(message!, where);
  }
});

Deno.test("an input or a plan that is written, whoever does it, fails inputs_unchanged, which names it", async () => {
  for (const name of ["q_pe", "work"]) {
    // The third time, when nobody reads it any more.
    const wrap = (plan: PreparedLaunch, gpu: Gpu) =>
      onTurn(plan, (turn, pass, all) => {
        all();
        if (turn === 3) encodeFill(gpu, pass, { ...plan.buffers.get(name)!, size: 4 }, [1]);
      });
    const checks = await verifyWrapped(attendFused, SIZES, wrap);
    assertEquals(failed(checks), ["inputs_unchanged"]);
    assertEquals(checks.at(-1)!.message, `the kernel changed "${name}", which it may only read`);
  }
});
