import { assert, assertEquals } from "@std/assert";
import { expandSuites } from "./expand.ts";
import { MODELS } from "./presets.ts";
import { TEST_KERNELS } from "./testing.ts";

for (const model of MODELS) {
  Deno.test(`the suite of ${model.name} has its dimensions, served batches and local heads`, () => {
    const options = { kernelsAvailable: TEST_KERNELS, software: false, full: false };
    const cases = expandSuites({ ...options, suites: [model.suite] });
    assert(cases.every(({ axes }) => axes.R === model.R && (axes.Dr ?? model.Dr) === model.Dr));
    const attend = cases.filter((testCase) => testCase.operation === "attend");
    assert(attend.every(({ shape }) => shape.Dn === model.Dn && shape.Dv === model.Dv));
    for (const H of model.localHeads) {
      for (const B of [1, 16, 64]) {
        for (const kv of [1024, 4096]) {
          const there = attend.filter(({ axes }) => axes.H === H && axes.B === B && axes.kv === kv);
          assertEquals(there.length, 3);
        }
      }
    }
    assert(cases.some(({ operation }) => operation === "append"));
    assert(expandSuites({ ...options, suites: [model.suite], software: true }).some(({ axes }) => axes.kv === 1024));
  });
}

Deno.test("local heads are whole shares of the model's heads", () => {
  for (const { name, H, localHeads } of MODELS) {
    assertEquals(localHeads[0], H, name);
    assert(localHeads.every((heads) => H % heads === 0), name);
  }
});
