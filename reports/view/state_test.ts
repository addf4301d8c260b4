import { assertEquals, assertStringIncludes } from "@std/assert";
import { formatHash, parseHash } from "./state.js";

const defaults = {
  text: "",
  status: "",
  axes: {},
  rows: "kernel",
  columns: "kv",
  metric: "tflops",
  aggregate: "median",
  sort: "",
  page: 0,
  case: "",
};

Deno.test("formatHash() and parseHash() restore every part of the view", () => {
  const state = {
    text: "*R=256* a&b #%",
    status: "failed",
    axes: { kv: "1,63,64", cache: "bf16" },
    rows: "page",
    columns: "B",
    metric: "budget",
    aggregate: "worst",
    sort: "-medianNs",
    page: 3,
    case: "attend/<img src=x>:B=4;kv=1,63",
  };
  assertEquals(parseHash(formatHash(state, defaults), defaults), state);
});

Deno.test("formatHash() is empty for the default view and readable for a case", () => {
  assertEquals(formatHash(defaults, defaults), "");
  assertStringIncludes(formatHash({ ...defaults, case: "attend/fused:B=4" }, defaults), "#case=attend/fused:B");
});

Deno.test("parseHash() takes a case id written by hand, and ignores a page that is none", () => {
  assertEquals(parseHash("#case=attend/fused:B=4;kv=1", defaults).case, "attend/fused:B=4;kv=1");
  for (const page of ["-1", "x", "1.5", ""]) assertEquals(parseHash(`#page=${page}`, defaults).page, 0);
});
