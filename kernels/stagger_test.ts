import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { KERNELS } from "./registry.ts";
import { stagger } from "./stagger.ts";
import type { Kernel, KernelBase, Operation } from "./kernel.ts";
import { appendShape, decodeShape, deviceFor, mlaShape, teamDevice } from "./testing.ts";

const SHARED = "var<workgroup> tile: array<f32, 64>;\n";

Deno.test("stagger() waits at the start and after every barrier, by turns, and numbers the threads by what main() has", () => {
  const body = "  workgroupBarrier();\n  if (t == 0u) { workgroupBarrier ( ) ; }\n}";
  const named = stagger(
    `${SHARED}@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) t: u32) {\n${body}`,
  )!;
  assertStringIncludes(
    named,
    "fn main(@builtin(local_invocation_index) t: u32) { stagger_thread = t; stagger_wait(0u);",
  );
  assertMatch(named, /workgroupBarrier\(\); stagger_wait\(0u\);[^]*workgroupBarrier \( \) ; stagger_wait\(1u\);/);
  const added = stagger(
    `${SHARED}@compute\n@workgroup_size(64)\nfn main(\n  @builtin(workgroup_id) w: vec3<u32>,\n) {\n${body}`,
  )!;
  assertStringIncludes(added, "fn main(@builtin(local_invocation_index) stagger_index: u32, ");
  assertStringIncludes(added, ") { stagger_thread = stagger_index; stagger_wait(0u);");
});

Deno.test("stagger() takes the number of a thread from a struct: a second builtin of the same kind is no WGSL", () => {
  const struct = "struct In {\n  @builtin(workgroup_id) w: vec3<u32>, @builtin(local_invocation_index,) t: u32,\n}\n";
  const text = stagger(`${SHARED}${struct}@compute @workgroup_size(64) fn main(in: In) { workgroupBarrier(); }`)!;
  assertStringIncludes(text, "fn main(in: In) { stagger_thread = in.t;");
  assertEquals(text.match(/local_invocation_index/g)?.length, 1);
});

Deno.test("stagger() numbers the threads of main, not those of another entry point before it", () => {
  const other = "@compute @workgroup_size(1) fn other() { }\n";
  const text = stagger(`${SHARED}${other}@compute @workgroup_size(64) fn main() { workgroupBarrier(); }`)!;
  assertStringIncludes(text, "fn other() { }");
  assertStringIncludes(text, "fn main(@builtin(local_invocation_index) stagger_index: u32, ) { stagger_thread =");
});

Deno.test("stagger() leaves shaders whose threads share no memory, and texts without an entry point", () => {
  assertEquals(stagger("@compute @workgroup_size(1) fn main() { }"), undefined);
  assertEquals(stagger(`${SHARED}fn helper() { workgroupBarrier(); }`), undefined);
});

Deno.test("stagger() waits at the start where the only barrier is missing", () => {
  assertStringIncludes(stagger(`${SHARED}@compute @workgroup_size(64) fn main() { }`)!, "stagger_wait(0u); }");
});

Deno.test("stagger() finds the barriers of every kernel that has workgroup memory", () => {
  const shapes: Record<Operation, unknown> = {
    attend: decodeShape(),
    append: appendShape(),
    project: { part: "q", tokens: 3, padding: 0, H: 16, R: 256, Dn: 128, Dv: 128, weight: "f16" },
    prefill: mlaShape({ q: [65], kv: [65] }),
    mla: mlaShape({ q: [65], kv: [65] }),
  };
  let staggered = 0;
  for (const kernel of KERNELS as readonly (Kernel & KernelBase<Operation, unknown>)[]) {
    const shape = shapes[kernel.operation];
    const isSeparate = kernel.variant === "separate";
    const { dispatches } = kernel.launch(
      isSeparate ? { ...shape as object, layout: "separate" } : shape,
      { pages: 6, tableWidth: 5 },
      {},
      deviceFor(kernel, teamDevice(32)),
    );
    for (const { shader, workgroupBytes, label } of dispatches) {
      const text = stagger(shader);
      assertEquals(text !== undefined, workgroupBytes > 0, `${kernel.operation}/${kernel.variant} ${label}`);
      if (text) staggered++;
    }
  }
  assert(staggered > 10);
});
