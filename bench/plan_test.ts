import { assert, assertEquals, assertThrows } from "@std/assert";
import { checkAttend } from "../reference/acceptance.ts";
import { type AttendInputs, makeAttendInputs } from "../reference/inputs.ts";
import { attendAbsorbed } from "../reference/mla.ts";
import { attendFused } from "../kernels/attend_fused.ts";
import type { Launch } from "../kernels/kernel.ts";
import { decodeShape } from "../kernels/testing.ts";
import { type BufferRange, createStorage, writeStorage } from "./buffers.ts";
import type { Gpu } from "./device.ts";
import { withGpu } from "./testing.ts";
import { readResults, runOnce } from "./execute.ts";
import { guarded } from "./guard.ts";
import { bytesOf } from "./inputs_buffers.ts";
import { prepare } from "./plan.ts";

const SUM = `
struct Params { factor: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> lengths: array<u32>;
@group(0) @binding(2) var<storage, read_write> sums: array<u32>;
@compute @workgroup_size(1) fn main(@builtin(workgroup_id) id: vec3<u32>) {
  var sum = 0u;
  for (var i = 1u; i <= lengths[id.x]; i++) { sum += i; }
  sums[id.x] = P.factor * sum;
}`;

/** `factor · (1 + … + lengths[i])`, one workgroup an item. */
function sums(lengths: number[], factor: number, shader = SUM): Launch {
  const bytes = 4 * lengths.length;
  return {
    buffers: [
      { name: "lengths", bytes, role: "plan", contents: Uint32Array.from(lengths) },
      { name: "sums", bytes, role: "output" },
    ],
    dispatches: [{
      label: "sum",
      shader,
      params: [["factor", "u32", factor]],
      bindings: ["lengths", "sums"],
      workgroups: [lengths.length, 1, 1],
      workgroupSize: 1,
      workgroupBytes: 0,
    }],
    chosen: {},
  };
}

function words(results: ReadonlyMap<string, Uint8Array>, name: string): number[] {
  return [...new Uint32Array(results.get(name)!.slice().buffer)];
}

/** Counts what a device creates and maps. */
function countCalls({ device }: Gpu) {
  const counts = { createBuffer: 0, createComputePipeline: 0, createShaderModule: 0, createBindGroup: 0, mapAsync: 0 };
  const restore: (() => void)[] = [];
  const count = (owner: object, name: keyof typeof counts) => {
    const target = owner as Record<string, (...args: unknown[]) => unknown>;
    const original = target[name];
    const isOwn = Object.hasOwn(target, name);
    target[name] = function (...args) {
      counts[name]++;
      return original.apply(this, args);
    };
    restore.push(() => {
      if (isOwn) target[name] = original;
      else delete target[name];
    });
  };
  for (const name of ["createBuffer", "createComputePipeline", "createShaderModule", "createBindGroup"] as const) {
    count(device, name);
  }
  const original = GPUBuffer.prototype.mapAsync;
  GPUBuffer.prototype.mapAsync = function (...args) {
    counts.mapAsync++;
    return original.apply(this, args);
  };
  restore.push(() => GPUBuffer.prototype.mapAsync = original);
  return { counts, restore: () => restore.forEach((undo) => undo()) };
}

Deno.test("a plan is brought to other lengths without creating, compiling or mapping anything", () =>
  withGpu(async (gpu) => {
    const prepared = await prepare(gpu, sums([100, 100, 100, 100, 100], 1), new Map());
    const bound = await guarded(gpu, "run", () => prepared.bind());
    const { counts, restore } = countCalls(gpu);
    const batches: [number[], number][] = [[[1, 2, 3], 2], [[4], 3], [[5, 0, 6, 7, 8], 1]];
    const copies: BufferRange[] = batches.map(() => createStorage(gpu, "copy", 20));
    assertEquals(counts.createBuffer, 3, "the count must see a buffer");
    counts.createBuffer = 0;
    try {
      for (const [i, [lengths, factor]] of batches.entries()) {
        prepared.update(sums(lengths, factor));
        const encoder = gpu.device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        bound.encode(pass);
        pass.end();
        const { buffer, offset } = prepared.buffers.get("sums")!;
        encoder.copyBufferToBuffer(buffer, offset, copies[i].buffer, 0, 4 * lengths.length);
        gpu.device.queue.submit([encoder.finish()]);
      }
      assertEquals(counts, {
        createBuffer: 0,
        createComputePipeline: 0,
        createShaderModule: 0,
        createBindGroup: 0,
        mapAsync: 0,
      });
    } finally {
      restore();
    }
    for (const [i, [lengths, factor]] of batches.entries()) {
      const read = await readResults(gpu, {
        ...prepared,
        launch: { ...prepared.launch, buffers: [{ name: "sums", bytes: 4 * lengths.length, role: "output" }] },
        buffers: new Map([["sums", copies[i]]]),
      });
      assertEquals(words(read, "sums"), lengths.map((n) => factor * n * (n + 1) / 2));
    }
  }));

Deno.test("a plan refuses another shader, another buffer and a larger one, and stays as it was", () =>
  withGpu(async (gpu) => {
    const planned = sums([3, 4], 1);
    const prepared = await prepare(gpu, planned, new Map());
    const other = sums([3], 1, SUM.replace("sum += i", "sum += 2u * i"));
    assertThrows(() => prepared.update(other), RangeError, 'dispatch "sum" has another shader');
    assertThrows(
      () => prepared.update(sums([1, 2, 3, 4, 5, 6, 7, 8, 9], 1)),
      RangeError,
      'Cannot update the plan: buffer "lengths" needs 36 bytes, planned are 32',
    );
    const renamed = { ...planned, buffers: [...planned.buffers, { name: "more", bytes: 4, role: "scratch" as const }] };
    assertThrows(() => prepared.update(renamed), RangeError, 'buffer "more" was not planned');
    assertEquals(prepared.launch, planned);
    assertEquals(words(await runOnce(gpu, prepared), "sums"), [6, 10]);
  }));

Deno.test("a plan has room for the launches that it was told of, and for no dispatch at all", () =>
  withGpu(async (gpu) => {
    const long = sums([1, 2, 3, 4, 5, 6], 1);
    const prepared = await prepare(gpu, sums([9], 1), new Map(), { also: [long] });
    prepared.update(long);
    assertEquals(words(await runOnce(gpu, prepared), "sums"), [1, 3, 6, 10, 15, 21]);
    prepared.update({ ...long, dispatches: [] });
    assert(words(await runOnce(gpu, prepared), "sums").every((word) => word === 0x7fc0_7e01));
    prepared.update(sums([2, 2], 5));
    assertEquals(words(await runOnce(gpu, prepared), "sums"), [15, 15]);
  }));

function buffersOf(inputs: AttendInputs): [string, Uint8Array][] {
  return [
    ["q_latent", bytesOf(inputs.qLatent)],
    ["q_pe", bytesOf(inputs.qPe)],
    ["cache", inputs.cache],
    ["page_table", bytesOf(inputs.pageTable)],
    ["kv_len", bytesOf(inputs.kvLen)],
    ["cu_seqlen", bytesOf(inputs.cuSeqlen)],
  ];
}

Deno.test("a plan of attend for the longest batch serves three others, and each is right", () =>
  withGpu(async (gpu) => {
    const batches = [[200, 130, 64], [1, 0, 33], [64, 65, 63], [17, 150, 2]].map((kv) =>
      makeAttendInputs(decodeShape({ H: 5, R: 32, Dr: 16, kv, page: 16 }), "normal", 3)
    );
    const launches = batches.map((inputs) => attendFused.launch(inputs.shape, inputs, { splits: 2 }, gpu.traits));
    const contents = batches.map(buffersOf);
    const ranges = new Map(contents[0].map(([name], i) => {
      const bytes = Math.max(...contents.map((each) => each[i][1].byteLength));
      return [name, createStorage(gpu, name, bytes)];
    }));
    const prepared = await prepare(gpu, launches[0], ranges, { also: launches });
    for (const [i, inputs] of batches.entries()) {
      for (const [name, data] of contents[i]) writeStorage(gpu, ranges.get(name)!, data);
      assertEquals(prepared.misfit(launches[i]), undefined);
      prepared.update(launches[i]);
      const results = await runOnce(gpu, prepared);
      const floats = (name: string) => new Float32Array(results.get(name)!.slice().buffer);
      const checks = checkAttend(inputs, attendAbsorbed(inputs), { out: floats("out"), lse: floats("lse") });
      for (const check of checks) assert(check.passed, `${inputs.shape.kv}: ${check.name} ${check.message}`);
    }
  }));

Deno.test("a plan told of a short and a long step serves every step between, split or not", () =>
  withGpu(async (gpu) => {
    const steps = [20, 600, 300, 100, 599].map((tokens) =>
      makeAttendInputs(decodeShape({ H: 3, R: 32, Dr: 16, kv: [tokens, 40], page: 16 }), "normal", 5)
    );
    // Few slots are filled by so few heads: long sequences are split, short ones are not.
    const launches = steps.map((inputs) => attendFused.launch(inputs.shape, inputs, {}, gpu.traits));
    assertEquals(launches.slice(0, 2).map(({ dispatches }) => dispatches.map(({ label }) => label)), [
      ["attend"],
      ["attend", "attend_split", "merge"],
    ]);
    const contents = steps.map(buffersOf);
    const ranges = new Map(
      contents[1].map(([name, data]) => [name, createStorage(gpu, name, data.byteLength)] as const),
    );
    const prepared = await prepare(gpu, launches[0], ranges, { also: [launches[1]] });
    for (const [i, inputs] of steps.entries()) {
      for (const [name, data] of contents[i]) writeStorage(gpu, ranges.get(name)!, data);
      prepared.update(launches[i]);
      const results = await runOnce(gpu, prepared);
      const floats = (name: string) => new Float32Array(results.get(name)!.slice().buffer);
      const checks = checkAttend(inputs, attendAbsorbed(inputs), { out: floats("out"), lse: floats("lse") });
      for (const check of checks) assert(check.passed, `${inputs.shape.kv}: ${check.name} ${check.message}`);
    }
  }));
