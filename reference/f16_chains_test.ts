import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { type Arithmetic, kernelArithmetic } from "./arithmetic.ts";
import { f16BitsToF32 } from "./dtypes.ts";
import { roundToF16 } from "./f16_chains.ts";
import { uint32At } from "./random.ts";
import { F16_ALL } from "./testdata/f16_kernels.ts";

const CHAIN = 18, VALUE_CHAIN = 16;
const VARIANTS = Array.from({ length: 24 }, (_, variant) => kernelArithmetic(F16_ALL, variant));

function dots({ queryDots }: Arithmetic, query: number[], keys: number[][]): number[] {
  const target = new Float64Array(keys.length);
  queryDots(Float64Array.from(query), { values: Float64Array.from(keys.flat()), stride: query.length }, target);
  return [...target];
}

function weighted({ addValues }: Arithmetic, weights: number[], values: number[]): number {
  const out = new Float64Array(1);
  addValues(out, { values: Float64Array.from(values), stride: 1 }, Float64Array.from(weights), 0);
  return out[0];
}

Deno.test("roundToF16() rounds as Float16Array does, between all neighbours and on them", () => {
  const half = new Float16Array(1);
  const check = (x: number) => {
    for (const value of [x, -x]) {
      half[0] = value;
      if (!Object.is(roundToF16(value) + 0, half[0] + 0)) assertEquals(roundToF16(value), half[0], `${value}`);
    }
  };
  for (let bits = 0; bits < 0x7bff; bits++) {
    const low = f16BitsToF32(bits), middle = (low + f16BitsToF32(bits + 1)) / 2;
    for (const x of [low, middle, middle * (1 + 2 ** -40), middle * (1 - 2 ** -40)]) check(x);
  }
  for (let i = 0; i < 1e5; i++) check(uint32At(1, i) / 2 ** 32 * 2 ** (uint32At(2, i) % 44 - 27));
  for (const x of [0, 65504, 65519.999, 65520, 1e6, Infinity, NaN, 2 ** -25, 1e-300]) check(x);
});

Deno.test("every order of chains takes every product once", () => {
  for (const width of [1, 2, 17, 18, 19, 64, 77, 576, 1088]) {
    const query = Array.from({ length: width }, (_, d) => d % 3 - 1);
    const keys = Array.from({ length: 6 }, (_, i) => query.map((_, d) => (d + i) % 5));
    const expected = keys.map((key) => key.reduce((sum, y, d) => sum + y * query[d], 0));
    // Integers below 2¹¹ in every chain: nothing is rounded.
    for (const arithmetic of VARIANTS) assertEquals(dots(arithmetic, query, keys), expected, `${width}`);
    const values = query.map((_, t) => t % 7), weights = query.map(() => 1);
    for (const arithmetic of VARIANTS) {
      assertEquals(weighted(arithmetic, weights, values), values.reduce((a, b) => a + b), `${width}`);
    }
  }
});

Deno.test("a chain is rounded to f16 at each step and is no longer than declared", () => {
  const width = 576;
  const shares = VARIANTS.map((arithmetic) => {
    // Beside 2048 a one is lost in f16; what is left are the ones of other chains.
    const [sum] = dots(arithmetic, Array(width).fill(1), [[2048, ...Array(width - 1).fill(1)]]);
    return width - 1 - (sum - 2048);
  });
  assert(shares.every((lost) => lost >= 0 && lost < CHAIN), `${shares}`);
  assertEquals(Math.max(...shares), CHAIN - 1);
  assert(new Set(shares).size > 4, `${shares}`);
  const lost = VARIANTS.map((arithmetic) =>
    width - 1 - (weighted(arithmetic, Array(width).fill(1), [2048, ...Array(width - 1).fill(1)]) - 2048)
  );
  assert(lost.every((tokens) => tokens >= 0 && tokens < VALUE_CHAIN), `${lost}`);
  // The first chain of a row is cut off by the order's start.
  assertGreater(Math.max(...lost), VALUE_CHAIN - 3);
  assert(new Set(lost).size > 4, `${lost}`);
});

Deno.test("queries are scaled before they are rounded, so that their size does not matter; zeros stay zeros", () => {
  for (const arithmetic of VARIANTS.slice(0, 3)) {
    const query = [1, -0.3, 2 ** -9], key = [3, 5, 7];
    const [sum] = dots(arithmetic, query, [key]);
    assertLess(Math.abs(sum - (3 - 1.5 + 7 * 2 ** -9)), 3 * 2 ** -10);
    for (const factor of [2 ** -60, 2 ** 60]) {
      assertEquals(dots(arithmetic, query.map((x) => x * factor), [key]), [sum * factor]);
    }
    assertEquals(dots(arithmetic, [0, 0, 0], [key]), [0]);
    // 2⁻²⁰ of the largest element is half the distance of subnormals at best.
    assertEquals(dots(arithmetic, [1, 2 ** -20, 0], [[0, 1, 0]]), [0]);
    assertEquals(dots(arithmetic, [1, 2 ** -18, 0], [[0, 1, 0]]), [2 ** -18]);
  }
});

Deno.test("weights are rounded to f16 after they are scaled: small ones to subnormals, which are kept", () => {
  for (const arithmetic of VARIANTS.slice(0, 3)) {
    assertEquals(weighted(arithmetic, [1 / 3], [1]), Math.f16round(1 / 3));
    assertEquals(weighted(arithmetic, [2 ** -18], [1]), 2 ** -18);
    assertEquals(weighted(arithmetic, [1.2 * 2 ** -18], [1]), 2 ** -18);
    assertEquals(weighted(arithmetic, [2 ** -20], [1]), 0);
    // The largest f16 sixteen times is no infinity, but rounded.
    assertLess(Math.abs(weighted(arithmetic, Array(16).fill(1), Array(16).fill(65504)) / (16 * 65504) - 1), 2 ** -8);
  }
});
