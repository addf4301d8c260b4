import { assertEquals } from "@std/assert";
import {
  makeBlind,
  makeFailed,
  makeIncorrect,
  makeMeasured,
  makeReport,
  makeResults,
  makeSkipped,
  makeVerified,
} from "./fixture.ts";
import {
  adapterInWords,
  countResults,
  countsInWords,
  explain,
  explainCheck,
  explainInLines,
  isBlind,
  skippedByReason,
  worstFirst,
} from "./outcome.ts";

Deno.test("countResults() counts every result once and doubts beside", () => {
  assertEquals(countResults(makeResults()), {
    measured: 8,
    verified: 1,
    incorrect: 1,
    skipped: 1,
    failed: 2,
    unstable: 1,
    invalid: 1,
  });
});

Deno.test("countsInWords() names the kinds that occur", () => {
  assertEquals(
    countsInWords(countResults(makeResults())),
    "8 measured (1 unstable, 1 invalid), 1 verified, 1 incorrect, 2 failed, 1 skipped",
  );
  assertEquals(countsInWords(countResults([makeMeasured()])), "1 measured");
  assertEquals(countsInWords(countResults([])), "no cases");
});

Deno.test("explain() says what is wrong, where, and nothing of what is right", () => {
  assertEquals(
    explain(makeIncorrect()),
    "out: 256 of 16384 elements are out of bound; all wrong elements: sequence 3 (last sequence), head 5; first at " +
      "sequence 3, head 5, token 0, dim 16 (page 12, last sequence, one token past a multiple of 64): 0.25, not -0.27 ± " +
      "0.000005; worst at sequence 3, head 5, token 0, dim 17 (page 12): NaN, not -0.31 ± 0.000005; lse: 1 of 64 elements " +
      "are out of bound; worst at sequence 3, head 5, token 0 (page 12): Infinity, not -Infinity ± 0.00001; smallest " +
      `failing case: ${makeIncorrect().shrunk!.id}`,
  );
  assertEquals(
    explain({ ...makeFailed(), stage: "timeout", message: "no result after 30 s" }),
    "timeout: no result after 30 s",
  );
  assertEquals(
    explain(makeSkipped()),
    'needs the feature "chromium-experimental-subgroup-matrix", which the adapter lacks',
  );
  assertEquals(explain(makeMeasured({ verdict: "unstable", reasons: ["a", "b"] })), "unstable: a; b");
  assertEquals(explain(makeMeasured()) + explain(makeVerified()), "");
});

Deno.test("explain() tells one element that is first and worst once, and where there is no page none", () => {
  const [check] = makeIncorrect().verification.checks;
  const nobody = { ...check.first!, sequence: -1, token: -1, head: undefined, dim: 3, page: -1, edges: [] };
  assertEquals(
    explainCheck({ ...check, name: "cache", pattern: [], first: nobody, worst: nobody }),
    "cache: 256 of 16384 elements are out of bound; first and worst at a page of nobody, dim 3: 0.25, not -0.27 ± 0.000005",
  );
});

Deno.test("explainInLines() tells the first failed check at length, the others by name", () => {
  const lines = explainInLines(makeIncorrect());
  assertEquals(lines.length, 6);
  assertEquals(lines[0], "out: 256 of 16384 elements are out of bound");
  assertEquals(lines[1], "all wrong elements: sequence 3 (last sequence), head 5");
  assertEquals(lines.slice(4), ["also wrong: lse", `smallest failing case: ${makeIncorrect().shrunk!.id}`]);
  assertEquals(explainInLines(makeVerified()), []);
});

Deno.test("a blind case says what it would have accepted, timed or not", () => {
  assertEquals(explain(makeBlind()), "blind: would have accepted zeros or constant");
  const { verification } = makeBlind();
  const slow = { ...makeMeasured({ verdict: "unstable", reasons: ["a"] }), verification };
  assertEquals(explain(slow), "unstable: a; blind: would have accepted zeros or constant");
  assertEquals([isBlind(slow), isBlind(makeMeasured()), isBlind(makeSkipped())], [true, false, false]);
});

Deno.test("worstFirst() puts wrong and failed results first and keeps the order of equals", () => {
  const order = worstFirst([
    makeSkipped(),
    makeMeasured(),
    makeFailed(),
    makeVerified(),
    makeIncorrect(),
    makeMeasured({
      axes: { B: 1 },
    }),
  ]);
  assertEquals(order.map((result) => [result.status, result.axes.B]), [
    ["incorrect", 4],
    ["failed", 4],
    ["measured", 4],
    ["measured", 1],
    ["verified", 4],
    ["skipped", 4],
  ]);
});

Deno.test("skippedByReason() groups skipped results, the most frequent reason first", () => {
  const rare = { ...makeSkipped("attend/a"), reason: "rare" };
  const groups = skippedByReason([rare, makeSkipped("attend/b"), makeMeasured(), makeSkipped("attend/c")]);
  assertEquals(groups.map(({ ids }) => ids.map((id) => id.split(":")[0])), [["attend/b", "attend/c"], ["attend/a"]]);
});

Deno.test("adapterInWords() names a software adapter as one", () => {
  assertEquals(adapterInWords(makeReport()), "NVIDIA H200 (wgpu)");
  assertEquals(adapterInWords(makeReport({ software: true })), "llvmpipe (LLVM 19.1.7, 256 bits) (software adapter)");
});
