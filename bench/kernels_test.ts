import { assert, assertEquals } from "@std/assert";
import { checkAttend, checkCache } from "../reference/acceptance.ts";
import { appendReference } from "../reference/cache.ts";
import type { Check } from "../reference/check.ts";
import { type AppendInputs, type AttendInputs, makeAppendInputs, makeAttendInputs } from "../reference/inputs.ts";
import { attendAbsorbed } from "../reference/mla.ts";
import { type AppendShape, type AttendShape, INPUT_KINDS } from "../reference/shapes.ts";
import { appendCombined } from "../kernels/append_combined.ts";
import { attendFusedSubgroup } from "../kernels/attend_fused_subgroup.ts";
import { type AttendKernel, kernelName, type Launch, type Tuning } from "../kernels/kernel.ts";
import { checkLimits } from "../kernels/limits.ts";
import { KERNELS } from "../kernels/registry.ts";
import { appendShape, decodeShape } from "../kernels/testing.ts";
import { type Gpu, openGpu } from "./device.ts";
import { uploadStorage } from "./buffers.ts";
import { prepare, runOnce } from "./execute.ts";

const ATTEND = KERNELS.filter((kernel): kernel is AttendKernel => kernel.operation === "attend");

/** Awkward shapes. Few distinct R, Dr, dtype and block of heads: each costs a compilation, a second on a CPU. */
const ATTEND_CASES: readonly [what: string, shape: AttendShape, tuning: Tuning][] = [
  ["ends of pages and tiles", decodeShape({ kv: [0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65], page: 64 }), {}],
  ["pages of one token", decodeShape({ kv: [5, 33], page: 1 }), {}],
  ["pages of 3 tokens in 4 splits", decodeShape({ kv: [0, 1, 31, 32, 33, 100], page: 3 }), { splits: 4 }],
  ["pages of 61 tokens in 7 splits", decodeShape({ kv: [60, 61, 62, 200], page: 61 }), { splits: 7 }],
  ["more splits than tokens", decodeShape({ kv: [0, 1, 3], page: 16 }), { splits: 9 }],
  ["splits of the kernel's choice", decodeShape({ kv: [1100], H: 9, page: 32 }), {}],
  ["3 heads, rank 512", decodeShape({ H: 3, R: 512, kv: [9, 70], page: 16 }), {}],
  ["63 heads, rank 512, bf16", decodeShape({ H: 63, R: 512, kv: [70, 2], page: 16, cache: "bf16" }), { splits: 2 }],
  ["63 heads, rank 256", decodeShape({ H: 63, kv: [70, 2], page: 16 }), { splits: 2 }],
  ["rank 128 without rope, f32", decodeShape({ H: 128, R: 128, Dr: 0, kv: [37], page: 4, cache: "f32" }), {}],
  ["rank 512, f32", decodeShape({ R: 512, kv: [37, 0], page: 4, cache: "f32" }), {}],
  ["rank 16", decodeShape({ H: 1, R: 16, Dr: 16, kv: [20], page: 2 }), {}],
  ["rank 48", decodeShape({ H: 17, R: 48, Dr: 32, kv: [20], page: 2, cache: "f32" }), { splits: 2 }],
  ["rank 1024", decodeShape({ H: 9, R: 1024, kv: [20], page: 16 }), {}],
];

const APPEND_CASES: readonly [what: string, shape: AppendShape][] = [
  ["empty sequences on every side", appendShape({ q: [0, 4, 0, 0, 7, 0], kv: [0, 9, 2, 0, 7, 1], page: 3 })],
  ["pages of one token", appendShape({ q: [3, 5], kv: [3, 9], page: 1, cache: "bf16" })],
  ["tokens across three pages", appendShape({ q: [70, 1], kv: [100, 65], page: 32, R: 512 })],
  ["no tokens", appendShape({ q: [0, 0], kv: [5, 0] })],
  ["no rope, f32", appendShape({ q: [5], kv: [66], R: 48, Dr: 0, page: 64, cache: "f32" })],
];

async function withGpu(work: (gpu: Gpu) => Promise<void>) {
  const gpu = await openGpu();
  try {
    await work(gpu);
  } finally {
    gpu.close();
  }
}

/** Runs `launch` on `inputs` and returns its results, and whether two runs agree bit by bit. */
async function run(gpu: Gpu, launch: Launch, inputs: Record<string, ArrayBufferView>) {
  assertEquals(checkLimits(launch, gpu.traits), undefined);
  const ranges = new Map(
    Object.entries(inputs).map(([name, { buffer, byteOffset, byteLength }]) => [
      name,
      uploadStorage(gpu, name, new Uint8Array(buffer, byteOffset, byteLength)),
    ]),
  );
  const prepared = await prepare(gpu, launch, ranges);
  try {
    return [await runOnce(gpu, prepared), await runOnce(gpu, prepared)];
  } finally {
    prepared.destroy();
    for (const { buffer } of ranges.values()) buffer.destroy();
  }
}

/** Runs a kernel that was told `told` of the lengths, on the inputs themselves. */
async function attend(gpu: Gpu, kernel: AttendKernel, inputs: AttendInputs, tuning: Tuning, told = inputs.shape) {
  const launch = kernel.launch(told, inputs, tuning, gpu.traits);
  const [first, second] = await run(gpu, launch, {
    q_latent: inputs.qLatent,
    q_pe: inputs.qPe,
    cache: inputs.cache,
    page_table: inputs.pageTable,
    kv_len: inputs.kvLen,
  });
  assertEquals(first, second, "two runs differ");
  return { out: floats(first.get("out")!), lse: floats(first.get("lse")!) };
}

function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.slice().buffer);
}

function assertPassed(checks: readonly Check[], what: string) {
  for (const check of checks) {
    assert(check.passed, `${what}: ${check.name} ${check.message} ${JSON.stringify(check.worst)}`);
  }
}

for (const kernel of ATTEND) {
  Deno.test(`${kernelName(kernel)} is right on awkward shapes`, () =>
    withGpu(async (gpu) => {
      let ran = 0;
      for (const [what, shape, tuning] of ATTEND_CASES) {
        if (kernel.refuses(shape, tuning, gpu.traits) !== undefined) continue;
        const inputs = makeAttendInputs(shape, "normal", 1);
        assertPassed(checkAttend(inputs, attendAbsorbed(inputs), await attend(gpu, kernel, inputs, tuning)), what);
        ran++;
      }
      const usable = kernel.refuses(decodeShape(), {}, gpu.traits) === undefined;
      assert(!usable || ran === ATTEND_CASES.length, `only ${ran} of ${ATTEND_CASES.length} shapes ran`);
    }));

  Deno.test(`${kernelName(kernel)} is right on every kind of input`, () =>
    withGpu(async (gpu) => {
      const shape = decodeShape({ kv: [65, 130], page: 16 });
      if (kernel.refuses(shape, {}, gpu.traits) !== undefined) return;
      for (const kind of INPUT_KINDS) {
        const inputs = makeAttendInputs(shape, kind, 2);
        const reference = attendAbsorbed(inputs);
        for (const splits of [1, 3]) {
          const actual = await attend(gpu, kernel, inputs, { splits });
          assertPassed(checkAttend(inputs, reference, actual), `${kind}, ${splits} splits`);
        }
      }
    }));

  Deno.test(`${kernelName(kernel)} folds its workgroups over two dimensions`, () =>
    withGpu(async (gpu) => {
      const inputs = makeAttendInputs(decodeShape({ kv: [20, 0, 33], page: 16, H: 40 }), "normal", 3);
      if (kernel.refuses(inputs.shape, {}, gpu.traits) !== undefined) return;
      const tuning = { splits: 3 };
      const flat = kernel.launch(inputs.shape, inputs, tuning, gpu.traits);
      const most = Math.max(...flat.dispatches.map(({ workgroups }) => workgroups[0]));
      const limits = { ...gpu.traits.limits, maxComputeWorkgroupsPerDimension: Math.ceil(Math.sqrt(most)) };
      const small = { ...gpu, traits: { ...gpu.traits, limits } };
      const { dispatches } = kernel.launch(inputs.shape, inputs, tuning, small.traits);
      assert(dispatches.some(({ workgroups }) => workgroups[1] > 1));
      assertPassed(checkAttend(inputs, attendAbsorbed(inputs), await attend(small, kernel, inputs, tuning)), "folded");
    }));

  Deno.test(`${kernelName(kernel)} goes by the device's lengths, up to the longest that it was told`, () =>
    withGpu(async (gpu) => {
      const told = decodeShape({ H: 3, R: 32, Dr: 16, kv: [40, 24], page: 4 });
      if (kernel.refuses(told, {}, gpu.traits) !== undefined) return;
      const inputs = makeAttendInputs(told, "normal", 4);
      for (
        const [device, counted] of [[33, 33], [1, 1], [0, 0], [-1, 0], [-(2 ** 31), 0], [41, 40], [2 ** 31 - 1, 40]]
      ) {
        const kv = [counted, 24];
        const reference = attendAbsorbed({ ...inputs, shape: { ...told, kv } });
        for (const splits of [1, 3]) {
          const own = { ...inputs, kvLen: Int32Array.of(device, 24) };
          const actual = await attend(gpu, kernel, own, { splits });
          assertPassed(checkAttend({ ...inputs, shape: { ...told, kv } }, reference, actual), `kv_len ${device}`);
        }
      }
      // The sequence has 40 tokens, the launch was told of 24 at most.
      const kv = [24, 24];
      const short = { ...inputs, shape: { ...told, kv } };
      const actual = await attend(gpu, kernel, inputs, {}, short.shape);
      assertPassed(checkAttend(short, attendAbsorbed(short), actual), "longer than told");
    }));

  Deno.test(`${kernelName(kernel)} is right where table and page together hold 2³² tokens`, () =>
    withGpu(async (gpu) => {
      const inputs = makeAttendInputs(decodeShape({ H: 1, R: 16, Dr: 0, kv: [5], page: 65536 }), "normal", 5);
      if (kernel.refuses(inputs.shape, {}, gpu.traits) !== undefined) return;
      const pageTable = new Int32Array(65536).fill(-1);
      pageTable[0] = inputs.pageTable[0];
      const wide = { ...inputs, pageTable, tableWidth: pageTable.length };
      assertPassed(checkAttend(wide, attendAbsorbed(wide), await attend(gpu, kernel, wide, {})), "wide table");
    }));

  Deno.test(`${kernelName(kernel)} answers a NaN with a NaN, not with an empty row`, () =>
    withGpu(async (gpu) => {
      const inputs = makeAttendInputs(decodeShape({ H: 2, R: 16, Dr: 0, kv: [40], page: 4 }), "normal", 6);
      if (kernel.refuses(inputs.shape, {}, gpu.traits) !== undefined) return;
      // WGSL lets an implementation assume that there is no NaN, and SwiftShader does; llvmpipe keeps them.
      if (!gpu.adapter.description.includes("llvmpipe")) return;
      inputs.qLatent[16] = NaN;
      for (const splits of [1, 2]) {
        const { out, lse } = await attend(gpu, kernel, inputs, { splits });
        assertEquals([Number.isFinite(lse[0]), lse[1]], [true, NaN]);
        assertEquals([Number.isFinite(out[0]), out[16]], [true, NaN]);
      }
    }));

  Deno.test(`${kernelName(kernel)} stays below the loop iterations after which the driver would leave its loops`, () =>
    withGpu(async (gpu) => {
      const long = decodeShape({ H: 1, R: 16, Dr: 16, kv: [120000], cache: "f32" });
      const most = gpu.traits.maxLoopIterations;
      if (most === undefined || kernel.refuses(long, {}, gpu.traits) !== undefined) return;
      const inputs = makeAttendInputs(long, "normal", 7);
      const launch = (splits?: number) => kernel.launch(long, inputs, { splits }, gpu.traits);
      // As few splits as pass the check, and the kernel's choice.
      let splits = 1;
      while (checkLimits(launch(splits), gpu.traits) !== undefined) splits++;
      const reference = attendAbsorbed(inputs);
      for (const tuning of [{ splits }, {}]) {
        assertPassed(checkAttend(inputs, reference, await attend(gpu, kernel, inputs, tuning)), JSON.stringify(tuning));
      }
    }));
}

Deno.test("attend/fused_subgroup is right where subgroups may be too small for neighbours to share tokens", () =>
  withGpu(async (gpu) => {
    if (attendFusedSubgroup.refuses(decodeShape(), {}, gpu.traits) !== undefined) return;
    // A driver that says 4 to 8 lanes: the kernel must not rely on more than 4, whatever it gets.
    const small = { ...gpu, traits: { ...gpu.traits, subgroupMinSize: 4 } };
    for (
      const shape of [decodeShape({ kv: [0, 9, 70], page: 16 }), decodeShape({ H: 3, R: 512, kv: [70], page: 16 })]
    ) {
      const { dispatches } = attendFusedSubgroup.launch(shape, { pages: 9, tableWidth: 9 }, {}, small.traits);
      assert(dispatches[0].shader.includes("const LANE = 1u;"));
      const inputs = makeAttendInputs(shape, "normal", 8);
      const actual = await attend(small, attendFusedSubgroup, inputs, { splits: 2 });
      assertPassed(checkAttend(inputs, attendAbsorbed(inputs), actual), `H=${shape.H}`);
    }
  }));

async function append(gpu: Gpu, inputs: AppendInputs): Promise<Uint8Array> {
  const layout = { pages: inputs.pages, tableWidth: inputs.cacheLoc.length };
  const [written] = await run(gpu, appendCombined.launch(inputs.shape, layout, {}, gpu.traits), {
    compressed_kv: inputs.compressedKv,
    kpe: inputs.kpe,
    cu_seqlen: inputs.cuSeqlen,
    cu_num_pages: inputs.cuNumPages,
    cache_loc: inputs.cacheLoc,
    input_pos: inputs.inputPos,
    cache: inputs.cache,
  });
  return written.get("cache")!;
}

Deno.test("append/combined writes exactly the bytes of the reference, and no other", () =>
  withGpu(async (gpu) => {
    for (const [what, shape] of APPEND_CASES) {
      const inputs = makeAppendInputs(shape, 1);
      assertPassed([checkCache(inputs, appendReference(inputs), await append(gpu, inputs))], what);
    }
  }));

Deno.test("append/combined folds its workgroups over two dimensions", () =>
  withGpu(async (gpu) => {
    const inputs = makeAppendInputs(appendShape({ q: [70, 1], kv: [100, 65], page: 32 }), 2);
    const limits = { ...gpu.traits.limits, maxComputeWorkgroupsPerDimension: 9 };
    const small = { ...gpu, traits: { ...gpu.traits, limits } };
    const layout = { pages: inputs.pages, tableWidth: inputs.cacheLoc.length };
    const [{ workgroups: [x, y] }] = appendCombined.launch(inputs.shape, layout, {}, small.traits).dispatches;
    assert(x > 1 && y > 1, `${x} × ${y}`);
    assertPassed([checkCache(inputs, appendReference(inputs), await append(small, inputs))], "folded");
  }));

/** Where the second of two sequences of a page each appends two tokens from `position` on: the slots of its page. */
const POSITIONS: readonly [page: number, position: number, offsets: readonly number[]][] = [
  [2, 0, [0, 1]],
  [2, 1, [1]],
  [2, -1, [0]],
  [2, -2, []],
  [2, 2, []],
  [2, 2 ** 31 - 1, []],
  [1, 0, [0]],
  [1, -1, [0]],
  [1, -2, []],
];

Deno.test("append/combined leaves the pages of other sequences alone, whatever the positions", () =>
  withGpu(async (gpu) => {
    for (const [page, position, offsets] of POSITIONS) {
      const shape = appendShape({ q: [0, 2], kv: [page, 2], page, R: 16, Dr: 0, cache: "f32" });
      const made = makeAppendInputs(shape, 3);
      const inputs = { ...made, cuNumPages: Int32Array.of(0, 1, 2), inputPos: Int32Array.of(0, position) };
      const slotBytes = 4 * shape.R;
      const written = await append(gpu, inputs);
      const changed = Array.from({ length: inputs.pages * page }, (_, slot) => slot).filter((slot) => {
        const at = slot * slotBytes;
        return written.subarray(at, at + slotBytes).some((byte, i) => byte !== inputs.cache[at + i]);
      });
      const own = inputs.cacheLoc[1];
      assertEquals(changed, offsets.map((offset) => own * page + offset), `page ${page}, position ${position}`);
    }
  }));

Deno.test("the driver stops a loop where the traits say, and nowhere else", () =>
  withGpu(async (gpu) => {
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
    const [result] = await run(gpu, count, {});
    const [counted] = new Uint32Array(result.get("n")!.slice().buffer);
    assertEquals(counted, Math.min(wanted, gpu.traits.maxLoopIterations ?? Infinity));
  }));
