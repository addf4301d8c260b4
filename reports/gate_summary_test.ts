import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { hostileKernel, makeFailed, makeMeasured, makeReport } from "./fixture.ts";
import { gate } from "./gate.ts";
import { toGateSummary } from "./gate_summary.ts";

const slower = () =>
  gate(
    makeReport({ results: [makeMeasured(), makeMeasured({ axes: { B: 1 } })] }),
    makeReport({ results: [makeMeasured({ centreNs: 75_000 }), makeMeasured({ axes: { B: 1 } })] }),
  );

Deno.test("toGateSummary() lists what wants attention and ends with the verdict", () => {
  const lines = toGateSummary(slower()).split("\n");
  assertMatch(lines[0], /^regressed attend\/fused:B=4;/);
  assertMatch(lines[1], /^ {2}cold: \+50.0 % \(50.0 µs → 75.0 µs\)/);
  assertEquals(lines.slice(2), [
    "1 regressed, 1 same; 2 compared in time, margin 5.00 %",
    "gate: regressed: 1 case slower by more than 5.00 %",
    "",
  ]);
});

Deno.test("toGateSummary() says why times were not gated, and stays short and printable", () => {
  const software = makeReport({ software: true, results: [makeMeasured()] });
  assertEquals(
    toGateSummary(gate(software, software)),
    "times are not gated: times of a software adapter are not gated\n1 verified; 0 compared in time, margin 5.00 %\ngate: pass\n",
  );
  const many = makeReport({ results: Array.from({ length: 99 }, (_, B) => makeFailed(hostileKernel, { B })) });
  const text = toGateSummary(gate(many, many));
  assertStringIncludes(text, "… and 59 more");
  // deno-lint-ignore no-control-regex
  assertEquals(/[\u0000-\u0009\u000b-\u001f]/.test(text), false);
});
