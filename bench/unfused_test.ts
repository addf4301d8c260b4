import { assert, assertEquals, assertMatch } from "@std/assert";
import { checkAttend } from "../reference/acceptance.ts";
import { type AttendInputs, makeAttendInputs } from "../reference/inputs.ts";
import { attendAbsorbed } from "../reference/mla.ts";
import type { AttendShape } from "../reference/shapes.ts";
import { attendUnfused } from "../kernels/attend_unfused.ts";
import type { Tuning } from "../kernels/kernel.ts";
import { checkLimits } from "../kernels/limits.ts";
import { decodeShape, deviceTraits } from "../kernels/testing.ts";
import type { Gpu } from "./device.ts";
import { runAttend, withGpu } from "./testing.ts";
import { floats, lseResult } from "./inputs_buffers.ts";

/** A batch of ragged queries; few distinct R, Dr and dtype, because each costs three compilations. */
function batch(values: Partial<AttendShape>): AttendShape {
  return decodeShape({ H: 4, R: 64, Dr: 16, page: 16, ...values });
}

/** What is particular to this kernel's tiles; `attend_kernels_test.ts` has the cases of all kernels. */
const CASES: readonly [what: string, shape: AttendShape, splits: readonly (number | undefined)[]][] = [
  ["ends of tiles of 32 tokens", batch({ kv: [0, 1, 15, 16, 17, 31, 32, 33, 65, 100] }), [1, 3, undefined]],
  ["items of 32 rows and of one", batch({ H: 33, q: [1, 2], kv: [70, 40] }), [1, 2]],
  ["4 items on the same tokens", batch({ H: 128, q: [1, 0, 1], kv: [70, 9, 33] }), [1, 2]],
  ["more items on the same tokens than run side by side", batch({ H: 128, q: [20, 1], kv: [20, 40] }), [1]],
  ["scores that are cleared", batch({ H: 3, q: [13, 40], kv: [13, 71], layout: "separate" }), [1, 3, undefined]],
  ["a rank that is no whole number of strips", batch({ q: [1, 9], kv: [40, 70], R: 80, Dr: 32 }), [1, 2]],
];

async function attend(gpu: Gpu, inputs: AttendInputs, tuning: Tuning) {
  const results = await runAttend(gpu, attendUnfused, inputs, tuning);
  return { out: floats(results, "out"), lse: lseResult(results, inputs.shape) };
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

Deno.test("attend/unfused folds a mixed batch over two dimensions", () =>
  withGpu(async (gpu) => {
    const inputs = makeAttendInputs(
      batch({ H: 44, R: 512, q: [1, 3, 0, 2, 1], kv: [40, 70, 5, 20, 150] }),
      "normal",
      3,
    );
    const tuning = { splits: 2 };
    const flat = attendUnfused.launch(inputs.shape, inputs, tuning, gpu.traits).dispatches;
    assertEquals(new Set(flat.map(({ label }) => label)).size, 6, "both parts of the list and the merge");
    const least = Math.ceil(Math.sqrt(Math.max(...flat.map(({ workgroups }) => workgroups[0]))));
    const idle = new Set<string>();
    for (let most = least; most < least + 6; most++) {
      const limits = { ...gpu.traits.limits, maxComputeWorkgroupsPerDimension: most };
      const small = { ...gpu, traits: { ...gpu.traits, limits } };
      attendUnfused.launch(inputs.shape, inputs, tuning, small.traits).dispatches.forEach((dispatch, i) => {
        const [x, y] = dispatch.workgroups;
        if (x * y > flat[i].workgroups[0]) idle.add(dispatch.label);
      });
      await assertRight(small, inputs, tuning, `${most} workgroups`);
    }
    for (const label of ["scores", "softmax_split", "product_split"]) assert(idle.has(label), label);
  }));

Deno.test("attend/unfused touches no page outside the cache", () =>
  withGpu(async (gpu) => {
    const inputs = makeAttendInputs(batch({ q: [3], kv: [6], page: 2 }), "normal", 4);
    const owned = [...inputs.pageTable.subarray(0, 3)];
    assert(!owned.includes(0), "page 0, which holds NaN, is where a wrapped page would end");
    for (const page of [-(2 ** 31), inputs.pages, -1]) {
      const pageTable = inputs.pageTable.slice();
      pageTable[1] = page;
      const { out } = await attend(gpu, { ...inputs, pageTable }, {});
      assert(out.every(Number.isFinite), `page ${page}`);
    }
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
