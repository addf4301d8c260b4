import { assertEquals, assertThrows } from "@std/assert";
import { attendFused } from "./attend_fused.ts";
import { attendFusedSubgroup } from "./attend_fused_subgroup.ts";
import { appendCombined } from "./append_combined.ts";
import { requireLaunch } from "./check_launch.ts";
import type { BufferSpec, DispatchSpec, Launch } from "./kernel.ts";
import { appendShape, decodeShape, deviceTraits } from "./testing.ts";

const layout = { pages: 8, tableWidth: 5 };
const SHADER = `
struct Params {
  rows: u32, // how many
  scale: f32,
}
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> q_latent: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(SIZE, 2) fn main() {}
const SIZE = 32u;
`;

const dispatch: DispatchSpec = {
  label: "attend",
  shader: SHADER,
  params: [["rows", "u32", 3], ["scale", "f32", 0.5]],
  bindings: ["q_latent", "out"],
  workgroups: [3, 1, 1],
  workgroupSize: 64,
  workgroupBytes: 0,
};
const buffers: readonly BufferSpec[] = [
  { name: "q_latent", bytes: 16, role: "input" },
  { name: "out", bytes: 16, role: "output" },
  { name: "work", bytes: 16, role: "scratch" },
];

function refused(changes: Partial<Launch>, message: string, kernel: Parameters<typeof requireLaunch>[0] = attendFused) {
  const launch = { buffers, dispatches: [dispatch], chosen: {}, ...changes };
  assertThrows(() => requireLaunch(kernel, launch), TypeError, message);
}
const withDispatch = (changes: Partial<Record<keyof DispatchSpec, unknown>>) => ({
  dispatches: [{ ...dispatch, ...changes } as DispatchSpec],
});
const withBuffer = (changes: Partial<Record<keyof BufferSpec, unknown>>, i = 2) => ({
  buffers: buffers.map((buffer, j) => i === j ? { ...buffer, ...changes } as BufferSpec : buffer),
});

Deno.test("requireLaunch() takes launches without a mistake", () => {
  requireLaunch(attendFused, { buffers, dispatches: [dispatch], chosen: {} });
  requireLaunch(attendFused, { buffers, dispatches: [], chosen: {} });
  const device = deviceTraits(8);
  requireLaunch(attendFused, attendFused.launch(decodeShape(), layout, {}, device));
  requireLaunch(appendCombined, appendCombined.launch(appendShape(), layout, {}, device));
});

Deno.test("requireLaunch() refuses what is no description of a launch", () => {
  assertThrows(() => requireLaunch(attendFused, undefined as unknown as Launch), TypeError, "no array of buffers");
  refused({ buffers: undefined }, "Cannot launch attend/fused: launch() gives no array of buffers");
  refused({ dispatches: undefined }, "launch() gives no array of dispatches");
  refused(withDispatch({ params: undefined }), `dispatch "attend" gives no array of params`);
  refused(withDispatch({ bindings: "out" }), "gives no array of bindings");
  refused(withDispatch({ shader: undefined }), "has no text in shader");
});

Deno.test("requireLaunch() refuses sizes and counts that are none", () => {
  for (const bytes of [NaN, 0, 6, 4.5, -4]) refused(withBuffer({ bytes }), `buffer "work" has ${bytes} bytes`);
  for (const workgroups of [[1.5, 1, 1], [NaN, 1, 1], [-1, 1, 1], [1, 1], 3]) {
    refused(withDispatch({ workgroups }), "three whole numbers are needed");
  }
  refused(withDispatch({ workgroupSize: 0 }), "has the workgroupSize 0");
  refused(withDispatch({ workgroupBytes: undefined }), "has the workgroupBytes undefined");
  refused(withDispatch({ params: [["rows", "u32", -1], ["scale", "f32", 0.5]] }), "the parameter rows as -1, no u32");
  refused(withDispatch({ params: [["rows", "u32", 1], ["scale", "f32", "0"]] }), "the parameter scale as 0, no f32");
});

Deno.test("requireLaunch() refuses buffers that the contract of the operation does not have, or has in another role", () => {
  refused(withBuffer({ name: "kv_lens", role: "input" }), `buffer "kv_lens" has role input, attend is given q_latent`);
  refused(
    withBuffer({ name: "result", role: "output" }),
    `buffer "result" has role output, attend gives out, lse, lse2`,
  );
  refused(withBuffer({ name: "cache", role: "output" }), `buffer "cache" has role output`);
  refused(withBuffer({ name: "cache", role: "inout" }), `buffer "cache" has role inout, attend may only read it`);
  refused(withBuffer({ name: "kv_len", role: "scratch" }), "attend is given a buffer of that name");
  refused(withBuffer({ role: "out" }), `has the role "out": there are input, inout, output, scratch, plan`);
  refused(withBuffer({ contents: new Uint32Array(1) }), `buffer "work" has contents`);
  refused(withBuffer({ name: "out" }), `two buffers have the name "out"`);
  refused({ buffers: [{ name: "cache", bytes: 16, role: "input" }] }, "append changes it: role inout", appendCombined);
  refused(
    withDispatch({ bindings: ["q_latent", "outs"] }),
    `binds "outs", the buffers of the launch are q_latent, out, work`,
  );
});

Deno.test("requireLaunch() refuses a dispatch that says something else than its shader", () => {
  refused(withDispatch({ workgroupSize: 32 }), "says workgroupSize 32, its shader @workgroup_size(SIZE, 2)");
  refused(
    withDispatch({ params: [["rows", "u32", 3]] }),
    `dispatch "attend" gives the params rows:u32, its shader has rows:u32, scale:f32 in Params`,
  );
  refused(withDispatch({ params: [["scale", "f32", 1], ["rows", "u32", 3]] }), "gives the params scale:f32, rows:u32");
  refused(withDispatch({ shader: `enable f16;${SHADER}` }), "uses shader-f16, which the kernel does not require");
  refused(withDispatch({ shader: `${SHADER} fn f() { _ = subgroupAdd(1.0); }` }), "uses subgroups");
  requireLaunch(attendFusedSubgroup, {
    buffers,
    ...withDispatch({ shader: `${SHADER} fn f() { _ = subgroupAdd(1.0); } // enable f16;` }),
    chosen: {},
  });
});

Deno.test("requireLaunch() says nothing of a size that only the compiler knows", () => {
  const launch = { buffers, ...withDispatch({ shader: SHADER.replace("SIZE = 32u", "SIZE = 4u * 8u") }), chosen: {} };
  assertEquals(requireLaunch(attendFused, launch), undefined);
});
