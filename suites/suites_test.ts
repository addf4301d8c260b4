import { assert, assertEquals, assertGreaterOrEqual, assertLessOrEqual, assertThrows } from "@std/assert";
import { KERNELS } from "../kernels/registry.ts";
import { callsOf } from "../reference/flow.ts";
import { INPUT_KINDS } from "../reference/shapes.ts";
import type { Case } from "./case.ts";
import { formatCaseId, parseCaseId } from "./case_id.ts";
import { estimateCost } from "./cost.ts";
import { expandSuites } from "./expand.ts";
import { withinSoftwareBudget } from "./sample.ts";
import { shapeKey, takesCache } from "./select.ts";
import { defaultSuite, SUITES } from "./suites.ts";
import { SUITE_KERNELS } from "./testing.ts";

function expand(suite: string, { software }: { software: boolean }): Case[] {
  return expandSuites({ suites: [suite], kernelsAvailable: SUITE_KERNELS, software, full: false });
}

const hardware = { software: false };
const software = { software: true };
const everything = new Map(SUITES.map(({ name }) => [name, expand(name, hardware)]));

/** The suites of which a software adapter runs something. */
const sampledSuites = [...everything].filter(([name]) => name !== "h200");

function distinct(cases: readonly Case[], axis: string): (string | number)[] {
  return [...new Set(cases.map(({ axes }) => axes[axis]))].filter((value) => value !== undefined);
}

Deno.test("the suites are those that the command line documents, each name once", () => {
  const names = SUITES.map(({ name }) => name);
  assertEquals(names, [
    ...["smoke", "boundary", "page", "batch", "rank256", "flows", "seed", "flashinfer", "flashmla"],
    ...["default", "h200"],
    ...["mistral-small-4", "minicpm3", "deepseek-v2-lite", "deepseek-v3", "kimi-k2", "glm-4.7-flash"],
    "full",
  ]);
  assert([true, false].every((software) => names.includes(defaultSuite({ software }))));
});

Deno.test("every case of every suite is read back from its id as the same case", () => {
  for (const testCase of everything.get("full")!) {
    // Tens of thousands of cases: text is compared in a fraction of the time.
    assert(JSON.stringify(parseCaseId(testCase.id)) === JSON.stringify(testCase), testCase.id);
  }
});

Deno.test("every case of every suite is formatted from its axes to the same id", () => {
  for (const { id, operation, variant, axes } of everything.get("full")!) {
    assert(formatCaseId({ operation, variant, ...axes }) === id, id);
  }
});

/** Variants that need subgroups. */
const SUBGROUPS: readonly string[] = ["fused_subgroup", "fused_f16", "fused_matrix"];

/** Kernels that a shape runs on: those that take its cache. */
function kernelsOf({ operation, axes }: Case): number {
  return SUITE_KERNELS.filter((kernel) => kernel.operation === operation && takesCache(kernel, axes)).length;
}

/**
 * Shapes that are for some kernels: of smoke, sizes of teams, what others run in bf16, and what shows only f32; of h200,
 * what takes the others seconds.
 */
const OF_SOME = new Set([
  ...everything.get("smoke")!.filter(({ axes }) =>
    axes.rows !== "auto" || axes.cache === "f16" || axes.input === "monotone"
  ).map(shapeKey),
  ...everything.get("h200")!.filter(({ axes }) => axes.q !== 1).map(shapeKey),
]);

Deno.test("no suite holds a case twice, and every shape runs on every kernel of its operation that takes its cache", () => {
  for (const [name, cases] of everything) {
    assertEquals(new Set(cases.map(({ id }) => id)).size, cases.length, name);
    const variants = Map.groupBy(cases, shapeKey);
    for (const [shape, [first, ...others]] of variants) {
      if (!OF_SOME.has(shape)) assertEquals(others.length + 1, kernelsOf(first), first.id);
    }
  }
});

Deno.test("full holds every case of every suite", () => {
  const full = new Set(everything.get("full")!.map(({ id }) => id));
  for (const cases of everything.values()) assert(cases.every(({ id }) => full.has(id)));
});

Deno.test("every suite but h200 has cases on a software adapter, all of them among its cases on hardware", () => {
  for (const [name, cases] of sampledSuites) {
    const ids = new Set(cases.map(({ id }) => id));
    const sampled = expand(name, software);
    assertGreaterOrEqual(sampled.length, 50, name);
    assert(sampled.every(({ id }) => ids.has(id)), name);
    // One test of the seed is run whatever it costs: the dimensions of GLM.
    const isExcepted = ({ axes }: Case) => axes.Dv === 256 && axes.q === "32>1x8";
    assert(sampled.every((testCase) => withinSoftwareBudget(testCase) || isExcepted(testCase)), name);
  }
});

Deno.test("smoke has 450 cases and more, 230 of them without subgroups, and is never sampled", () => {
  const cases = everything.get("smoke")!;
  assertGreaterOrEqual(cases.length, 450);
  assertLessOrEqual(cases.length, 520);
  assertGreaterOrEqual(cases.filter(({ variant }) => !SUBGROUPS.includes(variant)).length, 230);
  assertEquals(expand("smoke", software), cases);
});

Deno.test("smoke visits every axis that a kernel can get wrong", () => {
  const cases = everything.get("smoke")!;
  for (const operation of ["attend", "append"]) {
    const own = cases.filter((testCase) => testCase.operation === operation);
    assertEquals(distinct(own, "R").sort(), [256, 512], operation);
    assertEquals(distinct(own, "Dr").sort(), [0, 32, 64], operation);
    assertEquals(distinct(own, "cache").sort(), ["bf16", "f16", "f32"], operation);
    const pages = distinct(own, "page");
    assert([1, 16, 61, 64].every((page) => pages.includes(page)), operation);
    assertGreaterOrEqual(distinct(own, "B").length, 4, operation);
    assert(own.some(({ axes }) => String(axes.kv).includes(",")), operation);
    assert(own.some(({ axes }) => String(axes.kv).startsWith("rand")), operation);
    assert(own.some(({ shape }) => "kv" in shape && shape.kv.includes(0)), operation);
  }
});

Deno.test("smoke has what makes each mistake of a fused kernel visible", () => {
  const attend = everything.get("smoke")!.filter((testCase) => testCase.operation === "attend");
  const own = INPUT_KINDS.filter((kind) => kind !== "seed" && kind !== "flashmla");
  assertEquals(distinct(attend, "input").sort(), [...own].sort());
  const some = (is: (testCase: typeof attend[number]) => boolean) => assert(attend.some(is), is.toString());
  const wrongOnly = attend.filter(({ shape }) => shape.kv.some((kv) => kv > 1));
  assertGreaterOrEqual(wrongOnly.filter(({ shape }) => shape.Dr > 0).length, 100, "dropped scale or rope term");
  some(({ shape }) => shape.scale !== 1 / Math.sqrt(shape.Dn + shape.Dr));
  for (const length of [1, 31, 32, 33, 63, 64, 65, 127, 128, 129]) some(({ shape }) => shape.kv[0] === length);
  for (const input of ["peak", "large", "equal", "monotone", "jump"]) {
    for (const splits of [1, 3]) some((testCase) => testCase.input === input && testCase.tuning.splits === splits);
  }
  some(({ shape, tuning }) => tuning.splits! > shape.kv[0] && shape.kv[0] > 0);
  some(({ shape }) => shape.H % 8 !== 0 && shape.H > 8);
  some(({ shape }) => shape.page > Math.max(...shape.kv));
});

Deno.test("smoke appends nothing, across pages, behind cached tokens and between empty sequences", () => {
  const append = everything.get("smoke")!.filter((testCase) => testCase.operation === "append");
  const some = (is: (testCase: typeof append[number]) => boolean) => assert(append.some(is), is.toString());
  some(({ shape }) => shape.q.every((q) => q === 0));
  some(({ shape }) => shape.q[0] === 0 && shape.q.at(-1) === 0 && shape.q.some((q) => q > 0));
  some(({ shape }) => shape.q[0] > shape.page && shape.q[0] === shape.kv[0]);
  some(({ shape }) => shape.q[0] > shape.page && shape.q[0] < shape.kv[0]);
  for (const kv of [1, 64, 65]) some(({ shape }) => shape.page === 64 && shape.q[0] === 1 && shape.kv[0] === kv);
});

Deno.test("no kernel of this project refuses a shape of smoke or default for its size alone", () => {
  for (const suite of ["smoke", "default"]) {
    const cases = expandSuites({ suites: [suite], kernelsAvailable: KERNELS, software: false, full: false });
    for (const testCase of cases) {
      const reason = refusal(testCase);
      // One kernel of project is for few tokens by design; the other takes every number.
      if (!(testCase.operation === "project" && reason?.startsWith("tokens="))) {
        assertEquals(reason, undefined, testCase.id);
      }
    }
  }
});

function refusal({ variant, tuning, ...testCase }: Case): string | undefined {
  const kernel = KERNELS.find((kernel) => kernel.operation === testCase.operation && kernel.variant === variant);
  if (kernel === undefined) return "no such kernel";
  // A kernel is called once for each call of a flow.
  const shapes = testCase.operation === "mla" ? callsOf(testCase.shape).map(({ shape }) => shape) : [testCase.shape];
  return shapes.map((call) => kernel.refuses(call as never, tuning)).find((reason) => reason !== undefined);
}

Deno.test("smoke is small: few pipelines, and little work for two cores", () => {
  const cases = everything.get("smoke")!;
  const flops = cases.reduce((sum, testCase) => sum + estimateCost(testCase).flops, 0);
  assertLessOrEqual(flops, 3e9);
  const attend = cases.filter(({ operation }) => operation === "attend");
  assertLessOrEqual(
    new Set(attend.map(({ variant, axes: { R, Dr, cache, layout } }) => [variant, R, Dr, cache, layout].join())).size,
    50,
  );
});

Deno.test("rank256 crosses batch, page and boundary in all dtypes, on a software adapter too", () => {
  for (const options of [software, hardware]) {
    const cases = expand("rank256", options);
    const attend = cases.filter(({ operation }) => operation === "attend");
    assertEquals(distinct(cases, "R"), [256]);
    assertEquals(distinct(cases, "Dn"), [64]);
    for (const [cache, batches, pages] of [["bf16", [1, 2, 7], [16, 61, 64]], ["f16", [1, 3], [16, 64]]] as const) {
      for (const B of batches) {
        for (const page of pages) {
          for (const kv of [0, 1, page - 1, page, page + 1, 2 * page - 1, 2 * page, 2 * page + 1]) {
            const there = attend.filter(({ axes }) =>
              axes.cache === cache && axes.B === B && axes.page === page && axes.kv === kv && axes.H === 4
            );
            assertEquals(there.length, cache === "f16" ? 5 : 4, `${cache} B=${B} page=${page} kv=${kv}`);
          }
        }
      }
    }
    assertEquals(distinct(attend, "cache").sort(), ["bf16", "f16", "f32"]);
  }
  assertLessOrEqual(expand("rank256", software).filter(({ variant }) => variant !== "fused_matrix").length, 850);
});

Deno.test("default fits six minutes of a GPU: 300 to 370 cases beside those of matrices, none above its size", () => {
  const cases = everything.get("default")!;
  const onMost = cases.filter(({ variant }) => variant !== "fused_matrix");
  assertGreaterOrEqual(onMost.length, 300);
  assertLessOrEqual(onMost.length, 370);
  for (const testCase of cases) assertLessOrEqual(estimateCost(testCase).bytes, 400e6, testCase.id);
  const serving = cases.filter(({ operation, axes }) => operation === "attend" && Number(axes.kv) >= 1024);
  for (const [axis, values] of Object.entries({ R: [256, 512], H: [8, 16, 32, 128], B: [1, 16, 64], page: [16, 64] })) {
    assertEquals(distinct(serving, axis).sort((a, b) => Number(a) - Number(b)), values, axis);
  }
  assertEquals(distinct(serving, "cache").sort(), ["bf16", "f16"]);
  assertGreaterOrEqual(cases.filter(({ operation }) => operation === "append").length, 8);
});

Deno.test("boundary, page and batch visit what they are named for", () => {
  assertEquals(distinct(everything.get("page")!, "page").length, 12);
  assert([1, 61, 64, 69, 576].every((page) => distinct(everything.get("page")!, "page").includes(page)));
  assert([1, 7, 17, 157].every((B) => distinct(everything.get("batch")!, "B").includes(B)));
  const lengths = distinct(everything.get("boundary")!, "kv");
  assert([0, 1, 2, 3, 15, 16, 17, 63, 64, 65, 127, 128, 129, 191, 192, 193].every((kv) => lengths.includes(kv)));
});

Deno.test("h200 is ten decode shapes on every kernel and a chunk on the fastest, too large for a software adapter", () => {
  const cases = everything.get("h200")!;
  assertEquals(cases.length, 8 * 5 + 2 * 4 + 3);
  const shapes = [...Map.groupBy(cases, shapeKey).values()].map(([{ axes }]) => axes);
  for (const { page, Dr } of shapes) assertEquals([page, Dr], [64, 64]);
  assertEquals(shapes.map(({ q }) => q), [...Array(10).fill(1), 512]);
  const sizes = shapes.map(({ B, H, kv, R, cache }) => [B, H, kv, R, cache].join(" "));
  assertEquals(sizes, [
    ...[
      "64 128 4096 512 f16",
      "16 128 2048 512 f16",
      "1 128 8192 512 f16",
      "64 32 4096 256 f16",
      "64 32 4096 256 bf16",
    ],
    ...["64 16 4096 512 f16", "64 8 4096 512 f16", "64 4 4096 256 f16", "64 4 4096 256 bf16", "1 16 32768 512 f16"],
    "1 128 8704 512 f16",
  ]);
  assertThrows(
    () => expand("h200", software),
    RangeError,
    "all are too large for a software adapter (--full runs them)",
  );
});
