import { assert, assertEquals } from "@std/assert";
import { attendFusedMatrix } from "../kernels/attend_fused_matrix.ts";
import { type Kernel, kernelName, SUBGROUP_MATRIX } from "../kernels/kernel.ts";
import { IN_ITS_ATTEND } from "../kernels/mutants/fault.ts";
import { FAULTS } from "../kernels/mutants/mutants.ts";
import { chosenCases, withEdits } from "../kernels/mutants/plant.ts";
import { decodeShape, matrixDevice } from "../kernels/testing.ts";
import { emulatedMatrix } from "../kernels/testdata/emulated_matrix.ts";
import { parseCaseId } from "../suites/case_id.ts";
import { HARDWARE_SIZES, rateProbes } from "./calibration_probes.ts";
import { findDawn } from "./dawn_package.ts";
import { type Gpu, openGpu } from "./device.ts";
import { inDialect } from "./dialect.ts";
import type { Result } from "./result.ts";
import { runCases } from "./sweep.ts";

const SIZES = "R=32;Dr=16";
/**
 * Ragged lengths, rows that see fewer tokens, hostile maxima, splits, odd pages, two layouts; mostly with the smallest
 * blocks, which compile soonest.
 */
const CASES = [
  `B=3;H=5;${SIZES};q=1;kv=70,0,3;page=3;cache=f16;tile=16`,
  `B=2;H=8;${SIZES};q=5,3;kv=40,3;page=16;cache=f16;rows=16;tile=16`,
  `B=1;H=16;${SIZES};q=1;kv=90;page=16;cache=f16;input=jump;splits=1;tile=16`,
  `B=1;H=4;${SIZES};q=1;kv=90;page=16;cache=f16;input=monotone;splits=1;tile=16`,
  `B=1;H=33;${SIZES};q=1;kv=50;page=61;cache=f16;layout=separate;input=large;splits=2`,
  `B=3;H=5;${SIZES};q=1;kv=70,0,3;page=3;cache=bf16;tile=16`,
  `B=2;H=33;${SIZES};q=1;kv=70,0;page=3;cache=f16;input=jump;splits=1`,
  `B=2;H=8;${SIZES};q=5,3;kv=40,3;page=16;cache=bf16;layout=separate;input=jump;splits=1;rows=16;tile=16`,
];

/** A case chosen for a fault at a rank, and with blocks, that compile soonest; many heads keep the block that they get. */
function small(shape: string): string {
  return shape.replace("R=256;Dr=64", SIZES) + (shape.includes("H=63") ? "" : ";rows=16;tile=16");
}

/** The faults of the kernel, planted where its matrices are emulated, with the cases that must see them. */
const PLANTED = FAULTS.flatMap((fault) => {
  const edits = fault.edits["attend/fused_matrix"];
  if (edits === undefined || edits === IN_ITS_ATTEND) return [];
  const kernel = withEdits(emulatedMatrix, fault.name, edits);
  return [{ kernel, ids: chosenCases({ kernel, fault }).map((shape) => `${kernelName(kernel)}:${small(shape)}`) }];
});

async function run(ids: readonly string[], kernels: readonly Kernel[]): Promise<Result[]> {
  return await Array.fromAsync(runCases(ids.map(parseCaseId), { kernels, timing: false }));
}

Deno.test("the kernel of matrices is right where they are emulated", async () => {
  const results = await run(CASES.map((axes) => `attend/emulated_matrix:${axes}`), [emulatedMatrix]);
  for (const result of results) assertEquals(result.status, "verified", JSON.stringify(result));
});

Deno.test("its planted faults are seen where they are emulated, each in a case chosen for it", async () => {
  assert(PLANTED.length > 0);
  const results = await run(PLANTED.flatMap(({ ids }) => ids), PLANTED.map(({ kernel }) => kernel));
  for (const { kernel: { variant }, ids } of PLANTED) {
    const own = results.filter(({ id }) => ids.includes(id));
    // A fault that does not compile shows nothing.
    for (const { status, id } of own) assert(status === "incorrect" || status === "verified", `${id}: ${status}`);
    assert(own.some(({ status }) => status === "incorrect"), `${variant} is not seen`);
  }
});

/** Hands `work` a device that has every feature and runs nothing, and what Tint says of a shader. */
async function withTint(work: (gpu: Gpu, messagesOf: (shader: string) => Promise<string[]>) => Promise<void>) {
  const gpu = await openGpu({ module: await findDawn(), toggles: [], backend: "null" });
  try {
    await work(gpu, async (shader) => {
      const module = gpu.device.createShaderModule({ code: inDialect(shader, gpu.adapter.provider) });
      const { messages } = await module.getCompilationInfo();
      return messages.map(({ lineNum, message }) => `${lineNum}: ${message}`);
    });
  } finally {
    gpu.close();
  }
}

Deno.test("Tint compiles it, with every feature and without a GPU", () =>
  withTint(async (gpu, messagesOf) => {
    assert(gpu.traits.features.has(SUBGROUP_MATRIX), [...gpu.traits.features].join());
    for (const [R, H] of [[512, 16], [512, 128], [256, 32]]) {
      for (const layout of ["combined", "separate"] as const) {
        // The null device has subgroups of other sizes and less memory: what it must take is the text for an H200.
        const shape = decodeShape({ R, H, kv: [4096], layout });
        const launch = attendFusedMatrix.launch(shape, { pages: 64, tableWidth: 64 }, {}, matrixDevice());
        assertEquals(await messagesOf(launch.dispatches[0].shader), []);
      }
    }
  }));

Deno.test("Tint compiles the probe of how fast matrices are multiplied, of any shape", () =>
  withTint(async ({ traits: { features } }, messagesOf) => {
    for (const [M, N, K] of [[16, 16, 16], [8, 8, 8], [16, 8, 16]]) {
      const subgroupMatrices = [{ factors: "f16", sums: "f32", M, N, K }];
      const probes = rateProbes(HARDWARE_SIZES, { features, subgroupMatrices, subgroupMaxSize: 32 });
      const probe = probes.find(({ name }) => name === "matrixFlopsPerS")!;
      assertEquals(await messagesOf(probe.launches[0].dispatches[0].shader), []);
    }
  }));
