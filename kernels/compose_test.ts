import { assertEquals, assertThrows } from "@std/assert";
import { composeLaunches, type Part } from "./compose.ts";
import type { BufferRole, BufferSpec, DispatchSpec, Launch } from "./kernel.ts";

function dispatch(label: string, bindings: readonly string[], cacheBindings?: readonly string[]): DispatchSpec {
  const sizes = { workgroups: [1, 1, 1], workgroupSize: 64, workgroupBytes: 0 } as const;
  return { label, shader: label, params: [], bindings, ...(cacheBindings ? { cacheBindings } : {}), ...sizes };
}

function buffer(name: string, role: BufferRole, bytes = 16): BufferSpec {
  return { name, role, bytes };
}

function part(name: string, launch: Partial<Launch>, rename?: Record<string, string>): Part {
  return { name, launch: { buffers: [], dispatches: [], chosen: {}, ...launch }, ...(rename ? { rename } : {}) };
}

const WRITE = part("append", {
  buffers: [buffer("kpe", "input", 32), buffer("cu_seqlen", "input"), buffer("cache", "inout", 64)],
  dispatches: [dispatch("append", ["kpe", "cu_seqlen"], ["cache"])],
});

const READ = part("attend", {
  buffers: [
    buffer("q_latent", "input", 48),
    buffer("cache", "input", 64),
    { ...buffer("work", "plan"), contents: Uint32Array.of(7) },
    buffer("partial_out", "scratch", 96),
    buffer("out", "output"),
    buffer("lse", "output"),
  ],
  dispatches: [
    dispatch("attend", ["q_latent", "work", "partial_out"], ["cache"]),
    dispatch("merge", ["partial_out", "out", "lse"]),
  ],
  chosen: { splits: 4, rows: 16 },
}, { out: "latent" });

const FIRST = part("project_q", { buffers: [buffer("q_nope", "input"), buffer("q_latent", "output", 40)] });
const LAST = part("project_v", {
  buffers: [buffer("latent", "input"), buffer("out", "output")],
  dispatches: [dispatch("project", ["latent", "out"])],
  chosen: { rows: 8 },
});

Deno.test("composeLaunches() runs parts in order under labels and names of the whole", () => {
  const { dispatches } = composeLaunches([WRITE, FIRST, READ, LAST], { outputs: ["out"] });
  assertEquals(dispatches.map(({ label, bindings, cacheBindings }) => ({ label, bindings, cacheBindings })), [
    { label: "append", bindings: ["kpe", "cu_seqlen"], cacheBindings: ["cache"] },
    { label: "attend", bindings: ["q_latent", "attend/work", "attend/partial_out"], cacheBindings: ["cache"] },
    { label: "attend/merge", bindings: ["attend/partial_out", "latent", "lse"], cacheBindings: undefined },
    { label: "project_v/project", bindings: ["latent", "out"], cacheBindings: undefined },
  ]);
  assertEquals(dispatches[0].shader, "append");
});

Deno.test("composeLaunches() makes what parts hand on scratch, keeps results, and joins the uses of a cache", () => {
  const { buffers } = composeLaunches([WRITE, FIRST, READ, LAST], { outputs: ["out", "lse"] });
  assertEquals(Object.fromEntries(buffers.map(({ name, role, bytes }) => [name, [role, bytes]])), {
    "kpe": ["input", 32],
    "cu_seqlen": ["input", 16],
    "cache": ["inout", 64],
    "q_nope": ["input", 16],
    "q_latent": ["scratch", 48],
    "attend/work": ["plan", 16],
    "attend/partial_out": ["scratch", 96],
    "latent": ["scratch", 16],
    "lse": ["output", 16],
    "out": ["output", 16],
  });
  assertEquals(buffers.find(({ name }) => name === "attend/work")?.contents, Uint32Array.of(7));
  const unread = composeLaunches([READ], { outputs: ["latent"] }).buffers;
  assertEquals(unread.find(({ name }) => name === "lse")?.role, "scratch");
  const reversed = composeLaunches([READ, WRITE], { outputs: [] }).buffers;
  assertEquals(reversed.find(({ name }) => name === "cache")?.role, "inout");
});

Deno.test("composeLaunches() takes the whole's own buffers: larger inputs, and plans in place of inputs", () => {
  const given = [{ ...buffer("cu_seqlen", "plan", 8), contents: Int32Array.of(0, 5) }, buffer("kpe", "input", 99)];
  const { buffers } = composeLaunches([WRITE], { buffers: given, outputs: [] });
  assertEquals(buffers.slice(0, 2), [{ ...given[0], bytes: 16 }, given[1]]);
});

Deno.test("composeLaunches() keeps what parts chose, and says whose it is where several chose", () => {
  const { chosen } = composeLaunches([READ, LAST], { outputs: [] });
  assertEquals(chosen, { "splits": 4, "attend.rows": 16, "project_v.rows": 8 });
});

Deno.test("composeLaunches() refuses parts that overwrite what is read, and results that nobody writes", () => {
  const overwrite = part("late", { buffers: [buffer("kpe", "output")] });
  const message = (work: () => unknown) => assertThrows(work, RangeError).message;
  assertEquals(
    message(() => composeLaunches([WRITE, overwrite], { outputs: [] })),
    'Cannot compose "late" with "kpe" as output: before it is input',
  );
  const plan = { ...buffer("q_latent", "plan"), contents: Uint32Array.of(1) };
  assertEquals(
    message(() => composeLaunches([FIRST], { buffers: [plan], outputs: [] })),
    'Cannot compose "project_q" with "q_latent" as output: before it is plan',
  );
  for (const name of ["lse", "kpe"]) {
    assertEquals(
      message(() => composeLaunches([WRITE], { outputs: [name] })),
      `Cannot compose a launch with output "${name}": no part writes it`,
    );
  }
});
