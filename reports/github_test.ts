import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { hostileKernel, makeFailed, makeIncorrect, makeMeasured, makeReport, makeSkipped } from "./fixture.ts";
import { gate } from "./gate.ts";
import { maxAnnotations, maxSummaryBytes, toAnnotations, toStepSummary } from "./github.ts";

const slower = () =>
  gate(
    makeReport({ results: [makeMeasured(), makeMeasured({ axes: { B: 1 } })] }),
    makeReport({ results: [makeMeasured({ centreNs: 75_000 }), makeMeasured({ axes: { B: 1 } })] }),
  );

Deno.test("toStepSummary() lists every case of a run, worst first", () => {
  const report = makeReport();
  const text = toStepSummary(report);
  assertStringIncludes(text, "## mla-bench bench: 8 measured (1 unstable, 1 invalid), 1 verified, 1 incorrect, ");
  const statuses = [...text.matchAll(/^\| (measured|verified|incorrect|failed|skipped) \|/gm)].map(([, status]) =>
    status
  );
  assertEquals(statuses.length, report.results.length);
  assertEquals(statuses.slice(0, 4), ["incorrect", "failed", "failed", "measured"]);
  assertStringIncludes(text, `\`${hostileKernel}:B=4;`);
});

Deno.test("toStepSummary() of a gate says its verdict, why, and how much was compared", () => {
  const text = toStepSummary(makeReport({ results: [makeMeasured()] }), slower());
  assertStringIncludes(
    text,
    "## mla-bench gate: regressed\n\n- 1 case slower by more than 5.00 %\n\n1 measured; 2 cases compared",
  );
  assertMatch(text, /\n\| regressed \| `attend\/fused:B=4;[^|]*\| cold: \+50.0 %/);
  assert(text.indexOf("| regressed") < text.indexOf("| same"));
});

Deno.test("toStepSummary() stays within GitHub's limit and says what it left out", () => {
  // Three bytes per character, so that counting characters instead would overshoot.
  const results = Array.from({ length: 3000 }, (_, B) => ({
    ...makeSkipped("attend/x", { B }),
    reason: `${B} ${"€".repeat(200)}`,
  }));
  const text = toStepSummary(makeReport({ results: [...results, makeIncorrect()] }));
  const bytes = new TextEncoder().encode(text).length;
  assert(bytes <= maxSummaryBytes && bytes > maxSummaryBytes - 2000, `${bytes}`);
  const shown = [...text.matchAll(/^\| skipped \|/gm)].length;
  assertStringIncludes(text, "| incorrect |");
  assertStringIncludes(text, `\n${3000 - shown} more cases do not fit here`);
  assert(text.endsWith("results.csv.\n"));
});

Deno.test("toAnnotations() marks wrong and failed cases, one escaped line each", () => {
  const lines = toAnnotations(makeReport());
  assertEquals(lines.length, 4);
  assertMatch(lines[0], /first at sequence 3, head 5, .*smallest failing case: attend\/fused_subgroup:B=1;H=1;/);
  assertMatch(lines[3], /^::warning title=blind%3A attend\/unfused%3AB=4;[^:]*::blind: would have accepted zeros or /);
  assertMatch(lines[0], /^::error title=incorrect%3A attend\/fused_subgroup%3AB=4;[^:]*::out: 256 of 16384 /);
  for (const line of lines) {
    assertEquals(line.includes("\n"), false);
    assertMatch(line, /^::(error|warning) title=[^:,]*::/);
  }
  assertEquals(toAnnotations(makeReport({ results: [makeMeasured(), makeSkipped()] })), []);
});

Deno.test("toAnnotations() writes at most ten and counts the rest", () => {
  const results = Array.from({ length: 25 }, (_, B) => makeFailed("attend/x", { B }));
  const lines = toAnnotations(makeReport({ results }));
  assertEquals(lines.length, maxAnnotations);
  assertEquals(lines[9], "::error title=more::16 more cases, see the step summary");
  assertEquals(toAnnotations(makeReport({ results: results.slice(0, 10) })).length, 10);
});

Deno.test("toAnnotations() of a gate tells errors from warnings", () => {
  const kinds = (before: Parameters<typeof makeReport>[0], after: Parameters<typeof makeReport>[0]) => {
    const [baseline, candidate] = [makeReport(before), makeReport(after)];
    return toAnnotations(candidate, gate(baseline, candidate)).map((line) => line.replace(/%3A.*/, ""));
  };
  const [one, two] = [makeMeasured(), makeMeasured({ axes: { B: 1 } })];
  assertEquals(kinds({ results: [one] }, { results: [makeMeasured({ centreNs: 75_000 })] }), [
    "::error title=regressed",
  ]);
  assertEquals(kinds({ results: [one, two] }, { results: [one] }), ["::warning title=missing"]);
  assertEquals(kinds({ results: [one] }, { results: [one] }), []);
  // A gate that compared nothing has no case to show, so it speaks for itself.
  assertEquals(kinds({ results: [one] }, { results: [makeSkipped("attend/x", { B: 9 })] }), [
    "::error title=gate",
    "::warning title=missing",
  ]);
  assertEquals(kinds({ results: [one, two] }, { results: [makeSkipped("attend/fused"), two] }), [
    "::warning title=lost",
  ]);
  assertEquals(kinds({ results: [one, two], software: true }, { results: [one], software: true }), [
    "::warning title=missing",
  ]);
  const part = makeReport({ results: [one] });
  assertEquals(toAnnotations(part, gate(makeReport({ results: [one, two] }), part, { partial: true })), []);
});
