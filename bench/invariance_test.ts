import { assert, assertEquals, assertMatch } from "@std/assert";
import { attendFused } from "../kernels/attend_fused.ts";
import { type AttendKernel, type Kernel, kernelName } from "../kernels/kernel.ts";
import { KERNELS } from "../kernels/registry.ts";
import { parseCaseId } from "../suites/case_id.ts";
import type { FirstRun } from "./first_run.ts";
import { isDrawn, isTried, MOST_CASES } from "./invariance.ts";
import type { Check, Result } from "./result.ts";
import { RELATIONS } from "./relations.ts";
import { runCase } from "./run_case.ts";
import { Session } from "./session.ts";
import { runCases } from "./sweep.ts";
import { VARIANT_FAULTS } from "./testdata/variant_faults.ts";

const NAMES = RELATIONS.map(({ name }) => name);

async function run(ids: readonly string[], kernels: readonly Kernel[] = KERNELS): Promise<Result[]> {
  return await Array.fromAsync(runCases(ids.map(parseCaseId), { kernels, timing: false }));
}

/** The checks of the relations, of a case that ran. */
function related(result: Result): Check[] {
  assert(result.status === "verified" || result.status === "incorrect", JSON.stringify(result));
  return result.verification.checks.filter(({ name }) => NAMES.includes(name));
}

Deno.test("each relation finds the faults that only another guise shows, and names the place and both values", async (t) => {
  const results = await run(
    VARIANT_FAULTS.map(({ kernel, axes }) => `${kernelName(kernel)}:${axes}`),
    VARIANT_FAULTS.map(({ kernel }) => kernel),
  );
  for (const [i, { name, found }] of VARIANT_FAULTS.entries()) {
    await t.step(name, () => {
      const result = results[i];
      assert(result.status === "incorrect", JSON.stringify(result));
      const failed = result.verification.checks.filter(({ passed }) => !passed);
      assertEquals(failed.map((check) => check.name), found, JSON.stringify(failed));
      for (const { message } of failed) {
        assertMatch(message!, /^[^:]+: \w+ of .+ is .+(in the first run|it must be 0)/);
      }
    });
  }
  assertEquals(new Set(VARIANT_FAULTS.flatMap(({ found }) => found)), new Set(NAMES));
});

Deno.test("a case has a check for each relation that can make another form of it, and no other", async () => {
  const sizes = "H=2;R=32;Dr=16";
  const expected: readonly (readonly [id: string, names: string[]])[] = [
    [`attend/fused:B=1;${sizes};q=1;kv=4;page=4;cache=f32`, ["pages_permuted", "padded"]],
    [`attend/fused:B=1;${sizes};q=1;kv=90;page=4;cache=f32`, ["pages_permuted", "splits", "padded"]],
    [`attend/unfused:B=3;${sizes};q=1;kv=90,0,7;page=4;cache=f32`, NAMES],
    ["append/combined:B=2;R=32;Dr=16;q=3;kv=9;page=4;cache=f32", NAMES.filter((name) => name !== "splits")],
    ["project/tiled:B=1;H=2;R=32;Dn=16;Dv=16;q=1;part=q;weight=f32", []],
    ["project/tiled:B=3;H=2;R=32;Dn=16;Dv=16;q=1;part=v;weight=f32", ["batch_permuted", "alone", "padded"]],
    [`mla/fused:B=1;${sizes};Dn=16;Dv=16;q=90;kv=90;page=4;cache=f32;weight=f32;form=expanded`, [
      "pages_permuted",
      "padded",
    ]],
    [
      `mla/fused:B=1;${sizes};Dn=16;Dv=16;q=90;kv=90;page=4;cache=f32;weight=f32;form=absorbed`,
      ["pages_permuted", "splits", "padded"],
    ],
  ];
  const results = await run(expected.map(([id]) => id));
  for (const [i, [id, names]] of expected.entries()) {
    assertEquals(results[i].status, "verified", JSON.stringify(results[i]));
    assertEquals(related(results[i]).map(({ name }) => name), names, id);
  }
});

Deno.test("what must be equal bit by bit follows from the launch, and from what the kernel promises", async () => {
  const id = "attend/fused:B=2;H=2;R=32;Dr=16;q=1;kv=3,4;page=2;cache=f32";
  const silent: AttendKernel = {
    ...attendFused,
    launch(...args) {
      const launch = attendFused.launch(...args);
      return { ...launch, buffers: launch.buffers.map(({ list: _, ...spec }) => spec) };
    },
  };
  const exact = async (kernel: Kernel) => {
    const [result] = await run([id], [kernel]);
    return related(result).map(({ name, elements, exactElements }) => [name, exactElements === elements]);
  };
  const names = ["batch_permuted", "pages_permuted", "alone", "padded"];
  assertEquals(await exact(attendFused), names.map((name) => [name, true]));
  assertEquals(await exact(silent), names.map((name) => [name, name === "pages_permuted"]));
  assertEquals(await exact({ ...attendFused, deterministic: false }), names.map((name) => [name, false]));
});

Deno.test("of a large sweep about as many cases are drawn as of one that is run whole, the same ones each time", () => {
  const ids = Array.from({ length: 8 * MOST_CASES }, (_, i) => `attend/fused:B=1;kv=${i}`);
  const drawn = ids.filter((id) => isDrawn(id, ids.length));
  assert(drawn.length > 0.8 * MOST_CASES && drawn.length < 1.2 * MOST_CASES, `${drawn.length}`);
  assertEquals(drawn.filter((id) => isDrawn(id, ids.length)), drawn);
  assert(ids.every((id) => isDrawn(id, MOST_CASES)));
});

Deno.test("a case that is only checked, as those are in which a failure is searched for, is tried in a large sweep too", async () => {
  const { kernel, axes } = VARIANT_FAULTS[0];
  const c = parseCaseId(`${kernelName(kernel)}:${axes}`);
  const session = await Session.open({ kernels: [kernel], timing: false }, 1e9);
  try {
    assert(!isDrawn(c.id, session.cases));
    assertEquals((await runCase(session, c)).status, "verified");
    assertEquals((await runCase(session, c, { checksOnly: true })).status, "incorrect");
  } finally {
    session.close();
  }
});

Deno.test("a case is tried again where the host can copy it, its whole cache where that is changed in place", () => {
  const tried = (id: string, cacheBytes: number) => {
    const c = parseCaseId(id);
    const inputs = { calls: [{ work: c }], state: new Map([["cache", { length: cacheBytes }]]) };
    return isTried(
      { session: { gpu: { adapter: { software: false } } }, c, inputs, sweepCases: 1 } as unknown as FirstRun,
    );
  };
  const append = "append/combined:B=64;R=512;Dr=64;q=1;kv=4096;page=64;cache=bf16";
  assert(tried(append, 75e6));
  assert(!tried(append, 302e6));
  assert(!tried(append.replace("append/combined", "attend/fused").replace("R=512", "H=16;R=512"), 0));
});
