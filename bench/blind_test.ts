import { assertEquals, assertGreater } from "@std/assert";
import { kernelName } from "../kernels/kernel.ts";
import { KERNELS } from "../kernels/registry.ts";
import { expandSuites } from "../suites/expand.ts";
import { inputsKey, makeCaseInputs } from "./case_inputs.ts";
import { ReferencePool } from "./reference_pool.ts";

Deno.test("no case of smoke would accept a trivial output", async () => {
  const pool = new ReferencePool();
  try {
    const cases = expandSuites({ suites: ["smoke"], kernelsAvailable: KERNELS, software: true, full: false });
    const seen = new Set<string>();
    for (const c of cases) {
      if (seen.has(inputsKey(c))) continue;
      seen.add(inputsKey(c));
      const inputs = await makeCaseInputs(c, { pool, referenceBudgetFlops: 2e7 });
      assertEquals(inputs.calls.flatMap(({ blind }) => blind), [], c.id);
    }
    // What is seen depends on what honest kernels of a precision err by.
    for (const c of cases) {
      const { precision } = KERNELS.find((kernel) => kernelName(kernel) === kernelName(c))!;
      if (precision === undefined) continue;
      const { calls } = await makeCaseInputs(c, { pool, referenceBudgetFlops: 2e7, precision });
      assertEquals(calls.flatMap(({ blind }) => blind), [], c.id);
    }
    assertGreater(seen.size, 100);
  } finally {
    pool.close();
  }
});
