import { assert, assertEquals } from "@std/assert";
import { streamKey, uint32At } from "./random.ts";
import { FARTHEST_ULPS, ulpAt, ulpDistance, ulpError } from "./ulps.ts";

const KEY = streamKey(1, 900);
const MAX_BITS = 0x7f7fffff;

/** The f32 of a bit pattern. */
function f32(bits: number): number {
  return new Float32Array(new Uint32Array([bits]).buffer)[0];
}

/** Random magnitudes of finite numbers, as bit patterns. */
function* magnitudes(count: number): Generator<number> {
  for (let i = 0; i < count; i++) yield uint32At(KEY, i) % (MAX_BITS + 1);
}

Deno.test("ulpDistance() is the difference of bit patterns within a sign, their sum across it", () => {
  const patterns = [...magnitudes(2000), 0, 1, 0x007fffff, 0x00800000, MAX_BITS];
  patterns.forEach((a, i) => {
    const b = patterns[(i + 1) % patterns.length];
    assertEquals(ulpDistance(f32(a), f32(b)), Math.abs(a - b));
    assertEquals(ulpDistance(f32(a | 0x80000000), f32(b | 0x80000000)), Math.abs(a - b));
    assertEquals(ulpDistance(f32(a), f32(b | 0x80000000)), a + b);
    assertEquals(ulpDistance(f32(a), f32(b)), ulpDistance(f32(b), f32(a)));
  });
});

Deno.test("ulpDistance() from a number to the next is 1, across powers of two and zero", () => {
  for (const bits of [...magnitudes(1000), 0x007fffff, 0x3f7fffff]) {
    if (bits < MAX_BITS) assertEquals(ulpDistance(f32(bits), f32(bits + 1)), 1);
  }
  assertEquals(ulpDistance(f32(0x80000001), f32(1)), 2);
});

Deno.test("ulpDistance() takes ±0 for one number, ±∞ for the next after the largest, NaN for the farthest", () => {
  assertEquals(ulpDistance(0, -0), 0);
  assertEquals(ulpDistance(Infinity, Infinity), 0);
  assertEquals(ulpDistance(f32(MAX_BITS), Infinity), 1);
  assertEquals(ulpDistance(-Infinity, Infinity), 2 * 0x7f800000);
  assertEquals(ulpDistance(NaN, NaN), 0);
  for (const value of [0, 1, -Infinity]) {
    assertEquals(ulpDistance(NaN, value), FARTHEST_ULPS);
    assertEquals(ulpDistance(value, NaN), FARTHEST_ULPS);
  }
  assert(ulpDistance(-Infinity, Infinity) < FARTHEST_ULPS);
});

Deno.test("ulpAt() is the step to the next f32", () => {
  for (const bits of [...magnitudes(1000), 0, 1, 0x007fffff, 0x00800000]) {
    if (bits >= MAX_BITS) continue;
    assertEquals(ulpAt(f32(bits)), f32(bits + 1) - f32(bits));
    assertEquals(ulpAt(-f32(bits)), f32(bits + 1) - f32(bits));
  }
  assertEquals(ulpAt(Infinity), NaN);
});

Deno.test("ulpError() of a rounded reference is half a unit at most, and counts the steps beside it", () => {
  for (const [i, bits] of [...magnitudes(1000)].entries()) {
    if ((bits & 0x7fffff) < 8 || (bits & 0x7fffff) > 0x7ffff0) continue;
    const reference = f32(bits) + (uint32At(KEY, 5000 + i) / 2 ** 32 - 0.5) * ulpAt(f32(bits));
    assert(ulpError(Math.fround(reference), reference) <= 0.5);
    assertEquals(ulpError(f32(bits + 5), f32(bits)), 5);
    assertEquals(ulpError(f32(bits - 5), f32(bits)), 5);
  }
});

Deno.test("ulpError() is finite whatever it is given", () => {
  assertEquals(ulpError(0, -0), 0);
  assertEquals(ulpError(-Infinity, -Infinity), 0);
  assertEquals(ulpError(NaN, NaN), 0);
  for (const [a, e] of [[1e-3, 0], [NaN, 1], [1, NaN], [Infinity, 1], [1, Infinity], [-Infinity, Infinity]]) {
    assertEquals(ulpError(a, e), FARTHEST_ULPS, `${a} beside ${e}`);
  }
});
