import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  figure,
  figures,
  formatFigure,
  formatNumber,
  formatRate,
  formatShare,
  formatTimeNs,
  kernelOf,
  rowsOf,
} from "./figures.ts";
import {
  hostileKernel,
  makeFailed,
  makeIncorrect,
  makeMeasured,
  makeReport,
  makeSkipped,
  type ReportFixtureOptions,
} from "./fixture.ts";

function rowOf(options: ReportFixtureOptions) {
  return rowsOf(makeReport(options))[0];
}

Deno.test("kernelOf() takes what stands before the first colon", () => {
  assertEquals(kernelOf("attend/fused:B=4;H=16"), "attend/fused");
  assertEquals(kernelOf(`${hostileKernel}:B=4;tensors=a:b@c`), hostileKernel);
  assertEquals(kernelOf("attend/fused"), "attend/fused");
});

Deno.test("rowsOf() gives a measured result a row per mode and any other result one", () => {
  const report = makeReport({ results: [makeMeasured(), makeFailed(), makeSkipped()] });
  assertEquals(rowsOf(report).map((row) => [row.result.status, row.run?.mode]), [
    ["measured", "cold"],
    ["measured", "hot"],
    ["failed", undefined],
    ["skipped", undefined],
  ]);
});

Deno.test("throughput is work over the median", () => {
  // Median 50 µs by construction to within 1/40 of ±1 %: 2,769,936 B → 55.4 GB/s; 75,497,472 flop → 1.51 TFLOP/s.
  const row = rowOf({ results: [makeMeasured({ centreNs: 50_000 })] });
  assertAlmostEquals(figure("medianNs").value(row)!, 50_000, 25);
  assertAlmostEquals(figure("gbPerS").value(row)!, 55.4, 0.05);
  assertAlmostEquals(figure("tflopPerS").value(row)!, 1.51, 0.002);
  assertEquals(formatFigure("gbPerS", row), "55.4 GB/s");
});

Deno.test("an invalid result and a software adapter show times but no throughput", () => {
  for (
    const row of [
      rowOf({ results: [makeMeasured({ verdict: "invalid", reasons: ["impossible"] })] }),
      rowOf({ software: true }),
    ]
  ) {
    assert(figure("medianNs").value(row) !== undefined);
    assertEquals(formatFigure("gbPerS", row), "");
    assertEquals(formatFigure("tflopPerS", row), "");
  }
  assertEquals(rowOf({ software: true }).software, true);
});

Deno.test("a figure that does not exist is absent, not 0", () => {
  const measured = makeMeasured();
  const append = { ...measured, measurement: { ...measured.measurement, flops: 0 } };
  assertEquals(figure("tflopPerS").value(rowOf({ results: [append] })), undefined);
  const [cold] = measured.measurement.runs;
  const empty = { ...measured, measurement: { ...measured.measurement, runs: [{ ...cold, samplesNs: [] }] } };
  assertEquals(formatFigure("medianNs", rowOf({ results: [empty] })), "");
  const few = { ...measured, measurement: { ...measured.measurement, runs: [{ ...cold, samplesNs: [1, 2, 3] }] } };
  assertEquals(formatFigure("ciLowNs", rowOf({ results: [few] })), "");
  const skipped = rowOf({ results: [makeSkipped()] });
  assertEquals(figures.filter((figure) => figure.value(skipped) !== undefined).map((figure) => figure.name), [
    "hostMs",
  ]);
});

Deno.test("formatRate() takes the larger prefix from a thousand on", () => {
  const rates = [61.5e12, 1e12, 999.4e9, 64e9, 5e7].map((perS) => formatRate(perS, "FLOP/s"));
  assertEquals(rates, ["61.5 TFLOP/s", "1.00 TFLOP/s", "999 GFLOP/s", "64.0 GFLOP/s", "0.0500 GFLOP/s"]);
});

Deno.test("limitShare is that of the limit that binds, also on a software adapter, and absent where a time is invalid", () => {
  const results = [makeMeasured()];
  assertEquals(formatFigure("limitShare", rowOf({ results })), "2.45 %");
  assertEquals(formatFigure("limitShare", rowOf({ results, software: true })), "2359 %");
  assertEquals(formatFigure("limitShare", rowOf({ results: [makeMeasured({ verdict: "invalid" })] })), "");
});

Deno.test("errorBudget is the largest of all checks", () => {
  assertEquals(figure("errorBudget").value(rowOf({ results: [makeMeasured()] })), 0.21);
  assertEquals(figure("errorBudget").value(rowOf({ results: [makeIncorrect()] })), 1380);
});

Deno.test("clock is the share of the best clock of the session", () => {
  assertEquals(figure("clock").value(rowOf({ results: [makeMeasured({ clockRatio: 2 })] })), 0.5);
  assertEquals(figure("clock").value(rowOf({ results: [makeMeasured()] })), undefined);
});

Deno.test("droppedSpans and rejectedBatches are those of the row's mode", () => {
  const [cold, hot] = rowsOf(makeReport({ results: [makeMeasured()] }));
  assertEquals([cold, hot].map((row) => figure("rejectedBatches").value(row)), [2, 0]);
  assertEquals([cold, hot].map((row) => figure("droppedSpans").value(row)), [0, 0]);
});

Deno.test("figure() names the choices", () => {
  assertThrows(() => figure("medianMs"), RangeError, 'Cannot show the figure "medianMs": there are medianNs, ');
  assertEquals(new Set(figures.map((figure) => figure.name)).size, figures.length);
});

Deno.test("formatters keep three digits and pick the unit after rounding", () => {
  const times: [number, string][] = [
    [0.5, "0.500 ns"],
    [512, "512 ns"],
    [999.4, "999 ns"],
    [999.6, "1.00 µs"],
    [
      58_000,
      "58.0 µs",
    ],
    [999_600, "1.00 ms"],
    [1.5e9, "1.50 s"],
    [7.2e12, "7200 s"],
    [-58_000, "-58.0 µs"],
  ];
  for (const [ns, text] of times) assertEquals(formatTimeNs(ns), text);
  const numbers: [number, string][] = [[0, "0"], [0.01234, "0.0123"], [999.6, "1000"], [1234.5, "1235"], [
    2.5e-7,
    "2.5e-7",
  ]];
  for (const [value, text] of numbers) assertEquals(formatNumber(value), text);
  const shares: [number, string][] = [[0.21, "21.0 %"], [0.00512, "0.51 %"], [1, "100 %"], [1.384, "138 %"]];
  for (const [value, text] of shares) assertEquals(formatShare(value), text);
});
