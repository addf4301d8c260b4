import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { DispatchSpec, Launch } from "../kernels/kernel.ts";
import type { Gpu } from "./device.ts";
import { withDeviceMethod, withGpu } from "./testing.ts";
import { uploadStorage } from "./buffers.ts";
import { prepare, runOnce } from "./execute.ts";
import { ExecutionError } from "./guard.ts";

const BODY = `
@compute @workgroup_size(1) fn main() { y[0] = P.n * x[0]; }`;

const SHADER = `
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;${BODY}`;

function launch(shader: string, change: Partial<DispatchSpec> = {}): Launch {
  return {
    buffers: [{ name: "x", bytes: 4, role: "input" }, { name: "y", bytes: 4, role: "output" }],
    dispatches: [{
      label: "times",
      shader,
      params: [["n", "u32", 3]],
      bindings: ["x", "y"],
      workgroups: [1, 1, 1],
      workgroupSize: 1,
      workgroupBytes: 0,
      ...change,
    }],
    chosen: {},
  };
}

async function run(gpu: Gpu, launch: Launch): Promise<number> {
  const x = uploadStorage(gpu, "x", new Uint8Array(Uint32Array.of(14).buffer));
  const prepared = await prepare(gpu, launch, new Map([["x", x]]));
  return new Uint32Array((await runOnce(gpu, prepared)).get("y")!.slice().buffer)[0];
}

Deno.test("a shader may write @binding before @group, over several lines, with trailing commas", () =>
  withGpu(async (gpu) => {
    const turned = `
struct Params { n: u32 }
@binding(0) @group(0) var<uniform> P: Params;
// @group(0) @binding(7) var<storage, read> gone: array<u32>;
/* @group(3) @binding(7) var<storage, read> gone: array<u32>; */
@binding( 1u )
@group( 0u )
var < storage , read > x: array<u32>;
@binding(2,) @group(0,) var<storage, read_write,> y: array<u32>;${BODY}`;
    assertEquals(await run(gpu, launch(SHADER)), 42);
    assertEquals(await run(gpu, launch(turned)), 42);
  }));

Deno.test("a shader without access mode reads, and one in group 1 is bound by cacheBindings", () =>
  withGpu(async (gpu) => {
    const cached = SHADER.replace("@group(0) @binding(1) var<storage, read>", "@binding(0) @group(1) var<storage>")
      .replace("@binding(2)", "@binding(1)");
    assertEquals(await run(gpu, launch(cached, { bindings: ["y"], cacheBindings: ["x"] })), 42);
  }));

Deno.test("launches that are prepared at once share a compilation, and the failure of one; then it is tried again", () =>
  withGpu(async (whole) => {
    let compiled = 0;
    const gpu = withDeviceMethod(whole, "createComputePipeline", (createComputePipeline) => (descriptor) => {
      // Not what fills buffers with poison.
      if (descriptor.label === "times") compiled++;
      return createComputePipeline(descriptor);
    });
    assertEquals(await Promise.all([1, 2, 3].map(() => run(gpu, launch(SHADER)))), [42, 42, 42]);
    assertEquals([await run(gpu, launch(SHADER)), compiled], [42, 1]);
    const wrong = launch(SHADER.replace("P.n *", "P.m *"));
    const failures = await Promise.allSettled([1, 2].map(() => run(gpu, wrong)));
    assertEquals(failures.map(({ status }) => status), ["rejected", "rejected"]);
    assertEquals(compiled, 2);
    await assertRejects(() => run(gpu, wrong), ExecutionError, "does not compile");
    assertEquals(compiled, 3);
  }));

const WRONG: readonly [what: string, edit: (shader: string) => string, change: Partial<DispatchSpec>, says: RegExp][] =
  [
    [
      "group 1 without cacheBindings",
      (s) => s.replace("@group(0) @binding(1)", "@group(1) @binding(0)"),
      {},
      /^Cannot bind dispatch "times": its shader declares @group\(1\), the launch gives no cacheBindings$/,
    ],
    [
      "group 2",
      (s) => s.replace("@group(0) @binding(1)", "@group(2) @binding(0)"),
      {},
      /declares @group\(2\): only 0 and, with cacheBindings, 1$/,
    ],
    [
      "more of group 1 than cacheBindings",
      (s) => s.replace("@group(0) @binding(1)", "@group(1) @binding(1)"),
      { bindings: ["y"], cacheBindings: ["x"] },
      /declares var<storage> at @group\(1\) @binding\(1\): 0 to 0 are x$/,
    ],
    [
      "a binding past the last",
      (s) => s.replace("@binding(2)", "@binding(3)"),
      {},
      /@binding\(3\): .* 1 to 2 are x, y$/,
    ],
    [
      "a buffer that is not declared",
      (s) => s,
      { bindings: ["x", "y", "z"] },
      /does not declare @group\(0\) @binding\(3\), z$/,
    ],
    [
      "cacheBindings that are not declared",
      (s) => s,
      { cacheBindings: ["x"] },
      /does not declare @group\(1\) @binding\(0\), x$/,
    ],
    [
      "an input that may be written",
      (s) => s.replace("var<storage, read> x", "var<storage, read_write> x"),
      {},
      /declares the input "x" read_write/,
    ],
  ];

for (const [what, edit, change, says] of WRONG) {
  Deno.test(`compile() names ${what}, in one line`, () =>
    withGpu(async (gpu) => {
      const error = await assertRejects(() => run(gpu, launch(edit(SHADER), change)), ExecutionError);
      assertEquals(error.stage, "compile");
      assertMatch(error.message, says);
    }));
}
