import { assert, assertEquals, assertThrows } from "@std/assert";
import { type AttendActual, checkProjected, naturalLse } from "../reference/acceptance.ts";
import { makePrefillInputs, type PrefillInputs } from "../reference/model_inputs.ts";
import { attendProjected } from "../reference/projected.ts";
import { type PrefillShape, PROJECTED_KINDS, total } from "../reference/shapes.ts";
import type { Limits } from "../kernels/kernel.ts";
import { checkLimits } from "../kernels/limits.ts";
import { lseName } from "../kernels/attend.ts";
import { deviceTraits } from "../kernels/testing.ts";
import { prefillFused } from "../kernels/prefill_fused.ts";
import { uploadStorage } from "./buffers.ts";
import type { Gpu } from "./device.ts";
import { withGpu } from "./testing.ts";
import { prepare, runOnce } from "./execute.ts";
import { bytesOf, cacheBuffers, floats } from "./inputs_buffers.ts";

/**
 * A prefill of 2 heads, R 32, Dr 16, Dn 16, Dv 24, pages of 16; `values` replace what they name, kv is q unless given.
 */
function prefillShape(values: Partial<PrefillShape> & { readonly q: readonly number[] }): PrefillShape {
  const shape = { R: 32, Dr: 16, Dn: 16, Dv: 24, H: 2, ...values };
  return {
    B: shape.q.length,
    page: 16,
    cache: "f16",
    weight: "f16",
    kv: shape.q,
    scale: 1 / Math.sqrt(shape.Dn + shape.Dr),
    causal: true,
    padding: 0,
    ...shape,
  };
}

const DEEPSEEK = { R: 512, Dr: 64, Dn: 128, Dv: 128 } as const;
const GLM = { R: 512, Dr: 64, Dn: 192, Dv: 256 } as const;
const MISTRAL = { R: 256, Dr: 64, Dn: 64, Dv: 128 } as const;

const CASES: readonly [what: string, shape: PrefillShape][] = [
  ["a single token", prefillShape({ q: [1] })],
  ["5 tokens, one head, pages of one token", prefillShape({ q: [5], H: 1, page: 1 })],
  ["33 tokens, pages of 3", prefillShape({ q: [33], page: 3 })],
  ["130 and 257 tokens, more than a block of rows and than four tiles", prefillShape({ q: [130, 257], page: 61 })],
  ["empty sequences on every side", prefillShape({ q: [0, 7, 0, 0, 33, 1, 0], kv: [3, 7, 0, 5, 33, 1, 0], page: 3 })],
  ["no query at all", prefillShape({ q: [0, 0], kv: [4, 0] })],
  ["queries of sequences without a token", prefillShape({ q: [3, 2], kv: [0, 5] })],
  ["nothing cached at all", prefillShape({ q: [3, 70], kv: [0, 0], padding: 2 })],
  ["padding alone", prefillShape({ q: [0], padding: 3 })],
  ["padding of two blocks", prefillShape({ q: [9, 2], padding: 131 })],
  ["more queries than tokens", prefillShape({ q: [40, 200], kv: [5, 150] })],
  ["cached tokens before the queries", prefillShape({ q: [5, 70, 1], kv: [133, 90, 64], page: 61 })],
  ["not causal", prefillShape({ q: [5, 70], kv: [133, 70], causal: false })],
  ["base 2, scale of its own", prefillShape({ q: [9, 70], lseBase: "2", scale: 0.3 })],
  ["negative scale", prefillShape({ q: [9], scale: -0.2 })],
  ["separate layout", prefillShape({ q: [33, 5], layout: "separate", page: 3 })],
  ["separate layout without rope", prefillShape({ q: [33], layout: "separate", Dr: 0 })],
  ["no rope, rank 16", prefillShape({ q: [20], R: 16, Dr: 0, Dn: 8, Dv: 8 })],
  ["rope of 32, bf16 cache, f32 weight", prefillShape({ q: [70], Dr: 32, cache: "bf16", weight: "f32" })],
  ["f32 cache, bf16 weight", prefillShape({ q: [70], cache: "f32", weight: "bf16" })],
  ["bf16 cache, f16 weight, separate", prefillShape({ q: [9], cache: "bf16", layout: "separate" })],
  ["DeepSeek", prefillShape({ q: [70, 1], H: 3, padding: 1, cache: "bf16", weight: "bf16", ...DEEPSEEK })],
  ["GLM", prefillShape({ q: [33, 140], H: 1, padding: 1, ...GLM })],
  ["Mistral Small 4", prefillShape({ q: [70, 5], H: 3, padding: 1, ...MISTRAL })],
  ["values of 72, keys of 72 + 64", prefillShape({ q: [70], H: 1, Dn: 72, Dr: 64, Dv: 72 })],
  ["values of 136, keys of 136", prefillShape({ q: [150], H: 1, Dn: 136, Dr: 0, Dv: 136 })],
  ["keys of 256 + 64", prefillShape({ q: [20], Dn: 256, Dr: 64, Dv: 8 })],
];

/** Runs on `gpu` what is launched for `traits`. */
async function prefill(gpu: Gpu, inputs: PrefillInputs, traits = gpu.traits): Promise<AttendActual> {
  const { shape } = inputs;
  const launch = prefillFused.launch(shape, inputs, {}, traits);
  assertEquals(checkLimits(launch, gpu.traits), undefined);
  const arrays: [string, Uint8Array][] = [
    ["q_nope", bytesOf(inputs.qNope)],
    ["q_pe", bytesOf(inputs.qPe)],
    ["kv_b_proj", inputs.kvB],
    ["page_table", bytesOf(inputs.pageTable)],
    ...cacheBuffers(inputs.cache, shape),
  ];
  const ranges = new Map(arrays.map(([name, data]) => [name, uploadStorage(gpu, name, data)]));
  const prepared = await prepare(gpu, launch, ranges);
  try {
    const first = await runOnce(gpu, prepared);
    assertEquals(first, await runOnce(gpu, prepared), "two runs differ");
    const rows = total(shape.q) * shape.H;
    // Buffers of an empty tensor hold 16 bytes all the same.
    const out = floats(first, "out").subarray(0, (rows + shape.padding * shape.H) * shape.Dv);
    const lse = floats(first, lseName(shape)).subarray(0, rows);
    return { out, lse: shape.lseBase === "2" ? naturalLse(lse) : lse };
  } finally {
    prepared.destroy();
    for (const { buffer } of ranges.values()) buffer.destroy();
  }
}

function assertRight(inputs: PrefillInputs, actual: AttendActual, what: string) {
  const nothing = inputs.shape.lseBase === "2" ? -Infinity : Math.fround(-1e30);
  actual.lse.forEach((lse) => assert(!(lse < -1e29) || lse === nothing, `${what}: lse ${lse}`));
  for (const check of checkProjected(inputs, attendProjected(inputs), actual)) {
    assert(check.passed, `${what}: ${check.name} ${check.message} ${JSON.stringify(check.worst)}`);
  }
}

function limited(gpu: Gpu, limits: Partial<Limits>): Gpu {
  return { ...gpu, traits: { ...gpu.traits, limits: { ...gpu.traits.limits, ...limits } } };
}

for (const [what, shape] of CASES) {
  Deno.test(`prefill/fused is right: ${what}`, () =>
    withGpu(async (gpu) => {
      const inputs = makePrefillInputs(shape, "normal", 1);
      assertRight(inputs, await prefill(gpu, inputs), what);
    }));
}

Deno.test("prefill/fused keeps a NaN from the queries that do not see its token", () =>
  withGpu(async (gpu) => {
    const shape = prefillShape({ q: [70], H: 2, cache: "f32", page: 70 });
    const clean = makePrefillInputs(shape, "normal", 5);
    const width = shape.R + shape.Dr;
    const cache = new Float32Array(clean.cache.slice().buffer);
    const at = (clean.pageTable[0] * shape.page + 40) * width;
    cache.fill(NaN, at, at + width); // token 40, which queries 40 to 69 see
    const expected = await prefill(gpu, clean);
    const { out, lse } = await prefill(gpu, { ...clean, cache: new Uint8Array(cache.buffer) });
    const before = 40 * shape.H;
    assertEquals(lse.subarray(0, before), expected.lse.subarray(0, before));
    assertEquals(out.subarray(0, before * shape.Dv), expected.out.subarray(0, before * shape.Dv));
    // WGSL lets an implementation assume that there is no NaN; llvmpipe keeps them.
    if (!gpu.adapter.description.includes("llvmpipe")) return;
    assert(out.subarray(before * shape.Dv).every(Number.isNaN), "the queries that see it");
    // A weight that is NaN shows in every query of its head: here that of the last element of the last value.
    const weights = makePrefillInputs({ ...shape, weight: "f32" }, "normal", 5);
    const kvB = new Float32Array(weights.kvB.slice().buffer);
    kvB.fill(NaN, kvB.length - 1);
    const shown = await prefill(gpu, { ...weights, kvB: new Uint8Array(kvB.buffer) });
    const rows = Array.from({ length: 70 }, (_, query) => shown.out[(query * shape.H + shape.H) * shape.Dv - 1]);
    assert(rows.every(Number.isNaN), "a weight that is NaN");
  }));

Deno.test("prefill/fused is right on every kind of input, and where the maximum moves in every tile", () =>
  withGpu(async (gpu) => {
    for (const kind of PROJECTED_KINDS) {
      const inputs = makePrefillInputs(prefillShape({ q: [150, 70, 0], kv: [150, 90, 9] }), kind, 2);
      assertRight(inputs, await prefill(gpu, inputs), kind);
    }
    const growing = makePrefillInputs(prefillShape({ q: [200], cache: "f32", page: 200 }), "normal", 2);
    const cache = new Float32Array(growing.cache.buffer, growing.cache.byteOffset, growing.cache.byteLength / 4);
    for (let i = 0; i < cache.length; i++) cache[i] *= Math.floor(i / 48) % 200 / 4;
    const answer = await prefill(gpu, growing);
    assert(answer.lse.some((lse) => lse > 150));
    assertRight(growing, answer, "growing");
  }));

Deno.test("prefill/fused folds its workgroups over two dimensions", () =>
  withGpu(async (gpu) => {
    const inputs = makePrefillInputs(prefillShape({ q: [300, 5, 200], H: 3, Dn: 64, Dv: 64 }), "normal", 3);
    const small = limited(gpu, { maxComputeWorkgroupsPerDimension: 5 });
    const { dispatches } = prefillFused.launch(inputs.shape, inputs, {}, small.traits);
    for (const { label, workgroups } of dispatches) assert(workgroups[1] > 1, label);
    assertRight(inputs, await prefill(small, inputs), "folded");
  }));

Deno.test("prefill/fused does its heads in rounds where a buffer cannot hold them all", () =>
  withGpu(async (gpu) => {
    const inputs = makePrefillInputs(prefillShape({ q: [90, 33], H: 7, padding: 2 }), "normal", 4);
    // Queries: 128 places (92 and 36) of 32 floats a head, of which three are room for.
    const small = limited(gpu, { maxStorageBufferBindingSize: 3 * 128 * 32 * 4 + 200 });
    const launch = prefillFused.launch(inputs.shape, inputs, {}, small.traits);
    assertEquals([launch.chosen.heads, launch.chosen.rounds], [3, 3]);
    assertEquals(launch.dispatches.length, 9);
    const scratch = launch.buffers.filter(({ role }) => role === "scratch");
    for (const { name, bytes } of scratch) assert(bytes <= small.traits.limits.maxStorageBufferBindingSize, name);
    const whole = await prefill(gpu, inputs);
    const rounds = await prefill(gpu, inputs, small.traits);
    assertEquals(rounds.out, whole.out);
    assertEquals(rounds.lse, whole.lse);
    assertRight(inputs, rounds, "rounds");
  }));

Deno.test("prefill/fused reads no page outside the cache", () =>
  withGpu(async (gpu) => {
    // An entry that is used but leads nowhere counts as latents of zero. Behind the cache lies a page of NaN.
    const made = makePrefillInputs(prefillShape({ q: [5, 20], page: 4, cache: "f32" }), "normal", 5);
    const cache = new Uint8Array(made.cache.length + 4 * 4 * 48).fill(0xff);
    cache.set(made.cache);
    const inputs = { ...made, cache };
    const intact = await prefill(gpu, inputs);
    for (const entry of [-1, 2147480000, inputs.pages]) {
      const pageTable = inputs.pageTable.slice();
      pageTable[inputs.tableWidth + 1] = entry;
      const { out } = await prefill(gpu, { ...inputs, pageTable });
      assert(out.every(Number.isFinite), `entry ${entry}`);
      assertEquals(out.subarray(0, 5 * 48), intact.out.subarray(0, 5 * 48), "the other sequence");
    }
  }));

Deno.test("prefill/fused keeps what is no number within its sequence", () =>
  withGpu(async (gpu) => {
    // WGSL lets an implementation assume that there is no NaN; llvmpipe keeps them.
    if (!gpu.adapter.description.includes("llvmpipe")) return;
    const shape = prefillShape({ q: [5, 4, 20], kv: [5, 3, 20], page: 4, Dn: 8, cache: "f32" });
    const inputs = makePrefillInputs(shape, "normal", 7);
    const intact = await prefill(gpu, inputs);
    const page = 4 * (32 + 16);
    const first = page * inputs.pageTable[inputs.tableWidth];
    new Float32Array(inputs.cache.buffer).fill(NaN, first, first + page);
    inputs.qNope.fill(NaN, 5 * 2 * 8, 9 * 2 * 8);
    const { out, lse } = await prefill(gpu, inputs);
    // The first query of that sequence sees no token: it stays as it is.
    const [begin, end] = [6 * 2, 9 * 2];
    assert(out.subarray(begin * 24, end * 24).every(Number.isNaN) && lse.subarray(begin, end).every(Number.isNaN));
    out.fill(0, begin * 24, end * 24);
    intact.out.fill(0, begin * 24, end * 24);
    assertEquals(out, intact.out);
  }));

Deno.test("prefill/fused gives sequences that share pages the same answer", () =>
  withGpu(async (gpu) => {
    const inputs = makePrefillInputs(prefillShape({ q: [20, 20], page: 4 }), "normal", 6);
    const { tableWidth } = inputs;
    inputs.pageTable.copyWithin(tableWidth, 0, tableWidth);
    assertRight(inputs, await prefill(gpu, inputs), "shared");
  }));

Deno.test("prefill/fused refuses what it cannot run, and names it", () => {
  const refuses = (values: Partial<PrefillShape>) => prefillFused.refuses(prefillShape({ q: [4], ...values }), {});
  assertEquals(refuses({}), undefined);
  assertEquals(refuses({ Dn: 12 }), "Dn=12: only positive multiples of 8");
  assertEquals(refuses({ Dv: 264 }), "Dv=264: only multiples of 8 up to 256");
  assertEquals(refuses({ R: 24 }), "R=24: only positive multiples of 16");
  assertEquals(refuses({ Dr: 8 }), "Dr=8: only 0, 16, 32, 64");
  assertEquals(refuses({ padding: -1 }), "padding=-1: only 0 to 1073741823");
  assertEquals(prefillFused.refuses(prefillShape({ q: [4] }), { splits: 2 }), "splits=2: prefill has no splits");
  assertThrows(
    () => prefillFused.launch(prefillShape({ q: [40] }), { pages: 3, tableWidth: 2 }, {}, deviceTraits()),
    RangeError,
    "kv=40 needs 3",
  );
});
