import { assert, assertEquals, assertThrows } from "@std/assert";
import { compareOutput } from "./differential.ts";
import { fillNormal, streamKey } from "./random.ts";
import { FARTHEST_ULPS } from "./ulps.ts";

const place = (i: number) => ({ sequence: 0, token: Math.floor(i / 10), dim: i % 10, page: 3 });

function normal(length: number): Float32Array {
  const values = new Float32Array(length);
  fillNormal(values, streamKey(2, 901));
  return values;
}

/** `values` with element `i` replaced by `by`. */
function withElement(values: Float32Array, i: number, by: number): Float32Array {
  const changed = values.slice();
  changed[i] = by;
  return changed;
}

Deno.test("compareOutput() of equal results has no difference and no place", () => {
  const actual = normal(100);
  const { worst, ...figures } = compareOutput({ name: "out", actual, other: actual.slice(), expected: actual, place });
  assertEquals(worst, undefined);
  assertEquals(figures, {
    name: "out",
    elements: 100,
    equalShare: 1,
    ulpMedian: 0,
    ulpP99: 0,
    ulpMax: 0,
    errorUlpMedian: 0,
    errorUlpMax: 0,
    otherErrorUlpMedian: 0,
    otherErrorUlpMax: 0,
  });
});

Deno.test("compareOutput() names the one element that differs and whose error it is", () => {
  const actual = normal(100);
  const other = withElement(actual, 42, actual[42] * (1 + 2 ** -20));
  const result = compareOutput({ name: "out", actual, other, expected: actual, place });
  assertEquals([result.equalShare, result.ulpMedian, result.ulpP99], [0.99, 0, 0]);
  // 2⁻²⁰ of a number is 8 to 16 units in its last place.
  assert(result.ulpMax >= 8 && result.ulpMax <= 16, String(result.ulpMax));
  assertEquals([result.errorUlpMax, result.otherErrorUlpMax], [0, result.ulpMax]);
  assertEquals(result.worst, {
    sequence: 0,
    token: 4,
    dim: 2,
    page: 3,
    actual: actual[42],
    other: other[42],
    expected: actual[42],
  });
});

Deno.test("compareOutput() ranks: half of the elements do not exceed the median", () => {
  const actual = new Float32Array([1, 1, 1]);
  const other = actual.map((value, i) => value + [1, 0, 9][i] * 2 ** -23);
  const { ulpMedian, ulpP99, ulpMax, otherErrorUlpMedian } = compareOutput({
    name: "out",
    actual,
    other,
    expected: actual,
    place,
  });
  assertEquals([ulpMedian, ulpP99, ulpMax, otherErrorUlpMedian], [1, 9, 9, 1]);
});

Deno.test("compareOutput() writes NaN and ∞ as JSON can", () => {
  const actual = normal(10);
  const nan = compareOutput({ name: "out", actual, other: withElement(actual, 3, NaN), expected: actual, place });
  assertEquals([nan.ulpMax, nan.otherErrorUlpMax, nan.worst?.other], [FARTHEST_ULPS, FARTHEST_ULPS, "NaN"]);
  assertEquals(JSON.parse(JSON.stringify(nan)), nan);
  const empty = new Float32Array([-Infinity]);
  const both = compareOutput({ name: "lse", actual: empty, other: empty, expected: empty, place });
  assertEquals([both.ulpMax, both.errorUlpMax, both.equalShare], [0, 0, 1]);
});

Deno.test("compareOutput() takes an empty output, and ±0 for the same number of other bits", () => {
  const none = new Float32Array();
  assertEquals(compareOutput({ name: "out", actual: none, other: none, expected: none, place }).equalShare, 1);
  const zero = new Float32Array([0, 1]), minus = new Float32Array([-0, 1]);
  const zeros = compareOutput({ name: "out", actual: zero, other: minus, expected: zero, place });
  assertEquals([zeros.equalShare, zeros.ulpMax, zeros.worst], [0.5, 0, undefined]);
});

Deno.test("compareOutput() refuses arrays of different lengths", () => {
  const actual = normal(3);
  assertThrows(() => compareOutput({ name: "out", actual, other: normal(2), expected: actual, place }), RangeError);
});
