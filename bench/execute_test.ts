import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { Launch } from "../kernels/kernel.ts";
import { withGpu } from "./testing.ts";
import { uploadStorage } from "./buffers.ts";
import { POISON_WORD, prepare, runOnce } from "./execute.ts";
import { ExecutionError } from "./guard.ts";

const DOUBLE = `
struct Params { n: u32, factor: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < params.n) { y[id.x] = params.factor * x[id.x]; }
}`;

function launch(shader: string, n: number): Launch {
  return {
    buffers: [{ name: "x", bytes: 16, role: "input" }, { name: "y", bytes: 16, role: "output" }],
    dispatches: [{
      label: "double",
      shader,
      params: [["n", "u32", n], ["factor", "f32", 2]],
      bindings: ["x", "y"],
      workgroups: [1, 1, 1],
      workgroupSize: 64,
      workgroupBytes: 0,
    }],
    chosen: {},
  };
}

Deno.test("runOnce() shows what the kernel wrote, and poison where it wrote nothing", () =>
  withGpu(async (gpu) => {
    const x = uploadStorage(gpu, "x", new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer));
    const prepared = await prepare(gpu, launch(DOUBLE, 3), new Map([["x", x]]));
    const y = (await runOnce(gpu, prepared)).get("y")!;
    assertEquals([...new Float32Array(y.buffer, y.byteOffset, 3)], [2, 4, 6]);
    assertEquals(new Uint32Array(y.buffer, y.byteOffset, 4)[3], POISON_WORD);
    prepared.destroy();
    x.buffer.destroy();
  }));

Deno.test("prepare() compiles equal text once", () =>
  withGpu(async (gpu) => {
    const x = uploadStorage(gpu, "x", new Uint8Array(16));
    const first = await prepare(gpu, launch(DOUBLE, 3), new Map([["x", x]]));
    const second = await prepare(gpu, launch(DOUBLE, 4), new Map([["x", x]]));
    assertEquals([first.compileMs === undefined, second.compileMs], [false, undefined]);
  }));

Deno.test("prepare() reports the compiler's message with its line", () =>
  withGpu(async (gpu) => {
    const x = uploadStorage(gpu, "x", new Uint8Array(16));
    const broken = DOUBLE.replace("params.factor *", "params.factr *");
    const error = await assertRejects(() => prepare(gpu, launch(broken, 3), new Map([["x", x]])), ExecutionError);
    assertEquals(error.stage, "compile");
    assertMatch(error.message, /7.*factr/s);
    const after = await prepare(gpu, launch(DOUBLE, 3), new Map([["x", x]]));
    assertEquals((await runOnce(gpu, after)).size, 1);
  }));

Deno.test("prepare() reports memory that the device does not have, and the device goes on", () =>
  withGpu(async (gpu) => {
    const x = uploadStorage(gpu, "x", new Uint8Array(16));
    const huge: Launch = { ...launch(DOUBLE, 3), buffers: [{ name: "y", bytes: 2 ** 41, role: "output" }] };
    await assertRejects(() => prepare(gpu, huge, new Map([["x", x]])));
    const after = await prepare(gpu, launch(DOUBLE, 3), new Map([["x", x]]));
    assertEquals((await runOnce(gpu, after)).size, 1);
  }));
