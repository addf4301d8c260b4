import { assertEquals } from "@std/assert";
import { makeFailed, makeMeasured, makeReport, makeSkipped } from "../fixture.ts";
import { makeView } from "../html_data.ts";
import { selectCases, sortCases, textFilter } from "./query.js";

const all = {
  text: "",
  status: "",
  axes: {},
  rows: "",
  columns: "",
  metric: "",
  aggregate: "",
  sort: "",
  page: 0,
  case: "",
};
const id = "attend/fused:B=4;R=256;page=16";

Deno.test("textFilter() finds words anywhere and globs over the whole id", () => {
  const matches = (text: string) => textFilter(text)(id, "timeout: no result");
  assertEquals(["", "fused", "FUSED r=256", "*R=256*", "attend/*:*", "timeout"].map(matches), Array(6).fill(true));
  assertEquals(["unfused", "R=256*", "*page=1", "fused absent"].map(matches), Array(4).fill(false));
});

Deno.test("textFilter() takes the signs of regular expressions literally", () => {
  assertEquals(textFilter("*(1..9)*")("kv=rand(1..9)"), true);
  assertEquals(textFilter("*(1..9)*")("kv=rand(1xx9)"), false);
});

Deno.test("selectCases() filters by outcome, axis and text together", () => {
  const { data } = makeView(makeReport({
    results: [
      makeMeasured({ axes: { page: 16 } }),
      makeMeasured({ kernel: "attend/fused_subgroup", axes: { page: 16 }, verdict: "unstable", reasons: ["wide"] }),
      makeMeasured({ axes: { page: 64 } }),
      makeFailed("attend/fused", { page: 16 }),
    ],
  }));
  assertEquals(selectCases(data, all), [0, 1, 2, 3]);
  assertEquals(selectCases(data, { ...all, status: "unstable" }), [1]);
  assertEquals(selectCases(data, { ...all, status: "measured", axes: { page: "16" } }), [0]);
  assertEquals(selectCases(data, { ...all, axes: { page: "16" }, text: "subgroup" }), [1]);
  assertEquals(selectCases(data, { ...all, text: "identifier" }), [3]);
});

Deno.test("sortCases() sorts numbers as numbers, absent values last in both directions, and keeps the order of equals", () => {
  const { data } = makeView(makeReport({
    results: [
      makeMeasured({ axes: { kv: 9 }, centreNs: 9_000 }),
      makeSkipped(),
      makeMeasured({ axes: { kv: 1024 }, centreNs: 100_000 }),
      makeFailed(),
      makeMeasured({ axes: { kv: 65 }, centreNs: 20_000 }),
    ],
  }));
  assertEquals(sortCases(data, [0, 1, 2, 3, 4], "medianNs"), [0, 4, 2, 1, 3]);
  assertEquals(sortCases(data, [0, 1, 2, 3, 4], "-medianNs"), [2, 4, 0, 1, 3]);
  assertEquals(sortCases(data, [0, 2, 4], "axis.kv"), [0, 4, 2]);
  assertEquals(sortCases(data, [4, 0], ""), [4, 0]);
});
