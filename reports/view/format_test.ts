import { assertEquals } from "@std/assert";
import { compareValues, duration, microseconds, percent, significant } from "./format.js";

Deno.test("significant() keeps the digits asked for and leaves absent numbers empty", () => {
  assertEquals([1234.5, 12.345, 0.0012345, 0, 999.6].map((x) => significant(x)), [
    "1,235",
    "12.3",
    "0.00123",
    "0",
    "1,000",
  ]);
  assertEquals([4.2e-13, 1e8, undefined, null, NaN, Infinity].map((x) => significant(x)), [
    "4.20e-13",
    "1.00e8",
    "",
    "",
    "",
    "",
  ]);
});

Deno.test("percent() never rounds up to all", () => {
  assertEquals([0.214, 0.0042, 13.8, 1, 0.997, 0.99999, 0.00001, 0].map(percent), [
    "21",
    "0.42",
    "1,380",
    "100",
    ">99",
    ">99",
    "<0.01",
    "0",
  ]);
});

Deno.test("times are written in one unit in columns and in the best unit alone", () => {
  assertEquals([512, 50_123.4, 6.1e8].map(microseconds), ["0.5120", "50.12", "610,000"]);
  assertEquals([512, 50_123.4, 6.1e8, 2.5e9].map(duration), ["512.0 ns", "50.12 µs", "610.0 ms", "2.500 s"]);
});

Deno.test("compareValues() orders numbers before text, lists by their numbers, absent values last", () => {
  assertEquals([null, "f32", "1,64", 65, "1,9", 9].sort(compareValues), [9, 65, "1,9", "1,64", "f32", null]);
});
