import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { Measured, Report, Result } from "../bench/result.ts";
import { makeMeasured, makeReport, makeSamplesNs } from "./fixture.ts";
import { toTuningText, tunedShapes, tuningEntries } from "./tuning.ts";

const ID = makeMeasured().id;

/** A measured case with `rows` asked for; without, the one in which the kernel chose. */
function timed(rows: number | undefined, centreNs: number, values: Partial<Measured> = {}): Measured {
  const measured = makeMeasured({ centreNs, axes: rows === undefined ? {} : { rows } });
  return { ...measured, id: rows === undefined ? ID : `${ID};rows=${rows}`, chosen: { rows: rows ?? 16 }, ...values };
}

function reportOf(...results: Result[]): Report {
  return makeReport({ results });
}

Deno.test("the fastest tuning is best where its interval lies below that of the kernel's own choice", () => {
  const [shape, ...others] = tunedShapes(reportOf(timed(undefined, 50_000), timed(8, 45_000), timed(32, 40_000)));
  assertEquals(others, []);
  assertEquals([shape.id, shape.combinations, shape.timed, shape.best?.tuning], [ID, 2, 2, { rows: 32 }]);
  assertAlmostEquals(shape.defaultNs! / shape.best!.medianNs, 1.25, 0.01);
});

Deno.test("a tie keeps the kernel's own choice, and so does a slower tuning", () => {
  for (const centreNs of [49_990, 50_000, 60_000]) {
    const [{ best, defaultNs }] = tunedShapes(reportOf(timed(undefined, 50_000), timed(8, centreNs)));
    assertEquals([best, defaultNs !== undefined], [undefined, true], String(centreNs));
  }
});

Deno.test("what the kernel chose by itself is not better than itself, however lucky its times", () => {
  assertEquals(tunedShapes(reportOf(timed(undefined, 50_000), timed(16, 40_000)))[0].best, undefined);
});

Deno.test("intervals grow with the number of combinations: of many, one is faster by chance", () => {
  // 14 samples each, the order statistics 3 and 12 at 95 %, 1 and 14 at 99.9 %.
  const sampled = (rows: number | undefined, samplesNs: number[]): Measured => {
    const measured = timed(rows, 1);
    const [first] = measured.measurement.runs;
    return { ...measured, measurement: { ...measured.measurement, runs: [{ ...first, samplesNs }] } };
  };
  const base = sampled(undefined, makeSamplesNs(1000, 0.1, 14));
  const near = makeSamplesNs(870, 0.1, 14);
  assertEquals(tunedShapes(reportOf(base, sampled(1, near)))[0].best?.tuning, { rows: 1 });
  const many = Array.from({ length: 50 }, (_, i) => sampled(i + 100, makeSamplesNs(1000, 0.1, 14)));
  assertEquals(tunedShapes(reportOf(base, sampled(1, near), ...many))[0].best, undefined);
});

Deno.test("times that are in doubt count neither for nor against", () => {
  const unstable = { verdict: "unstable" } as const;
  const [shape] = tunedShapes(reportOf(timed(undefined, 50_000), timed(8, 10_000, unstable), timed(32, 40_000)));
  assertEquals([shape.best?.tuning, shape.combinations, shape.timed], [{ rows: 32 }, 2, 1]);
  const [without] = tunedShapes(reportOf(timed(undefined, 50_000, unstable), timed(8, 10_000)));
  assertEquals([without.best, without.defaultNs], [undefined, undefined]);
  const skipped: Result = { id: ID, axes: {}, hostMs: 1, status: "skipped", reason: "no" };
  assertEquals(tunedShapes(reportOf(skipped, timed(8, 10_000)))[0].best, undefined);
});

Deno.test("entries name device, class, values and measurement; those of a software adapter are marked", () => {
  const report = reportOf(timed(undefined, 50_000), timed(32, 40_000));
  const shapes = tunedShapes(report);
  const [entry, ...others] = tuningEntries(shapes, report.environment);
  const { vendor, architecture, description } = report.environment.adapter;
  assertEquals(others, []);
  assertEquals([entry.kernel, entry.device, entry.tuning], ["attend/fused", { vendor, architecture, description }, {
    rows: 32,
  }]);
  assert(entry.shapes.minB! >= 1 && entry.shapes.maxB! < Infinity);
  for (const part of [description, "40.0 µs instead of 50.0 µs", "best of 1", ID]) assert(entry.source.includes(part));
  assert(!("software" in entry));
  const software = makeReport({ software: true, results: report.results });
  assertEquals(tuningEntries(shapes, software.environment)[0].software, true);
  assertEquals(tuningEntries([{ id: ID, combinations: 1, timed: 1, defaultNs: 1 }], report.environment), []);
});

Deno.test("the table has a line for each shape", () => {
  const other = ID.replace("kv=", "kv=1");
  const results = [timed(undefined, 50_000), timed(32, 40_000), timed(undefined, 9_000, { id: other })];
  const lines = toTuningText(tunedShapes(reportOf(...results))).trimEnd().split("\n");
  assertEquals(lines.map((line) => line.split(/ {2,}/)), [
    ["shape", "default", "best", "gain", "timed"],
    [ID, "50.0 µs", "rows=32: 40.0 µs", "1.25×", "1 of 1"],
    [other, "9.00 µs", "default", "0 of 0"],
  ]);
});
