import { assert, assertEquals } from "@std/assert";
import { attendFusedMatrix } from "../kernels/attend_fused_matrix.ts";
import { type Kernel, SUBGROUP_MATRIX } from "../kernels/kernel.ts";
import { withEdits } from "../kernels/mutants/plant.ts";
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
];

/** Edits of the kernel's text, each a mistake that its design invites, and the case of {@linkcode CASES} that shows it. */
const FAULTS: readonly (readonly [name: string, find: RegExp, replace: string, shown: number])[] = [
  ["sums are not begun anew when they are added to out", /(?<!var )o_\d+ = Sums\(\);/g, "", 3],
  ["what was added before is lost", /if \(to\.holds\) \{ sum \+= out\[place\]; \}/g, "", 2],
  ["every part of d is the first", /part \* STEPS/g, "0u * STEPS", 0],
  ["queries are not scaled back", /P\.scale \/ query_factor\(min\(r, ROWS - 1u\)\)/g, "P.scale", 0],
  ["hidden tokens count", /< limit(?=\)?;)/g, "< end", 1],
  ["the cache is written", /set_lane\(lane\);/g, "set_lane(lane); cache[0] = vec4(1u);", 0],
  ["rows past the last are stored", /row < to\.rows &&/g, "", 0],
];

async function run(ids: readonly string[], kernels: readonly Kernel[]): Promise<Result[]> {
  return await Array.fromAsync(runCases(ids.map(parseCaseId), { kernels, timing: false }));
}

Deno.test("the kernel of matrices is right where they are emulated", async () => {
  const results = await run(CASES.map((axes) => `attend/emulated_matrix:${axes}`), [emulatedMatrix]);
  for (const result of results) assertEquals(result.status, "verified", JSON.stringify(result));
});

Deno.test("its mistakes are seen", async () => {
  // An edit that matches nothing throws.
  const kernels = FAULTS.map(([, find, replace], i) =>
    withEdits(emulatedMatrix, `planted_${i}`, [{ find, replace, dispatch: "attend" }])
  );
  const ids = FAULTS.map(([, , , shown], i) => `attend/${kernels[i].variant}:${CASES[shown]}`);
  const results = await run(ids, kernels);
  FAULTS.forEach(([name], i) => assertEquals(results[i].status, "incorrect", `${name}: ${JSON.stringify(results[i])}`));
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
