import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { DTYPES } from "../reference/dtypes.ts";
import type { ProjectShape } from "../reference/shapes.ts";
import type { ProjectKernel, Tuning } from "./kernel.ts";
import { checkLimits } from "./limits.ts";
import { chooseProject, estimateProject, projectKernel } from "./project.ts";
import { headProduct } from "./project_shape.ts";
import { projectTiled, projectTiles } from "./project_tiled.ts";
import { projectVector, vectorTiles } from "./project_vector.ts";
import { deviceTraits } from "./testing.ts";
import { minBytes, workFlops } from "./work.ts";

const KERNELS: readonly ProjectKernel[] = [projectTiled, projectVector];
const LAYOUT = { pages: 0, tableWidth: 0 };
const device = deviceTraits(8);

function shapeOf(values: Partial<ProjectShape> = {}): ProjectShape {
  return { part: "q", tokens: 5, padding: 0, H: 16, R: 512, Dn: 128, Dv: 128, weight: "f16", ...values };
}

function launches(): [ProjectKernel, ProjectShape][] {
  return KERNELS.flatMap((kernel) =>
    DTYPES.flatMap((weight) =>
      (["q", "v"] as const).flatMap((part) =>
        [1, 2, 7, 8, 9, 32, 33, 96, 130, 4096].flatMap((tokens) =>
          [[1, 48, 8, 136], [20, 512, 192, 256], [128, 256, 64, 128]].map((
            [H, R, Dn, Dv],
          ): [ProjectKernel, ProjectShape] => [kernel, { part, tokens, padding: 3, H, R, Dn, Dv, weight }])
        )
      )
    )
  );
}

const REFUSED: readonly [values: Partial<Record<keyof ProjectShape, unknown>>, tuning: Tuning, reason: RegExp][] = [
  [{ part: "k" }, {}, /^part=k: only q, v$/],
  [{ tokens: -1 }, {}, /^tokens=-1: only 0 to 2147483647$/],
  [{ tokens: 1.5 }, {}, /^tokens=1.5/],
  [{ tokens: NaN }, {}, /^tokens=NaN/],
  [{ padding: -1 }, {}, /^padding=-1: only 0 to 2147483647$/],
  [{ H: 0 }, {}, /^H=0: only 1 to 65536$/],
  [{ H: 65537 }, {}, /^H=65537/],
  [{ R: 24 }, {}, /^R=24: only positive multiples of 16$/],
  [{ R: 0 }, {}, /^R=0/],
  [{ Dn: 12 }, {}, /^Dn=12: only positive multiples of 8$/],
  [{ Dn: 0 }, {}, /^Dn=0/],
  [{ Dv: 4 }, {}, /^Dv=4: only positive multiples of 8$/],
  [{ weight: "f8" }, {}, /^weight=f8: only f32, f16, bf16$/],
  [{}, { splits: 2 }, /^splits=2: project has no splits$/],
  [{}, { form: "absorbed" }, /^form=absorbed: project has no forms$/],
];

Deno.test("project kernels refuse what they cannot run, naming value and choices", () => {
  for (const kernel of KERNELS) {
    for (const [values, tuning, reason] of REFUSED) {
      const shape = { ...shapeOf(), ...values } as ProjectShape;
      assertMatch(kernel.refuses(shape, tuning) ?? "nothing", reason);
      assertThrows(() => kernel.launch(shape, LAYOUT, tuning, device), RangeError, `${kernel.variant}: `);
    }
    assertEquals(kernel.refuses(shapeOf(), {}), undefined);
  }
});

/** Hot times on an NVIDIA H200 in µs, R=512, Dn=Dv=128, bf16. */
const MEASURED: readonly [part: "q" | "v", H: number, tokens: number, tiled: number, vector: number][] = [
  ["q", 4, 1, 11.9, 2.9],
  ["q", 4, 256, 11.8, 10.4],
  ["q", 16, 16, 12.3, 5.0],
  ["q", 16, 64, 11.8, 10.4],
  ["q", 16, 128, 12.8, 15.6],
  ["q", 16, 256, 19.7, 28.7],
  ["q", 32, 32, 12.8, 10.4],
  ["q", 32, 64, 12.9, 15.6],
  ["q", 128, 1, 19.0, 4.8],
  ["q", 128, 16, 19.5, 15.7],
  ["q", 128, 32, 20.5, 30.7],
  ["q", 128, 256, 128.8, 223.2],
  ["v", 4, 256, 38.2, 10.9],
  ["v", 16, 1, 40.9, 3.5],
  ["v", 16, 16, 41.5, 7.4],
  ["v", 16, 64, 38.3, 10.9],
  ["v", 16, 128, 38.2, 15.9],
  ["v", 16, 256, 38.5, 32.5],
  ["v", 32, 128, 38.5, 32.5],
  ["v", 32, 256, 41.0, 50.9],
  ["v", 128, 8, 41.8, 11.3],
];

Deno.test("chooseProject() takes the kernel that was measured to be the faster one", () => {
  for (const [part, H, tokens, tiled, vector] of MEASURED) {
    const shape = shapeOf({ part, H, tokens, weight: "bf16" });
    const what = `${part} H=${H} T=${tokens}`;
    assertEquals(chooseProject(shape), vector < tiled ? "vector" : "tiled", what);
    assertEquals(projectKernel(shape).variant, chooseProject(shape), what);
    const estimate = estimateProject(shape);
    for (const [found, measured] of [[estimate.tiled, tiled], [estimate.vector, vector]]) {
      assert(Math.abs(found + 3 - measured) < 0.4 * measured, `${what}: ${found} + 3 is not ${measured}`);
    }
  }
});

Deno.test("chooseProject() has an answer for sizes nobody measured", () => {
  assertEquals(chooseProject(shapeOf({ tokens: 0 })), "vector");
  assertEquals(chooseProject(shapeOf({ tokens: 4096, H: 128 })), "tiled");
  // One head leaves a GPU idle in tiles, however long its sums.
  assertEquals(chooseProject(shapeOf({ part: "v", tokens: 512, H: 1, R: 1024 })), "vector");
  assertEquals(chooseProject(shapeOf({ tokens: 2 ** 20, H: 1 })), "tiled");
});

/** Iterations of `for (i = first; i < end; i += step)`, the last test included. */
function passes(first: number, end: number, step: number): number {
  let n = 1;
  for (let i = first; i < end; i += step) n++;
  return n;
}

Deno.test("project launches fit WebGPU's default limits and state what their loops do", () => {
  for (const [kernel, shape] of launches()) {
    const what = `${kernel.variant} ${JSON.stringify(shape)}`;
    const launch = kernel.launch(shape, LAYOUT, {}, device);
    const room = { ...device.limits, maxBufferSize: 2 ** 40, maxStorageBufferBindingSize: 2 ** 40 };
    assertEquals(checkLimits(launch, { limits: room }), undefined, what);
    const { K } = headProduct(shape);
    const { TOKENS, SLICES, ROUND } = vectorTiles(shape);
    const sums = Math.ceil(TOKENS / ROUND) * passes(0, SLICES, 8);
    const expected = kernel === projectTiled ? passes(0, K, 16) : passes(0, K / 8, SLICES) + sums;
    assertEquals(launch.dispatches[0].loopIterations, expected, what);
  }
});

Deno.test("a sum too long for the driver's loops is refused", () => {
  for (const [kernel, R] of [[projectTiled, 2 ** 20], [projectVector, 2 ** 26]] as const) {
    const launch = kernel.launch(shapeOf({ part: "v", H: 1, R, Dv: 8, Dn: 8 }), LAYOUT, {}, device);
    const limits = { ...device.limits, maxBufferSize: 2 ** 40, maxStorageBufferBindingSize: 2 ** 40 };
    assertMatch(checkLimits(launch, { limits, maxLoopIterations: 65535 }) ?? "", /loop iterations in one invocation/);
  }
});

Deno.test("project binds activations, weight and output under the names of its part", () => {
  for (const [kernel, shape] of launches()) {
    const { buffers, dispatches: [{ bindings }] } = kernel.launch(shape, LAYOUT, {}, device);
    assertEquals(bindings, buffers.map(({ name }) => name));
    assertEquals(bindings, shape.part === "q" ? ["q_nope", "kv_b_proj", "q_latent"] : ["latent", "kv_b_proj", "out"]);
  }
});

Deno.test("the padding adds rows to out, and none to q_latent", () => {
  for (const kernel of KERNELS) {
    const bytesOf = (part: "q" | "v") =>
      kernel.launch(shapeOf({ part, padding: 2, H: 3 }), LAYOUT, {}, device).buffers.map(({ bytes }) => bytes);
    const weight = 2 * 3 * 256 * 512;
    assertEquals(bytesOf("q"), [4 * 5 * 3 * 128, weight, 4 * 5 * 3 * 512]);
    assertEquals(bytesOf("v"), [4 * 5 * 3 * 512, weight, 4 * 7 * 3 * 128]);
  }
});

Deno.test("cases of project that differ in tokens of the same tiles, heads and padding share their pipeline", () => {
  const textOf = (kernel: ProjectKernel, values: Partial<ProjectShape>) =>
    kernel.launch(shapeOf(values), LAYOUT, {}, device).dispatches[0].shader;
  const v = { part: "v", H: 128 } as const;
  assertEquals(textOf(projectTiled, { ...v, tokens: 64 }), textOf(projectTiled, { ...v, tokens: 4000, padding: 9 }));
  assertEquals(textOf(projectVector, { ...v, tokens: 15 }), textOf(projectVector, { ...v, tokens: 16, padding: 9 }));
});

Deno.test("a project of no tokens dispatches the zeros of its padding, or nothing", () => {
  for (const kernel of KERNELS) {
    for (const part of ["q", "v"] as const) {
      assertEquals(kernel.launch(shapeOf({ part, tokens: 0 }), LAYOUT, {}, device).dispatches, []);
      const { dispatches } = kernel.launch(shapeOf({ part, tokens: 0, padding: 9 }), LAYOUT, {}, device);
      assertEquals(dispatches.length, part === "q" ? 0 : 1);
    }
  }
});

Deno.test("projectTiles() takes the tile that leaves fewer rows empty", () => {
  const tilesOf = (tokens: number, R = 512) => Object.values(projectTiles(shapeOf({ tokens, R })));
  assertEquals(tilesOf(32), [32, 128, 64]);
  assertEquals(tilesOf(32, 48), [32, 64, 32]);
  assertEquals(tilesOf(33), [64, 64, 64]);
  assertEquals(tilesOf(96), [32, 128, 64]);
  assertEquals(tilesOf(160), [64, 64, 64]);
  assertEquals(tilesOf(224), [64, 64, 64]);
  assertEquals(tilesOf(512), [64, 64, 64]);
});

Deno.test("vectorTiles() shares tokens out evenly, and takes as few slices as fill a large GPU", () => {
  const tilesOf = (values: Partial<ProjectShape>) => {
    const { TOKENS, SLICES, ROUND } = vectorTiles(shapeOf(values));
    return [TOKENS, SLICES, ROUND];
  };
  assertEquals(tilesOf({ tokens: 1, H: 128 }), [1, 8, 1]);
  assertEquals(tilesOf({ tokens: 1, H: 128, part: "v" }), [1, 32, 1]);
  assertEquals(tilesOf({ tokens: 2, H: 128, part: "v" }), [2, 32, 2]);
  assertEquals(tilesOf({ tokens: 3, H: 128, part: "v" }), [3, 16, 2]);
  assertEquals(tilesOf({ tokens: 8, H: 128, part: "v" }), [8, 16, 2]);
  assertEquals(tilesOf({ tokens: 9, H: 128, part: "v" }), [5, 8, 2]);
  assertEquals(tilesOf({ tokens: 17, H: 16, part: "v" }), [6, 64, 2]);
  assertEquals(tilesOf({ tokens: 1, H: 1, Dn: 64 }), [1, 8, 1]);
  assertEquals(tilesOf({ tokens: 1, H: 1, part: "v" }), [1, 64, 1]);
});

Deno.test("minBytes() of project reads activations and the rows of its part once, and writes the output once", () => {
  const shape = shapeOf({ tokens: 3, padding: 2, H: 2, R: 32, Dn: 8, Dv: 24, weight: "bf16" });
  const q = 4 * 3 * 2 * 8 + 2 * 2 * 8 * 32 + 4 * 3 * 2 * 32;
  const v = 4 * 3 * 2 * 32 + 2 * 2 * 24 * 32 + 4 * 5 * 2 * 24;
  assertEquals(minBytes({ operation: "project", shape }), q);
  assertEquals(minBytes({ operation: "project", shape: { ...shape, part: "v" } }), v);
  assertEquals(minBytes({ operation: "project", shape: { ...shape, part: "v", tokens: 0 } }), 4 * 2 * 2 * 24);
});

Deno.test("workFlops() of project is 2·T·H·R·Dn, or ·Dv", () => {
  const shape = shapeOf({ tokens: 3, H: 2, R: 32, Dn: 8, Dv: 24 });
  assertEquals(workFlops({ operation: "project", shape }), 2 * 3 * 2 * 32 * 8);
  assertEquals(workFlops({ operation: "project", shape: { ...shape, part: "v" } }), 2 * 3 * 2 * 32 * 24);
});
