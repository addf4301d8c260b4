import { assert, assertEquals, assertMatch } from "@std/assert";
import { KERNELS } from "../kernels/registry.ts";
import { parseCaseId } from "../suites/case_id.ts";
import type { FirstRun } from "./first_run.ts";
import { ExecutionError } from "./guard.ts";
import { runCase } from "./run_case.ts";
import { checkSchedule } from "./schedule.ts";
import { Session } from "./session.ts";
import { withDeviceMethod } from "./testing.ts";

const SIZES = "H=5;R=32;Dr=16";
const CASES = [
  ...["unfused", "fused", "fused_subgroup"].map((variant) =>
    `attend/${variant}:B=2;${SIZES};q=1;kv=70,3;page=16;cache=bf16;splits=2`
  ),
  `prefill/fused:B=1;${SIZES};Dn=16;Dv=16;q=70;kv=70;page=16;cache=f32;weight=f32`,
  `mla/fused:B=1;${SIZES};Dn=16;Dv=16;q=9>1;kv=80;page=16;cache=f32;weight=f32`,
  "project/tiled:B=9;H=2;R=32;Dn=16;Dv=16;q=1;part=q;weight=f32",
  "project/vector:B=3;H=2;R=32;Dn=16;Dv=16;q=1;part=v;weight=f32",
  "append/combined:B=2;R=32;Dr=16;q=3;kv=9;page=4;cache=f32",
];

/** Hands what each of `ids` left to `test`, one after another. */
async function withRuns(ids: readonly string[], test: (run: FirstRun) => Promise<void>): Promise<void> {
  const session = await Session.open({ kernels: KERNELS, timing: false }, ids.length);
  try {
    for (const id of ids) {
      const result = await runCase(session, parseCaseId(id), { take: test });
      assertEquals(result.status, "verified", JSON.stringify(result));
    }
  } finally {
    session.close();
  }
}

Deno.test("kernels of every operation leave the same bits with threads that are late by turns", async () => {
  const names: string[][] = [];
  await withRuns(CASES, async (run) => {
    const checks = await checkSchedule(run, { onSoftware: true });
    for (const { message, elements } of checks) {
      assertEquals(message, undefined);
      assert(elements > 0);
    }
    names.push(checks.map(({ name }) => name));
  });
  // project/vector sums in registers where tokens are few; all others have barriers.
  assertEquals(names, CASES.map(() => ["staggered"]));
});

Deno.test("the check fails where the other text leaves other bits, and names the place", async () => {
  await withRuns(CASES.slice(1, 2), async (run) => {
    const change = (shader: string) => shader.replaceAll("* P.scale", "* P.scale * 1.0001");
    const [check] = await checkSchedule(run, { onSoftware: true, change });
    assertEquals([check.name, check.passed], ["staggered", false]);
    assert(check.mismatches > 0 && check.first);
    assertMatch(
      check.message!,
      /^threads late by turns: out of sequence 0, token 0, head 0, dim 0 is .* in the first run/,
    );
  });
});

Deno.test("nothing is run again on a CPU, where nothing changes, or where bits are not promised", async () => {
  await withRuns(CASES.slice(1, 2), async (run) => {
    assertEquals(await checkSchedule(run), []);
    assertEquals(await checkSchedule(run, { onSoftware: true, change: () => undefined }), []);
    const kernel = { ...run.kernel, deterministic: false };
    assertEquals(await checkSchedule({ ...run, kernel }, { onSoftware: true }), []);
  });
});

Deno.test("a device without room for further buffers takes nothing from a case that passed", async () => {
  await withRuns(CASES.slice(1, 2), async (run) => {
    const gpu = withDeviceMethod(run.session.gpu, "createBuffer", () => () => {
      throw new ExecutionError("run", "no room", true);
    });
    const session = { ...run.session, gpu } as Session;
    assertEquals(await checkSchedule({ ...run, session }, { onSoftware: true }), []);
  });
});
