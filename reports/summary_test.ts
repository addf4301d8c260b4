import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Result } from "../bench/result.ts";
import { makeFailed, makeIncorrect, makeMeasured, makeReport, makeSkipped, makeVerified } from "./fixture.ts";
import { exitCode, toSummary } from "./summary.ts";

const invalid = makeMeasured({ verdict: "invalid", reasons: ["timer unreliable"] });
const unstable = makeMeasured({ verdict: "unstable", reasons: ["too wide"] });

Deno.test("exitCode() follows correctness first, then what was measured", () => {
  // results, hardware bench, hardware verify, software bench, software verify
  const cases: [Result[], number, number, number, number][] = [
    [[makeMeasured()], 0, 0, 0, 0],
    [[makeMeasured(), makeSkipped()], 0, 0, 0, 0],
    [[unstable], 0, 0, 0, 0],
    [[makeMeasured(), invalid], 4, 0, 0, 0],
    [[makeVerified()], 4, 0, 0, 0],
    [[makeSkipped()], 4, 4, 4, 4],
    [[], 4, 4, 4, 4],
    [[makeMeasured(), makeIncorrect()], 2, 2, 2, 2],
    [[makeMeasured(), makeFailed()], 2, 2, 2, 2],
    [[invalid, makeFailed()], 2, 2, 2, 2],
  ];
  for (const [results, ...codes] of cases) {
    const found: number[] = [false, true].flatMap((software) =>
      ["bench", "verify"].map((command) => exitCode(makeReport({ software, results }), command))
    );
    assertEquals(found, codes, results.map((result) => result.status).join());
  }
  assertEquals(exitCode(makeReport({ results: [makeVerified()], environment: { command: "verify" } })), 0);
  const flow = { ...makeVerified(), reason: "not timed: a flow of 2 calls" };
  assertEquals(exitCode(makeReport({ software: false, results: [flow] }), "bench"), 0);
  assertEquals(exitCode(makeReport({ software: false, results: [flow, { ...makeVerified(), id: "b" }] }), "bench"), 4);
});

Deno.test("toSummary() lists what is wrong with its place and the command that runs it again", () => {
  const text = toSummary(makeReport());
  const lines = text.split("\n");
  const at = lines.findIndex((line) => line.startsWith("INCORRECT attend/fused_subgroup:B=4;"));
  const small = "attend/fused_subgroup:B=1;H=1;R=256;Dr=64;q=1;kv=65;page=64;cache=bf16";
  assertEquals(lines.slice(at + 1, at + 3), [
    "  out: 256 of 16384 elements are out of bound",
    "  all wrong elements: sequence 3 (last sequence), head 5",
  ]);
  assertStringIncludes(lines[at + 3], "first at sequence 3, head 5, token 0, dim 16 (page 12, last sequence, ");
  assertStringIncludes(lines[at + 4], "worst at sequence 3, head 5, token 0, dim 17 (page 12): NaN, not -0.31");
  assertEquals(lines.slice(at + 5, at + 8), [
    "  also wrong: lse",
    `  smallest failing case: ${small}`,
    `  deno task verify --filter '${small}'`,
  ]);
  assertStringIncludes(text, "FAILED attend/<img src=x onerror=alert(1)>:");
  assertStringIncludes(text, "compile: error: unknown identifier `scale`");
  assertStringIncludes(
    text,
    "BLIND attend/unfused:B=4;H=16;R=256;Dr=64;q=1;kv=1024;page=16;cache=bf16\n  blind: would have accepted zeros or constant\n",
  );
  assertStringIncludes(text, "DOUBT attend/fused:B=64;");
  assertStringIncludes(text, "skipped 1: needs the feature");
  assertStringIncludes(text, "\nchecked: out 10 (1 wrong), lse 10 (1 wrong), inputs_unchanged 9\n");
  assert(text.endsWith(
    "NVIDIA H200 (wgpu), 61.5 s: 8 measured (1 unstable, 1 invalid), 1 verified, 1 incorrect, 2 failed, 1 skipped\n",
  ));
  // deno-lint-ignore no-control-regex
  assertEquals(/[\u0000-\u0009\u000b-\u001f]/.test(text), false);
});

Deno.test("toSummary() shows each kernel's best believed figure", () => {
  const results = [
    makeMeasured({ axes: { B: 1 }, centreNs: 60_000 }),
    makeMeasured({ axes: { B: 2 }, centreNs: 50_000 }),
    { ...invalid, id: "attend/fused:B=3" },
    makeMeasured({ kernel: "attend/unfused", centreNs: 90_000 }),
  ];
  const lines = toSummary(makeReport({ results })).split("\n").filter((line) => line.startsWith("best "));
  // The headline is cold: 50 µs for 75.5 Mflop; the hot samples of the fixture are 0.8 of that.
  assertEquals(lines.map((line) => line.split(" (")[0]), [
    "best attend/fused: 1.51 TFLOP/s, 55.4 GB/s, 50.0 µs, 2.45 % of the arithmetic limit, 61.5 TFLOP/s f32",
    "best attend/unfused: 0.839 TFLOP/s, 30.8 GB/s, 90.0 µs, 1.36 % of the arithmetic limit, 61.5 TFLOP/s f32",
  ]);
  assertStringIncludes(lines[0], "(cold; B=2;H=16;");
  const uncalibrated = toSummary(makeReport({ results, environment: { calibration: undefined } }));
  assertStringIncludes(uncalibrated, "best attend/fused: 1.51 TFLOP/s, 55.4 GB/s, 50.0 µs (cold;");
});

Deno.test("toSummary() says what measuring cost where GPU times are known", () => {
  assertStringIncludes(
    toSummary(makeReport({ results: [makeMeasured()] })),
    "\nGPU busy 0.41 % of 62 s; host beyond GPU",
  );
  assertEquals(toSummary(makeReport({ results: [] })).includes("GPU busy"), false);
});

Deno.test("toSummary() says that times of a software adapter say nothing, and shows none", () => {
  const text = toSummary(makeReport({ software: true, results: [makeMeasured(), { ...unstable, id: "x" }] }));
  assertStringIncludes(text, "Times were taken on a software adapter");
  assertEquals(/FLOP|GB\/s|DOUBT|best|µs/.test(text), false);
});

Deno.test("toSummary() stays short when much is wrong", () => {
  const results = Array.from({ length: 100 }, (_, B) => makeFailed("attend/fused", { B }));
  const text = toSummary(makeReport({ results }));
  assertStringIncludes(text, "… and 80 more wrong or failed\n");
  assert(text.split("\n").length < 70);
});
