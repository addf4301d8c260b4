import { assertAlmostEquals, assertEquals, assertStringIncludes } from "@std/assert";
import { hostileKernel, makeCalibration, makeMeasured, makeReport, makeSkipped } from "./fixture.ts";
import { makeView } from "./html_data.ts";
import { rooflineSection } from "./html_roofline.ts";

function draw(report = makeReport()): string {
  return rooflineSection(report.environment.calibration, makeView(report).data.cases).text;
}

Deno.test("rooflineSection() has a dot for each case with a throughput, and links it to the case", () => {
  const results = [makeMeasured(), makeMeasured({ kernel: "project/tiled" }), makeSkipped()];
  const text = draw(makeReport({ results }));
  assertEquals(text.match(/<circle /g)?.length, 2);
  assertStringIncludes(text, `href="#case=${encodeURIComponent(results[0].id)}">`);
  assertStringIncludes(text, '<li class="series-0">attend</li><li class="series-1">project</li>');
  for (const roof of ["4.60 TB/s read", "61.5 TFLOP/s f32", "103 TFLOP/s f16"]) assertStringIncludes(text, `>${roof}<`);
});

Deno.test("a dot at the limit lies on the line, whichever binds", () => {
  const measured = makeMeasured();
  const at = (minBytes: number, flops: number, centreNs: number) => {
    const { runs } = makeMeasured({ centreNs, spread: 0 }).measurement;
    const results = [{ ...measured, measurement: { ...measured.measurement, runs, minBytes, flops } }];
    const text = draw(makeReport({ results }));
    const numbers = (pattern: RegExp) => text.match(pattern)!.slice(1).map(Number);
    const [cx, cy] = numbers(/cx="([\d.]+)" cy="([\d.]+)"/);
    const [x1, y1, x2, y2] = numbers(/class="roof" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"/);
    return { cx, cy, memoryY: y1 + (y2 - y1) * (cx - x1) / (x2 - x1), f16Y: y2 };
  };
  // 4.6 MB in a microsecond, one flop per byte; and 103 Gflop in a millisecond, a thousand flops per byte.
  const memory = at(4.6e6, 4.6e6, 1000);
  assertAlmostEquals(memory.cy, memory.memoryY, 0.3);
  const arithmetic = at(103e6, 103e9, 1e6);
  assertAlmostEquals(arithmetic.cy, arithmetic.f16Y, 0.3);
});

Deno.test("rooflineSection() is left out without limits, and of a CPU, which has no throughput", () => {
  assertEquals(draw(makeReport({ software: true })), "");
  assertEquals(draw(makeReport({ environment: { calibration: undefined } })), "");
  const { readBytesPerS: _, ...less } = makeCalibration();
  assertEquals(draw(makeReport({ environment: { calibration: less } })), "");
  assertEquals(draw(makeReport({ results: [] })), "");
});

Deno.test("rooflineSection() keeps hostile names text", () => {
  const text = draw();
  assertStringIncludes(text, "&lt;img src=x");
  assertEquals(text.includes(hostileKernel), false);
});
