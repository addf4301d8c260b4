import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { attendFused } from "../kernels/attend_fused.ts";
import { parseCaseId } from "../suites/case_id.ts";
import type { Case } from "../suites/case.ts";
import type { CaseInputs } from "./case_inputs.ts";
import { openGpu } from "./device.ts";
import { runCase } from "./run_case.ts";
import { referenceBudget, Session } from "./session.ts";

Deno.test("referenceBudget() shares out what a sweep on hardware may cost, within limits", () => {
  assertEquals(referenceBudget(1, false), 3e9);
  assertEquals(referenceBudget(1000, false), 5e8);
  assertEquals(referenceBudget(30_000, false), 1e8);
  assertEquals(referenceBudget(1, true), 2e8);
});

Deno.test("Session keeps inputs that were made ahead until their case has run, and no others for long", async () => {
  const kernels = [attendFused];
  const session = await Session.open({ kernels, timing: false, gpu: await openGpu() }, 1);
  try {
    const shapes = [1, 2, 3, 4, 5, 6].map((kv) =>
      parseCaseId(`attend/fused:B=1;H=2;R=32;Dr=16;q=1;kv=${kv};page=4;cache=f32`)
    );
    const inputsOf = async (c: Case): Promise<CaseInputs> =>
      await session.withInputs(c, (inputs) => Promise.resolve(inputs));
    const first = await inputsOf(shapes[0]);
    session.makeAhead(shapes.slice(1, 5));
    const ahead: CaseInputs[] = [];
    for (const c of shapes.slice(1, 5).reverse()) ahead.unshift(await inputsOf(c));
    session.makeAhead(shapes.slice(2));
    assertStrictEquals(await inputsOf(shapes[4]), ahead[3]);
    assertStrictEquals(await inputsOf(shapes[2]), ahead[1]);
    assert(await inputsOf(shapes[0]) !== first);
  } finally {
    session.close();
  }
});

Deno.test("a case has the inputs of those that follow it made, but of none that its kernel refuses", async () => {
  const kernels = [attendFused, { ...attendFused, variant: "picky", refuses: () => "never" }];
  const session = await Session.open({ kernels, timing: false, gpu: await openGpu() }, 1);
  try {
    const [c, ...ahead] = ["fused", "picky", "fused"].map((name, i) =>
      parseCaseId(`attend/${name}:B=1;H=2;R=32;Dr=16;q=1;kv=${i + 1};page=4;cache=f32`)
    );
    const begun: Case[] = [];
    session.makeAhead = (cases) => begun.push(...cases);
    const { status, inputsMs, checksMs } = await runCase(session, c, { ahead });
    assertEquals([status, begun], ["verified", [ahead[1]]]);
    assert(inputsMs! > 0 && checksMs! > 0);
  } finally {
    session.close();
  }
});

Deno.test("Session makes what could not be made ahead when it is asked for, and then says why it cannot", async () => {
  const session = await Session.open({ kernels: [attendFused], timing: false, gpu: await openGpu() }, 1);
  try {
    const c = parseCaseId("attend/fused:B=1;H=2;R=32;Dr=16;q=1;kv=5;page=4;cache=f32;tensors=lost@00000000");
    session.makeAhead([c]);
    const failed = await session.withInputs(c, () => Promise.resolve("made")).catch((error) => String(error));
    assert(failed.includes("Cannot replay tensors"), failed);
  } finally {
    session.close();
  }
});
