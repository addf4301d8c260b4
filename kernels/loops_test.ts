import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import type { AttendShape } from "../reference/shapes.ts";
import { attendFused, fusedLoop, fusedTiles } from "./attend_fused.ts";
import { attendFusedSubgroup, subgroupLoop, subgroupTiles } from "./attend_fused_subgroup.ts";
import { attendUnfused } from "./attend_unfused.ts";
import type { AttendKernel, Launch } from "./kernel.ts";
import { checkLimits } from "./limits.ts";
import { decodeShape, deviceTraits } from "./testing.ts";

const KERNELS: readonly AttendKernel[] = [attendUnfused, attendFused, attendFusedSubgroup];
const LLVMPIPE = { ...deviceTraits(8), maxLoopIterations: 65535 };
const SHAPES: readonly AttendShape[] = [
  decodeShape(),
  decodeShape({ H: 2, R: 16, Dr: 16, cache: "f32" }),
  decodeShape({ H: 8, R: 512 }),
  decodeShape({ H: 128, R: 512 }),
  decodeShape({ H: 33, R: 48, Dr: 0 }),
  decodeShape({ H: 9, R: 1024, cache: "bf16" }),
];

/** Iterations of a loop, its last test included, of the thread that has the most. */
function longest(threads: number, first: (t: number) => number, end: number, step: number): number {
  const passes = (t: number) => {
    let n = 1;
    for (let i = first(t); i < end; i += step) n++;
    return n;
  };
  return Math.max(...Array.from({ length: threads }, (_, t) => passes(t)));
}

Deno.test("the estimates of the fused kernels are what their loops do in a tile", () => {
  for (const shape of SHAPES) {
    const { R, Dr } = shape;
    const chunks = (R + Dr) / 8;
    for (const subgroup of [false, true]) {
      const tiles = subgroup ? subgroupTiles(shape, LLVMPIPE) : fusedTiles(shape);
      const { T, THREADS, SLICES } = tiles;
      const slice = (t: number) => (subgroup && "LANE" in tiles ? Math.floor(t / Number(tiles.LANE)) : t >> 1) % SLICES;
      let iterations = 1;
      iterations += longest(THREADS, (t) => t, T * chunks, 5 * THREADS);
      iterations += longest(THREADS, (t) => t, T * chunks, THREADS);
      iterations += longest(THREADS, slice, R / 8, SLICES) + longest(THREADS, slice, Dr / 8, SLICES);
      if (subgroup) iterations += longest(1, () => 1, SLICES / 4, 1);
      else {
        for (let i = 0; i < T / 4; i++) iterations += 1 + longest(1, () => 0, SLICES, 2);
        iterations += 1 + longest(1, () => 0, T / 4, 1);
      }
      iterations += longest(1, () => 0, T / 4, 1);
      const loop = subgroup ? subgroupLoop(shape, subgroupTiles(shape, LLVMPIPE)) : fusedLoop(shape, fusedTiles(shape));
      assertEquals(loop, { tile: T, tileIterations: iterations }, `R=${R} H=${shape.H} subgroup=${subgroup}`);
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
    const free = kernel.launch(shape, layout, {}, deviceTraits(8));
    const limits = { maxStorageBufferBindingSize: partial(free) - 4 };
    const tight = kernel.launch(shape, layout, {}, deviceTraits(8, limits));
    assert(tight.chosen.splits < free.chosen.splits, `${kernel.variant} ${tight.chosen.splits} ${free.chosen.splits}`);
    assert(partial(tight) <= limits.maxStorageBufferBindingSize);
    const asked = kernel.launch(shape, layout, { splits: 1024 }, deviceTraits(8, limits));
    const buffers = asked.buffers.filter(({ name }) => name === "partial_out");
    assertMatch(
      checkLimits({ ...asked, buffers }, deviceTraits(8, limits)) ?? "",
      /^buffer "partial_out" needs \d+ bytes/,
    );
  }
});
