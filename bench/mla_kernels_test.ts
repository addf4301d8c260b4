import { assert, assertEquals, assertMatch } from "@std/assert";
import type { DispatchSpec, Launch, MlaKernel, Param, Tuning } from "../kernels/kernel.ts";
import { checkLimits, missingFeature } from "../kernels/limits.ts";
import { formOf, mlaFused, mlaFusedSubgroup, mlaUnfused } from "../kernels/mla.ts";
import { mlaShape } from "../kernels/testing.ts";
import { appendReference } from "../reference/cache.ts";
import { bitsView, decode, DTYPE_BYTES, nanBits } from "../reference/dtypes.ts";
import { attendExpanded } from "../reference/expanded.ts";
import { makeMlaInputs, type MlaCallInputs, type MlaInputs } from "../reference/mla_inputs.ts";
import { mlaShapeOf, readMetadata } from "../reference/metadata.ts";
import type { MlaShape } from "../reference/shapes.ts";
import { uploadStorage, writeStorage } from "./buffers.ts";
import type { Gpu } from "./device.ts";
import { withGpu } from "./testing.ts";
import { prepare, runOnce } from "./execute.ts";
import { bytesOf, cacheBuffers, cacheResult, floats } from "./inputs_buffers.ts";

const KERNELS: readonly MlaKernel[] = [mlaUnfused, mlaFused, mlaFusedSubgroup];

/** Error allowed for sums in f32, as a share of the largest value: wrong scales, tokens or pages are far above it. */
const TOLERANCE = 2e-5;

/** Calls of every kind. Few distinct widths and dtypes: each costs a compilation. */
const CALLS: readonly [what: string, shape: MlaShape, tuning: Tuning][] = [
  ["prompts", mlaShape({ q: [16, 5, 33], kv: [16, 5, 33] }), { form: "absorbed" }],
  ["prompts, expanded", mlaShape({ q: [16, 5, 33], kv: [16, 5, 33] }), { form: "expanded" }],
  ["decode across page ends", mlaShape({ q: [1, 1, 1, 1], kv: [1, 16, 17, 40] }), {}],
  ["chunks, prompts and decode in no order", mlaShape({ q: [1, 7, 9, 1, 3, 1], kv: [20, 40, 9, 1, 65, 17] }), {}],
  ["sequences without new tokens, or any", mlaShape({ q: [0, 3, 0, 1, 0], kv: [0, 3, 20, 33, 0] }), {}],
  ["padding", mlaShape({ q: [2, 1], kv: [2, 18], padding: 5 }), {}],
  ["padding, expanded", mlaShape({ q: [2, 0, 17], kv: [2, 0, 17], padding: 3 }), { form: "expanded" }],
  ["one row", mlaShape({ q: [1], kv: [17], H: 1 }), {}],
  ["one row, expanded", mlaShape({ q: [1], kv: [1], H: 1 }), { form: "expanded" }],
  ["two caches", mlaShape({ q: [1, 6], kv: [33, 6], layout: "separate", padding: 1 }), {}],
  ["two caches, expanded", mlaShape({ q: [6, 18], kv: [6, 18], layout: "separate" }), { form: "expanded" }],
  ["no rope, two caches", mlaShape({ q: [1, 6], kv: [33, 6], Dr: 0, layout: "separate", cache: "f32" }), {}],
  ["pages of 3 tokens in splits", mlaShape({ q: [1, 2], kv: [50, 31], page: 3 }), { splits: 3 }],
  ["pages of one token, bf16", mlaShape({ q: [1, 4], kv: [9, 4], page: 1, cache: "bf16", weight: "f32" }), {}],
  ["rank 256 of the seed", mlaShape({ q: [1, 20], kv: [65, 20], R: 256, Dr: 64, Dn: 128, Dv: 128, page: 64 }), {}],
];

/** The buffers of a call by name. */
function buffersOf({ shape, kvB, cache, calls: [call] }: MlaInputs): Map<string, Uint8Array> {
  return new Map([
    ["q_nope", bytesOf(call.qNope)],
    ["q_pe", bytesOf(call.qPe)],
    ["compressed_kv", bytesOf(call.compressedKv)],
    ["kpe", bytesOf(call.kpe)],
    ["kv_b_proj", kvB],
    ["cu_num_pages", bytesOf(call.cuNumPages)],
    ["cache_loc", bytesOf(call.cacheLoc)],
    ...cacheBuffers(cache, shape),
  ]);
}

type Answer = Map<string, Uint8Array<ArrayBuffer>>;

async function execute(gpu: Gpu, launch: Launch, inputs: MlaInputs): Promise<Answer> {
  assertEquals(checkLimits(launch, gpu.traits), undefined);
  const ranges = new Map([...buffersOf(inputs)].map(([name, data]) => [name, uploadStorage(gpu, name, data)]));
  const prepared = await prepare(gpu, launch, ranges);
  try {
    const first = await runOnce(gpu, prepared);
    assertEquals(await runOnce(gpu, prepared), first, "two runs differ");
    return first;
  } finally {
    prepared.destroy();
    for (const { buffer } of ranges.values()) buffer.destroy();
  }
}

function launchOf(gpu: Gpu, kernel: MlaKernel, { shape, pages, calls: [call] }: MlaInputs, tuning: Tuning): Launch {
  return kernel.launch(shape, { pages, tableWidth: call.cacheLoc.length }, tuning, gpu.traits);
}

/** The cache after the call, and what each sequence must answer, by the formulation that no kernel but prefill has. */
function expected({ shape, cache, pages, kvB, calls: [call] }: MlaInputs) {
  const { B, H, R, Dr, Dn, Dv, page, q, kv, scale, causal } = shape;
  const written = appendReference({ ...call, shape, cache, pages });
  const W = R + Dr;
  const weights = decode(kvB, shape.weight);
  const out: number[] = [], lse: number[] = [];
  for (let b = 0; b < B; b++) {
    const compressedKv = new Float32Array(kv[b] * R), kpe = new Float32Array(kv[b] * Dr);
    for (let token = 0; token < kv[b]; token++) {
      const slot = call.cacheLoc[call.cuNumPages[b] + Math.floor(token / page)] * page + token % page;
      const bytes = W * DTYPE_BYTES[shape.cache];
      const key = decode(written.subarray(slot * bytes, (slot + 1) * bytes), shape.cache);
      compressedKv.set(key.subarray(0, R), token * R);
      kpe.set(key.subarray(R), token * Dr);
    }
    const [from, to] = [call.cuSeqlen[b], call.cuSeqlen[b + 1]];
    const qNope = call.qNope.subarray(from * H * Dn, to * H * Dn), qPe = call.qPe.subarray(from * H * Dr, to * H * Dr);
    const dims = { H, R, Dr, Dn, Dv, scale, causal, qNope, qPe, compressedKv, kpe, kvB: weights };
    const answer = q[b] === 0 ? { out: [], lse: [] } : attendExpanded(dims);
    out.push(...answer.out);
    lse.push(...answer.lse);
  }
  return { written, out, lse };
}

/** Why `answer` is not right; empty where it is. */
function faults(inputs: MlaInputs, answer: Answer): string[] {
  const { shape } = inputs;
  const { written, out, lse } = expected(inputs);
  const found: string[] = [];
  const compare = (name: string, actual: ArrayLike<number>, wanted: readonly number[]) => {
    const limit = TOLERANCE * wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-3);
    const at = wanted.findIndex((x, i) => !(Math.abs(actual[i] - x) <= limit));
    if (at >= 0) found.push(`${name}[${at}] is ${actual[at]}, not ${wanted[at]}`);
  };
  const actual = floats(answer, "out");
  compare("out", actual, out);
  compare("lse", floats(answer, "lse"), lse);
  if (lse.length > 0 && floats(answer, "lse").length !== lse.length) found.push("lse has rows that the batch has not");
  const padding = actual.subarray(out.length, out.length + shape.padding * shape.H * shape.Dv);
  if (padding.some((x) => x !== 0) || padding.length < shape.padding * shape.H * shape.Dv) {
    found.push("padding is not 0");
  }
  const cache = cacheResult(answer, shape);
  const byte = written.findIndex((x, i) => cache[i] !== x);
  if (byte >= 0) found.push(`byte ${byte} of the cache is ${cache[byte]}, not ${written[byte]}`);
  return found;
}

/** The call with a page 0 of NaN that nobody owns: what padding of the page table points at. */
function withNanPage(inputs: MlaInputs): MlaInputs {
  const { shape, cache, pages, calls: [call] } = inputs;
  const pageBytes = cache.length / pages;
  const bytes = new Uint8Array(pageBytes + cache.length);
  bitsView(bytes.subarray(0, pageBytes), shape.cache).fill(nanBits(shape.cache));
  bytes.set(cache, pageBytes);
  const moved: MlaCallInputs = { ...call, cacheLoc: call.cacheLoc.map((page) => page + 1) };
  return { ...inputs, cache: bytes, pages: pages + 1, calls: [moved] };
}

for (const kernel of KERNELS) {
  Deno.test(`mla/${kernel.variant} is right on calls of every kind, with NaN in page 0`, () =>
    withGpu(async (gpu) => {
      if (missingFeature(kernel.requires, gpu.traits.features)) return;
      for (const [what, shape, tuning] of CALLS) {
        if (kernel !== mlaUnfused && tuning.form === "expanded") continue; // the same launch for all
        assertEquals(kernel.refuses(shape, tuning, gpu.traits), undefined, what);
        const inputs = withNanPage(makeMlaInputs(shape, "normal", 1));
        assertEquals(faults(inputs, await execute(gpu, launchOf(gpu, kernel, inputs, tuning), inputs)), [], what);
      }
    }));
}

Deno.test("mla with no new tokens writes the zeros of the padding and nothing else", () =>
  withGpu(async (gpu) => {
    const inputs = makeMlaInputs(mlaShape({ q: [0, 0], kv: [20, 0], padding: 3 }), "normal", 1);
    const launch = launchOf(gpu, mlaUnfused, inputs, {});
    assertEquals(launch.dispatches.map(({ label }) => label), ["project v"]);
    assertEquals(faults(inputs, await execute(gpu, launch, inputs)), []);
    const empty = makeMlaInputs(mlaShape({ q: [0], kv: [0] }), "normal", 1);
    assertEquals(launchOf(gpu, mlaUnfused, empty, {}).dispatches, []);
  }));

Deno.test("sequences that share their prefix give what they give apart", () =>
  withGpu(async (gpu) => {
    const shape = mlaShape({ q: [2, 1, 3], kv: [34, 33, 35] });
    const apart = makeMlaInputs(shape, "normal", 1);
    const [call] = apart.calls;
    // Two whole pages of 16 tokens are those of sequence 0; each has its own third page.
    const cacheLoc = call.cacheLoc.map((page, i) => i % 3 < 2 ? call.cacheLoc[i % 3] : page);
    const inputs = { ...apart, calls: [{ ...call, cacheLoc }] };
    assertEquals(faults(inputs, await execute(gpu, launchOf(gpu, mlaFused, inputs, {}), inputs)), []);
  }));

Deno.test("metadata leads to the same launch as the shape", () =>
  withGpu(async (gpu) => {
    const inputs = makeMlaInputs(mlaShape({ q: [9, 1], kv: [9, 20], padding: 2 }), "normal", 1);
    const { shape, pages, calls: [call] } = inputs;
    const metadata = {
      batchInfo: Int32Array.of(1, 9, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0),
      cuSeqlen: call.cuSeqlen,
      cuNumPages: call.cuNumPages,
      cacheLoc: call.cacheLoc,
      lastPageLen: Int32Array.of(9, 4),
      seqLenWithCache: call.kvLen,
    };
    const bounds = { pages, page: shape.page, rows: 12 };
    assertEquals(readMetadata(metadata, bounds).tokens, 10);
    const { scale: _, ...dims } = shape;
    const read = { ...inputs, shape: mlaShapeOf(metadata, dims, bounds) };
    const launches = [inputs, read].map((each) => launchOf(gpu, mlaFused, each, {}));
    assertEquals(launches[0], launches[1]);
    await Promise.resolve();
  }));

/** `launch` with fields of its dispatches replaced; `change` returns the value, and the label says whose it is. */
function withParams(launch: Launch, change: (label: string, param: Param) => number): Launch {
  const dispatches = launch.dispatches.map((dispatch): DispatchSpec => ({
    ...dispatch,
    params: dispatch.params.map((param): Param => [param[0], param[1], change(dispatch.label, param)]),
  }));
  return { ...launch, dispatches };
}

/** The faults of the version that was merged, and two of its kind. `harmless` ones must change nothing. */
const PLANTED: readonly [what: string, plant: (launch: Launch, inputs: MlaInputs) => Launch, seen: RegExp][] = [
  [
    "the scale is dropped",
    (launch) => withParams(launch, (_, [name, , value]) => name === "scale" ? 1 : value),
    /^out/,
  ],
  [
    "the page size is read off the wrong axis",
    (launch) => withParams(launch, (_, [name, , value]) => name === "page" ? 1 : value),
    /^out/,
  ],
  [
    "a page table of unaligned width is read as an aligned one",
    (launch) =>
      withParams(launch, (label, [name, , value]) => label === "block_table" && name === "width" ? value - 3 : value),
    /^out/,
  ],
  [
    "page tables of unaligned width throughout are harmless",
    (launch) => withParams(launch, (_, [name, , value]) => name === "width" ? value - 3 : value),
    /^$/,
  ],
  [
    "a page table as wide as the pool is harmless",
    (launch, { pages, shape }) => {
      const bytes = 4 * pages * shape.B;
      const buffers = launch.buffers.map((spec) => spec.name === "page_table" ? { ...spec, bytes } : spec);
      return withParams({ ...launch, buffers }, (_, [name, , value]) => name === "width" ? pages : value);
    },
    /^$/,
  ],
  [
    "the new tokens are not appended",
    (launch) => ({ ...launch, dispatches: launch.dispatches.filter(({ label }) => label !== "append") }),
    /^out/,
  ],
];

Deno.test("planted faults of the operator are seen, or harmless where they must be", () =>
  withGpu(async (gpu) => {
    // 5 pages of 16 tokens: aligned to 8.
    const shape = mlaShape({ q: [1, 3, 1], kv: [70, 50, 65], page: 16 });
    const inputs = withNanPage(makeMlaInputs(shape, "normal", 1));
    const launch = launchOf(gpu, mlaUnfused, inputs, {});
    for (const [what, plant, seen] of PLANTED) {
      assertMatch(faults(inputs, await execute(gpu, plant(launch, inputs), inputs)).join("; "), seen, what);
    }
    // The pool's length for every sequence: more tokens than it has, in pages that are not its own.
    const told: MlaShape = { ...shape, kv: shape.kv.map(() => 80) };
    const longer = launchOf(gpu, mlaUnfused, { ...inputs, shape: told }, {});
    const lengths = new Map(launch.buffers.map((spec) => [spec.name, spec.contents]));
    const buffers = longer.buffers.map((spec) =>
      spec.name === "input_pos" ? { ...spec, contents: lengths.get(spec.name) } : spec
    );
    assertMatch(
      faults(inputs, await execute(gpu, { ...longer, buffers }, inputs)).join("; "),
      /^out/,
      "pool-wide length",
    );
  }));

Deno.test("a plan is brought to other lengths and pages without anything being created", () =>
  withGpu(async (gpu) => {
    const [first, second] = [{ q: [1, 1, 1], kv: [40, 65, 17] }, { q: [2, 0, 1], kv: [42, 65, 1] }].map((lengths, i) =>
      makeMlaInputs(mlaShape({ ...lengths, padding: 2 }), "normal", i)
    );
    const ranges = new Map([...buffersOf(first)].map(([name, data]) => [name, uploadStorage(gpu, name, data)]));
    const prepared = await prepare(gpu, launchOf(gpu, mlaFused, first, {}), ranges);
    assertEquals(faults(first, await runOnce(gpu, prepared)), []);
    const pipelines = gpu.pipelines.size;
    for (const [name, data] of buffersOf(second)) writeStorage(gpu, ranges.get(name)!, data);
    prepared.update(launchOf(gpu, mlaFused, second, {}));
    assertEquals(faults(second, await runOnce(gpu, prepared)), []);
    assertEquals(gpu.pipelines.size, pipelines);
    prepared.destroy();
    for (const { buffer } of ranges.values()) buffer.destroy();
  }));

Deno.test("the form is that asked for, absorbed for splits, and otherwise by the prompts", () => {
  const sizes = { H: 16, R: 512, Dr: 64, Dn: 128, Dv: 128 };
  const prompts = mlaShape({ ...sizes, q: [700, 800], kv: [700, 800] });
  assertEquals(formOf(prompts, {}), "expanded");
  assertEquals(formOf(prompts, { form: "absorbed" }), "absorbed");
  assertEquals(formOf(prompts, { splits: 2 }), "absorbed");
  assertEquals(formOf(mlaShape({ ...sizes, q: [1000, 1], kv: [1000, 9] }), {}), "expanded");
  assertEquals(formOf(mlaShape({ ...sizes, q: [300, 1], kv: [300, 9000] }), {}), "absorbed");
  assertEquals(formOf(mlaShape({ ...sizes, q: [5, 0], kv: [5, 0] }), {}), "absorbed");
  assert(
    mlaUnfused.refuses(mlaShape({ q: [200], kv: [200], Dv: 512 }), { form: "expanded" })?.startsWith("prefill/fused"),
  );
});
