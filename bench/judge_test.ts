import { assert, assertEquals, assertMatch } from "@std/assert";
import { judge } from "./judge.ts";
import type { Measurement, Samples } from "./result.ts";
import { batchMedians, clockRatio, isUnstable, summarize } from "./statistics.ts";

function measurement(runs: Partial<Samples>[]): Measurement {
  const defaults: Samples = {
    mode: "cold",
    samplesNs: [],
    launchesPerPass: 1,
    rotation: 1,
    droppedSpans: 0,
    rejectedBatches: 0,
  };
  // 1 MB and 1 MFLOP per launch: at 1000 ns that is 1000 GB/s and 1 TFLOP/s.
  return {
    timer: "timestamp-query",
    runs: runs.map((run) => ({ ...defaults, ...run })),
    minBytes: 1e6,
    flops: 1e6,
  };
}

const steady = Array.from({ length: 30 }, (_, i) => 1000 + i);

Deno.test("judge() finds nothing wrong with steady samples at a steady clock", () => {
  const clock = { beforeNs: 100, afterNs: 110, bestNs: 100 };
  const run = { samplesNs: steady, clock };
  assertEquals(judge(measurement([run]), { bytesPerS: 1e12, flopsPerS: 1e12 }), { verdict: "ok", reasons: [] });
  assertEquals(clockRatio(clock), 1.05);
});

Deno.test("judge() calls a measurement without samples invalid", () => {
  assertEquals(judge(measurement([])).verdict, "invalid");
  assertEquals(judge(measurement([{ samplesNs: [] }])).verdict, "invalid");
});

Deno.test("judge() calls a timer unreliable that drops more than 1 % of spans or returns no positive time", () => {
  const many = Array.from({ length: 99 }, (_, i) => 1000 + i);
  assertEquals(judge(measurement([{ samplesNs: many, droppedSpans: 1 }])).verdict, "ok");
  const dropped = judge(measurement([{ samplesNs: many, droppedSpans: 2 }]));
  assertEquals(dropped.verdict, "invalid");
  assertMatch(dropped.reasons[0], /cold: timer unreliable, 2 of 101 spans/);
  assertEquals(judge(measurement([{ samplesNs: [0, ...steady] }])).verdict, "invalid");
});

Deno.test("judge() calls a timer unreliable of whose spans more than 1 % overlap", () => {
  const many = Array.from({ length: 100 }, (_, i) => 100 + i % 3);
  assertEquals(judge(measurement([{ samplesNs: many, overlappingSpans: 1 }])).verdict, "ok");
  const overlapping = judge(measurement([{ samplesNs: many, overlappingSpans: 2 }]));
  assertEquals(overlapping.verdict, "invalid");
  assertMatch(overlapping.reasons[0], /2 of 100 spans began before the one ahead ended/);
});

Deno.test("judge() calls times unstable whose sampling the budget ended, by the medians of batches", () => {
  // Each batch is steady, and each is another.
  const samplesNs = Array.from({ length: 100 }, (_, i) => 100 + Math.floor(i / 10));
  const batches = Array<number>(10).fill(10);
  const run = { samplesNs, batches, stopped: "budget" } as const;
  assertEquals(batchMedians({ ...measurement([run]).runs[0] }), [100, 101, 102, 103, 104, 105, 106, 107, 108, 109]);
  const judged = judge(measurement([run]));
  assertEquals(judged.verdict, "unstable");
  assertMatch(judged.reasons[0], /the budget ended sampling after 10 batches, .* of their medians at ±3\.3 %/);
  assertEquals(judge(measurement([{ ...run, stopped: "interval" }])).verdict, "ok");
  const few = judge(measurement([{ ...run, batches: [50, 50] }]));
  assertMatch(few.reasons[0], /after 2 batches, too few for an interval/);
});

Deno.test("judge() calls a figure beyond the peaks impossible, hot bytes excepted", () => {
  const peaks = { bytesPerS: 0.7e12, flopsPerS: 1e12 };
  // 1 MB in 1014.5 ns is 986 GB/s, more than 1.2 · 700.
  const cold = judge(measurement([{ samplesNs: steady }]), peaks);
  assertEquals(cold.verdict, "invalid");
  assertMatch(cold.reasons[0], /^cold: impossible, 986 GB\/s .* 700$/);
  assertEquals(judge(measurement([{ mode: "hot", samplesNs: steady }]), peaks).verdict, "ok");
  const hot = judge(measurement([{ mode: "hot", samplesNs: steady }]), { bytesPerS: 1e12, flopsPerS: 0.5e12 });
  assertMatch(hot.reasons[0], /^hot: impossible, 0.986 TFLOP\/s .* 0.500$/);
});

Deno.test("judge() holds against memory only what no cache can serve, and nothing against a peak that is not known", () => {
  const cold = measurement([{ samplesNs: steady }]);
  assertEquals(judge(cold, { bytesPerS: 0.7e12, uncachedBytes: 0.5e6 }).verdict, "ok");
  assertEquals(judge(cold, { bytesPerS: 0.7e12, uncachedBytes: 0.9e6 }).verdict, "invalid");
  assertEquals(judge(cold, { bytesPerS: undefined, flopsPerS: undefined }).verdict, "ok");
  assertEquals(judge(cold, { bytesPerS: NaN }).verdict, "invalid");
});

Deno.test("judge() calls wide, scarce and throttled samples unstable", () => {
  const wide = judge(measurement([{ samplesNs: [90, 100, 100, 100, 100, 110] }]));
  assertEquals([wide.verdict, wide.reasons.length], ["unstable", 1]);
  assertMatch(wide.reasons[0], /±10\.0 % after 6 samples, wider than ±5 %/);
  assertMatch(judge(measurement([{ samplesNs: [1, 1, 1] }])).reasons[0], /3 samples are too few/);
  const clock = { beforeNs: 200, afterNs: 200, bestNs: 100 };
  const throttled = judge(measurement([{ samplesNs: steady, clock }]));
  assertEquals([throttled.verdict, throttled.reasons], ["unstable", [
    "cold: the clock ran at 50 % of the best of the session",
  ]]);
  const unknown = judge(measurement([{ samplesNs: steady, clock: { beforeNs: NaN, afterNs: 1, bestNs: 1 } }]));
  assertEquals(unknown.verdict, "unstable");
});

Deno.test("judge() calls times unstable whose clock was slower than the gate's margin", () => {
  const at = (ratio: number) =>
    judge(measurement([{ samplesNs: steady, clock: { beforeNs: ratio, afterNs: ratio, bestNs: 1 } }]));
  assertEquals(at(1.05).verdict, "ok");
  assertEquals(at(1.06), { verdict: "unstable", reasons: ["cold: the clock ran at 94 % of the best of the session"] });
});

Deno.test("judge() takes a few negative slopes of host time for noise, and a quarter of them for no time at all", () => {
  const slopes = (droppedSpans: number) =>
    judge({
      ...measurement([{ mode: "hot", samplesNs: steady.slice(0, 20 - droppedSpans), droppedSpans }]),
      timer: "host-slope",
    });
  assertEquals(slopes(0).verdict, "ok");
  assertEquals(slopes(1), { verdict: "unstable", reasons: ["hot: 1 of 20 slopes of host time were negative or zero"] });
  assertEquals(slopes(5).verdict, "unstable");
  assertEquals(slopes(6).verdict, "invalid");
});

Deno.test("judge() calls samples of two modes unstable although their interval closes", () => {
  // An H200 in turns, as sampled: two samples at one speed, two at the other; no interval of 200 medians shows it.
  const turns = Array.from({ length: 200 }, (_, i) => [871, 876, 822, 827][i % 4] + i % 3);
  assert(!isUnstable(summarize({ samplesNs: turns })));
  assertEquals(judge(measurement([{ samplesNs: turns }])), {
    verdict: "unstable",
    reasons: ["cold: two modes 5.9 % apart, 50 % of the samples in the faster"],
  });
});

Deno.test("judge() names batches of two modes, and halves that are apart by more than the target", () => {
  const of = (medians: number[], more: Partial<Samples> = {}) =>
    judge(measurement([{ samplesNs: medians.flatMap((ns) => [ns, ns]), batches: medians.map(() => 2), ...more }]))
      .reasons;
  const modes = Array.from({ length: 16 }, (_, i) => 1000 + (i % 4 === 0 ? 30 : 0) + i % 3);
  assertEquals(of(modes), ["cold: two modes 2.9 % apart, 75 % of the batches in the faster"]);
  assertEquals(of(modes, { targetHalfWidth: 0.02 }), []);
  const step = (apart: number) => Array.from({ length: 16 }, (_, i) => 1000 + (i < 8 ? 0 : apart) + i % 5 * 2);
  assertEquals(of(step(15)), ["cold: drift, the last half of the batches 1.7 % slower than the first"]);
  assertEquals(of(step(7)), []);
});
