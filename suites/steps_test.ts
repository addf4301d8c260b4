import { assertEquals, assertNotEquals } from "@std/assert";
import {
  batchOfSteps,
  expandSteps,
  hasSteps,
  joinSteps,
  MAX_STEPS,
  parseSteps,
  resizeSteps,
  stepsOf,
} from "./steps.ts";

Deno.test("parseSteps() tells steps from anything else", () => {
  assertEquals(parseSteps("32,16>16,8>1x5"), "32,16>16,8>1x5");
  assertEquals(parseSteps("1x40"), "1x40");
  assertEquals(parseSteps("rand(1..9)>1"), "rand(1..9)>1");
  assertEquals([parseSteps("7x1"), parseSteps("7"), parseSteps("7,0")], [7, 7, "7,0"]);
  const wrong = [">", "1>", ">1", "1>>2", "1x0", "1x", "x5", "01x2", "1x02", "1,2x3", "1.5>1", "boundary>1", "1x9999"];
  for (const text of wrong) assertEquals(parseSteps(text), undefined, text);
});

Deno.test("as many steps as stated are read, not one more", () => {
  assertEquals(parseSteps(`1x${MAX_STEPS}`), `1x${MAX_STEPS}`);
  assertEquals(parseSteps(`1x${MAX_STEPS}>1`), undefined);
  assertEquals(parseSteps("1x4096>1x4097"), undefined);
});

Deno.test("hasSteps() is what lengths alone are not", () => {
  assertEquals(["1>2", "1x5"].map(hasSteps), [true, true]);
  assertEquals([5, "1,2", "rand(0..9)", "boundary"].map(hasSteps), [false, false, false, false]);
});

Deno.test("joinSteps() has one spelling: equal neighbours of one length are counted", () => {
  assertEquals(joinSteps([64, 64, 12]), "64x2>12");
  assertEquals(joinSteps([9, 1, 1, 1, 9, "1,0", "1,0"]), "9>1x3>9>1,0>1,0");
  assertEquals(joinSteps([5]), 5);
  for (const text of ["64x2>12", "9>1x3>9>1,0>1,0", "1x40"]) assertEquals(joinSteps(stepsOf(text)), text);
});

Deno.test("expandSteps() gives the new tokens of every call and sequence", () => {
  assertEquals(expandSteps("32,16>16,8>1x2", { B: 2, seed: 0 }), [[32, 16], [16, 8], [1, 1], [1, 1]]);
  assertEquals(expandSteps(3, { B: 2, seed: 0 }), [[3, 3]]);
});

Deno.test("random steps differ from each other, and the first is what it is without the others", () => {
  const [first, second] = expandSteps("rand(0..999)>rand(0..999)", { B: 9, seed: 4 });
  assertNotEquals(first, second);
  assertEquals(expandSteps("rand(0..999)", { B: 9, seed: 4 }), [first]);
});

Deno.test("resizeSteps() repeats or cuts every step, batchOfSteps() counts what they name", () => {
  assertEquals(resizeSteps("32,16>1x2", 3), "32,16,32>1x2");
  assertEquals(resizeSteps("32,16>8,4", 1), "32>8");
  assertEquals(resizeSteps(65, 4), 65);
  assertEquals(resizeSteps("1,63,64", 2), "1,63");
  assertEquals([batchOfSteps("9>32,16>1"), batchOfSteps("9>1"), batchOfSteps("1,2,3")], [2, undefined, 3]);
});
