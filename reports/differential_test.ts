import { assertEquals } from "@std/assert";
import type { Differential, OutputDifference, Verified } from "../bench/result.ts";
import { differentialInWords, differentialOverviews } from "./differential.ts";

function output(ulpMax: number, ulpMedian: number): OutputDifference {
  return {
    name: "out",
    elements: 10,
    equalShare: ulpMax === 0 ? 1 : 0.5,
    ulpMedian,
    ulpP99: ulpMax,
    ulpMax,
    errorUlpMedian: 0.5,
    errorUlpMax: 3,
    otherErrorUlpMedian: 0.25,
    otherErrorUlpMax: 4,
  };
}

function result(id: string, differential?: Differential): Verified {
  const verification = { passed: true, checks: [], coverage: 1 };
  return { id, axes: {}, hostMs: 1, status: "verified", verification, ...(differential && { differential }) };
}

Deno.test("differentialInWords() tells what is usual, the largest difference with both errors, and what was left out", () => {
  const against = "attend/unfused";
  const results = [
    result("attend/fused:kv=1", { against, outputs: [output(7, 1)] }),
    result("attend/fused:kv=2", { against, outputs: [output(5, 2), { ...output(70_000, 9), name: "lse" }] }),
    result("attend/fused:kv=3", { against, outputs: [output(6, 3)] }),
    result("attend/fused:kv=4", { against, outputs: [], skipped: "attend/unfused refuses it" }),
    result("append/combined:kv=4"),
  ];
  assertEquals(differentialInWords({ results }), [
    "against attend/unfused: 3 cases compared, differences of 2 ULP (errors 0.500 and 0.250 ULP), at most 70000 ULP " +
    "(errors to 3 and 4 ULP) in lse of attend/fused:kv=2",
    "  not compared 1: attend/unfused refuses it",
  ]);
});

Deno.test("differentialInWords() names the adapter of a stored run, and says where nothing differs", () => {
  const other = { against: "attend/fused", adapter: "NVIDIA H200", environment: "wgpu · H200" };
  const results = [result("attend/fused:kv=1", { ...other, outputs: [output(0, 0)] })];
  assertEquals(differentialInWords({ results }), [
    "against the same kernels on NVIDIA H200: 1 case compared, differences of 0 ULP (errors 0.500 and 0.250 ULP), none anywhere",
  ]);
});

Deno.test("a run that was compared with nothing has no overview, and one of skipped cases no figures", () => {
  assertEquals(differentialInWords({ results: [result("attend/fused:kv=1")] }), []);
  const skipped = result("attend/fused:kv=1", { against: "attend/unfused", outputs: [], skipped: "r" });
  assertEquals(differentialOverviews({ results: [skipped] }), [
    { against: "attend/unfused", compared: 0, skipped: new Map([["r", 1]]) },
  ]);
  assertEquals(differentialInWords({ results: [skipped] })[0], "against attend/unfused: 0 cases compared");
});
