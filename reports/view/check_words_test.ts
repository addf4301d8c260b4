import { assertEquals } from "@std/assert";
import { checkKind, checkWords } from "./check_words.js";

Deno.test("checkWords() explains checks, those of a call and of any buffer too, and leaves others to their names", () => {
  assertEquals(checkWords("guards"), "the bands around every buffer are untouched");
  assertEquals(checkWords("call12_guards"), "after call 12: the bands around every buffer are untouched");
  assertEquals(checkWords("page_table_unchanged"), "page_table holds the bytes it held before");
  assertEquals(["new_check", "call1_new_check", "constructor", "__proto__"].map(checkWords), ["", "", "", ""]);
});

Deno.test("checkKind() leaves out the call", () => {
  assertEquals(["call1_out", "out", "calls_out", "call2_call3_x"].map(checkKind), [
    "out",
    "out",
    "calls_out",
    "call3_x",
  ]);
});
