import { assert, assertEquals } from "@std/assert";
import { projectKernel } from "../kernels/project.ts";
import { projectTiled } from "../kernels/project_tiled.ts";
import { projectVector } from "../kernels/project_vector.ts";
import { headProduct } from "../kernels/project_shape.ts";
import { kernelName, type ProjectKernel } from "../kernels/kernel.ts";
import { checkLimits } from "../kernels/limits.ts";
import { checkProject } from "../reference/acceptance.ts";
import { DTYPE_BYTES, encodeInto } from "../reference/dtypes.ts";
import type { ProjectInputs } from "../reference/model_inputs.ts";
import { projectReference } from "../reference/project.ts";
import { fillNormal, streamKey } from "../reference/random.ts";
import type { ProjectShape } from "../reference/shapes.ts";
import { createStorage, readBack, uploadStorage } from "./buffers.ts";
import type { Gpu } from "./device.ts";
import { withGpu } from "./testing.ts";
import { POISON_WORD, prepare, runOnce } from "./execute.ts";

/** Rows of NaN behind the activations, as the padding tokens of `mla` may be. */
const NAN_ROWS = 3;

/** Bytes behind the output that must stay as they are. */
const BEHIND_BYTES = 4096;

function shapeOf(values: Partial<ProjectShape>): ProjectShape {
  return { part: "q", tokens: 5, padding: 0, H: 3, R: 256, Dn: 64, Dv: 128, weight: "f16", ...values };
}

/**
 * Awkward sizes, each run as both parts: tokens on both sides of groups and tiles, outputs and sums that no tile
 * divides.
 */
const CASES: readonly [what: string, values: Partial<ProjectShape>][] = [
  ["one token", { tokens: 1, H: 20, padding: 1 }],
  ["5 tokens, one head, bf16", { tokens: 5, H: 1, Dn: 192, Dv: 256, R: 512, weight: "bf16", padding: 7 }],
  ["4 tokens, widths that no block divides", { tokens: 4, Dn: 72, Dv: 136, R: 48, padding: 1 }],
  ["8 tokens, f32", { tokens: 8, Dv: 64, weight: "f32" }],
  ["13 tokens in groups of 7", { tokens: 13, padding: 2 }],
  ["32 tokens", { tokens: 32, Dn: 128, R: 512, H: 2 }],
  ["33 tokens, narrow", { tokens: 33, Dn: 24, Dv: 64, R: 48, padding: 1 }],
  ["64 tokens, rank 48, f32", { tokens: 64, Dn: 8, Dv: 8, R: 48, weight: "f32", padding: 40 }],
  ["96 tokens in tiles of 32, bf16", { tokens: 96, H: 1, Dn: 72, Dv: 136, weight: "bf16" }],
  ["130 tokens", { tokens: 130, H: 3, Dn: 192, Dv: 256, R: 512, padding: 3 }],
];

/** Inputs of `shape`, with NaN in the rows of the weight that its part does not read and behind the last token. */
function inputsOf(shape: ProjectShape, seed: number): ProjectInputs {
  const { tokens, H, R, Dn, Dv, weight } = shape;
  const { K, N, FIRST_ROW, TRANSPOSED } = headProduct(shape);
  const x = new Float32Array((tokens + NAN_ROWS) * H * K).fill(NaN);
  fillNormal(x.subarray(0, tokens * H * K), streamKey(seed, 0));
  const rows = TRANSPOSED ? N : K;
  const w = new Float32Array(H * (Dn + Dv) * R).fill(NaN);
  for (let h = 0; h < H; h++) {
    const first = (h * (Dn + Dv) + FIRST_ROW) * R;
    fillNormal(w.subarray(first, first + rows * R), streamKey(seed, 1 + h), { scale: 1 / Math.sqrt(K) });
  }
  const kvB = new Uint8Array(w.length * DTYPE_BYTES[weight]);
  encodeInto(w, kvB, weight);
  return { shape, x, kvB };
}

/** The output of `kernel`, the same in two runs; nothing is written behind it. */
async function run(gpu: Gpu, kernel: ProjectKernel, { shape, x, kvB }: ProjectInputs): Promise<Float32Array> {
  const launch = kernel.launch(shape, { pages: 0, tableWidth: 0 }, {}, gpu.traits);
  assertEquals(checkLimits(launch, gpu.traits), undefined);
  const [{ name }, weight, { name: output, bytes }] = launch.buffers;
  const roomy = createStorage(gpu, output, bytes + BEHIND_BYTES);
  const ranges = new Map([
    [name, uploadStorage(gpu, name, new Uint8Array(x.buffer))],
    [weight.name, uploadStorage(gpu, weight.name, kvB)],
    [output, roomy],
  ]);
  const prepared = await prepare(gpu, launch, ranges);
  try {
    const first = (await runOnce(gpu, prepared)).get(output)!;
    assertEquals(first, (await runOnce(gpu, prepared)).get(output)!, "two runs differ");
    const [all] = await readBack(gpu, [roomy]);
    const behind = new Uint32Array(all.buffer, bytes);
    assertEquals(behind, new Uint32Array(BEHIND_BYTES / 4).fill(POISON_WORD), "written behind the output");
    return new Float32Array(first.slice().buffer);
  } finally {
    prepared.destroy();
    for (const { buffer } of ranges.values()) buffer.destroy();
  }
}

function assertRight(inputs: ProjectInputs, out: Float32Array, what: string) {
  for (const check of checkProject(inputs, projectReference(inputs), out)) {
    assert(check.passed, `${what}: ${check.name} ${check.message} ${JSON.stringify(check.worst)}`);
  }
}

for (const kernel of [projectTiled, projectVector]) {
  for (const part of ["q", "v"] as const) {
    Deno.test(`${kernelName(kernel)} is right for part ${part} on awkward shapes`, () =>
      withGpu(async (gpu) => {
        for (const [what, values] of CASES) {
          const shape = shapeOf({ ...values, part });
          const inputs = inputsOf(shape, 1);
          assertRight(inputs, await run(gpu, kernel, inputs), what);
        }
      }));
  }

  Deno.test(`${kernelName(kernel)} folds its workgroups over two dimensions`, () =>
    withGpu(async (gpu) => {
      const inputs = inputsOf(shapeOf({ part: "v", tokens: 9, H: 20, padding: 31, R: 48 }), 2);
      const limits = { ...gpu.traits.limits, maxComputeWorkgroupsPerDimension: 37 };
      const small = { ...gpu, traits: { ...gpu.traits, limits } };
      const { dispatches } = kernel.launch(inputs.shape, { pages: 0, tableWidth: 0 }, {}, small.traits);
      const [x, y] = dispatches[0].workgroups;
      assert(x > 1 && y > 1 && x * y > dispatches[0].params.find(([name]) => name === "items")![2], `${x} × ${y}`);
      assertRight(inputs, await run(small, kernel, inputs), "folded");
    }));

  Deno.test(`${kernelName(kernel)} without tokens writes the zeros of the padding alone`, () =>
    withGpu(async (gpu) => {
      const inputs = inputsOf(shapeOf({ part: "v", tokens: 0, padding: 5 }), 3);
      assertRight(inputs, await run(gpu, kernel, inputs), "no tokens");
    }));
}

Deno.test("the vector kernel is right for every number of tokens of a group, and as many slices as there may be", () =>
  withGpu(async (gpu) => {
    for (let tokens = 1; tokens <= 8; tokens++) {
      const inputs = inputsOf(shapeOf({ part: tokens % 2 ? "v" : "q", tokens, H: 1, R: 512, Dn: 520 }), tokens);
      const { chosen } = projectVector.launch(inputs.shape, { pages: 0, tableWidth: 0 }, {}, gpu.traits);
      assertEquals(chosen, { tokens, slices: 64 });
      assertRight(inputs, await run(gpu, projectVector, inputs), `${tokens} tokens`);
    }
  }));

Deno.test("projectKernel() gives a kernel that is right, whichever it is", () =>
  withGpu(async (gpu) => {
    const chosen = [];
    for (const tokens of [1, 300]) {
      const inputs = inputsOf(shapeOf({ tokens, H: 1, Dn: 8, R: 16 }), tokens);
      const kernel = projectKernel(inputs.shape);
      assertRight(inputs, await run(gpu, kernel, inputs), kernel.variant);
      chosen.push(kernel.variant);
    }
    assertEquals(chosen, ["vector", "tiled"]);
  }));
