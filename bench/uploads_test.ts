import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { KERNELS } from "../kernels/registry.ts";
import { parseCaseId } from "../suites/case_id.ts";
import { type BufferRange, readBack } from "./buffers.ts";
import { type CaseInputs, inputsKey, makeCaseInputs } from "./case_inputs.ts";
import type { Gpu } from "./device.ts";
import { ExecutionError } from "./guard.ts";
import { ReferencePool } from "./reference_pool.ts";
import { runCases } from "./sweep.ts";
import { withDeviceMethod, withGpu } from "./testing.ts";
import { type Upload, Uploads } from "./uploads.ts";

// 9 tokens of 48 elements in f16 beside pages that nobody owns.
const CASE = parseCaseId("append/combined:B=1;R=32;Dr=16;q=3;kv=9;page=3;cache=f16");

async function makeInputs(): Promise<CaseInputs> {
  const pool = new ReferencePool(1);
  try {
    return await makeCaseInputs(CASE, { pool, referenceBudgetFlops: 1e9 });
  } finally {
    pool.close();
  }
}

/** What the cache of an upload holds, as long as the data. */
async function cacheOf(gpu: Gpu, { ranges }: Upload, { state }: CaseInputs): Promise<Uint8Array> {
  const [bytes] = await readBack(gpu, [ranges.get("cache")!]);
  return bytes.subarray(0, state.get("cache")!.length);
}

function overwrite(gpu: Gpu, { buffer, offset, size }: BufferRange): void {
  gpu.device.queue.writeBuffer(buffer, offset, new Uint8Array(size).fill(7));
}

/** A device that has no room for a further buffer from the one on that is `nth` of those called `cache`. */
function smallDevice(gpu: Gpu, nth: number): Gpu {
  let created = 0;
  return withDeviceMethod(gpu, "createBuffer", (createBuffer) => (descriptor) => {
    if (descriptor.label === "cache" && ++created === nth) throw new ExecutionError("run", "out of memory", true);
    return createBuffer(descriptor);
  });
}

for (const what of ["copied on the device", "uploaded again where there is no room for a copy"]) {
  Deno.test(`what is changed in place is a case's own, and restored: ${what}`, () =>
    withGpu(async (whole) => {
      const gpu = what.startsWith("copied") ? whole : smallDevice(whole, 1);
      const inputs = await makeInputs();
      const first = inputs.state.get("cache")!;
      const uploads = new Uploads();
      const [a, b] = [await uploads.acquire(gpu, "key", inputs), await uploads.acquire(gpu, "key", inputs)];
      assertEquals(await cacheOf(gpu, a, inputs), first);
      overwrite(gpu, a.ranges.get("cache")!);
      assertNotEquals(await cacheOf(gpu, a, inputs), first);
      assertEquals(await cacheOf(gpu, b, inputs), first);
      a.restore();
      assertEquals(await cacheOf(gpu, a, inputs), first);
      // What nobody may write is shared.
      assert(a.ranges.get("cache_loc") === b.ranges.get("cache_loc"));
      a.release();
      b.release();
    }));
}

Deno.test("a case that finds no room for its own copy is told so", () =>
  withGpu(async (gpu) => {
    const acquired = new Uploads().acquire(smallDevice(gpu, 2), inputsKey(CASE), await makeInputs());
    const error = await assertRejects(() => acquired, ExecutionError);
    assert(error.outOfMemory);
  }));

Deno.test("variants that work in place are timed one beside the other on their own caches", async () => {
  const shape = "R=32;Dr=16;Dn=16;Dv=16;q=1;kv=9;page=4;cache=f32;weight=f32";
  const cases = ["unfused", "fused"].map((name) => parseCaseId(`mla/${name}:B=1;H=2;${shape}`));
  const results = await Array.fromAsync(runCases(cases, { kernels: KERNELS }));
  assertEquals(results.map(({ status }) => status), ["measured", "measured"]);
});
