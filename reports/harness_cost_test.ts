import { assertAlmostEquals, assertEquals } from "@std/assert";
import type { Result } from "../bench/result.ts";
import { makeMeasured, makeReport, makeSkipped, makeVerified } from "./fixture.ts";
import { harnessCost, harnessCostInWords } from "./harness_cost.ts";

const timed = (hostMs: number, gpuMs?: number): Result => ({ ...makeMeasured(), hostMs, gpuMs });
const report = (...results: Result[]) => makeReport({ results, environment: { wallS: 10 } });

Deno.test("harnessCost() is the GPU time of all cases over the wall time, and what each case takes beyond it", () => {
  const cost = harnessCost(report(timed(1000, 800), timed(900, 800), timed(3000, 2900), makeSkipped()))!;
  assertEquals([cost.busyShare, cost.isPartial, cost.hostMedianMs], [0.45, false, 100]);
  assertAlmostEquals(cost.hostP95Ms, 190, 1e-9);
});

Deno.test("harnessCost() takes an absent GPU time as unknown, not as none", () => {
  assertEquals(harnessCost(report(timed(1000), makeVerified())), undefined);
  const cost = harnessCost(report(timed(1000, 800), timed(5000)))!;
  assertEquals([cost.busyShare, cost.isPartial, cost.hostMedianMs], [0.08, true, 200]);
  assertEquals(harnessCost(report()), undefined);
});

Deno.test("harnessCost() adds what checks took, of cases that were not timed as well", () => {
  const checked = (result: Result, checkGpuMs: number) => ({ ...result, checkGpuMs });
  const cost = harnessCost(report(checked(timed(1000, 800), 100), checked({ ...makeVerified(), hostMs: 150 }, 100)))!;
  assertEquals([cost.busyShare, cost.isPartial, cost.hostMedianMs], [0.1, false, 75]);
});

Deno.test("harnessCost() adds what waking and calibrating the device took", () => {
  const calibration = { ...makeReport({}).environment.calibration!, gpuMs: 500 };
  const made = makeReport({ results: [timed(1000, 800)], environment: { wallS: 10, calibration } });
  assertAlmostEquals(harnessCost(made)!.busyShare, 0.13, 1e-12);
});

Deno.test("harnessCostInWords() says what cases waited for and what their checks took, where it is known", () => {
  const results = [[10, 100], [30, 300], [20, 200]].map(([inputsMs, checksMs]) => ({
    ...timed(900, 800),
    inputsMs,
    checksMs,
  }));
  const words = harnessCostInWords(report(...results, makeSkipped()));
  assertEquals(words.split("; ").at(-1), "waiting for inputs 20.0 ms, checks 200 ms");
});

Deno.test("harnessCostInWords() says at least where some is not known, and nothing where none is", () => {
  const words = "of 10 s; host beyond GPU per case: median 200 ms, p95 200 ms";
  assertEquals(harnessCostInWords(report(timed(1000, 800))), `GPU busy 8.00 % ${words}`);
  assertEquals(harnessCostInWords(report(timed(1000, 800), timed(9))), `GPU busy at least 8.00 % ${words}`);
  assertEquals(harnessCostInWords(report(makeVerified())), "");
});
