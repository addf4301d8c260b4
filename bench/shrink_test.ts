import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { type AttendKernel, type Kernel, kernelName } from "../kernels/kernel.ts";
import { MUTANT_KERNELS } from "../kernels/mutants/mutants.ts";
import { KERNELS } from "../kernels/registry.ts";
import type { Case } from "../suites/case.ts";
import { parseCaseId } from "../suites/case_id.ts";
import { isSmaller } from "../suites/shrink.ts";
import { attendFused } from "../kernels/attend_fused.ts";
import { openGpu } from "./device.ts";
import type { Result } from "./result.ts";
import { failsLike, isShrinkable, shrinkCase, SHRUNK_PER_KERNEL } from "./shrink.ts";
import { runCases, type SweepOptions } from "./sweep.ts";
import { miscompiles } from "./testdata/faulty_kernels.ts";

const RAGGED = "attend/fused:B=5;H=16;R=256;Dr=64;q=1;kv=193,0,63,500,130;page=61;cache=bf16;seed=9;splits=3";

/** Shrinks a case by a rule instead of a kernel. */
function search(id: string, fails: (c: Case) => boolean, budget = {}) {
  const tried: Case[] = [];
  const shrunk = shrinkCase(parseCaseId(id), (c) => {
    tried.push(c);
    return Promise.resolve(fails(c));
  }, budget);
  return shrunk.then((shrunk) => ({ ...shrunk, tried }));
}

const attend = (c: Case) => {
  assert(c.operation === "attend");
  return c.shape;
};

Deno.test("a fault past the first tile is shrunk to one token more than a tile", async () => {
  const { id, runs, tried } = await search(RAGGED, (c) => attend(c).kv.some((n) => n > 32));
  assertEquals(id, "attend/fused:B=1;H=1;R=16;Dr=0;Dn=8;Dv=8;q=1;kv=33;page=61;cache=f32");
  assertEquals(runs, tried.length);
  assertLess(runs, 60);
});

Deno.test("a fault past the first page is shrunk to two small pages, one between neighbours to two sequences", async () => {
  const paged = await search(RAGGED, (c) => attend(c).kv.some((n) => n > attend(c).page));
  assertEquals(paged.id, "attend/fused:B=1;H=1;R=16;Dr=0;Dn=8;Dv=8;q=1;kv=2;page=1;cache=f32");
  const neighbours = await search(RAGGED, (c) => attend(c).B > 1 && attend(c).kv[1] > attend(c).kv[0]);
  assertMatch(neighbours.id, /^attend\/fused:B=2;H=1;R=16;Dr=0;Dn=8;Dv=8;q=\S+;kv=0,1;page=1;cache=f32$/);
});

Deno.test("what a fault needs stays: rank, heads, dtype, the kind of the inputs", async () => {
  const rank = await search(RAGGED, (c) => attend(c).R === 256);
  assertMatch(rank.id, /B=1;H=1;R=256;/);
  const heads = await search(RAGGED, (c) => attend(c).H > 8 && attend(c).cache === "bf16");
  assertMatch(heads.id, /B=1;H=9;R=16;.*cache=bf16$/);
  const kind = await search(`${RAGGED.replace(";seed=9;splits=3", "")};input=peak;seed=9`, (c) => c.input === "peak");
  assertMatch(kind.id, /H=1;.*;input=peak$/);
});

Deno.test("a flow is shrunk to the call that fails, or to the two that it takes", async () => {
  const flow = "mla/fused:B=2;H=4;R=256;Dr=64;q=33,7>18,20>1x3;kv=54,30;page=16;cache=bf16";
  const calls = (c: Case) => c.operation === "mla" && c.shape.steps ? c.shape.steps : [];
  const one = await search(flow, (c) => c.operation === "mla" && c.shape.q.some((n) => n > 9));
  assertMatch(one.id, /B=1;H=1;R=16;Dr=0;Dn=8;Dv=8;q=10;kv=10;/);
  const two = await search(flow, (c) => calls(c).length > 1);
  assertMatch(two.id, /B=1;H=1;R=16;Dr=0;Dn=8;Dv=8;q=1x2;kv=2;/);
});

Deno.test("a search ends within its runs, within its time, and where the device is gone", async () => {
  const fails = () => true, passes = () => false;
  assertEquals((await search(RAGGED, fails, { maxRuns: 3 })).runs, 3);
  let now = 0;
  assertEquals((await search(RAGGED, fails, { maxMs: 25, now: () => now += 10 })).runs, 2);
  const none = await search(RAGGED, passes);
  assertEquals([none.id, none.runs], [RAGGED, 60]);
  let left = 2;
  const gone = await shrinkCase(parseCaseId(RAGGED), () => Promise.resolve(left-- > 0 ? true : undefined));
  assertEquals(gone.runs, 3);
});

Deno.test("no case is run twice, and each that is taken is smaller", async () => {
  let last = parseCaseId(RAGGED);
  const { tried } = await search(RAGGED, (c) => {
    assert(isSmaller(c, last));
    const fails = attend(c).kv.some((n) => n > 61) && attend(c).H > 2;
    if (fails) last = c;
    return fails;
  });
  assertEquals(new Set(tried.map(({ id }) => id)).size, tried.length);
});

async function run(ids: readonly string[], kernels: readonly Kernel[], options: Partial<SweepOptions> = {}) {
  const cases = ids.map(parseCaseId);
  return await Array.fromAsync(runCases(cases, { kernels, timing: false, shrink: true, ...options }));
}

const mutant = (name: string) => MUTANT_KERNELS.find((kernel) => kernelName(kernel) === name)!;
const shapeOf = (result: Result) => {
  assert(result.status === "incorrect" || result.status === "failed", JSON.stringify(result));
  assert(result.shrunk, result.id);
  return result.shrunk.id.slice(result.shrunk.id.indexOf(":") + 1);
};

Deno.test("planted faults are shrunk on the device, and the small case fails again", async () => {
  const shape = RAGGED.slice(RAGGED.indexOf(":"));
  for (
    const [name, small] of [
      ["attend/fused-last_token_lost", /^B=1;H=1;R=16;Dr=0;Dn=8;Dv=8;q=1;kv=1;page=1;cache=f32$/],
      ["attend/fused-pages_of_the_first_sequence", /^B=2;H=1;R=16;/],
      ["attend/fused-merge_without_rescale", /^B=1;H=1;R=16;Dr=0;/],
    ] as const
  ) {
    const kernels = [mutant(name)];
    const [result] = await run([`${name}${shape}`], kernels);
    assertMatch(shapeOf(result), small);
    const [again] = await run([`${name}:${shapeOf(result)}`], kernels, { shrink: false });
    assertEquals([again.status, "shrunk" in again], ["incorrect", false]);
  }
});

Deno.test("a failure to compile is shrunk, too; only the first failures of a kernel are; without the option none", async () => {
  const broken: Kernel = { ...miscompiles, launch: breaking(attendFused) };
  const ids = [1, 2, 3, 4].map((B) => RAGGED.replace("fused:B=5", `miscompiles:B=${B}`).replace(/kv=[\d,]+/, "kv=65"));
  const results = await run(ids, [broken]);
  assertEquals(results.map(({ status }) => status), new Array(4).fill("failed"));
  assertEquals(results.filter((result) => "shrunk" in result).length, SHRUNK_PER_KERNEL);
  assertMatch(shapeOf(results[0]), /^B=1;H=1;R=16;Dr=0;/);
  const [plain] = await run(ids.slice(0, 1), [broken], { shrink: false });
  assertEquals("shrunk" in plain, false);
});

/** Launches whose first shader does not compile. */
function breaking({ launch }: typeof attendFused): typeof launch {
  return (...args) => {
    const { dispatches: [first, ...rest], ...others } = launch(...args);
    return { ...others, dispatches: [{ ...first, shader: `${first.shader}\nnonsense` }, ...rest] };
  };
}

Deno.test("where a smaller case takes the device down, the failure and the cases in flight are told all the same", async () => {
  const gpu = await openGpu();
  const wrong = mutant("attend/fused-last_token_lost") as AttendKernel;
  const lossy: AttendKernel = {
    ...wrong,
    variant: "lossy",
    launch(shape, ...others) {
      if (shape.B < 5) gpu.device.destroy();
      return wrong.launch(shape, ...others);
    },
  };
  // The first case runs alone; the last, a long one, is in flight while the wrong one is made smaller.
  const first = RAGGED.replace(/kv=[\d,]+/, "kv=60"), last = first.replace("H=16", "H=32").replace("kv=60", "kv=2000");
  const results = await run([first, RAGGED.replace("fused:", "lossy:"), last], [lossy, ...KERNELS], { gpu });
  assertEquals(results.map(({ status }) => status), ["verified", "incorrect", "verified"]);
  assertMatch(shapeOf(results[1]), /^B=5;H=16;/);
});

Deno.test("a crash, a timeout and an output that only timing made wrong are not searched for", () => {
  const base = { id: "x", axes: {}, hostMs: 1 };
  const failed = (stage: "crashed" | "timeout" | "run"): Result => ({ ...base, status: "failed", stage, message: "" });
  assertEquals((["crashed", "timeout", "run"] as const).map((stage) => isShrinkable(failed(stage))), [
    false,
    false,
    true,
  ]);
  const like = failed("run");
  assert(isShrinkable(like));
  assert(failsLike(failed("run"), like) && !failsLike(failed("crashed"), like));
  assert(!failsLike({ ...base, status: "skipped", reason: "" }, like));
});
