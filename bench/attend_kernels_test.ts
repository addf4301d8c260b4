import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { type AttendActual, checkAttend, naturalLse } from "../reference/acceptance.ts";
import type { Check } from "../reference/check.ts";
import { type Dtype, DTYPE_BYTES, DTYPES, encodeInto } from "../reference/dtypes.ts";
import { attendEmulation } from "../reference/emulate_attend.ts";
import { type AttendInputs, makeAttendInputs } from "../reference/inputs.ts";
import { attendAbsorbed, type AttendReference } from "../reference/mla.ts";
import { type AttendShape, INPUT_KINDS } from "../reference/shapes.ts";
import { attendFusedF16 } from "../kernels/attend_fused_f16.ts";
import { attendFusedMatrix } from "../kernels/attend_fused_matrix.ts";
import { attendFusedSubgroup } from "../kernels/attend_fused_subgroup.ts";
import { type AttendKernel, kernelName, type Tuning } from "../kernels/kernel.ts";
import { checkLimits } from "../kernels/limits.ts";
import { KERNELS } from "../kernels/registry.ts";
import { emulatedMatrix } from "../kernels/testdata/emulated_matrix.ts";
import { decodeShape, teamDevice } from "../kernels/testing.ts";
import type { Gpu } from "./device.ts";
import { runAttend, withGpu } from "./testing.ts";
import { floats } from "./inputs_buffers.ts";

const ATTEND = KERNELS.filter((kernel): kernel is AttendKernel => kernel.operation === "attend");
const MATRICES: readonly AttendKernel[] = [attendFusedMatrix, emulatedMatrix];

/** Awkward shapes. Few distinct R, Dr, dtype and block of heads: each costs a compilation, a second on a CPU. */
const DECODE_CASES: readonly [what: string, shape: AttendShape, tuning: Tuning][] = [
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
  [
    "rank 192, which no team has whole, behind each token a hidden one",
    decodeShape({ H: 3, R: 192, Dr: 0, kv: [9], page: 1 }),
    {},
  ],
  ["rank 1024", decodeShape({ H: 9, R: 1024, kv: [20], page: 16 }), {}],
];

/** A batch of ragged queries in pipelines of two kinds: blocks of 32 rows, and of 8. */
function ragged(values: Partial<AttendShape>): AttendShape {
  return decodeShape({ H: 5, R: 64, Dr: 16, page: 16, ...values });
}

const RAGGED_CASES: readonly [what: string, shape: AttendShape, splits: readonly (number | undefined)[]][] = [
  ["blocks of rows that span tokens", ragged({ H: 3, q: [13, 40], kv: [13, 71] }), [1, 3, undefined]],
  ["two query tokens each", ragged({ H: 3, q: [2, 2, 2], kv: [2, 65, 130] }), [1, 4]],
  ["a one-token prompt between prefills", ragged({ q: [20, 1, 33], kv: [20, 1, 33] }), [1, 2, undefined]],
  ["mixed in any order", ragged({ q: [1, 9, 0, 1, 5, 1, 3], kv: [40, 9, 30, 1, 64, 0, 0] }), [1, 3, undefined]],
  ["chunked prefill", ragged({ q: [32, 17], kv: [100, 80], page: 3 }), [1, 2, undefined]],
  ["prefill of 40 heads", ragged({ H: 40, q: [9, 2], kv: [9, 30], page: 5 }), [1, 2]],
  ["not causal", ragged({ q: [9, 1, 3], kv: [40, 33, 0], causal: false }), [1, 3]],
  ["more query tokens than tokens", ragged({ q: [7, 12, 2], kv: [3, 0, 1] }), [1, 3]],
  ["nothing asked but in the middle", ragged({ q: [0, 2, 0], kv: [0, 30, 7] }), [1, 2]],
  ["separate caches", ragged({ q: [1, 9, 2], kv: [40, 9, 70], layout: "separate" }), [1, 3]],
  ["separate caches without rope", ragged({ q: [1, 3], kv: [40, 9], Dr: 0, layout: "separate" }), [2]],
  ["separate caches of f32", ragged({ q: [1, 9], kv: [40, 70], cache: "f32", layout: "separate" }), [2]],
  ["LSE of base 2", ragged({ q: [1, 9, 2], kv: [40, 9, 0], lseBase: "2" }), [1, 3]],
  ["splits of its own choice", ragged({ q: [1, 2, 40], kv: [1100, 700, 600] }), [undefined]],
];

async function attend(gpu: Gpu, kernel: AttendKernel, inputs: AttendInputs, tuning: Tuning) {
  const results = await runAttend(gpu, kernel, inputs, tuning);
  const base2 = inputs.shape.lseBase === "2";
  return { out: floats(results, "out"), lse: base2 ? naturalLse(floats(results, "lse2")) : floats(results, "lse") };
}

function assertPassed(checks: readonly Check[], what: string) {
  for (const check of checks) {
    assert(check.passed, `${what}: ${check.name} ${check.message} ${JSON.stringify(check.worst)}`);
  }
}

/** By the a-priori bounds; a kernel of less precision than f32 by what honest ones of that precision err by. */
function checkOf(
  { precision }: AttendKernel,
  inputs: AttendInputs,
  reference: AttendReference,
  actual: AttendActual,
): Check[] {
  return checkAttend(inputs, reference, actual, precision && attendEmulation(inputs, reference, precision));
}

/** The cache with two elements of the latent of a token of the first sequence replaced. */
function withValue({ shape, cache, pageTable }: AttendInputs, token: number, value: number): Uint8Array {
  const { R, Dr, page } = shape;
  const bytes = cache.slice();
  const size = DTYPE_BYTES[shape.cache];
  const at = (pageTable[Math.floor(token / page)] * page + token % page) * (R + Dr) * size;
  for (const element of [4, R - 1]) {
    const target = bytes.subarray(at + element * size, at + (element + 1) * size);
    encodeInto(Float32Array.of(value), target, shape.cache);
  }
  return bytes;
}

/**
 * One head, `kv` tokens on one page of f16, and of query and tokens the first elements; the others are 0.
 *
 * @param tokenOf First elements of a token.
 */
function writtenInputs(
  { kv, scale, query, tokenOf }: { kv: number; scale: number; query: number[]; tokenOf: (t: number) => number[] },
): AttendInputs {
  const shape = { ...decodeShape({ H: 1, R: 16, Dr: 16, kv: [kv], page: 128, cache: "f16" }), scale };
  const inputs = makeAttendInputs(shape, "normal", 8);
  inputs.qLatent.fill(0).set(query);
  inputs.qPe.fill(0);
  const { page, R, Dr } = shape;
  const tokens = new Float32Array(page * (R + Dr));
  for (let t = 0; t < page; t++) tokens.set(tokenOf(t), t * (R + Dr));
  const bytes = tokens.length * DTYPE_BYTES.f16;
  encodeInto(tokens, inputs.cache.subarray(inputs.pageTable[0] * bytes, (inputs.pageTable[0] + 1) * bytes), "f16");
  return inputs;
}

/** Where one row moves, a kernel of matrices adds up the sums of all rows of its block: then the last bits differ. */
function assertKept(kernel: AttendKernel, actual: ArrayLike<number>, expected: ArrayLike<number>, what: string) {
  if (!MATRICES.includes(kernel)) return assertEquals(actual, expected, what);
  for (let i = 0; i < expected.length; i++) assertAlmostEquals(actual[i], expected[i], 1e-5, what);
}

/** Blocks of rows span query tokens, so that tiles hold tokens that only some of their rows see. */
async function keepsApart(gpu: Gpu, kernel: AttendKernel, cache: Dtype): Promise<void> {
  const shape = decodeShape({ H: 3, R: 64, Dr: 16, q: [6, 4], kv: [40, 20], page: 4, cache });
  if (kernel.refuses(shape, {}, gpu.traits) !== undefined) return;
  const clean = makeAttendInputs(shape, "normal", 7);
  for (const splits of [1, 3]) {
    const { out: expected, lse } = await attend(gpu, kernel, clean, { splits });
    for (const value of [NaN, -Infinity, 30, -30]) {
      // Token 37 of the first sequence, which its queries 3 to 5 see.
      const inputs = { ...clean, cache: withValue(clean, 37, value) };
      const actual = await attend(gpu, kernel, inputs, { splits });
      for (let token = 0; token < 10; token++) {
        if (token >= 3 && token < 6) continue;
        const [first, end] = [token * 3, (token + 1) * 3];
        const what = `${cache}, ${value}, ${splits} splits, query token ${token}`;
        assertKept(kernel, actual.lse.slice(first, end), lse.slice(first, end), what);
        const [out, same] = [actual.out, expected].map((all) => all.slice(first * shape.R, end * shape.R));
        assertKept(kernel, out, same, what);
      }
      // WGSL lets an implementation assume that there is no NaN, and SwiftShader does; llvmpipe keeps them.
      if (!gpu.adapter.description.includes("llvmpipe") || !Number.isNaN(value)) continue;
      assert(actual.out.subarray(3 * 3 * shape.R, 6 * 3 * shape.R).every(Number.isNaN), "the rows that see it");
    }
  }
}

for (const kernel of ATTEND) {
  Deno.test(`${kernelName(kernel)} is right on awkward shapes of decode`, () =>
    withGpu(async (gpu) => {
      let ran = 0;
      for (const [what, shape, tuning] of DECODE_CASES) {
        if (kernel.refuses(shape, tuning, gpu.traits) !== undefined) continue;
        const inputs = makeAttendInputs(shape, "normal", 1);
        assertPassed(checkOf(kernel, inputs, attendAbsorbed(inputs), await attend(gpu, kernel, inputs, tuning)), what);
        ran++;
      }
      const usable = kernel.refuses(decodeShape(), {}, gpu.traits) === undefined;
      const all = DECODE_CASES.filter(([, { cache }]) => kernel.dtypes?.includes(cache) ?? true).length;
      assert(!usable || ran === all, `only ${ran} of ${all} shapes ran`);
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
          assertPassed(checkOf(kernel, inputs, reference, actual), `${kind}, ${splits} splits`);
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
      assertPassed(
        checkOf(kernel, inputs, attendAbsorbed(inputs), await attend(small, kernel, inputs, tuning)),
        "folded",
      );
    }));

  Deno.test(`${kernelName(kernel)} is right on ragged queries`, () =>
    withGpu(async (gpu) => {
      for (const [what, shape, splits] of RAGGED_CASES) {
        if (kernel.refuses(shape, {}, gpu.traits) !== undefined) continue;
        const inputs = makeAttendInputs(shape, "normal", 9);
        const reference = attendAbsorbed(inputs);
        for (const n of splits) {
          const actual = await attend(gpu, kernel, inputs, { splits: n });
          assertPassed(checkOf(kernel, inputs, reference, actual), `${what}, ${n} splits`);
        }
      }
    }));

  Deno.test(`${kernelName(kernel)} writes 0 and -1e30 for rows that see no token, in either base`, () =>
    withGpu(async (gpu) => {
      for (const lseBase of ["e", "2"] as const) {
        for (
          const [shape, empty] of [
            // No token at all; of two query tokens the first sees none, in a block with one that does.
            [ragged({ H: 3, q: [1, 2], kv: [0, 1], lseBase }), 6],
            // The first rows of a block with several spans see none, so all that is merged for them is empty.
            [ragged({ H: 1, q: [32], kv: [20], lseBase }), 12],
          ] as const
        ) {
          if (kernel.refuses(shape, {}, gpu.traits) !== undefined) return;
          const inputs = makeAttendInputs(shape, "normal", 10);
          for (const splits of [1, 3]) {
            const results = await runAttend(gpu, kernel, inputs, { splits });
            const lse = floats(results, lseBase === "2" ? "lse2" : "lse");
            assertEquals([...lse.subarray(0, empty)], Array(empty).fill(Math.fround(-1e30)));
            assert(floats(results, "out").subarray(0, empty * shape.R).every((x) => x === 0));
            assert(lse.subarray(empty).every((x) => Math.abs(x) < 1e3));
          }
        }
      }
    }));

  Deno.test(`${kernelName(kernel)} merges spans of which a row sees only some`, () =>
    withGpu(async (gpu) => {
      // The rows of a block see 1 to 32 tokens; spans of 4 to 16 tokens leave many of them empty for the first rows.
      const shape = ragged({ H: 1, q: [32], kv: [32] });
      if (kernel.refuses(shape, {}, gpu.traits) !== undefined) return;
      const inputs = makeAttendInputs(shape, "peak", 11);
      const actual = await attend(gpu, kernel, inputs, { splits: 8 });
      assertPassed(checkOf(kernel, inputs, attendAbsorbed(inputs), actual), "spans of one block");
    }));

  Deno.test(`${kernelName(kernel)} reads pages that sequences share, and no entry past their ends`, () =>
    withGpu(async (gpu) => {
      const shape = ragged({ q: [1, 3, 2], kv: [40, 40, 37] });
      if (kernel.refuses(shape, {}, gpu.traits) !== undefined) return;
      const made = makeAttendInputs(shape, "normal", 12);
      const pageTable = made.pageTable.slice();
      // All begin with the pages of the first; the last page of each is its own, what follows is beyond the cache.
      for (const b of [1, 2]) for (const entry of [0, 1]) pageTable[b * made.tableWidth + entry] = pageTable[entry];
      const inputs = { ...made, pageTable };
      for (const splits of [1, 3]) {
        const actual = await attend(gpu, kernel, inputs, { splits });
        assertPassed(checkOf(kernel, inputs, attendAbsorbed(inputs), actual), `${splits} splits`);
      }
    }));

  Deno.test(`${kernelName(kernel)} is right where table and page together hold 2³² tokens`, () =>
    withGpu(async (gpu) => {
      const inputs = makeAttendInputs(decodeShape({ H: 1, R: 16, Dr: 0, kv: [5], page: 65536 }), "normal", 5);
      if (kernel.refuses(inputs.shape, {}, gpu.traits) !== undefined) return;
      const pageTable = new Int32Array(65536).fill(-1);
      pageTable[0] = inputs.pageTable[0];
      const wide = { ...inputs, pageTable, tableWidth: pageTable.length };
      assertPassed(checkOf(kernel, wide, attendAbsorbed(wide), await attend(gpu, kernel, wide, {})), "wide table");
    }));

  Deno.test(`${kernelName(kernel)} stays below the loop iterations after which the driver would leave its loops`, () =>
    withGpu(async (gpu) => {
      const long = decodeShape({ H: 1, R: 16, Dr: 16, kv: [120000], cache: kernel.dtypes?.[0] ?? "f32" });
      const most = gpu.traits.maxLoopIterations;
      if (most === undefined || kernel.refuses(long, {}, gpu.traits) !== undefined) return;
      const inputs = makeAttendInputs(long, "normal", 7);
      const launch = (splits?: number) => kernel.launch(long, inputs, { splits }, gpu.traits);
      // As few splits as pass the check, and the kernel's choice.
      let splits = 1;
      while (checkLimits(launch(splits), gpu.traits) !== undefined) splits++;
      const reference = attendAbsorbed(inputs);
      for (const tuning of [{ splits }, {}]) {
        assertPassed(
          checkOf(kernel, inputs, reference, await attend(gpu, kernel, inputs, tuning)),
          JSON.stringify(tuning),
        );
      }
    }));
}

for (const kernel of [...ATTEND, emulatedMatrix]) {
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

  Deno.test(`${kernelName(kernel)} follows scores beside which a step of the softmax is rounded away`, () =>
    withGpu(async (gpu) => {
      // Multiples of 16 in powers of two, around 1.5·2²⁶: 24 bits have no 14 there.
      const inputs = writtenInputs({
        kv: 40,
        scale: Math.LN2,
        query: [1.5 * 2 ** 26, 16],
        tokenOf: (t) => [1, Number(t === 20), t + 1],
      });
      if (kernel.refuses(inputs.shape, {}, gpu.traits) !== undefined) return;
      if (kernel === attendFusedF16) return; // a chain of f16 has no 16 beside them
      const { out } = await attend(gpu, kernel, inputs, { splits: 1 });
      // Token 20 weighs 2¹⁶ times as much as each of the other 39.
      const others = 39 * 2 ** -16, sum = 1 + others;
      const expected = [1, 1 / sum, (21 + (820 - 21) * 2 ** -16) / sum];
      expected.forEach((value, i) => assertAlmostEquals(out[i], value, 2e-2));
    }));

  Deno.test(`${kernelName(kernel)} divides by the weights that it multiplies, rounded where it rounds them`, () =>
    withGpu(async (gpu) => {
      // Token 50 weighs 514.78 times as much as those before it, which is 515 in f16.
      const inputs = writtenInputs({
        kv: 80,
        scale: Math.LN2,
        query: [0, 9.0078125],
        tokenOf: (t) => [0, Number(t === 50)],
      });
      if (kernel.refuses(inputs.shape, {}, gpu.traits) !== undefined) return;
      if (kernel === attendFusedF16) return; // it rounds sums as well
      const { out, lse } = await attend(gpu, kernel, inputs, { splits: 1 });
      const weight = 2 ** 9.0078125;
      assertAlmostEquals(out[1], weight / (weight + 79), 1e-4);
      assertAlmostEquals(lse[0], Math.log(weight + 79), 1e-5);
    }));

  Deno.test(`${kernelName(kernel)} takes a scale and a query whose product is no f32`, () =>
    withGpu(async (gpu) => {
      const inputs = writtenInputs({ kv: 4, scale: 1e10, query: [1e30], tokenOf: (t) => [0, t + 1] });
      if (kernel.refuses(inputs.shape, {}, gpu.traits) !== undefined) return;
      if (kernel === attendFusedF16) return; // it scales chains back by that product
      const { out, lse } = await attend(gpu, kernel, inputs, { splits: 1 });
      assertAlmostEquals(out[1], 2.5, 1e-3);
      assertAlmostEquals(lse[0], Math.log(4), 1e-5);
    }));

  Deno.test(`${kernelName(kernel)} keeps what a row does not see from it: a NaN, ∞, or a weight of its neighbour's`, () =>
    withGpu(async (device) => {
      // As it is, and with the teams of a subgroup of twice the lanes.
      const lanes = device.traits.subgroupMinSize;
      for (const subgroupMinSize of lanes === 8 ? [8, 4] : [lanes]) {
        const gpu = { ...device, traits: { ...device.traits, subgroupMinSize } };
        for (const cache of DTYPES) await keepsApart(gpu, kernel, cache);
      }
    }));
}

Deno.test("team kernels are right where subgroups are several teams, or smaller than the device says they may be", () =>
  withGpu(async (gpu) => {
    // A driver that says 4 to 8 lanes: a team must not rely on more than 4, whatever subgroup it gets.
    const small = { ...gpu, traits: { ...gpu.traits, subgroupMinSize: 4 } };
    for (const kernel of [attendFusedSubgroup, attendFusedF16]) {
      if (kernel.refuses(decodeShape(), {}, gpu.traits) !== undefined) continue;
      for (
        const shape of [decodeShape({ kv: [0, 9, 70], page: 16 }), decodeShape({ H: 3, R: 512, kv: [70], page: 61 })]
      ) {
        const { dispatches } = kernel.launch(shape, { pages: 9, tableWidth: 9 }, {}, small.traits);
        assert(dispatches[0].shader.includes("const LANES = 4u;"));
        assert(dispatches[0].shader.includes("const WHOLE = 0u;"));
        const inputs = makeAttendInputs(shape, "normal", 8);
        const actual = await attend(small, kernel, inputs, { splits: 2 });
        assertPassed(checkOf(kernel, inputs, attendAbsorbed(inputs), actual), `${kernel.variant} H=${shape.H}`);
      }
    }
  }));

Deno.test("team kernels are right at every size of a team that the device has lanes for", () =>
  withGpu(async (gpu) => {
    let ran = 0;
    for (const kernel of [attendFusedSubgroup, attendFusedF16]) {
      for (const page of [16, 61]) {
        // Blocks of rows span query tokens; the last rows and tokens fill no team and no tile.
        const shape = decodeShape({ H: 3, R: 64, Dr: 16, q: [3, 1], kv: [67, 5], page });
        const inputs = makeAttendInputs(shape, "normal", 14);
        const reference = attendAbsorbed(inputs);
        for (const rows of kernel.tunings!.rows!) {
          for (const tile of kernel.tunings!.tile!) {
            for (const threads of [32, 64]) {
              const tuning = { rows, tile, threads, splits: 2 };
              if (kernel.refuses(shape, tuning, gpu.traits) !== undefined) continue;
              const actual = await attend(gpu, kernel, inputs, tuning);
              assertPassed(checkOf(kernel, inputs, reference, actual), `${kernel.variant} ${JSON.stringify(tuning)}`);
              ran++;
            }
          }
        }
      }
    }
    assert(ran > 0 || attendFusedSubgroup.refuses(decodeShape(), {}, gpu.traits) !== undefined);
  }));

Deno.test("the texts of team kernels for subgroups that this device has not are valid as well", () =>
  withGpu(async (gpu) => {
    for (const kernel of [attendFusedSubgroup, attendFusedF16]) {
      if (kernel.refuses(decodeShape(), {}, gpu.traits) !== undefined) continue;
      for (const lanes of [4, 16, 32, 64]) {
        for (
          const [H, R, Dr] of [[1, 256, 64], [4, 256, 64], [32, 256, 64], [16, 512, 64], [128, 512, 64], [9, 48, 0]]
        ) {
          for (const cache of DTYPES) {
            const shape = decodeShape({ H, R, Dr, cache, layout: H === 9 ? "separate" : "combined" });
            if (kernel.refuses(shape, {}, teamDevice(lanes)) !== undefined) continue;
            const { dispatches } = kernel.launch(shape, { pages: 9, tableWidth: 99 }, {}, teamDevice(lanes));
            gpu.device.pushErrorScope("validation");
            gpu.device.createShaderModule({ code: dispatches[0].shader });
            const error = await gpu.device.popErrorScope();
            assertEquals(error?.message, undefined, `${kernel.variant}, ${lanes} lanes, H=${H}, R=${R}, ${cache}`);
          }
        }
      }
    }
  }));
