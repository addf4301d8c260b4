import { assertEquals } from "@std/assert";
import { KERNELS } from "../kernels/registry.ts";
import { parseCaseId } from "../suites/case_id.ts";
import { makeCaseInputs } from "./case_inputs.ts";
import { openGpu } from "./device.ts";
import { layoutsOf } from "./layouts.ts";
import { ReferencePool } from "./reference_pool.ts";
import { runCases } from "./sweep.ts";

const SIZES = "R=32;Dr=16;Dn=16;Dv=16";

Deno.test("layoutsOf() tells what the inputs of every operation will have", async () => {
  const pool = new ReferencePool(1);
  for (
    const id of [
      "attend/fused:B=3;H=2;R=32;Dr=16;q=1;kv=0,9,4;page=4;cache=f32",
      "append/combined:B=3;R=32;Dr=16;q=0,3,4;kv=0,9,4;page=4;cache=f32",
      `prefill/fused:B=3;H=2;${SIZES};q=0,9,4;kv=0,9,4;page=4;cache=f32`,
      `mla/fused:B=2;H=2;${SIZES};q=5,0>1,3>1>0,1;kv=9,5;page=4;cache=f16`,
    ]
  ) {
    const c = parseCaseId(id);
    const { calls } = await makeCaseInputs(c, { pool, referenceBudgetFlops: 1e9 });
    assertEquals(layoutsOf(c), calls.map(({ layout }) => layout), id);
  }
});

Deno.test("inputs are not made for a case that does not fit the device", async () => {
  const gpu = await openGpu();
  const traits = { ...gpu.traits, limits: { ...gpu.traits.limits, maxStorageBufferBindingSize: 2 ** 27 } };
  // 1.2 TB of cache.
  const c = parseCaseId("attend/fused:B=1024;H=1;R=512;Dr=64;q=1;kv=1048576;page=64;cache=bf16");
  const [result] = await Array.fromAsync(runCases([c], { kernels: KERNELS, gpu: { ...gpu, traits }, timing: false }));
  assertEquals(result.status, "skipped");
});
