import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { fillNormal, NORMAL_MAX, permutation, streamKey, uint32At, uniformIntAt } from "./random.ts";

const GOLDEN_KEY = 2351784230;
const GOLDEN_WORDS = [590083786, 534994704, 1462948712, 1251565499];
const GOLDEN_NORMAL_BITS = [3207761106, 3212584465, 3217552426, 3210844101];
const GOLDEN_PERMUTATION = [1, 3, 5, 0, 6, 4, 2, 7];

Deno.test("the first values of a stream are what they always were", () => {
  const key = streamKey(1, 2);
  assertEquals(key, GOLDEN_KEY);
  assertEquals([0, 1, 2, 2 ** 31].map((i) => uint32At(key, i)), GOLDEN_WORDS);
  const normals = new Float32Array(4);
  fillNormal(normals, key);
  assertEquals([...new Uint32Array(normals.buffer)], GOLDEN_NORMAL_BITS);
  assertEquals([...permutation(8, key)], GOLDEN_PERMUTATION);
});

Deno.test("fillNormal() has the moments of its distribution", () => {
  const n = 1_000_000;
  const values = new Float32Array(n);
  fillNormal(values, streamKey(7, 0));
  const moment = (power: number) => values.reduce((sum, x) => sum + x ** power, 0) / n;
  assertAlmostEquals(moment(1), 0, 0.004);
  assertAlmostEquals(moment(2), 1, 0.006);
  assertAlmostEquals(moment(3), 0, 0.012);
  // Irwin–Hall of 4: kurtosis 3 − 6/(5·4).
  assertAlmostEquals(moment(4), 2.7, 0.03);
  let lag = 0;
  for (let i = 1; i < n; i++) lag += values[i] * values[i - 1];
  assertAlmostEquals(lag / n, 0, 0.004);
  assert(values.every((x) => Math.abs(x) <= NORMAL_MAX));
});

Deno.test("fillNormal() depends on seed, stream and index only", () => {
  const key = streamKey(3, 4);
  const whole = new Float32Array(100);
  fillNormal(whole, key);
  const part = new Float32Array(40);
  fillNormal(part, key, { start: 60 });
  assertEquals(part, whole.slice(60));
  fillNormal(part, key, { start: 60, scale: 2 });
  assertEquals(part, whole.slice(60).map((x) => 2 * x));
  for (const other of [streamKey(4, 3), streamKey(3, 5), streamKey(4, 4)]) {
    fillNormal(part, other);
    assert(part.every((x, i) => x !== whole[i]));
  }
});

Deno.test("streams of neighbouring seeds are not correlated", () => {
  const n = 100_000;
  const [a, b] = [0, 1].map((seed) => {
    const values = new Float32Array(n);
    fillNormal(values, streamKey(seed, 1));
    return values;
  });
  assertLess(Math.abs(a.reduce((sum, x, i) => sum + x * b[i], 0) / n), 0.015);
});

Deno.test("uniformIntAt() is uniform where the bound does not divide 2^32", () => {
  const key = streamKey(5, 6);
  const n = 3 * 2 ** 30; // Without rejection the lower third would be twice as likely.
  const thirds = [0, 0, 0];
  for (let i = 0; i < 30_000; i++) thirds[Math.floor(uniformIntAt(key, i, n) / 2 ** 30)]++;
  for (const count of thirds) assertAlmostEquals(count / 30_000, 1 / 3, 0.012);
  assertEquals(uniformIntAt(key, 0, 1), 0);
  assertEquals(uniformIntAt(key, 9, 2 ** 32), uint32At(key, 9));
});

Deno.test("uniformIntAt() refuses a bound that is not an integer in [1, 2^32]", () => {
  for (const n of [0, -1, 1.5, NaN, 2 ** 32 + 1]) assertThrows(() => uniformIntAt(1, 0, n), RangeError, String(n));
});

Deno.test("permutation() holds every value once, and all orders are equally likely", () => {
  assertEquals(permutation(1000, 1).toSorted(), Int32Array.from({ length: 1000 }, (_, i) => i));
  assertEquals(permutation(0, 1).length, 0);
  const counts = new Map<string, number>();
  for (let seed = 0; seed < 12_000; seed++) {
    const order = permutation(4, streamKey(seed, 9)).join();
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  assertEquals(counts.size, 24);
  const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - 500) ** 2 / 500, 0);
  assertLess(chiSquare, 50); // 23 degrees of freedom: 0.1 % above 49.7.
});
