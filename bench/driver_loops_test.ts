import { assertEquals } from "@std/assert";
import type { Launch } from "../kernels/kernel.ts";
import { openGpu } from "./device.ts";
import { prepare, runOnce } from "./execute.ts";

Deno.test("the driver stops a loop where the traits say, and nowhere else", async () => {
  const gpu = await openGpu();
  try {
    const wanted = 100_000;
    const count: Launch = {
      buffers: [{ name: "n", bytes: 4, role: "output" }],
      dispatches: [{
        label: "count",
        shader: `struct Params { end: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read_write> n: array<u32>;
@compute @workgroup_size(1) fn main() {
  n[0] = 0u;
  for (var i = 0u; i < P.end; i++) { n[0] += 1u; }
}`,
        params: [["end", "u32", wanted]],
        bindings: ["n"],
        workgroups: [1, 1, 1],
        workgroupSize: 1,
        workgroupBytes: 0,
      }],
      chosen: {},
    };
    const prepared = await prepare(gpu, count, new Map());
    const [counted] = new Uint32Array((await runOnce(gpu, prepared)).get("n")!.slice().buffer);
    prepared.destroy();
    assertEquals(counted, Math.min(wanted, gpu.traits.maxLoopIterations ?? Infinity));
  } finally {
    gpu.close();
  }
});
