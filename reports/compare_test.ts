import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import type { Samples } from "../bench/result.ts";
import { compareSamples, type TimeVerdict } from "./compare.ts";
import { makeMeasured, makeSamplesNs, type MeasuredFixtureOptions } from "./fixture.ts";

const options = { margin: 0.05, alpha: 0.05, comparisons: 1 };
const samples = (centreNs: number, more: MeasuredFixtureOptions = {}): Samples =>
  makeMeasured({ centreNs, ...more }).measurement.runs[0];
const flat = (samplesNs: number[]): Samples => ({ ...samples(1), samplesNs });

Deno.test("compareSamples() takes the interval of the ratio from both intervals", () => {
  // Six samples: the 95 % interval is the range. 110 … 120 over 90 … 100: 1.1 … 1.333; medians 115 over 95.
  const comparison = compareSamples(flat([90, 92, 94, 96, 98, 100]), flat([110, 112, 114, 116, 118, 120]), options);
  assertEquals([comparison.baselineNs, comparison.candidateNs], [95, 115]);
  assertAlmostEquals(comparison.ratio, 115 / 95, 1e-12);
  assertAlmostEquals(comparison.interval!.low, 1.1, 1e-12);
  assertAlmostEquals(comparison.interval!.high, 120 / 90, 1e-12);
  assertEquals(comparison.verdict, "regressed");
});

Deno.test("compareSamples() sorts changes by size and width", () => {
  const cases: [ratio: number, spread: number, TimeVerdict][] = [
    [1, 0.01, "same"],
    [1.02, 0.01, "same"],
    [1.049, 0.01, "borderline"],
    [1.052, 0.01, "inconclusive"],
    [1.1, 0.01, "regressed"],
    [1.1, 0.2, "inconclusive"],
    [1, 0.2, "inconclusive"],
    [0.956, 0.01, "borderline"],
    [0.9, 0.01, "improved"],
    [0.5, 0.2, "improved"],
  ];
  for (const [ratio, spread, verdict] of cases) {
    const comparison = compareSamples(samples(50_000, { spread }), samples(50_000 * ratio, { spread }), options);
    assertEquals(comparison.verdict, verdict, `${ratio} ± ${spread}: ${comparison.reason}`);
  }
});

Deno.test("compareSamples() asks for wider intervals the more it compares", () => {
  // ±5 % of noise around 1.09: shown for one comparison, not among ten thousand.
  const sides = [samples(50_000, { spread: 0.05 }), samples(54_500, { spread: 0.05 })] as const;
  assertEquals(compareSamples(...sides, options).verdict, "regressed");
  const among = compareSamples(...sides, { ...options, comparisons: 10_000 });
  assertEquals(among.verdict, "inconclusive");
  assertMatch(
    among.reason,
    /^cold: \+9\.00 % \(50\.0 µs → 54\.5 µs\), .* not shown at 5\.00 % among 10000 comparisons$/,
  );
  // Six samples cannot reach 1 − 0.05/10 on either side: 2·2⁻⁶ = 3.1 % stays outside.
  const few = [flat([90, 92, 94, 96, 98, 100]), flat([110, 112, 114, 116, 118, 120])] as const;
  assertEquals(compareSamples(...few, { ...options, comparisons: 100 }).verdict, "inconclusive");
});

Deno.test("compareSamples() is inconclusive for too few samples", () => {
  const comparison = compareSamples(flat([1, 1, 1, 1, 1]), flat([1, 1, 1, 1, 1, 1, 1]), options);
  assertEquals([comparison.verdict, "interval" in comparison], ["inconclusive", false]);
});

Deno.test("compareSamples() wants the same verdict in cycles", () => {
  const at = (ratio: number, baselineClock: number, candidateClock: number) =>
    compareSamples(
      samples(50_000, { clockRatio: baselineClock }),
      samples(50_000 * ratio, { clockRatio: candidateClock }),
      options,
    );
  // 10 % slower because the probe, too, took 10 % longer: no regression is shown.
  const slowClock = at(1.1, 1, 1.1);
  assertEquals(slowClock.verdict, "inconclusive");
  assertAlmostEquals(slowClock.cyclesRatio!, 1, 1e-9);
  assertMatch(slowClock.reason, /regressed in time but same in cycles/);
  assertEquals(at(1.1, 1, 1).verdict, "regressed");
  assertEquals(at(1.2, 1, 1.1).verdict, "regressed");
  // As fast as before on a clock 10 % faster: in cycles it is slower, so "same" is not shown either.
  assertEquals(at(1, 1.1, 1).verdict, "inconclusive");
  assertEquals(at(1, 1, 1).verdict, "same");
  assertEquals(at(0.9, 1, 1.0).verdict, "improved");
  // Faster in time, the same in cycles: nothing blocks, nothing is claimed.
  assertEquals(at(0.9, 1, 0.9).verdict, "borderline");
});

Deno.test("compareSamples() goes by time alone where a side has no usable probe", () => {
  const good = samples(50_000, { clockRatio: 1 });
  assertEquals(compareSamples(samples(50_000), good, options).cyclesRatio, undefined);
  const broken = { ...good, clock: { beforeNs: 0, afterNs: 0, bestNs: 1 } };
  for (const [before, after] of [[broken, good], [good, broken]]) {
    const comparison = compareSamples(before, after, options);
    assertEquals([comparison.cyclesRatio, comparison.verdict], [undefined, "same"]);
  }
});

/** A normal deviate of a seeded generator (SplitMix32, Box and Muller). */
function normals(seed: number): () => number {
  let state = seed;
  const uniform = () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32 + 2 ** -33;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

Deno.test("compareSamples() calls none of 3,000 unchanged cases regressed and all that are 15 % slower", () => {
  const normal = normals(7);
  // Heavy-tailed noise of 2 % (t with 4 degrees of freedom, deviation √2) within a run, a bias of 0.7 % per process.
  const heavy = () => normal() / Math.sqrt((normal() ** 2 + normal() ** 2 + normal() ** 2 + normal() ** 2) / 4);
  const run = (centreNs: number) => {
    const bias = Math.exp(0.007 * normal());
    return flat(Array.from({ length: 40 }, () => centreNs * bias * Math.exp(0.02 / Math.SQRT2 * heavy())));
  };
  const family = { ...options, comparisons: 300 };
  const verdicts = (ratio: number, count: number) =>
    Map.groupBy(
      Array.from({ length: count }, () => compareSamples(run(50_000), run(50_000 * ratio), family).verdict),
      (verdict) => verdict,
    );
  const unchanged = verdicts(1, 3000);
  assertEquals(unchanged.has("regressed"), false);
  assert((unchanged.get("same")?.length ?? 0) > 2900, `${unchanged.get("same")?.length} same`);
  assertEquals(unchanged.get("inconclusive"), undefined);
  assertEquals(verdicts(1.15, 200).get("regressed")?.length, 200);
});

/** A run of batches, each of ten passes that have its time to a thousandth. */
const batched = (mediansNs: readonly number[]): Samples => ({
  ...flat(mediansNs.flatMap((ns) => makeSamplesNs(ns, 0.001, 10))),
  batches: mediansNs.map(() => 10),
});

Deno.test("compareSamples() goes by batches: halves of one run that wanders differ for its passes, not for them", () => {
  // Batches within ±4 % of one time, in two orders: of 150 passes each a regression by 1 % is shown, of 15 batches
  // none.
  const [before, after] = [0, 0.011].map((shift) =>
    makeSamplesNs(50_000 * (1 + shift), 0.04, 15).map((ns, i) => ns * (1 + (i % 2 ? 0.002 : -0.002)))
  ).map(batched);
  const strictly = { ...options, margin: 0.001 };
  assertEquals(compareSamples(before, after, strictly).verdict, "inconclusive");
  const { batches: _, ...passes } = after;
  const width = (side: Samples) => {
    const { interval } = compareSamples(before, side, options);
    return interval!.high - interval!.low;
  };
  assert(width(after) > 1.3 * width(passes), `${width(after)} and ${width(passes)}`);
});

Deno.test("compareSamples() falls back on the range of few batches among many comparisons, and says so", () => {
  const [before, after] = [50_000, 60_000].map((ns) => batched(makeSamplesNs(ns, 0.01, 15)));
  const among = (comparisons: number) => compareSamples(before, after, { ...options, comparisons });
  assertEquals([among(800).verdict, among(900).verdict], ["regressed", "regressed"]);
  assert(!/whole range/.test(among(800).reason), among(800).reason);
  assertMatch(among(900).reason, /by the whole range of 15 batches: so few have no interval for 900 comparisons$/);
  // One batch beside the others keeps the range from showing it.
  const strayed = batched([...makeSamplesNs(60_000, 0.01, 14), 50_000]);
  assertEquals(compareSamples(before, strayed, { ...options, comparisons: 900 }).verdict, "inconclusive");
  assertEquals(compareSamples(before, strayed, options).verdict, "regressed");
  // Five have none at all.
  assertMatch(compareSamples(before, batched([1, 1, 1, 1, 1]), options).reason, /too few batches for an interval/);
});
