import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import type { Launch, MlaKernel } from "../kernels/kernel.ts";
import { mlaFused } from "../kernels/mla.ts";
import { makeMlaInputs } from "../reference/mla_inputs.ts";
import type { MlaCase } from "../suites/case.ts";
import { parseCaseId } from "../suites/case_id.ts";
import { SOFTWARE_MEASURE } from "./measure.ts";
import type { Result } from "./result.ts";
import { runCases, type SweepOptions } from "./sweep.ts";

const SIZES = "H=2;R=32;Dr=16;Dn=16;Dv=16";
const FLOW = `B=2;${SIZES};q=5,0>1,3>1>0,1;kv=9,5;page=4;cache=f16`;

async function run(kernel: MlaKernel, axes: string, options: Partial<SweepOptions> = {}): Promise<Result> {
  const c = parseCaseId(`mla/${kernel.variant}:${axes}`);
  const [result] = await Array.fromAsync(runCases([c], { kernels: [kernel], timing: false, ...options }));
  return result;
}

/** `mla/fused` with another launch for some calls. */
function faulty(change: (launch: Launch, kv: readonly number[]) => Launch): MlaKernel {
  return {
    ...mlaFused,
    variant: "faulty",
    launch: (shape, layout, tuning, device) => change(mlaFused.launch(shape, layout, tuning, device), shape.kv),
  };
}

function failedChecks(result: Result): string[] {
  assert(result.status === "incorrect", JSON.stringify(result));
  return result.verification.checks.filter(({ passed }) => !passed).map(({ name }) => name);
}

Deno.test("a flow is verified call by call in both layouts, the cache after the last one", async () => {
  for (const layout of ["", ";layout=separate"]) {
    const result = await run(mlaFused, FLOW + layout);
    assert(result.status === "verified", JSON.stringify(result));
    const names = result.verification.checks.map(({ name }) => name);
    const calls = [1, 2, 3, 4].flatMap((call) => [`call${call}_out`, `call${call}_lse`]);
    const expected = [...calls, "call4_cache", "poison", "repeat", "guards", "inputs_unchanged"];
    assertEquals(names.slice(0, expected.length), expected);
    assertEquals(result.verification.coverage, 1);
  }
});

Deno.test("a flow may grow: its buffers hold the largest call", async () => {
  const result = await run(mlaFused, `B=1;${SIZES};q=1>6>2;kv=9;page=4;cache=f16`);
  assertEquals(result.status, "verified", JSON.stringify(result));
});

Deno.test("a flow is never timed, and says so; its plan is updated from call to call", async () => {
  const result = await run(mlaFused, `B=2;${SIZES};q=1x4;kv=9;page=4;cache=f16`, { timing: true });
  assert(result.status === "verified", JSON.stringify(result));
  assertEquals(result.reason, "not timed: a flow of 4 calls");
  assert(result.plan && result.plan.planMs > 0 && result.plan.updateMs > 0, JSON.stringify(result.plan));
});

Deno.test("a token that one call does not append is missed by the next, and in the cache", async () => {
  // The tokens of the third call are written where nobody looks: its launch gets no append.
  const forgets = faulty((launch, kv) =>
    kv.join() === "9,4"
      ? {
        ...launch,
        dispatches: launch.dispatches.filter(({ shader }) => !shader.includes("var<storage, read_write> cache")),
      }
      : launch
  );
  assert(failedChecks(await run(forgets, FLOW)).length > 0);
});

/** Sets one word of the cache after everything else. */
function scribble(launch: Launch, word: number): Launch {
  const shader = `
@group(1) @binding(0) var<storage, read_write> cache: array<u32>;
@compute @workgroup_size(1) fn main() { cache[${word}] = 1u; }`;
  return {
    ...launch,
    dispatches: [...launch.dispatches, {
      label: "scribble",
      shader,
      params: [],
      bindings: [],
      cacheBindings: ["cache"],
      workgroups: [1, 1, 1],
      workgroupSize: 1,
      workgroupBytes: 0,
    }],
  };
}

Deno.test("a slot that a call destroys after its last reader is found in the cache at the end", async () => {
  const c = parseCaseId(`mla/fused:${FLOW}`) as MlaCase;
  const [{ cacheLoc: [page] }] = makeMlaInputs(c.shape, c.input, c.seed).calls;
  const word = page * c.shape.page * (c.shape.R + c.shape.Dr) / 2;
  // The first sequence has left: the last call has the second one alone.
  const destroys = faulty((launch, kv) => kv.join() === "5" ? scribble(launch, word) : launch);
  assertEquals(failedChecks(await run(destroys, FLOW)), ["call4_cache"]);
});

Deno.test("a slot that holds no token and is written is found in the call that does", async () => {
  const c = parseCaseId(`mla/fused:${FLOW}`) as MlaCase;
  const { calls: [{ cacheLoc }], pages } = makeMlaInputs(c.shape, c.input, c.seed);
  // Of the first call's last page the last slot is for another call.
  const word = ((cacheLoc.at(-1)! + 1) * c.shape.page * (c.shape.R + c.shape.Dr)) / 2 - 1;
  assert(word < pages * c.shape.page * (c.shape.R + c.shape.Dr) / 2);
  const result = await run(faulty((launch, kv) => kv.join() === "7" ? scribble(launch, word) : launch), FLOW);
  assertEquals(failedChecks(result), ["poison"]);
  assert(result.status === "incorrect");
  const { message } = result.verification.checks.find(({ name }) => name === "poison")!;
  assertEquals(message, `call 1: 1 words of "cache" that nobody may write were written, the first at byte ${4 * word}`);
});

Deno.test("a flow ends with the first call that is wrong", async () => {
  const skips = faulty((launch, kv) => kv.join() === "8,3" ? { ...launch, dispatches: [] } : launch);
  const result = await run(skips, FLOW);
  assertEquals([...new Set(failedChecks(result).map((name) => name.split("_")[0]))], ["call2", "poison"]);
});

Deno.test("a single call of mla is timed, cold too: its copies of the cache rotate with the inputs", async () => {
  const measure = { ...SOFTWARE_MEASURE, modes: ["cold", "hot"] as const, cacheBytes: 100_000 };
  const result = await run(mlaFused, `B=2;${SIZES};q=1,3;kv=9,5;page=4;cache=f16`, { timing: true, measure });
  assert(result.status === "measured", JSON.stringify(result));
  const { runs } = result.measurement;
  assertEquals(runs.map(({ mode }) => mode), ["cold", "hot"]);
  assertGreater(runs[0].rotation, 1);
  assertEquals(result.resolver?.reasons.length !== 0, true);
});

Deno.test("a flow that a kernel cannot run in one of its calls is skipped with the reason", async () => {
  const picky: MlaKernel = {
    ...mlaFused,
    variant: "picky",
    refuses: ({ q }) => q.length === 1 && q[0] === 1 ? "q=1: only more than one token" : undefined,
  };
  const result = await run(picky, `B=1;${SIZES};q=5>1;kv=6;page=4;cache=f16`);
  assert(result.status === "skipped", JSON.stringify(result));
  assertMatch(result.reason, /only more than one token/);
});
