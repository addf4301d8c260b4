import { assert, assertEquals } from "@std/assert";
import { attendFused } from "../kernels/attend_fused.ts";
import { mlaKernel } from "../kernels/mla.ts";
import { encode } from "../reference/dtypes.ts";
import { parseCaseId } from "../suites/case_id.ts";
import { refuseValues } from "./cache_values.ts";
import { makeCaseInputs } from "./case_inputs.ts";
import { ReferencePool } from "./reference_pool.ts";
import { runCases } from "./sweep.ts";

const SIZES = "B=2;H=2;R=32;Dr=16;q=1;kv=5,0;page=4;cache=bf16";

async function inputsOf(id: string) {
  const pool = new ReferencePool();
  try {
    return await makeCaseInputs(parseCaseId(id), { pool, referenceBudgetFlops: 1e7 });
  } finally {
    pool.close();
  }
}

Deno.test("a value above the largest that a kernel takes is refused, in words that name both", async () => {
  const inputs = await inputsOf(`attend/fused:${SIZES}`);
  const [{ source }] = inputs.calls;
  assert(source.operation === "attend");
  const withValue = (value: number) => {
    const cache = source.inputs.cache.slice();
    cache.set(encode([value], "bf16"), 2 * 48 * 4 * source.inputs.pageTable[0]);
    return { ...inputs, calls: [{ ...inputs.calls[0], source: { ...source, inputs: { ...source.inputs, cache } } }] };
  };
  const kernel = { largest: { bf16: 65504 } };
  for (const value of [1, 65280, -65280, Infinity, -Infinity, NaN]) {
    assertEquals(refuseValues(kernel, withValue(value)), undefined, String(value));
  }
  for (const value of [65536, -65536]) {
    assertEquals(refuseValues(kernel, withValue(value)), "cache=bf16: holds 6.554e+4, the kernel takes up to 65504");
  }
  for (const any of [{}, { largest: {} }, { largest: { f16: 1 } }]) {
    assertEquals(refuseValues(any, withValue(3e38)), undefined);
  }
});

Deno.test("a case whose cache holds too large a value is skipped, for mla with those that it appends", async () => {
  const picky = { ...attendFused, variant: "picky", largest: { bf16: 0.125 } };
  const kernels = [picky, mlaKernel(picky), { ...picky, variant: "roomy", largest: { bf16: 1e6 } }];
  // Nothing is cached before the call.
  const appends = `${SIZES.replace("q=1;kv=5,0", "q=5,3;kv=5,3")};form=absorbed`;
  const ids = [`attend/picky:${SIZES}`, `mla/picky:${appends}`, `attend/roomy:${SIZES}`];
  const results = await Array.fromAsync(runCases(ids.map(parseCaseId), { kernels, timing: false }));
  assertEquals(results.map(({ status }) => status), ["skipped", "skipped", "verified"]);
  for (const result of results.slice(0, 2)) {
    assert(result.status === "skipped");
    assert(/^cache=bf16: holds \d\.\d+, the kernel takes up to 0.125$/.test(result.reason), result.reason);
  }
});
