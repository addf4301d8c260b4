import { assert, assertEquals, assertMatch } from "@std/assert";
import { checkAttend } from "../reference/acceptance.ts";
import { type AttendInputs, makeAttendInputs } from "../reference/inputs.ts";
import { attendAbsorbed } from "../reference/mla.ts";
import { type AttendShape, total } from "../reference/shapes.ts";
import { attendUnfused } from "../kernels/attend_unfused.ts";
import type { Tuning } from "../kernels/kernel.ts";
import { checkLimits } from "../kernels/limits.ts";
import { decodeShape, deviceTraits } from "../kernels/testing.ts";
import { uploadStorage } from "./buffers.ts";
import { type Gpu, openGpu } from "./device.ts";
import { prepare, runOnce } from "./execute.ts";
import { bytesOf, cacheBuffers, floats, naturalLse } from "./inputs_buffers.ts";

/** A batch of ragged queries; few distinct R, Dr and dtype, because each costs three compilations. */
function batch(values: Partial<AttendShape>): AttendShape {
  return decodeShape({ H: 4, R: 64, Dr: 16, page: 16, ...values });
}

const CASES: readonly [what: string, shape: AttendShape, splits: readonly (number | undefined)[]][] = [
  ["decode", batch({ kv: [0, 1, 15, 16, 17, 31, 32, 33, 65, 100] }), [1, 3, undefined]],
  ["decode of 128 heads", batch({ H: 128, kv: [70, 0, 33] }), [1, 2]],
  ["decode of 33 heads", batch({ H: 33, kv: [70, 1] }), [1, 2]],
  ["3 heads, blocks of rows span tokens", batch({ H: 3, q: [13, 40], kv: [13, 71] }), [1, 3, undefined]],
  ["5 heads, several tokens", batch({ H: 5, q: [2, 4, 3], kv: [2, 65, 130] }), [1, 3]],
  ["mixed in any order", batch({ q: [1, 9, 0, 1, 5, 1, 3], kv: [40, 9, 30, 1, 64, 0, 0] }), [1, 3, undefined]],
  ["chunked prefill", batch({ q: [32, 17], kv: [100, 80] }), [1, 2, undefined]],
  ["not causal", batch({ q: [9, 1], kv: [40, 33], causal: false }), [1, 3]],
  ["more queries than tokens", batch({ q: [7, 12], kv: [3, 0] }), [1, 3]],
  ["nothing asked but in the middle", batch({ q: [0, 2, 0], kv: [0, 30, 7] }), [1, 2]],
  ["separate caches", batch({ q: [1, 9, 2], kv: [40, 9, 70], layout: "separate" }), [1, 3]],
  ["separate caches without rope", batch({ q: [1, 3], kv: [40, 9], Dr: 0, layout: "separate" }), [2]],
  ["LSE of base 2", batch({ q: [1, 9, 2], kv: [40, 9, 0], lseBase: "2" }), [1, 3]],
  ["bf16", batch({ q: [1, 9], kv: [40, 70], cache: "bf16" }), [2]],
  ["f32 in separate caches", batch({ q: [1, 9], kv: [40, 70], cache: "f32", layout: "separate" }), [2]],
  ["splits of its own choice", batch({ q: [1, 2], kv: [1100, 700] }), [undefined]],
];

async function withGpu(work: (gpu: Gpu) => Promise<void>) {
  const gpu = await openGpu();
  try {
    await work(gpu);
  } finally {
    gpu.close();
  }
}

async function attend(gpu: Gpu, inputs: AttendInputs, tuning: Tuning) {
  const { shape } = inputs;
  const launch = attendUnfused.launch(shape, inputs, tuning, gpu.traits);
  assertEquals(checkLimits(launch, gpu.traits), undefined);
  const arrays: [string, Uint8Array][] = [
    ["q_latent", bytesOf(inputs.qLatent)],
    ["q_pe", bytesOf(inputs.qPe)],
    ...cacheBuffers(inputs.cache, shape),
    ["page_table", bytesOf(inputs.pageTable)],
    ["kv_len", bytesOf(inputs.kvLen)],
    ["cu_seqlen", bytesOf(inputs.cuSeqlen)],
  ];
  const ranges = new Map(arrays.map(([name, data]) => [name, uploadStorage(gpu, name, data)]));
  const prepared = await prepare(gpu, launch, ranges);
  try {
    const results = await runOnce(gpu, prepared);
    assertEquals(results, await runOnce(gpu, prepared), "two runs differ");
    const rows = total(shape.q) * shape.H;
    return {
      out: floats(results, "out").slice(0, rows * shape.R),
      lse: naturalLse(results, shape).slice(0, rows),
      launch,
    };
  } finally {
    prepared.destroy();
    for (const { buffer } of ranges.values()) buffer.destroy();
  }
}

async function assertRight(gpu: Gpu, inputs: AttendInputs, tuning: Tuning, what: string) {
  for (const check of checkAttend(inputs, attendAbsorbed(inputs), await attend(gpu, inputs, tuning))) {
    assert(check.passed, `${what}, ${tuning.splits} splits: ${check.message} ${JSON.stringify(check.worst)}`);
  }
}

for (const [what, shape, splits] of CASES) {
  Deno.test(`attend/unfused is right: ${what}`, () =>
    withGpu(async (gpu) => {
      const inputs = makeAttendInputs(shape, "normal", 1);
      for (const n of splits) await assertRight(gpu, inputs, { splits: n }, what);
    }));
}

Deno.test("attend/unfused is right on large and peaked scores of a mixed batch", () =>
  withGpu(async (gpu) => {
    for (const kind of ["large", "peak"] as const) {
      const inputs = makeAttendInputs(batch({ q: [1, 9, 20], kv: [40, 9, 70] }), kind, 2);
      for (const splits of [1, 3]) await assertRight(gpu, inputs, { splits }, kind);
    }
  }));

Deno.test("attend/unfused folds a mixed batch over two dimensions", () =>
  withGpu(async (gpu) => {
    const inputs = makeAttendInputs(batch({ H: 40, q: [1, 3, 0, 2], kv: [40, 33, 5, 20] }), "normal", 3);
    const limits = { ...gpu.traits.limits, maxComputeWorkgroupsPerDimension: 20 };
    const small = { ...gpu, traits: { ...gpu.traits, limits } };
    const { dispatches } = attendUnfused.launch(inputs.shape, inputs, { splits: 2 }, small.traits);
    assert(dispatches.some(({ workgroups }) => workgroups[1] > 1));
    await assertRight(small, inputs, { splits: 2 }, "folded");
  }));

Deno.test("attend/unfused never follows a table entry that is not the sequence's", () =>
  withGpu(async (gpu) => {
    // The inputs hold hostile entries already; these also own no page that another sequence could be mixed up with.
    const inputs = makeAttendInputs(batch({ q: [3, 5], kv: [17, 40], page: 3 }), "normal", 4);
    const pageTable = inputs.pageTable.map((entry) => entry >= 0 && entry < inputs.pages ? entry : 2 ** 31 - 1);
    await assertRight(gpu, { ...inputs, pageTable }, { splits: 2 }, "hostile");
  }));

Deno.test("attend/unfused pays for the scores that rows can see, not for the longest sequence", () => {
  const scores = (kv: number[], q: number[]) => {
    const { buffers } = attendUnfused.launch(
      batch({ H: 32, q, kv }),
      { pages: 99, tableWidth: 99 },
      { splits: 1 },
      deviceTraits(8),
    );
    return buffers.find(({ name }) => name === "scores")!.bytes;
  };
  assertEquals(scores([1000], [1]), 4 * 32 * 1008);
  assertEquals(scores([1000, 16, 0], [1, 1, 1]), 4 * 32 * (1008 + 16));
  assertEquals(scores([0, 2], [1, 0]), 16);
  // A prompt of 64 tokens: the triangle, every row rounded up to 16.
  assertEquals(scores([64], [64]), 4 * 32 * 16 * (16 + 32 + 48 + 64));
});

Deno.test("attend/unfused is refused where its scores exceed a buffer", () => {
  const shape = batch({ H: 128, q: [512], kv: [8704] });
  const launch = attendUnfused.launch(shape, { pages: 9, tableWidth: 999 }, {}, deviceTraits(8));
  assertMatch(checkLimits(launch, deviceTraits(8)) ?? "", /^buffer "scores" needs \d+ bytes, the device's max/);
});

Deno.test("attend/unfused shares its pipelines between decode, prefill and mixed batches", () => {
  const texts = [batch({ kv: [40] }), batch({ H: 7, q: [9, 0, 1], kv: [9, 5, 70], causal: false, lseBase: "2" })].map(
    (shape) =>
      new Set(
        attendUnfused.launch(shape, { pages: 9, tableWidth: 9 }, { splits: 2 }, deviceTraits(8)).dispatches
          .map(({ shader }) => shader),
      ),
  );
  assertEquals(texts[0], texts[1]);
});
