import { assertEquals } from "@std/assert";
import { parseCaseId } from "../suites/case_id.ts";
import { makeCaseInputs } from "./case_inputs.ts";
import { readBatch, writeCall } from "./guise_inputs.ts";
import { ReferencePool } from "./reference_pool.ts";

const CASES = [
  "attend/fused:B=3;H=2;R=32;Dr=16;q=2,0,1;kv=9,4,0;page=4;cache=f16",
  "attend/fused:B=2;H=3;R=32;Dr=0;q=1;kv=5,9;page=4;cache=f32;layout=separate",
  "append/combined:B=3;R=32;Dr=16;q=0,3,1;kv=9,3,5;page=4;cache=bf16",
  "append/combined:B=2;R=32;Dr=16;q=0;kv=9,3;page=4;cache=bf16",
  "project/tiled:B=3;H=2;R=32;Dn=16;Dv=16;q=1;part=q;weight=f16",
  "project/tiled:B=3;H=2;R=32;Dn=16;Dv=16;q=1;part=v;weight=f16;padding=2",
  "prefill/fused:B=2;H=2;R=32;Dr=16;Dn=16;Dv=16;q=5,3;kv=9,3;page=4;cache=f16;weight=f32;padding=2",
  "mla/fused:B=3;H=2;R=32;Dr=16;Dn=16;Dv=16;q=5,0,3;kv=9,6,3;page=4;cache=f16;weight=f32;padding=2",
  "mla/fused:B=2;H=2;R=32;Dr=16;Dn=16;Dv=16;q=5,0>1,3>0,1;kv=9,5;page=4;cache=f16;layout=separate;weight=f32",
];

Deno.test("a batch that is not varied gives the inputs that it was read from", async (t) => {
  const pool = new ReferencePool();
  try {
    for (const id of CASES) {
      await t.step(id, async () => {
        const inputs = await makeCaseInputs(parseCaseId(id), { pool, referenceBudgetFlops: 1e8 });
        const batch = readBatch(inputs);
        for (const [i, { work, layout, buffers }] of inputs.calls.entries()) {
          const written = writeCall(batch, batch.calls[i], work);
          assertEquals([written.work, written.layout], [work, layout]);
          const all = new Map([...inputs.state, ...written.buffers, ...batch.caches]);
          for (const [name, bytes] of buffers) {
            if (name !== "kv_b_proj") assertEquals(all.get(name), bytes, name);
          }
        }
      });
    }
  } finally {
    pool.close();
  }
});
