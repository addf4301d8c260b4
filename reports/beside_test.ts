import { assertAlmostEquals, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Result } from "../bench/result.ts";
import { besideCases, besideInWords, besideKernels } from "./beside.ts";
import { makeIncorrect, makeMeasured, makeReport, makeSkipped, makeVerified } from "./fixture.ts";
import { renderHtml } from "./html.ts";
import { makeView } from "./html_data.ts";

const measured = (centreNs: number, kv: number, kernel = "attend/fused"): Result => ({
  ...makeMeasured({ kernel, centreNs }),
  id: `${kernel}:kv=${kv}`,
});

function report(provider: string, results: readonly Result[], software = false) {
  const made = makeReport({ results, software });
  const { environment } = made;
  return { ...made, environment: { ...environment, adapter: { ...environment.adapter, provider } } };
}

Deno.test("besideKernels() pairs cases by id, and takes the geometric mean of the times that are believed on both", () => {
  const here = report("dawn", [
    measured(10_000, 1),
    measured(10_000, 2),
    { ...makeVerified("attend/unfused"), id: "attend/unfused:kv=1" },
    measured(10_000, 9),
    { ...makeSkipped("attend/fused"), id: "attend/fused:kv=3" },
  ]);
  const there = report("wgpu", [
    measured(20_000, 1),
    measured(80_000, 2),
    { ...makeIncorrect("attend/unfused"), id: "attend/unfused:kv=1" },
    measured(10_000, 3),
  ]);
  const [fused, unfused, ...rest] = besideKernels(here, there);
  assertEquals(rest, []);
  assertEquals([fused.kernel, fused.both, fused.right, fused.rightThere, fused.timed], ["attend/fused", 2, 2, 2, 2]);
  assertAlmostEquals(fused.speedRatio!, 4, 0.1);
  assertEquals(unfused, { kernel: "attend/unfused", both: 1, right: 1, rightThere: 0, timed: 0 });
  const [all, line, other] = besideInWords(here, there);
  assertMatch(all, /^beside .+ \(wgpu\): cases 3 on both, 3 right here and 2 there$/);
  assertMatch(line, /^ {2}attend\/fused: (3\.9|4\.0)\S* times as fast here, over 2$/);
  assertEquals(other, "  attend/unfused: 1 on both, 1 right here and 0 there");
});

Deno.test("times of a software adapter, and those that are not believed, stand beside nothing", () => {
  const times = (results: Result[], software = false) =>
    [...besideCases(report("dawn", results, software)).values()].map(({ medianNs }) => medianNs !== undefined);
  const invalid = { ...makeMeasured(), verdict: "invalid" as const, reasons: ["too fast"] };
  assertEquals(times([measured(10_000, 1), { ...invalid, id: "attend/fused:kv=2" }]), [true, false]);
  assertEquals(times([measured(10_000, 1)], true), [false]);
});

Deno.test("the HTML shows both providers: a table of kernels, two columns of times, and what became of each case there", () => {
  const [here, there] = [report("dawn", [measured(10_000, 1)]), report("wgpu", [measured(20_000, 1)])];
  const { data, details } = makeView(here, there);
  assertEquals(data.beside, "wgpu");
  assertAlmostEquals(data.cases[0].besideRatio!, 2, 0.05);
  assertEquals(details[0].beside?.status, "measured");
  const page = renderHtml(here, there);
  assertStringIncludes(page, "dawn beside wgpu");
  assertStringIncludes(page, "right on wgpu");
  assertEquals(renderHtml(here).includes("right on wgpu"), false);
  assertEquals(makeView(here).data.beside, undefined);
});
