import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { kernelName } from "../kernels/kernel.ts";
import { KERNELS } from "../kernels/registry.ts";
import { readRecorded } from "../reference/recorded.ts";
import type { Case } from "../suites/case.ts";
import { parseCaseId } from "../suites/case_id.ts";
import { type CaseInputs, makeCaseInputs } from "./case_inputs.ts";
import { type Gpu, openGpu } from "./device.ts";
import { prepare, runOnce } from "./execute.ts";
import { pairKernel, worksOf } from "./pairing.ts";
import { ReferencePool } from "./reference_pool.ts";
import { Uploads } from "./uploads.ts";

const SIZES = "R=32;Dr=16;Dn=16;Dv=16";

/** A case of every operation, with all that its inputs may have, and the checks that it is held against. */
const CASES: readonly [id: string, checks: readonly string[]][] = [
  ["attend/unfused:B=2;H=2;R=32;Dr=16;q=1;kv=9,0;page=4;cache=f16", ["out", "lse"]],
  [
    "attend/unfused:B=2;H=2;R=32;Dr=16;q=3,2;kv=9,5;page=4;cache=bf16;layout=separate;lse=2;tol=flashinfer",
    ["out", "lse", "tolerance_out", "tolerance_lse"],
  ],
  ["append/combined:B=2;R=32;Dr=16;q=3;kv=9;page=4;cache=bf16", ["cache"]],
  ["append/separate:B=2;R=32;Dr=16;q=3;kv=9;page=4;cache=f32;layout=separate", ["cache"]],
  ["project/vector:B=1;H=3;R=32;Dn=16;Dv=16;q=5;part=q", ["out"]],
  ["project/vector:B=1;H=3;R=32;Dn=16;Dv=16;q=5;part=v;padding=2;tol=seed-projection", [
    "out",
    "padding",
    "tolerance_out",
  ]],
  [`prefill/fused:B=2;H=2;${SIZES};q=5,9;kv=5,9;page=4;cache=bf16;padding=1`, ["out", "lse", "padding"]],
  [
    `prefill/fused:B=2;H=2;${SIZES};q=5,9;kv=5,9;page=4;cache=bf16;layout=separate;lse=2`,
    ["out", "lse"],
  ],
  [
    `mla/unfused:B=2;H=2;${SIZES};q=2,9;kv=5,9;page=4;cache=f16;padding=3;tol=seed-decode`,
    ["out", "lse", "padding", "tolerance_out", "cache"],
  ],
  [`mla/unfused:B=2;H=2;${SIZES};q=2,9;kv=5,9;page=4;cache=f32;layout=separate`, ["out", "lse", "cache"]],
];

async function withPool(work: (gpu: Gpu, pool: ReferencePool) => Promise<void>) {
  const gpu = await openGpu();
  const pool = new ReferencePool(1);
  try {
    await work(gpu, pool);
  } finally {
    pool.close();
    gpu.close();
  }
}

async function runCall(gpu: Gpu, id: string, inputs: CaseInputs) {
  const c = parseCaseId(id);
  const kernel = KERNELS.find((kernel) => kernelName(kernel) === kernelName(c))!;
  const [call] = inputs.calls;
  const launch = pairKernel(kernel, worksOf(c)[0], c.tuning).launch(call.layout, gpu.traits);
  const upload = await new Uploads().acquire(gpu, id, inputs);
  return { c, launch, results: await runOnce(gpu, await prepare(gpu, launch, upload.ranges)) };
}

for (const [id, names] of CASES) {
  Deno.test(`${id} is fed and held against its reference, every result buffer of it`, () =>
    withPool(async (gpu, pool) => {
      const inputs = await makeCaseInputs(parseCaseId(id), { pool, referenceBudgetFlops: 1e9 });
      const [call] = inputs.calls;
      const { c, launch, results } = await runCall(gpu, id, inputs);
      const checks = call.check(results, c.tolerance);
      assertEquals(checks.filter(({ passed }) => !passed), []);
      assertEquals(new Set(checks.map(({ name }) => name)), new Set(names));
      for (const { name, role } of launch.buffers) {
        if (role !== "output" && role !== "inout") continue;
        const wrong = new Map(results);
        const bytes = results.get(name)!.slice();
        // The exponent of the first element: a change that no bound allows.
        bytes[role === "inout" ? 0 : 3] ^= 0x7f;
        wrong.set(name, bytes);
        const failed = call.check(wrong, c.tolerance).filter(({ passed }) => !passed);
        assert(failed.length > 0, `a wrong ${name} passes`);
        wrong.delete(name);
        assertThrows(() => call.check(wrong), TypeError, `the launch has no such output`);
      }
    }));
}

Deno.test("a case without any query is held against results of no elements", async () => {
  const pool = new ReferencePool(1);
  const c = parseCaseId(`prefill/fused:B=2;H=2;${SIZES};q=5,9;kv=5,9;page=4;cache=f16`);
  const idle = { ...c, shape: { ...c.shape, q: [0, 0] } } as Case;
  const { calls: [call], coverage } = await makeCaseInputs(idle, { pool, referenceBudgetFlops: 1e9 });
  pool.close();
  // No buffer is smaller than 16 bytes, and nobody writes these.
  const untouched = new Uint8Array(16).fill(0xff);
  const checks = call.check(new Map([["out", untouched], ["lse", untouched]]));
  assertEquals(checks.map(({ passed }) => passed), [true, true]);
  assertEquals(coverage, 1);
});

Deno.test("a tolerance that nobody knows is an error that lists those there are", () =>
  withPool(async (gpu, pool) => {
    const [[id]] = CASES;
    const inputs = await makeCaseInputs(parseCaseId(id), { pool, referenceBudgetFlops: 1e9 });
    const { results } = await runCall(gpu, id, inputs);
    assertThrows(() => inputs.calls[0].check(results, "lenient"), RangeError, 'tolerance "lenient": there are seed-');
  }));

Deno.test("tensors that were not given cannot be replayed", () =>
  withPool(async (_gpu, pool) => {
    const c = { ...parseCaseId(CASES[0][0]), tensors: "gone@01234567" };
    await assertRejects(() => makeCaseInputs(c, { pool, referenceBudgetFlops: 1 }), RangeError, "gone@01234567");
  }));

Deno.test("a recording is replayed through mla in calls, each held against the recorded output", () =>
  withPool(async (_gpu, pool) => {
    const folder = new URL("../reference/goldens/", import.meta.url);
    const [file] = [...Deno.readDirSync(folder)].filter(({ name }) => name.endsWith(".safetensors"));
    const recorded = readRecorded(Deno.readFileSync(new URL(file.name, folder)), file.name);
    const { T, H, R, Dr, Dn, Dv, scale } = recorded;
    const c = parseCaseId(`mla/unfused:B=1;H=2;${SIZES};q=3;kv=3;page=4;cache=f32`);
    assert(c.operation === "mla");
    const steps = [[T - 3], [2], [1]];
    const shape = { ...c.shape, H, R, Dr, Dn, Dv, scale, page: 5, q: [T], kv: [T], steps, weight: "f32" as const };
    const inputs = await makeCaseInputs({ ...c, shape, tensors: "it" }, {
      pool,
      referenceBudgetFlops: 1e6,
      recorded: new Map([["it", recorded]]),
    });
    assertEquals(inputs.calls.map(({ work }) => "kv" in work.shape && work.shape.kv[0]), [T - 3, T - 1, T]);
    const lse = new Uint8Array(4 * H), out = new Uint8Array(new Float32Array(recorded.out.slice(-H * Dv)).buffer);
    const cache = inputs.state.get("cache")!;
    const checks = inputs.calls[2].check(new Map([["out", out], ["lse", lse], ["cache", cache]]));
    const passed = new Map(checks.map((check) => [check.name, check.passed]));
    assertEquals([passed.get("recorded_out"), passed.get("cache")], [true, false]);
  }));
