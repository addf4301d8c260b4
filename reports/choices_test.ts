import { assert, assertEquals } from "@std/assert";
import type { Measured, Report, ResolverChoice } from "../bench/result.ts";
import { choicesOf, summarizeChoices } from "./choices.ts";
import { toCsv } from "./csv.ts";
import { makeMeasured, makeReport } from "./fixture.ts";
import { renderHtml } from "./html.ts";
import { toMarkdown } from "./markdown.ts";
import { validateReport } from "./validate.ts";

const pick: ResolverChoice = { backend: "fused", reasons: ["attend/fused: 16 heads & rank 256"] };

function timed(kernel: string, centreNs: number, resolver: ResolverChoice = pick, axes = {}): Measured {
  return { ...makeMeasured({ kernel, centreNs, axes }), resolver };
}

function reportOf(...results: Measured[]): Report {
  return makeReport({ results });
}

Deno.test("choicesOf() says by how much the pick misses the fastest", () => {
  const report = reportOf(timed("attend/unfused", 40_000), timed("attend/fused", 60_000));
  const [unfused, fused] = report.results.map(({ id }) => choicesOf(report).get(id)!);
  assertEquals(unfused, fused);
  assert(Math.abs(fused.overFastest! - 1.5) < 0.02, String(fused.overFastest));
  assertEquals(fused.fastest, false);
  assertEquals(summarizeChoices(report)?.shapes, 1);
  assertEquals(summarizeChoices(report)?.fastest, 0);
});

Deno.test("choicesOf() takes times whose intervals overlap for equal", () => {
  const report = reportOf(timed("attend/unfused", 40_000), timed("attend/fused", 40_001));
  assertEquals(choicesOf(report).get(report.results[0].id)?.fastest, true);
  assertEquals(summarizeChoices(report)?.fastest, 1);
});

Deno.test("choicesOf() compares nothing where the pick, or anything else, was not timed", () => {
  const alone = reportOf(timed("attend/fused", 40_000));
  assertEquals(choicesOf(alone).get(alone.results[0].id), pick);
  const without = reportOf(timed("attend/unfused", 40_000), timed("attend/naive", 50_000));
  assertEquals(choicesOf(without).get(without.results[0].id), pick);
  assertEquals(summarizeChoices(without), undefined);
  const software = makeReport({
    software: true,
    results: [timed("attend/unfused", 40_000), timed("attend/fused", 60_000)],
  });
  assertEquals(choicesOf(software).get(software.results[0].id)?.overFastest, undefined);
});

Deno.test("choicesOf() holds the forms of mla against each other, and counts a shape once", () => {
  const choice: ResolverChoice = { backend: "fused", form: "expanded", reasons: [] };
  const report = reportOf(
    timed("mla/fused", 50_000, choice, { form: "absorbed" }),
    timed("mla/fused", 40_000, choice, { form: "expanded" }),
    timed("mla/unfused", 45_000, choice, { form: "expanded" }),
  );
  assertEquals(summarizeChoices(report)?.shapes, 1);
  assertEquals(choicesOf(report).get(report.results[0].id)?.overFastest, 1);
});

Deno.test("choicesOf() holds the pick against other tunings of it, which nobody gets who asks for none", () => {
  const tuned = timed("attend/fused", 40_000, pick, { rows: 32 });
  const report = reportOf(timed("attend/fused", 60_000), { ...tuned, id: `${tuned.id};rows=32` });
  const { shapes, fastest } = summarizeChoices(report)!;
  assertEquals([shapes, fastest], [1, 0]);
  assert(Math.abs(choicesOf(report).get(report.results[1].id)!.overFastest! - 1.5) < 0.02);
});

Deno.test("choicesOf() holds the pick against kernels of its precision alone where that is f32: no other is picked unasked", () => {
  const f16: Measured = {
    ...timed("attend/fused_f16", 20_000),
    precision: { scores: { f16Chain: 18 }, values: { f16Chain: 32 } },
  };
  const fused = timed("attend/fused", 60_000);
  assertEquals(summarizeChoices(reportOf(f16, fused)), undefined);
  const report = reportOf(f16, fused, timed("attend/unfused", 40_000));
  assert(Math.abs(choicesOf(report).get(fused.id)!.overFastest! - 1.5) < 0.02);
});

Deno.test("choicesOf() holds a pick that rounds more against those of f32 as well", () => {
  const choice: ResolverChoice = { backend: "fused_matrix", reasons: [] };
  const precision = { scores: { f16Chain: 0 }, values: { f16Chain: 0 } };
  const matrix: Measured = { ...timed("attend/fused_matrix", 20_000, choice), precision };
  const f16: Measured = {
    ...timed("attend/fused_f16", 10_000, choice),
    precision: { scores: { f16Chain: 18 }, values: { f16Chain: 32 } },
  };
  const report = reportOf(f16, timed("attend/fused_subgroup", 60_000, choice), matrix);
  assertEquals(choicesOf(report).get(matrix.id)!.overFastest, 1);
});

Deno.test("every report shows the choice, and stays valid and inert", () => {
  const results = [timed("attend/unfused", 40_000), timed("attend/fused", 60_000)];
  const report = reportOf(...results.map((result) => ({ ...result, plan: { planMs: 12, updateMs: 0.25 } })));
  assertEquals(validateReport(JSON.parse(JSON.stringify(report)), "test"), report);
  assert(toMarkdown(report).includes("0 of the 1 shapes"), toMarkdown(report));
  const [header, line] = toCsv(report).split("\r\n");
  assert(header.includes("resolverPick") && line.includes("16 heads & rank 256"));
  const page = renderHtml(report);
  assert(page.includes("What the resolver picks") && page.includes('"planMs":12'));
  assert(!page.includes("16 heads & rank 256</"), "text is escaped");
});
