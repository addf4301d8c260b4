import { assert, assertEquals } from "@std/assert";
import { checkCache } from "../reference/acceptance.ts";
import { appendReference } from "../reference/cache.ts";
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import { type AppendInputs, makeAppendInputs } from "../reference/inputs.ts";
import type { AppendShape, Layout } from "../reference/shapes.ts";
import { appendCombined } from "../kernels/append_combined.ts";
import { appendSeparate } from "../kernels/append_separate.ts";
import { checkLimits } from "../kernels/limits.ts";
import { appendShape, deviceTraits } from "../kernels/testing.ts";
import { uploadStorage } from "./buffers.ts";
import type { Gpu } from "./device.ts";
import { withGpu } from "./testing.ts";
import { prepare, runOnce } from "./execute.ts";
import { bytesOf, cacheBuffers, cacheResult } from "./inputs_buffers.ts";

const KERNELS = { combined: appendCombined, separate: appendSeparate };
const LAYOUTS: readonly Layout[] = ["combined", "separate"];

const CASES: readonly [what: string, shape: AppendShape][] = [
  ["empty sequences on every side", appendShape({ q: [0, 4, 0, 0, 7, 0], kv: [0, 9, 2, 0, 7, 1], page: 3 })],
  ["pages of one token", appendShape({ q: [3, 5], kv: [3, 9], page: 1, cache: "bf16" })],
  ["tokens across three pages", appendShape({ q: [70, 1], kv: [100, 65], page: 32, R: 512 })],
  ["a token of each of many sequences", appendShape({ q: Array(67).fill(1), kv: Array(67).fill(17), page: 16 })],
  ["one token", appendShape({ q: [1], kv: [64] })],
  ["no tokens", appendShape({ q: [0, 0], kv: [5, 0] })],
  ["no rope, f32", appendShape({ q: [5], kv: [66], R: 48, Dr: 0, cache: "f32" })],
  ["rope of 64, f32", appendShape({ q: [5, 9], kv: [66, 9], R: 32, cache: "f32" })],
  ["rope keys of 32 bytes", appendShape({ q: [9, 30], kv: [66, 31], R: 16, Dr: 16, cache: "bf16" })],
  ["latents of 32 bytes, more tokens of a workgroup than threads", appendShape({ q: [300], kv: [301], R: 16, Dr: 0 })],
  ["rope of 32", appendShape({ q: [9, 30], kv: [66, 31], R: 128, Dr: 32, cache: "bf16" })],
];

/** What `append` of the layout leaves, in the combined form. */
async function append(gpu: Gpu, layout: Layout, inputs: AppendInputs): Promise<Uint8Array> {
  const shape = { ...inputs.shape, layout };
  const { cacheLoc, pages } = inputs;
  const launch = KERNELS[layout].launch(shape, { pages, tableWidth: cacheLoc.length }, {}, gpu.traits);
  assertEquals(checkLimits(launch, gpu.traits), undefined);
  const arrays: [string, Uint8Array][] = [
    ["compressed_kv", bytesOf(inputs.compressedKv)],
    ["kpe", bytesOf(inputs.kpe)],
    ["cu_seqlen", bytesOf(inputs.cuSeqlen)],
    ["cu_num_pages", bytesOf(inputs.cuNumPages)],
    ["cache_loc", bytesOf(cacheLoc)],
    ["input_pos", bytesOf(inputs.inputPos)],
    ...cacheBuffers(inputs.cache, shape),
  ];
  const ranges = new Map(arrays.map(([name, data]) => [name, uploadStorage(gpu, name, data)]));
  const prepared = await prepare(gpu, launch, ranges);
  try {
    return cacheResult(await runOnce(gpu, prepared), shape);
  } finally {
    prepared.destroy();
    for (const { buffer } of ranges.values()) buffer.destroy();
  }
}

function assertRight(inputs: AppendInputs, written: Uint8Array, what: string) {
  const { passed, message } = checkCache(inputs, appendReference(inputs), written);
  assert(passed, `${what}: ${message}`);
}

for (const layout of LAYOUTS) {
  Deno.test(`append/${layout} writes exactly the bytes of the reference, and no other`, () =>
    withGpu(async (gpu) => {
      for (const [what, shape] of CASES) {
        const inputs = makeAppendInputs(shape, 1);
        assertRight(inputs, await append(gpu, layout, inputs), what);
      }
    }));

  Deno.test(`append/${layout} rounds what overflows, vanishes or is infinite as the reference does`, () =>
    withGpu(async (gpu) => {
      const magnitudes = [0, 1e-45, 2 ** -126, 2 ** -25, 2 ** -24 * 1.5, 2 ** -14, 65519, 65520, 1e5, 3.4e38, Infinity];
      for (const cache of ["f16", "bf16", "f32"] as const) {
        const inputs = makeAppendInputs(appendShape({ q: [3], kv: [5], page: 4, R: 16, Dr: 16, cache }), 8);
        const sign = (i: number) => i % 3 === 0 ? -1 : 1;
        // Four are rounded together: alike in the latents, mixed in the rope keys.
        inputs.compressedKv.forEach((_, i, values) => values[i] = magnitudes[(i >> 2) % 11] * sign(i));
        inputs.kpe.forEach((_, i, values) => values[i] = magnitudes[i % 11] * sign(i));
        assertRight(inputs, await append(gpu, layout, inputs), cache);
      }
    }));

  Deno.test(`append/${layout} folds its workgroups over two dimensions`, () =>
    withGpu(async (gpu) => {
      const shape = appendShape({ q: [70, 1], kv: [100, 65], page: 32, layout });
      for (const Dr of [0, 64]) {
        const inputs = makeAppendInputs({ ...shape, Dr }, 2);
        const caches = { pages: inputs.pages, tableWidth: inputs.cacheLoc.length };
        const idle = new Set<number>();
        for (let most = 4; most < 9; most++) {
          const limits = { ...gpu.traits.limits, maxComputeWorkgroupsPerDimension: most };
          const small = { ...gpu, traits: { ...gpu.traits, limits } };
          const [{ workgroups: [x, y] }] = KERNELS[layout].launch(inputs.shape, caches, {}, small.traits).dispatches;
          assert(x > 1 && y > 1, `${x} × ${y}`);
          idle.add(x * y);
          assertRight(inputs, await append(small, layout, inputs), `folded, Dr=${Dr}`);
        }
        assert(Dr > 0 || idle.size > 1, "some workgroups without work");
      }
    }));

  Deno.test(`append/${layout} does not write rows of the input past the last new token`, () =>
    withGpu(async (gpu) => {
      const inputs = makeAppendInputs(appendShape({ q: [3, 2], kv: [9, 2], page: 4, R: 32, Dr: 16 }), 4);
      const { R, Dr } = inputs.shape;
      const padded = {
        ...inputs,
        compressedKv: Float32Array.from({ length: 9 * R }, (_, i) => inputs.compressedKv[i] ?? 7),
        kpe: Float32Array.from({ length: 9 * Dr }, (_, i) => inputs.kpe[i] ?? 7),
      };
      assertRight(inputs, await append(gpu, layout, padded), "padded rows");
      // The host's count may be the one that is larger: then the device's lengths decide.
      const fewer = { ...inputs, cuSeqlen: Int32Array.of(0, 3, 4) };
      assertRight(fewer, await append(gpu, layout, fewer), "fewer tokens on the device");
      const more = { ...padded, cuSeqlen: Int32Array.of(0, 3, 9) };
      const written = await append(gpu, layout, more);
      assertEquals(written, appendReference(inputs), "more tokens on the device");
    }));

  Deno.test(`append/${layout} leaves the pages of other sequences alone, whatever the positions`, () =>
    withGpu(async (gpu) => {
      for (const [page, position, offsets] of POSITIONS) {
        const shape = appendShape({ q: [0, 2], kv: [page, 2], page, R: 16, Dr: 16, cache: "f32" });
        const made = makeAppendInputs(shape, 3);
        const inputs = { ...made, cuNumPages: Int32Array.of(0, 1, 2), inputPos: Int32Array.of(0, position) };
        const own = inputs.cacheLoc[1] * page;
        assertEquals(
          changedSlots(inputs, await append(gpu, layout, inputs)),
          offsets.map((offset) => own + offset),
          `page ${page}, position ${position}`,
        );
      }
    }));

  Deno.test(`append/${layout} writes no page outside the cache or past the entries of cache_loc`, () =>
    withGpu(async (gpu) => {
      const shape = appendShape({ q: [2, 2], kv: [2, 2], page: 2, R: 16, Dr: 16, cache: "bf16" });
      const made = makeAppendInputs(shape, 6);
      const own = made.cacheLoc[0] * 2;
      assert(own > 0, "a wrong index often ends as page 0");
      for (const page of [-1, made.pages, 2 ** 31 - 1, -(2 ** 31)]) {
        const inputs = { ...made, cacheLoc: Int32Array.of(made.cacheLoc[0], page) };
        assertEquals(changedSlots(inputs, await append(gpu, layout, inputs)), [own, own + 1], `page ${page}`);
      }
      const short = { ...made, cacheLoc: made.cacheLoc.subarray(0, 1) };
      assertEquals(changedSlots(short, await append(gpu, layout, short)), [own, own + 1], "one entry");
      const none = { ...made, cuNumPages: Int32Array.of(0, 2, 1) };
      assertEquals(changedSlots(none, await append(gpu, layout, none)), [own, own + 1], "fewer than no entries");
    }));

  Deno.test(`append/${layout} takes a position of 2³¹ or more for a negative one`, () =>
    withGpu(async (gpu) => {
      const page = 65536;
      const made = makeAppendInputs(appendShape({ q: [2], kv: [2], page, R: 16, Dr: 16, cache: "bf16" }), 7);
      const [own] = made.cacheLoc;
      const pages = { cuNumPages: Int32Array.of(0, page), cacheLoc: new Int32Array(page).fill(own) };
      const inputs = { ...made, ...pages, inputPos: Int32Array.of(-1) };
      assertEquals(changedSlots(inputs, await append(gpu, layout, inputs)), [own * page]);
    }));

  Deno.test(`append/${layout} refuses the other layout`, () => {
    for (const asked of LAYOUTS) {
      const reason = asked === layout ? undefined : `layout=${asked}: only ${layout}`;
      assertEquals(KERNELS[layout].refuses(appendShape({ layout: asked }), {}), reason);
    }
    assertEquals(KERNELS[layout].refuses(appendShape(), {}) === undefined, layout === "combined");
  });

  Deno.test(`append/${layout} of no tokens dispatches nothing`, () => {
    const shape = appendShape({ q: [0, 0], kv: [5, 0], layout });
    assertEquals(KERNELS[layout].launch(shape, { pages: 4, tableWidth: 2 }, {}, deviceTraits()).dispatches, []);
  });
}

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

function changedSlots({ shape, cache, pages }: AppendInputs, written: Uint8Array): number[] {
  const bytes = (shape.R + shape.Dr) * DTYPE_BYTES[shape.cache];
  const slots: number[] = [];
  for (let slot = 0; slot < pages * shape.page; slot++) {
    const at = slot * bytes;
    for (let i = at; i < at + bytes; i++) {
      if (written[i] === cache[i]) continue;
      slots.push(slot);
      break;
    }
  }
  return slots;
}
