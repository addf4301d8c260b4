import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { type Arithmetic, f32Arithmetic, HEAD, kernelArithmetic } from "./arithmetic.ts";
import { F32 } from "./precision.ts";

const VARIANTS = Array.from({ length: 24 }, (_, variant) => kernelArithmetic(F32, variant));

function dots({ dots }: Arithmetic, x: number[], vectors: number[][]): number[] {
  const target = new Float64Array(vectors.length);
  dots(Float64Array.from(x), { values: Float64Array.from(vectors.flat()), stride: x.length }, target);
  return [...target];
}

Deno.test("every order of sums takes every product once", () => {
  for (const width of [1, 7, 8, 64, 77, 576]) {
    const x = Array.from({ length: width }, (_, d) => d + 1);
    for (const count of [1, 3, 4, 6]) {
      const vectors = Array.from({ length: count }, (_, i) => x.map((_, d) => (d + i) % 3));
      const expected = vectors.map((vector) => vector.reduce((sum, y, d) => sum + y * x[d], 0));
      // Integers below 2²⁴: no sum is rounded.
      for (const arithmetic of VARIANTS) assertEquals(dots(arithmetic, x, vectors), expected);
    }
  }
});

Deno.test("sums are rounded to f32 at each step, in the order that is asked for", () => {
  const naive = f32Arithmetic({ lanes: 1, start: 0, tile: 1, splits: 1 }, 0);
  // One is lost beside 2²⁴, one after the other; lanes keep them together.
  const ones = [2 ** 24, ...Array(63).fill(1)];
  assertEquals(dots(naive, ones, [Array(64).fill(1)]), [2 ** 24]);
  const lanes = f32Arithmetic({ lanes: 8, start: 0, tile: 16, splits: 1 }, 0);
  assertGreater(dots(lanes, ones, [Array(64).fill(1)])[0], 2 ** 24 + 50);
  // A product and its sum are rounded once, as by fma.
  const x = 1 + 2 ** -12;
  assertEquals(dots(naive, [1, x], [[-1, x]]), [x * x - 1]);
});

Deno.test("all orders begin with the first elements: where those are large, all sums are", () => {
  for (const arithmetic of VARIANTS.filter(({ order }) => order.lanes === 1)) {
    const x = [2 ** 24, ...Array(200).fill(1)];
    assertEquals(dots(arithmetic, x, [Array(201).fill(1)]), [2 ** 24]);
  }
  assert(new Set(VARIANTS.map(({ order }) => order.start)).size > 20 && HEAD > 1);
});

Deno.test("built-ins err by no more than WGSL allows, as a function of the argument, one way or the other", () => {
  const signs = new Set<number>();
  for (const arithmetic of VARIANTS) {
    for (let x = -20; x < 0; x += 0.0371) {
      const error = arithmetic.weight(Math.fround(x)) / Math.exp(Math.fround(x)) - 1;
      assertLess(Math.abs(error), (3 + 2 * Math.abs(x) + 0.5) * 2 ** -23);
      assertEquals(arithmetic.weight(Math.fround(x)), arithmetic.rescale(Math.fround(x)));
      signs.add(Math.sign(error));
    }
    for (let x = 0.5; x < 3000; x *= 1.07) {
      const sum = Math.fround(x);
      const allowed = sum <= 2 ? 2 ** -21 : 3 * 2 ** -23 * Math.log(sum);
      assertLess(Math.abs(arithmetic.log(sum) - Math.log(sum)), allowed + 2 ** -23 * Math.abs(Math.log(sum)));
      assertLess(Math.abs(arithmetic.reciprocal(sum) * sum - 1), 3 * 2 ** -23);
    }
    assertEquals([arithmetic.weight(0), arithmetic.weight(-88), arithmetic.weight(-1e30)], [1, 0, 0]);
  }
  assert(signs.has(1) && signs.has(-1));
  const errors = VARIANTS.map(({ weight }) => Math.abs(weight(-4) / Math.exp(-4) - 1) / (11 * 2 ** -23));
  assertGreater(Math.max(...errors), 0.4);
});

Deno.test("variants are naive, tiled and naive with normalized weights in turn, and no two of them alike", () => {
  assertEquals(VARIANTS.map(({ order }) => order.lanes === 1), VARIANTS.map((_, i) => i % 3 !== 1));
  assertEquals(VARIANTS.map(({ order }) => order.normalizes ?? false), VARIANTS.map((_, i) => i % 3 === 2));
  const orders = VARIANTS.map(({ order }) => JSON.stringify(order));
  assertEquals(new Set(orders).size, orders.length);
  assert(VARIANTS.some(({ order }) => order.splits > 1 && order.tile > 16));
});
