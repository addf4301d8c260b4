import { assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import type { Environment, Result } from "../bench/result.ts";
import {
  makeEnvironment,
  makeFailed,
  makeIncorrect,
  makeMeasured,
  makeReport,
  makeResults,
  makeSkipped,
  makeVerified,
  type MeasuredFixtureOptions,
} from "./fixture.ts";
import { gate, type GateOptions } from "./gate.ts";

const report = (results: readonly Result[], environment: Partial<Environment> = {}) =>
  makeReport({ results, environment });
const run = (ratio = 1, options: MeasuredFixtureOptions = {}) => makeMeasured({ centreNs: 50_000 * ratio, ...options });
const judged = (before: readonly Result[], after: readonly Result[], options?: GateOptions) => {
  const { verdict, exitCode, cases } = gate(report(before), report(after), options);
  return [exitCode, verdict, ...cases.map((one) => one.verdict)];
};

Deno.test("gate() passes what is the same, better or within the margin", () => {
  assertEquals(judged([run()], [run()]), [0, "pass", "same"]);
  assertEquals(judged([run()], [run(0.8)]), [0, "pass", "improved"]);
  assertEquals(judged([run()], [run(1.049)]), [0, "pass", "borderline"]);
});

Deno.test("gate() fails a slower case with 1, the slowest first", () => {
  const axes = [1, 2, 3].map((B) => ({ axes: { B } }));
  const outcome = gate(
    report(axes.map((one) => run(1, one))),
    report([run(1, axes[0]), run(1.2, axes[1]), run(1.5, axes[2])]),
  );
  assertEquals([outcome.exitCode, outcome.verdict, outcome.compared], [1, "regressed", 3]);
  assertEquals(outcome.cases.map((one) => [one.verdict, one.id.slice(0, 16)]), [
    ["regressed", "attend/fused:B=3"],
    ["regressed", "attend/fused:B=2"],
    ["same", "attend/fused:B=1"],
  ]);
  assertEquals(outcome.reasons, ["2 cases slower by more than 5.00 %"]);
  assertMatch(outcome.cases[0].reason, /^cold: \+50\.0 % \(50\.0 µs → 75\.0 µs\).*; hot: \+50\.0 % /);
});

Deno.test("gate() sees a regression of one mode only", () => {
  const slow = run();
  const [cold, hot] = slow.measurement.runs;
  const slowHot = { ...hot, samplesNs: hot.samplesNs.map((ns) => 1.3 * ns) };
  const candidate = { ...slow, measurement: { ...slow.measurement, runs: [cold, slowHot] } };
  assertEquals(judged([run()], [candidate]), [1, "regressed", "regressed"]);
  // A mode that only the candidate has is no comparison.
  const onlyCold = { ...slow, measurement: { ...slow.measurement, runs: [cold] } };
  assertEquals(judged([onlyCold], [candidate]), [0, "pass", "same"]);
  const onlyHot = { ...slow, measurement: { ...slow.measurement, runs: [slowHot] } };
  assertEquals(judged([onlyCold], [onlyHot]), [4, "invalid", "lost"]);
});

Deno.test("gate() puts correctness before everything", () => {
  const others = [run(2, { axes: { B: 9 } })];
  for (const wrong of [makeIncorrect("attend/fused"), makeFailed("attend/fused")]) {
    assertEquals(judged([run(), ...others], [wrong, ...others]), [2, "incorrect", wrong.status, "same"]);
    // Also when it is new, when times are not compared, and when the baseline was wrong already.
    assertEquals(judged(others, [wrong, ...others])[0], 2);
    assertEquals(judged([wrong, ...others], [wrong, ...others])[0], 2);
    assertEquals(gate(makeReport({ software: true }), report([wrong])).exitCode, 2);
  }
  const slowAndWrong = gate(
    report([run(), run(1, { axes: { B: 1 } })]),
    report([makeIncorrect("attend/fused"), run(2, { axes: { B: 1 } })]),
  );
  assertEquals(slowAndWrong.exitCode, 2);
  assertEquals(slowAndWrong.reasons, ["1 case incorrect", "1 case slower by more than 5.00 %"]);
});

Deno.test("gate() lets nothing with a verdict but ok into a comparison", () => {
  const invalid = run(3, { verdict: "invalid", reasons: ["timer unreliable"] });
  const unstable = run(3, { verdict: "unstable", reasons: ["too wide"] });
  const other = run(1, { axes: { B: 1 } });
  assertEquals(judged([run(), other], [invalid, other]), [4, "invalid", "invalid", "same"]);
  assertEquals(judged([run(), other], [unstable, other]), [3, "inconclusive", "inconclusive", "same"]);
  for (const bad of [invalid, unstable]) {
    assertEquals(judged([bad, other], [run(9), other]), [0, "pass", "verified", "same"]);
  }
});

Deno.test("gate() that compared nothing fails with 4", () => {
  assertEquals(judged([], []), [4, "invalid"]);
  assertEquals(judged([run()], [makeSkipped("attend/fused")]), [4, "invalid", "lost"]);
  assertEquals(judged([run()], [makeVerified("attend/fused")]), [4, "invalid", "lost"]);
  assertEquals(judged([makeVerified("attend/fused")], [makeVerified("attend/fused")]), [4, "invalid", "verified"]);
  assertEquals(judged([run()], [run(1, { axes: { B: 1 } })]), [4, "invalid", "missing", "new"]);
  assertEquals(judged([run()], [run(1, { timer: "host-slope" })]), [4, "invalid", "lost"]);
  const { reasons, cases } = gate(report([run()]), report([run(1, { timer: "host-slope" })]));
  assertMatch(reasons[0], /^no time was compared: /);
  assertEquals(cases[0].reason, "the timers differ: timestamp-query and host-slope");
});

Deno.test("gate() compares no times of different adapters", () => {
  const { adapter } = makeEnvironment();
  const other = { adapter: { ...adapter, description: "L40S" } };
  const outcome = gate(report([run()]), report([run(3)], other));
  assertEquals([outcome.exitCode, outcome.compared, outcome.cases[0].verdict, outcome.cases[0].comparisons.length], [
    4,
    0,
    "verified",
    0,
  ]);
  assertEquals(outcome.timesNotGated, 'baseline and candidate differ: adapter.description is "NVIDIA H200" and "L40S"');
  // A clean machine's load, seed or command do not keep it from comparing.
  assertEquals(gate(report([run()]), report([run(3)], { seed: 9, argv: [], wallS: 1 })).exitCode, 1);
});

Deno.test("gate() on a software adapter is about correctness", () => {
  const software = (results: readonly Result[]) => makeReport({ software: true, results });
  const slower = gate(software([run()]), software([run(3)]));
  assertEquals([slower.exitCode, slower.compared, slower.cases[0].verdict], [0, 0, "verified"]);
  // Ratios of the same adapter are reported, those against hardware are not even made.
  assertEquals(slower.cases[0].comparisons[0].verdict, "regressed");
  assertEquals(slower.timesNotGated, "times of a software adapter are not gated");
  const hardware = gate(report([run()]), software([run(300)]));
  assertEquals([hardware.exitCode, hardware.cases[0].comparisons.length], [0, 0]);
  const invalid = run(1, { verdict: "invalid", reasons: ["timer unreliable"] });
  assertEquals(gate(software([run()]), software([invalid])).exitCode, 0);
  // What is not run at all is not known to be right, whatever its time.
  const two = [run(), run(1, { axes: { B: 1 } })];
  for (const baseline of [software(two), report(two)]) {
    assertEquals(gate(baseline, software([run()])).exitCode, 3);
    assertEquals(gate(baseline, software([run()]), { partial: true }).exitCode, 0);
    const skipping = software([run(), makeSkipped("attend/fused", { B: 1 })]);
    assertEquals(gate(baseline, skipping).reasons, ["1 case not covered as in the baseline"]);
    assertEquals(gate(baseline, skipping, { partial: true }).exitCode, 3);
  }
  // Times are not gated here, so they are not lost either.
  assertEquals(gate(software([run()]), software([makeVerified("attend/fused")])).exitCode, 0);
  assertEquals(gate(software([run()]), software([makeSkipped("attend/fused")])).exitCode, 4);
  assertEquals(gate(software([run()]), software([run(1, { axes: { B: 1 } })])).exitCode, 4);
  assertEquals(gate(software([run()]), software([makeIncorrect("attend/fused")])).exitCode, 2);
});

Deno.test("gate() names missing, renamed, new and skipped cases", () => {
  const same = run(1, { axes: { B: 1 } });
  assertEquals(judged([same, run()], [same]), [3, "inconclusive", "missing", "same"]);
  assertEquals(judged([same, run()], [same], { partial: true }), [0, "pass", "missing", "same"]);
  assertEquals(judged([same], [same, run()]), [0, "pass", "new", "same"]);
  assertEquals(judged([same], [same, makeSkipped("attend/fused")]), [0, "pass", "skipped", "same"]);
  const outcome = gate(report([same, run()]), report([same, run(1, { kernel: "attend/fused_v2" })]));
  assertEquals([outcome.exitCode, outcome.counts.renamed, outcome.counts.new, outcome.counts.missing], [3, 1, 1, 0]);
  assertMatch(outcome.cases[0].reason, /^now attend\/fused_v2:B=4/);
  assertMatch(outcome.cases[1].reason, /^formerly attend\/fused:B=4/);
  const skipped = gate(report([same, run()]), report([same, makeSkipped("attend/fused")]));
  assertStringIncludes(skipped.cases[0].reason, "which the adapter lacks; measured in the baseline");
});

Deno.test("gate() does not pass a candidate that covers less than the baseline", () => {
  const many = (make: (B: number) => Result) =>
    Array.from({ length: 20 }, (_, B) => B === 0 ? run(1, axesOf(0)) : make(B));
  const axesOf = (B: number) => ({ axes: { B } });
  const baseline = many((B) => run(1, axesOf(B)));
  const without = (result: ReturnType<typeof run>, mode: string) => {
    const runs = result.measurement.runs.filter((one) => one.mode !== mode);
    return { ...result, measurement: { ...result.measurement, runs } };
  };
  const candidates: [string, Result[]][] = [
    ["which the adapter lacks; measured in the baseline", many((B) => makeSkipped("attend/fused", { B }))],
    ["measured in the baseline, the candidate has no time", many((B) => makeVerified("attend/fused", { B }))],
    ["; cold: measured in the baseline, not in the candidate", many((B) => without(run(1, axesOf(B)), "cold"))],
    ["; hot: measured in the baseline, not in the candidate", many((B) => without(run(1, axesOf(B)), "hot"))],
    ["the timers differ", many((B) => run(1, { ...axesOf(B), timer: "host-slope" }))],
  ];
  for (const [reason, results] of candidates) {
    for (const partial of [false, true]) {
      const outcome = gate(report(baseline), report(results), { partial });
      assertEquals([outcome.exitCode, outcome.verdict, outcome.counts.lost], [3, "inconclusive", 19], reason);
      assertEquals(outcome.reasons, ["19 cases not covered as in the baseline"]);
      assertStringIncludes(outcome.cases[0].reason, reason);
    }
  }
  // A worse finding in what is left is not hidden by it.
  assertEquals(judged([run()], [without(run(1.5), "cold")]), [1, "regressed", "regressed"]);
});

Deno.test("gate() compares no times that were taken differently: over other copies, or alone and in company", () => {
  const other = run(1, { axes: { B: 1 } });
  const { measurement } = other;
  const copied = measurement.runs.map((one) => one.mode === "cold" ? { ...one, rotation: 1 } : one);
  const recopied = { ...other, measurement: { ...measurement, runs: copied } };
  const outcome = gate(report([run(), other]), report([run(), recopied]));
  assertEquals([outcome.exitCode, outcome.cases[0].verdict], [3, "lost"]);
  // The hot mode has no copies and is compared.
  assertEquals(outcome.cases[0].comparisons.map(({ mode }) => mode), ["hot"]);
  assertMatch(outcome.cases[0].reason, /; cold: the copies differ: 27 and 1$/);
  const among = (...cases: string[]) => ({
    ...other,
    measurement: { ...measurement, interleaved: { seed: 1, cases } },
  });
  const reasonOf = (then: Result, now: Result) => {
    const { cases: [first], compared } = gate(report([run(), then]), report([run(), now]));
    return [first.verdict, compared, first.reason];
  };
  const alone = ["lost", 1, "timed in turn with others in the baseline, alone in the candidate"];
  const joined = ["lost", 1, "timed alone in the baseline, in turn with others in the candidate"];
  assertEquals(reasonOf(among("a", "b"), other), alone);
  assertEquals(reasonOf(among("a", "b"), among("a")), alone);
  assertEquals(reasonOf(other, among("a", "b")), joined);
  // A kernel that joins or leaves takes no baseline from the others.
  assertEquals(reasonOf(among("a", "b"), among("b", "c", "a"))[0], "same");
});

Deno.test("gate() takes a skip in both reports for no loss", () => {
  const [same, skip] = [run(1, { axes: { B: 1 } }), makeSkipped("attend/fused")];
  assertEquals(judged([same, skip], [same, skip]), [0, "pass", "skipped", "same"]);
  assertEquals(judged([same, skip], [same]), [0, "pass", "skipped", "same"]);
  assertEquals(judged([same, skip], [same, run()]), [0, "pass", "verified", "same"]);
});

Deno.test("gate() calls a candidate of verify right at best, thus inconclusive where times count", () => {
  const verified = [makeVerified("attend/fused"), makeVerified("attend/fused", { B: 1 })];
  const baseline = report([run(), run(1, { axes: { B: 1 } })]);
  const outcome = gate(baseline, report(verified, { command: "verify" }));
  assertEquals([outcome.exitCode, outcome.verdict, outcome.counts.lost], [3, "inconclusive", 2]);
  const wrong = report([verified[0], makeIncorrect("attend/fused", { B: 1 })], { command: "verify" });
  assertEquals(gate(baseline, wrong).exitCode, 2);
  assertEquals(gate(report(verified), report(verified, { command: "verify" })).exitCode, 4);
});

Deno.test("gate() takes its margin from the options and refuses nonsense", () => {
  assertEquals(judged([run()], [run(1.1)])[0], 1);
  assertEquals(judged([run()], [run(1.1)], { margin: 0.2 }), [0, "pass", "same"]);
  for (const margin of [0, -1, NaN, Infinity]) {
    assertThrows(() => judged([run()], [run()], { margin }), RangeError, `a margin of ${margin}`);
  }
  for (const alpha of [0, 1, NaN]) {
    assertThrows(() => judged([run()], [run()], { alpha }), RangeError, `an alpha of ${alpha}`);
  }
});

Deno.test("gate() accounts for every case of both reports exactly once", () => {
  const outcome = gate(report(makeResults()), report(makeResults()));
  assertEquals(outcome.cases.map((one) => one.id).sort(), makeResults().map((result) => result.id).sort());
  assertEquals(Object.values(outcome.counts).reduce((sum, count) => sum + count), outcome.cases.length);
  assertEquals([outcome.exitCode, outcome.compared], [2, 6]);
});
