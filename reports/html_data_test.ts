import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { summarize } from "../bench/statistics.ts";
import {
  makeFailed,
  makeIncorrect,
  makeMeasured,
  makeMeasuredF16,
  makeReport,
  makeSkipped,
  makeVerified,
} from "./fixture.ts";
import { histogramOf, makeView, noteOf } from "./html_data.ts";

Deno.test("makeView() takes figures from the headline run by the shared statistics", () => {
  const result = makeMeasured({ centreNs: 50_000 });
  const { data, details } = makeView(makeReport({ results: [result] }));
  const summary = summarize(result.measurement.runs[0]);
  const [row] = data.cases;
  assertEquals(row.medianNs, summary.medianNs);
  assertEquals(row.halfWidth, summary.relativeHalfWidth);
  assertAlmostEquals(row.gbps!, result.measurement.minBytes / (summary.medianNs * 1e-9) / 1e9, 1e-9);
  assertAlmostEquals(row.tflops!, result.measurement.flops / (summary.medianNs * 1e-9) / 1e12, 1e-9);
  assertEquals(row.budget, 0.21);
  assertEquals(details[0].runs.map((run) => [run.mode, run.rejectedBatches]), [["cold", 2], ["hot", 0]]);
  assertEquals(details[0].tickNs, 1);
});

Deno.test("makeView() shows no throughput and no time of an invalid measurement, but keeps its samples", () => {
  const { data, details } = makeView(
    makeReport({ results: [makeMeasured({ verdict: "invalid", reasons: ["impossible"] })] }),
  );
  const [row] = data.cases;
  assertEquals([row.medianNs, row.gbps, row.tflops, row.speedup], [undefined, undefined, undefined, undefined]);
  assertEquals(row.note, "impossible");
  assertEquals([details[0].runs[0].gbps, details[0].runs[0].tflops], [undefined, undefined]);
  assertEquals(details[0].runs[0].samplesNs.length, 40);
});

Deno.test("makeView() shows no throughput of a software adapter, but its times", () => {
  const { data, details } = makeView(makeReport({ software: true, results: [makeMeasured()] }));
  const [row] = data.cases;
  assertEquals([row.gbps, row.tflops, details[0].runs[0].gbps], [undefined, undefined, undefined]);
  assertAlmostEquals(row.medianNs!, 50_000, 100);
  assertEquals(data.defaults.metric, "medianNs");
});

Deno.test("makeView() gives the share of the limit that binds, unless the times are invalid or nothing was calibrated", () => {
  const result = makeMeasured();
  const { data, details } = makeView(makeReport({ results: [result] }));
  assertAlmostEquals(data.cases[0].limitShare!, 0.02455, 2e-5);
  assertEquals(details[0].runs.map(({ limit }) => limit?.words), [
    "2.45 % of the arithmetic limit, 61.5 TFLOP/s f32",
    "3.07 % of the arithmetic limit, 61.5 TFLOP/s f32",
  ]);
  assertEquals(details[0].gpuMs, 250);
  const invalid = makeReport({ results: [makeMeasured({ verdict: "invalid", reasons: ["impossible"] })] });
  for (const report of [invalid, makeReport({ environment: { calibration: undefined } })]) {
    const view = makeView(report);
    assertEquals([view.data.cases[0].limitShare, view.details[0].runs[0].limit], [undefined, undefined]);
  }
});

Deno.test("makeView() holds a kernel with products in f16 against that rate, and says what each computes in", () => {
  const results = [makeMeasuredF16(), makeMeasured(), makeMeasured({ kernel: "append/combined" })];
  const { data: { cases }, details } = makeView(makeReport({ results }));
  assertEquals(details[0].runs[0].limit?.words, "1.47 % of the arithmetic limit, 103 TFLOP/s f16");
  assertEquals(details[1].runs[0].limit?.words, "2.45 % of the arithmetic limit, 61.5 TFLOP/s f32");
  assertEquals(cases.map(({ precision }) => precision), [
    "f16 scores in chains of 18, f16 P·V in chains of 32",
    "f32",
    undefined,
  ]);
});

Deno.test("makeView() gives the speed-up over unfused only where both were timed on the same case", () => {
  const { data } = makeView(makeReport({
    results: [
      makeMeasured({ kernel: "attend/unfused", centreNs: 120_000 }),
      makeMeasured({ kernel: "attend/fused", centreNs: 40_000 }),
      makeMeasured({ kernel: "attend/fused", axes: { page: 16 } }),
    ],
  }));
  assertEquals(data.cases[0].speedup, undefined);
  assertAlmostEquals(data.cases[1].speedup!, 3, 0.05);
  assertEquals(data.cases[2].speedup, undefined);
});

Deno.test("makeView() lists every axis value in order, numbers by size, and null where a case lacks the axis", () => {
  const { data } = makeView(makeReport({
    results: [
      makeMeasured({ axes: { kv: 1024 } }),
      makeMeasured({ axes: { kv: 9 } }),
      makeMeasured({ axes: { kv: "1,63" } }),
      makeMeasured({ axes: { kv: "1,9" } }),
      { ...makeSkipped(), axes: {} },
    ],
  }));
  assertEquals(data.axes[0], { name: "kernel", values: ["attend/fused", "attend/fused_matrix"] });
  assertEquals(data.axes.find(({ name }) => name === "kv")?.values, [9, 1024, "1,9", "1,63", null]);
  assertEquals(data.defaults, { rows: "kernel", columns: "kv", metric: "tflops" });
});

Deno.test("makeView() survives a report of nothing and a measurement without samples", () => {
  assertEquals(makeView(makeReport({ results: [] })).data.cases, []);
  const empty = makeMeasured({ verdict: "invalid", reasons: ["no samples were taken"] });
  const report = makeReport({ results: [{ ...empty, measurement: { ...empty.measurement, runs: [] } }] });
  assertEquals(makeView(report).details[0].runs, []);
});

Deno.test("noteOf() says why, without a terminal's colours", () => {
  assertEquals(noteOf(makeVerified()), undefined);
  assertEquals(noteOf(makeMeasured()), undefined);
  assertEquals(noteOf(makeIncorrect())!.split("\n").length, 3);
  const failed = noteOf(makeFailed())!;
  assert(failed.startsWith("compile: error: unknown identifier"), failed);
  assertEquals(failed.includes("\u001b"), false);
});

Deno.test("histogramOf() counts every sample once, also when all are equal", () => {
  const samples = makeMeasured({ count: 97, spread: 0.2 }).measurement.runs[0].samplesNs;
  const { counts, lowNs, widthNs } = histogramOf(samples, summarize({ samplesNs: samples }));
  assertEquals(counts.reduce((a, b) => a + b), 97);
  assertEquals(lowNs, Math.min(...samples));
  assertAlmostEquals(lowNs + counts.length * widthNs, Math.max(...samples), 1e-6);
  assertEquals(histogramOf([5, 5, 5], summarize({ samplesNs: [5, 5, 5] })).counts, [3]);
});
