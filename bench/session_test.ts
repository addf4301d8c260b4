import { assertEquals } from "@std/assert";
import { referenceBudget } from "./session.ts";

Deno.test("referenceBudget() shares out what a sweep on hardware may cost, within limits", () => {
  assertEquals(referenceBudget(1, false), 3e9);
  assertEquals(referenceBudget(1000, false), 5e8);
  assertEquals(referenceBudget(30_000, false), 1e8);
  assertEquals(referenceBudget(1, true), 2e8);
});
