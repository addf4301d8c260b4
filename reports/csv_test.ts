import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { parse } from "deno-std/csv/parse.js";
import { toCsv } from "./csv.ts";
import { figures, rowsOf } from "./figures.ts";
import { hostileKernel, makeMeasured, makeMeasuredF16, makeReport, makeSkipped } from "./fixture.ts";

const table = (text: string) => parse(text, { skipFirstRow: true }) as Record<string, string>[];

Deno.test("toCsv() has a line per case and mode that another parser reads back", () => {
  const report = makeReport();
  const lines = table(toCsv(report));
  const rows = rowsOf(report);
  assertEquals(lines.length, rows.length);
  rows.forEach((row, i) => {
    assertEquals(lines[i].id, row.result.id);
    assertEquals(lines[i].status, row.result.status);
    assertEquals(lines[i].mode, row.run?.mode ?? "");
    for (const figure of figures) {
      const value = figure.value(row);
      assertEquals(lines[i][figure.name], value === undefined ? "" : String(value), figure.name);
    }
  });
  assert(lines.some((line) => line.kernel === hostileKernel));
  assert(lines.some((line) => line["axis:kv"] === "1,63,64,65"));
  assertEquals(toCsv(report).replaceAll("\r\n", "").includes("\n"), false);
});

Deno.test("toCsv() names the smallest failing case, trivial outputs that would have passed, and the farthest difference", () => {
  const lines = table(toCsv(makeReport()));
  const wrong = lines.find((line) => line.status === "incorrect")!;
  assertEquals(wrong.shrunkId, "attend/fused_subgroup:B=1;H=1;R=256;Dr=64;q=1;kv=65;page=64;cache=bf16");
  assert(wrong.note.includes("first at sequence 3, head 5"), wrong.note);
  const verified = lines.find((line) => line.status === "verified")!;
  assertEquals([verified.blind, verified.shrunkId, verified.ceilingUsed], ["zeros constant", "", "0.034"]);
  assertEquals([verified.differentialAgainst, verified.differentialUlpP99, verified.differentialUlpMax], [
    "attend/unfused",
    "18",
    "912",
  ]);
});

Deno.test("toCsv() leaves throughput of software and of invalid results empty", () => {
  const invalid = makeReport({ results: [makeMeasured({ verdict: "invalid", reasons: ["impossible"] })] });
  for (const report of [makeReport({ software: true }), invalid]) {
    for (const line of table(toCsv(report))) assertEquals([line.gbPerS, line.tflopPerS], ["", ""]);
  }
  assert(table(toCsv(makeReport()))[0].gbPerS !== "");
});

Deno.test("toCsv() has the share of the limit that binds and which one that is", () => {
  const append = makeMeasured({ kernel: "append/combined" });
  const moved = { ...append, measurement: { ...append.measurement, flops: 0 } };
  const lines = table(toCsv(makeReport({ results: [makeMeasured(), moved] })));
  assertEquals(lines.map(({ limit }) => limit), ["f32FlopsPerS", "f32FlopsPerS", "copyBytesPerS", "copyBytesPerS"]);
  // 75,497,472 flops at 61.5 TFLOP/s are 1.228 of 50 µs.
  assertAlmostEquals(Number(lines[0].limitShare), 0.02455, 2e-5);
  const [uncalibrated] = table(toCsv(makeReport({ environment: { calibration: undefined } })));
  assertEquals([uncalibrated.limit, uncalibrated.limitShare], ["", ""]);
});

Deno.test("toCsv() has what a kernel computes in", () => {
  const results = [makeMeasuredF16(), makeMeasured(), makeMeasured({ kernel: "append/combined" })];
  const lines = table(toCsv(makeReport({ results }))).filter(({ mode }) => mode === "cold");
  assertEquals(lines.map(({ limit, precision }) => [limit, precision]), [
    ["f16FlopsPerS", "f16 scores in chains of 18, f16 P·V in chains of 32"],
    ["f32FlopsPerS", "f32"],
    ["f32FlopsPerS", ""],
  ]);
});

Deno.test("toCsv() disarms formulas in names and reasons", () => {
  const skipped = { ...makeSkipped('=HYPERLINK("http://x")'), reason: "+1", axes: { "=A": "@x", B: -1 } };
  const [line] = table(toCsv(makeReport({ results: [skipped] })));
  assertEquals(line.id.slice(0, 12), "'=HYPERLINK(");
  assertEquals([line.note, line["axis:=A"], line["axis:B"]], ["'+1", "'@x", "-1"]);
});

Deno.test("toCsv() of no results is a heading", () => {
  assertEquals(toCsv(makeReport({ results: [] })).split("\r\n").length, 2);
});
