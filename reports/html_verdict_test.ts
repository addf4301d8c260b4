import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Result } from "../bench/result.ts";
import {
  makeBlind,
  makeDifferential,
  makeFailed,
  makeIncorrect,
  makeMeasured,
  makeReport,
  makeSkipped,
  makeVerified,
} from "./fixture.ts";
import { makeView } from "./html_data.ts";
import { verdictOf } from "./html_verdict.ts";

function verdict(...results: Result[]): [string, string] {
  const report = makeReport({ results });
  const { tone, headline } = verdictOf(report, makeView(report));
  return [tone, headline];
}

Deno.test("verdictOf() puts what is wrong before everything else", () => {
  assertEquals(verdict(makeMeasured(), makeVerified()), ["ok", "All 2 verified cases are right."]);
  assertEquals(verdict(makeMeasured(), makeIncorrect()), ["bad", "1 of 2 verified cases is wrong."]);
  assertEquals(verdict(makeMeasured(), makeFailed()), [
    "bad",
    "The one verified case is right; 1 case failed to run.",
  ]);
});

Deno.test("verdictOf() does not call right what was not verified", () => {
  assertEquals(verdict(), ["doubt", "Nothing was run."]);
  assertEquals(verdict(makeSkipped()), ["doubt", "Nothing was verified: the one case was skipped."]);
  assertEquals(verdict(makeFailed(), makeSkipped()), ["bad", "Nothing was verified: 1 case failed to run."]);
});

Deno.test("verdictOf() says how sure the times are and leaves doubtful ones out of the best", () => {
  const report = makeReport({
    results: [
      makeMeasured({ centreNs: 50_000 }),
      makeMeasured({ axes: { B: 1 }, centreNs: 10, verdict: "invalid", reasons: ["impossible"] }),
      makeMeasured({ axes: { B: 2 }, centreNs: 1_000, spread: 0.4, verdict: "unstable", reasons: ["wide"] }),
    ],
  });
  const text = verdictOf(report, makeView(report)).answers.flat().join("\n");
  assertStringIncludes(text, "1.51 TFLOP/s (attend/fused)");
  assertStringIncludes(text, "1 case is unstable; 1 case has times that cannot be believed");
  assertStringIncludes(text, "used 21 % of its error bound");
});

Deno.test("verdictOf() says how far the stable times are from the limits of a GPU", () => {
  const results = [
    makeMeasured({ kernel: "attend/unfused", centreNs: 50_000 }),
    makeMeasured({ centreNs: 25_000 }),
    makeMeasured({ axes: { B: 2 }, centreNs: 12_500 }),
    makeMeasured({ axes: { B: 3 }, centreNs: 1_000, spread: 0.4, verdict: "unstable", reasons: ["wide"] }),
  ];
  const answer = (software: boolean) => {
    const report = makeReport({ results, software });
    return new Map(verdictOf(report, makeView(report)).answers).get("How far that is from what the device can do");
  };
  assertEquals(
    answer(false),
    "The nearest to the memory or arithmetic limit that binds it is attend/fused at 9.8 %; half of the cases are at 4.9 % or more.",
  );
  assertEquals(answer(true), undefined);
});

Deno.test("verdictOf() says that a software adapter's times are no GPU's", () => {
  const report = makeReport({ software: true, results: [makeMeasured()] });
  assertStringIncludes(verdictOf(report, makeView(report)).answers.flat().join("\n"), "say nothing about a GPU");
});

Deno.test("verdictOf() doubts a run with blind cases, though all are right, and says how far other kernels are", () => {
  const report = makeReport({
    results: [makeMeasured(), makeBlind(), { ...makeVerified("attend/x"), differential: makeDifferential() }],
  });
  const { tone, headline, answers } = verdictOf(report, makeView(report));
  assertEquals([tone, headline], ["doubt", "All 3 verified cases are right."]);
  assertEquals(
    new Map(answers).get("What it would not have seen"),
    "1 case is blind: it would have accepted a trivial output.",
  );
  assertStringIncludes(
    new Map(answers).get("How far from other kernels")!,
    "Against attend/unfused: 1 case compared, ",
  );
  assertEquals(verdict(makeBlind(), makeIncorrect())[0], "bad");
});
