import { assertEquals } from "@std/assert";
import type { ErrorMap } from "../../reference/check.ts";
import { binWords, levelOf, runsOf, shareWords, worstBin } from "./heat_map.js";

const map = (values: number[], columns = values.length): ErrorMap => ({
  rows: { name: "head", from: 0, step: 1, bins: values.length / columns },
  columns: { name: "dim", from: 0, step: 8, bins: columns },
  values,
});

Deno.test("levelOf() never shows as right what is out of bound, nor NaN as a number", () => {
  assertEquals([0, 0.1, 0.5, 1].map((share) => levelOf(share)[0]), ["in0", "in1", "in1", "in2"]);
  assertEquals([1.1, 2, 2.1, 50, 1e3, 1e6].map((share) => levelOf(share)[0]), [
    "out1",
    "out1",
    "out2",
    "out3",
    "out4",
    "out5",
  ]);
  assertEquals([-1, -2].map((share) => levelOf(share)[0]), ["nan", "none"]);
});

Deno.test("shareWords() tells a share in the words that fit its size", () => {
  assertEquals([0, 0.214, 1, 1.1, 1300, 1e6, -1, -2].map(shareWords), [
    "no error",
    "21 % of the bound",
    "100 % of the bound",
    "1.1 times the bound",
    "1,300 times the bound",
    "at least 1,000,000 times the bound",
    "NaN or ∞ out of place",
    "not compared",
  ]);
});

Deno.test("binWords() names the values of a bin", () => {
  assertEquals(binWords({ name: "dim", from: 8, step: 8, bins: 4 }, 1), "dims 16–23");
  assertEquals(binWords({ name: "head", from: 3, step: 1, bins: 4 }, 1), "head 4");
});

Deno.test("runsOf() joins neighbours of a level within a row, and covers every bin once", () => {
  const runs = runsOf(map([0.1, 0.2, 9, 0.3, 0.3, 0.3], 3));
  assertEquals(runs.map(({ row, from, to, level }) => `${row}: ${from}–${to} ${level}`), [
    "0: 0–2 in1",
    "0: 2–3 out2",
    "1: 0–3 in1",
  ]);
});

Deno.test("worstBin() is the first NaN, else the largest share", () => {
  assertEquals(worstBin(map([0.1, 7, -2, 7.1, 3])), 3);
  assertEquals(worstBin(map([0.1, 1e6, -1, -2, -1])), 2);
  assertEquals(worstBin(map([-2, 0])), 1);
});
