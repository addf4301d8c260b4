import { assertEquals, assertThrows } from "@std/assert";
import { parseArgs } from "@std/cli/parse-args";
Deno.test("the std facade resolves to working code", () => {
  assertThrows(() => assertEquals({ a: 1 }, { a: 2 }));
  assertEquals(parseArgs(["--suite=smoke", "x"], { string: ["suite"] }), { _: ["x"], suite: "smoke" });
});
