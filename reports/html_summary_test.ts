import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Result } from "../bench/result.ts";
import { makeIncorrect, makeMeasured, makeMeasuredF16, makeReport } from "./fixture.ts";
import { makeView } from "./html_data.ts";
import { summarySection } from "./html_summary.ts";

Deno.test("summarySection() lists every case that needs attention with the command that runs it again", () => {
  const report = makeReport();
  const text = summarySection(report, makeView(report)).text;
  for (const status of ["incorrect", "failed", "blind", "invalid", "unstable"]) {
    assertStringIncludes(text, `<span class="badge ${status}">`);
  }
  assertStringIncludes(text, "deno task verify --filter &#39;attend/fused_subgroup:");
  assertEquals(text.includes("<img"), false);
});

Deno.test("summarySection() puts what is wrong before what was checked, and doubtful times behind it", () => {
  const order = (...results: Result[]) => {
    const report = makeReport({ results });
    const text = summarySection(report, makeView(report)).text;
    return text.indexOf('id="attention"') < text.indexOf('id="checked"');
  };
  const unstable = makeMeasured({ axes: { B: 2 }, verdict: "unstable", reasons: ["wide"] });
  assertEquals([order(makeIncorrect(), unstable), order(makeMeasured(), unstable)], [true, false]);
});

Deno.test("summarySection() says what kernels compute in where they differ", () => {
  const cellsOf = (...results: Result[]) => {
    const report = makeReport({ results });
    return [...summarySection(report, makeView(report)).text.matchAll(/<td>(f(?:16|32)[^<]*)<\/td>/g)].map(([, text]) =>
      text
    );
  };
  assertEquals(cellsOf(makeMeasured(), makeMeasuredF16()), [
    "f32",
    "f16 scores in chains of 18, f16 P·V in chains of 32",
  ]);
  assertEquals(cellsOf(makeMeasured(), makeMeasured({ kernel: "append/combined" })), []);
});

Deno.test("summarySection() counts what a long list leaves out", () => {
  const results = Array.from({ length: 300 }, (_, B) => makeIncorrect("attend/fused", { B }));
  const report = makeReport({ results });
  assertStringIncludes(summarySection(report, makeView(report)).text, "And 92 others.");
});
