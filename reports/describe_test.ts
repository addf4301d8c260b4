import { assertEquals, assertMatch } from "@std/assert";
import { describeResult } from "./describe.ts";
import { makeFailed, makeId, makeMeasured, makeSkipped, makeVerified } from "./fixture.ts";

Deno.test("describeResult() says the headline's time, width and throughput", () => {
  assertEquals(
    describeResult(makeMeasured()),
    `measured ${makeId("attend/fused")}: 50.0 µs ±0.3 %, 55.4 GB/s, 1.51 TFLOP/s`,
  );
});

Deno.test("describeResult() says why there is no time", () => {
  const invalid = makeMeasured({ verdict: "invalid", reasons: ["timer unreliable"] });
  assertEquals(describeResult(invalid), `measured ${makeId("attend/fused")}: invalid: timer unreliable`);
  assertEquals(describeResult(makeVerified()), `verified ${makeId("attend/unfused")}`);
  assertMatch(describeResult(makeSkipped()), /^skipped .*: needs the feature /);
  assertMatch(describeResult(makeFailed()), /^failed .*: compile: /);
});

Deno.test("describeResult() does not throw where a measured result has no run or no samples", () => {
  const measured = makeMeasured();
  const [run] = measured.measurement.runs;
  for (const runs of [[], [{ ...run, samplesNs: [] }]]) {
    const result = { ...measured, measurement: { ...measured.measurement, runs } };
    assertEquals(describeResult(result), `measured ${measured.id}: no samples`);
  }
});
