import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import type { AttendShape } from "../reference/shapes.ts";
import { attendFused, fusedLoop, fusedTiles } from "./attend_fused.ts";
import { attendFusedF16 } from "./attend_fused_f16.ts";
import { attendFusedSubgroup } from "./attend_fused_subgroup.ts";
import { attendUnfused } from "./attend_unfused.ts";
import type { AttendKernel, DeviceTraits, Launch, Limits } from "./kernel.ts";
import { checkLimits } from "./limits.ts";
import { decodeShape, deviceTraits, teamDevice } from "./testing.ts";

const TEAM_KERNELS: readonly AttendKernel[] = [attendFusedSubgroup, attendFusedF16];
const KERNELS: readonly AttendKernel[] = [attendUnfused, attendFused, ...TEAM_KERNELS];
const LLVMPIPE = { ...teamDevice(8), maxLoopIterations: 65535 };
const SHAPES: readonly AttendShape[] = [
  decodeShape(),
  decodeShape({ H: 2, R: 16, Dr: 16, cache: "f32" }),
  decodeShape({ H: 8, R: 512 }),
  decodeShape({ H: 128, R: 512 }),
  decodeShape({ H: 33, R: 48, Dr: 0 }),
  decodeShape({ H: 9, R: 1024, cache: "bf16" }),
];

function withLimits(limits: Partial<Limits>): DeviceTraits {
  const device = teamDevice(8);
  return { ...device, limits: { ...device.limits, ...limits } };
}

/** Iterations of a loop, its last test included, of the thread that has the most. */
function longest(threads: number, first: (t: number) => number, end: number, step: number): number {
  const passes = (t: number) => {
    let n = 1;
    for (let i = first(t); i < end; i += step) n++;
    return n;
  };
  return Math.max(...Array.from({ length: threads }, (_, t) => passes(t)));
}

Deno.test("the estimate of attend/fused is what its loops do in a tile", () => {
  for (const shape of SHAPES) {
    const { R, Dr } = shape;
    const chunks = (R + Dr) / 8;
    const tiles = fusedTiles(shape);
    const { T, THREADS, SLICES } = tiles;
    const slice = (t: number) => (t >> 1) % SLICES;
    let iterations = 1;
    iterations += longest(THREADS, (t) => t, T * chunks, 5 * THREADS);
    iterations += longest(THREADS, (t) => t, T * chunks, THREADS);
    iterations += longest(THREADS, slice, R / 8, SLICES) + longest(THREADS, slice, Dr / 8, SLICES);
    for (let i = 0; i < T / 4; i++) iterations += 1 + longest(1, () => 0, SLICES, 2);
    iterations += 1 + longest(1, () => 0, T / 4, 1);
    iterations += longest(1, () => 0, T / 4, 1);
    assertEquals(fusedLoop(shape, tiles), { tile: T, tileIterations: iterations }, `R=${R} H=${shape.H}`);
  }
});

Deno.test("the estimates of the team kernels are no less than what their two loops do in a block and more, and at most twice that", () => {
  for (const kernel of TEAM_KERNELS) {
    for (const lanes of [4, 8, 32]) {
      const device = teamDevice(lanes);
      for (const tile of kernel.tunings!.tile!) {
        for (const tokens of [lanes, lanes + 1, 2 * lanes + 1, 1000, 1001, 99_999, 100_001]) {
          const shape = decodeShape({ H: 1, R: 64, kv: [tokens] });
          if (kernel.refuses(shape, { tile }, device) !== undefined) continue;
          const layout = { pages: 9, tableWidth: 4096 };
          const { dispatches, chosen } = kernel.launch(shape, layout, { tile, splits: 1 }, device);
          assertEquals(chosen.tile, tile);
          let iterations = longest(1, () => 0, tokens, lanes);
          for (let block = 0; block < tokens; block += lanes) {
            iterations += longest(1, () => 0, Math.min(lanes, tokens - block), tile);
          }
          const what = `${kernel.variant} ${lanes} lanes, tile ${tile}, ${tokens} tokens`;
          const estimate = dispatches[0].loopIterations!;
          assert(estimate >= iterations, `${what}: ${estimate} of ${iterations}`);
          assert(estimate <= 2 * iterations + 2, `${what}: ${estimate} of ${iterations}`);
        }
      }
    }
  }
});

Deno.test("every dispatch of a long sequence in one split is refused where the driver would leave its loops", () => {
  // Measured: fused at H=2, R=16, Dr=16 in f32 is right up to 52,424 tokens and wrong from 52,432 on.
  const shape = decodeShape({ H: 2, R: 16, Dr: 16, cache: "f32", kv: [52432] });
  const launch = attendFused.launch(shape, { pages: 9, tableWidth: 900 }, { splits: 1 }, LLVMPIPE);
  assertGreater(launch.dispatches[0].loopIterations ?? 0, 65535);
  assertMatch(
    checkLimits(launch, LLVMPIPE) ?? "",
    /^dispatch "attend" needs up to \d+ loop iterations in one invocation, the driver stops at 65535$/,
  );
  assertEquals(checkLimits(launch, deviceTraits(8)), undefined);
});

Deno.test("kernels cut a long sequence into as many splits as the driver's loops demand, and more are refused", () => {
  for (const kernel of KERNELS) {
    const layout = { pages: 9, tableWidth: 1 << 20 };
    const shape = decodeShape({ kv: [...Array(300).fill(1), 200_000], H: 8, R: 64, Dr: 0 });
    const { chosen, dispatches } = kernel.launch(shape, layout, {}, LLVMPIPE);
    assert(chosen.splits > 1);
    for (const { label, loopIterations } of dispatches) assert(loopIterations! <= 65535, `${kernel.variant} ${label}`);
    // The last length that fits the most splits, and far beyond it.
    const endless = kernel.launch(
      decodeShape({ kv: [2 ** 30 - 1], H: 1, R: 16, Dr: 0 }),
      {
        pages: 9,
        tableWidth: 2 ** 25,
      },
      {},
      { ...LLVMPIPE, limits: { ...LLVMPIPE.limits, maxBufferSize: 2 ** 50, maxStorageBufferBindingSize: 2 ** 50 } },
    );
    assert(endless.dispatches.some(({ loopIterations }) => loopIterations! > 65535), kernel.variant);
  }
});

Deno.test("kernels choose no more splits than there is room for partial outputs", () => {
  for (const kernel of KERNELS) {
    const shape = decodeShape({ kv: Array(12).fill(65536), H: 16, R: 512 });
    const layout = { pages: 9, tableWidth: 1024 };
    const partial = (launch: Launch) => launch.buffers.find(({ name }) => name === "partial_out")?.bytes ?? 0;
    const free = kernel.launch(shape, layout, {}, teamDevice(8));
    const limits = { maxStorageBufferBindingSize: partial(free) - 4 };
    const tight = kernel.launch(shape, layout, {}, withLimits(limits));
    assert(tight.chosen.splits < free.chosen.splits, `${kernel.variant} ${tight.chosen.splits} ${free.chosen.splits}`);
    assert(partial(tight) <= limits.maxStorageBufferBindingSize);
    const asked = kernel.launch(shape, layout, { splits: 1024 }, withLimits(limits));
    const buffers = asked.buffers.filter(({ name }) => name === "partial_out");
    assertMatch(
      checkLimits({ ...asked, buffers }, withLimits(limits)) ?? "",
      /^buffer "partial_out" needs \d+ bytes/,
    );
  }
});
