import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  changeOfHalves,
  findModes,
  isUnstable,
  medianInterval,
  quantile,
  separatingIntervals,
  summarize,
} from "./statistics.ts";

Deno.test("quantile() is linear between order statistics", () => {
  // Definition 7 on (1, 2, 3, 4): h = 3p, so p = 0.25 → 0.75 of the way from 1 to 2, p = 0.5 → 2.5, p = 0.95 → 3.85.
  assertEquals(quantile([4, 1, 3, 2], 0.25), 1.75);
  assertEquals(quantile([4, 1, 3, 2], 0.5), 2.5);
  assertAlmostEquals(quantile([4, 1, 3, 2], 0.95), 3.85, 1e-12);
  assertEquals(quantile([4, 1, 3, 2], 0), 1);
  assertEquals(quantile([4, 1, 3, 2], 1), 4);
  assertEquals(quantile([7], 0.3), 7);
});

Deno.test("quantile() sorts by value, not by text, and leaves its input alone", () => {
  const samples = [10, 9, 100];
  assertEquals(quantile(samples, 0.5), 10);
  assertEquals(samples, [10, 9, 100]);
});

Deno.test("quantile() refuses no samples, non-finite samples and a p outside [0, 1]", () => {
  assertThrows(() => quantile([], 0.5), RangeError, "there are none");
  assertThrows(() => quantile([1, NaN], 0.5), RangeError, "sample 1 is NaN");
  assertThrows(() => quantile([1, Infinity], 0.5), RangeError, "sample 1 is Infinity");
  for (const p of [-0.1, 1.1, NaN]) assertThrows(() => quantile([1], p), RangeError, "[0, 1]");
});

/** The rank from its definition in whole numbers: the largest k with 2·ΣC(n, i), i < k, at most 5 % of 2ⁿ. */
function rankByWholeNumbers(n: number, percentOutside: bigint): number {
  let term = 1n;
  let sum = 0n;
  let k = 0;
  for (;;) {
    sum += term;
    if (2n * sum * 100n > percentOutside << BigInt(n)) return k;
    k++;
    term = term * BigInt(n - k + 1) / BigInt(k);
  }
}

Deno.test("medianInterval() takes the exact binomial ranks", () => {
  // n = 9: 2·(1 + 9)/512 = 3.9 % lies outside ranks 2…8, 2·(1 + 9 + 36)/512 = 18 % outside 3…7.
  assertEquals(medianInterval([1, 2, 3, 4, 5, 6, 7, 8, 9]), { low: 2, high: 8 });
  // Published table for 95 %: n = 20 → 6 and 15, n = 30 → 10 and 21, n = 100 → 40 and 61.
  for (const [n, low] of [[20, 6], [30, 10], [100, 40]]) {
    assertEquals(medianInterval(Array.from({ length: n }, (_, i) => i + 1)), { low, high: n + 1 - low });
  }
  for (const n of [6, 7, 8, 15, 31, 64, 333, 2048, 3001]) {
    const low = rankByWholeNumbers(n, 5n);
    assertEquals(medianInterval(Array.from({ length: n }, (_, i) => i + 1)), { low, high: n + 1 - low }, `n = ${n}`);
    const wide = rankByWholeNumbers(n, 1n);
    const expected = wide === 0 ? undefined : { low: wide, high: n + 1 - wide };
    assertEquals(medianInterval(Array.from({ length: n }, (_, i) => i + 1), 0.99), expected, `n = ${n} at 99 %`);
  }
});

Deno.test("medianInterval() does not exist for fewer than 6 samples at 95 %", () => {
  // The range of 5 samples misses the median with probability 2·2⁻⁵ = 6.25 %, that of 6 with 3.1 %.
  assertEquals(medianInterval([1, 2, 3, 4, 5]), undefined);
  assertEquals(medianInterval([1, 2, 3, 4, 5, 6]), { low: 1, high: 6 });
});

Deno.test("summarize() describes a sample worked by hand", () => {
  // Sorted 1 2 3 4 5 6 7 8 9 100: median 5.5; h = 2.25 → q1 = 3.25; h = 6.75 → q3 = 7.75; h = 8.55 → 9 + 0.55·91.
  // |x − 5.5| sorted: 0.5 0.5 1.5 1.5 2.5 2.5 3.5 3.5 4.5 94.5 → 2.5. Interval ranks 2 and 9: 2…9, half of 7 over 5.5.
  // Fences at 3.25 − 6.75, 7.75 + 6.75 and 7.75 + 13.5: only 100 is out, beyond the outer one.
  const summary = summarize({ samplesNs: [100, 9, 8, 7, 6, 5, 4, 3, 2, 1] });
  assertEquals(summary, {
    n: 10,
    medianNs: 5.5,
    ciLowNs: 2,
    ciHighNs: 9,
    relativeHalfWidth: 3.5 / 5.5,
    minNs: 1,
    q1Ns: 3.25,
    q3Ns: 7.75,
    p95Ns: summary.p95Ns,
    maxNs: 100,
    madNs: 2.5,
    outliersMild: 0,
    outliersSevere: 1,
  });
  assertAlmostEquals(summary.p95Ns, 59.05, 1e-9);
});

Deno.test("summarize() tells mild outliers from severe ones on both sides", () => {
  const summary = summarize({ samplesNs: [-30, -8, 0, 1, 2, 3, 4, 5, 7, 8, 8.5, 18, 27] });
  // Sorted, n = 13: q1 = x[3] = 1, q3 = x[9] = 8, reach 1.5·7 = 10.5 and 21: mild outside [−9.5, 18.5], severe [−20,
  // 29].
  assertEquals([summary.q1Ns, summary.q3Ns], [1, 8]);
  assertEquals([summary.outliersMild, summary.outliersSevere], [1, 1]);
});

Deno.test("summarize() says by absence that five samples have no interval", () => {
  const summary = summarize({ samplesNs: [1, 2, 3, 4, 5] });
  assertEquals("ciLowNs" in summary || "ciHighNs" in summary || "relativeHalfWidth" in summary, false);
  assert(isUnstable(summary));
});

Deno.test("summarize() takes the median and its interval from batches, whose passes depend on each other", () => {
  // Six batches, each steady, each another: 60 samples have an interval of 102 … 103, their batches one of 100 … 105.
  const samplesNs = Array.from({ length: 60 }, (_, i) => 100 + Math.floor(i / 10));
  const summary = summarize({ samplesNs, batches: Array(6).fill(10) });
  assertEquals([summary.n, summary.medianNs, summary.ciLowNs, summary.ciHighNs], [60, 102.5, 100, 105]);
  assertEquals(summarize({ samplesNs }).ciHighNs, 103);
  // Many samples of few batches have no interval.
  assertEquals(summarize({ samplesNs, batches: [12, 12, 12, 12, 12] }).relativeHalfWidth, undefined);
  // A batch counts once, however many samples it has: the medians here are 100, 100, 102, 104, 105 and 105.
  assertEquals(summarize({ samplesNs, batches: [2, 2, 41, 5, 5, 5] }).medianNs, 103);
});

Deno.test("separatingIntervals() falls back on ranges where few values have no interval, and on nothing where they may", () => {
  const ranks = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
  const both = (n: number, alpha: number) => separatingIntervals([ranks(n), ranks(n)], alpha);
  assertEquals(both(15, 0.05), { intervals: [{ low: 4, high: 12 }, { low: 4, high: 12 }], isRange: false });
  assertEquals(both(15, 0.05 / 800)?.isRange, false);
  assertEquals(both(15, 0.05 / 3000), { intervals: [{ low: 1, high: 15 }, { low: 1, high: 15 }], isRange: true });
  // 12!/(6! 6!) = 924 orders.
  assertEquals(both(6, 1 / 923)?.isRange, true);
  assertEquals(both(6, 1 / 925), undefined);
  assertEquals(both(1, 0.05), undefined);
});

Deno.test("ranges of one distribution are apart no more often than they are said to be", () => {
  const uniform = uniformFrom(362436069);
  const draw = (n: number) => Array.from({ length: n }, uniform);
  let apart = 0;
  for (let trial = 0; trial < 20_000; trial++) {
    const { intervals: [a, b] } = separatingIntervals([draw(5), draw(5)], 1 / 252)!;
    if (a.high < b.low) apart++;
  }
  // One in 252: 79 expected.
  assert(apart > 50 && apart < 110, `${apart}`);
});

Deno.test("isUnstable() draws the line at ±5 %", () => {
  // Interval of 6 samples is their range: 95…105 around 100 is ±5 %, 94…105 is more.
  assertEquals(isUnstable(summarize({ samplesNs: [95, 99, 100, 100, 101, 105] })), false);
  assertEquals(isUnstable(summarize({ samplesNs: [94, 99, 100, 100, 101, 105] })), true);
});

/** Uniform in (0, 1), the same on every run: a 32-bit xorshift (Marsaglia, J. Stat. Software 8(14), 2003). */
function uniformFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) + 0.5) / 2 ** 32;
  };
}

/** Share of `trials` samples of size `n` in which two modes are found. */
function shareOfTwoModes(n: number, trials: number, draw: (i: number) => number): number {
  let found = 0;
  for (let trial = 0; trial < trials; trial++) {
    if (findModes(Array.from({ length: n }, (_, i) => draw(i))) !== undefined) found++;
  }
  return found / trials;
}

Deno.test("findModes() takes under 1 % of samples of one mode for two, whatever their shape", () => {
  const uniform = uniformFrom(2463534242);
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  const chiSquare4 = () => -2 * Math.log(uniform() * uniform());
  for (const n of [20, 50, 500]) {
    const shapes: Record<string, (i: number) => number> = {
      normal: () => 1 + 0.1 * normal(),
      logNormal: () => Math.exp(0.5 * normal()),
      heavyTailed: () => 1 + 0.1 * normal() / Math.sqrt(chiSquare4() / 4),
      drifting: (i) => 1 + 0.2 * i / n + 0.01 * normal(),
      settling: (i) => 1 + 0.5 * Math.exp(-6 * i / n) + 0.01 * normal(),
    };
    for (const [shape, draw] of Object.entries(shapes)) {
      const share = shareOfTwoModes(n, n === 500 ? 200 : 2000, draw);
      assert(share < 0.01, `${shape}, ${n} samples: ${share}`);
    }
  }
});

Deno.test("findModes() finds two modes where there are two", () => {
  const uniform = uniformFrom(88675123);
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  const mixed = (share: number, deviation: number) => () => (uniform() < share ? 1 : 1.08) + deviation * normal();
  for (const n of [20, 50, 500]) {
    for (const [share, deviation, least] of [[0.5, 0.005, 0.97], [0.5, 0.01, 0.8], [0.3, 0.01, 0.7]]) {
      const found = shareOfTwoModes(n, n === 500 ? 100 : 500, mixed(share, deviation));
      assert(found > least, `${share} at ± ${deviation}, ${n} samples: ${found}`);
    }
  }
  assertEquals(findModes([...Array(14).fill(5.95), 6.3, ...Array(9).fill(6.7)]), {
    low: 5.95,
    high: 6.7,
    lowShare: 15 / 24,
  });
});

Deno.test("findModes() finds modes 3 % apart among the medians of batches, and takes under 1 % of scattered ones for two", () => {
  const uniform = uniformFrom(521288629);
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  const shareOf = (draw: (i: number) => number) => {
    let found = 0;
    for (let trial = 0; trial < 2000; trial++) {
      if (findModes(Array.from({ length: 15 }, (_, i) => draw(i)), { apart: 0.02, least: 15 }) !== undefined) found++;
    }
    return found / 2000;
  };
  assert(shareOf(() => 1 + 0.012 * normal()) < 0.01);
  assert(shareOf((i) => (i % 3 === 0 ? 1.03 : 1) + 0.002 * normal()) > 0.95);
});

Deno.test("changeOfHalves() leaves out the middle, and is apart only where there are intervals", () => {
  assertEquals(changeOfHalves([1, 9, 2]), { change: 1, isApart: false });
  assertEquals(changeOfHalves([...Array(6).fill(4), 7, ...Array(6).fill(5)]), { change: 0.25, isApart: true });
  assertEquals(changeOfHalves([1]), undefined);
});

Deno.test("findModes() finds none 4 % apart, among outliers, or in fewer than 20 samples", () => {
  const two = (n: number, ratio: number, share: number) =>
    Array.from({ length: n }, (_, i) => i < share * n ? 1 : ratio);
  assert(findModes(two(40, 1.06, 0.5)) !== undefined);
  assertEquals(findModes(two(40, 1.04, 0.5)), undefined);
  assertEquals(findModes(two(40, 3, 0.9)), undefined);
  assertEquals(findModes(two(19, 3, 0.5)), undefined);
  assertEquals(findModes(Array(30).fill(7)), undefined);
});
