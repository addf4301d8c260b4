import { assert, assertEquals } from "@std/assert";
import type { AttendShape } from "../reference/shapes.ts";
import { attendFused } from "./attend_fused.ts";
import { attendUnfused } from "./attend_unfused.ts";
import type { Launch, Tuning } from "./kernel.ts";
import { prefillFused } from "./prefill_fused.ts";
import { isSameReduction, type Reductions, reductionsOf, splitsOf } from "./reduction.ts";
import { decodeShape, deviceTraits } from "./testing.ts";

const DEVICE = deviceTraits(8);

function attend(shape: AttendShape, tuning: Tuning = {}, kernel = attendFused): Reductions {
  const launch = kernel.launch(shape, { pages: 4096, tableWidth: 4096 }, tuning, DEVICE);
  return reductionsOf("attend", shape, launch);
}

const alike = (a: Reductions, b: Reductions, pairs: readonly (readonly [number, number])[]) =>
  pairs.map(([i, j]) => isSameReduction(a, i, b, j));

Deno.test("a sequence is reduced alike in any order of the batch, prompts and splits included", () => {
  for (const kernel of [attendFused, attendUnfused]) {
    const shape = { H: 12, q: [3, 1, 0, 9], kv: [900, 5000, 7, 40], causal: true };
    const a = attend(decodeShape(shape), {}, kernel);
    const b = attend(decodeShape({ ...shape, q: [9, 0, 3, 1], kv: [40, 7, 900, 5000] }), {}, kernel);
    assertEquals(alike(a, b, [[0, 2], [1, 3], [2, 1], [3, 0]]), [true, true, true, true]);
    assertEquals(alike(a, b, [[0, 0], [1, 2]]), [false, false]);
    assert(splitsOf(a, 1)! > 1);
  }
});

Deno.test("a sequence alone is split more often than beside others, and alike where it is told how", () => {
  const batch = attend(decodeShape({ H: 128, kv: Array(64).fill(4096) }));
  const shape = decodeShape({ H: 128, kv: [4096] });
  assertEquals(alike(batch, attend(shape), [[0, 0]]), [false]);
  assertEquals(splitsOf(batch, 0), 1);
  assertEquals(alike(batch, attend(shape, { splits: splitsOf(batch, 0)! }), [[0, 0], [63, 0]]), [true, true]);
});

Deno.test("other tiles are another reduction, though the blocks are the same", () => {
  const shape = decodeShape({ H: 4, kv: [100] });
  const launch = attendFused.launch(shape, { pages: 9, tableWidth: 9 }, {}, DEVICE);
  const dispatches = launch.dispatches.map((spec) => ({ ...spec, shader: `${spec.shader}\nconst OTHER = 1u;` }));
  const own = reductionsOf("attend", shape, launch);
  assertEquals(alike(own, reductionsOf("attend", shape, { ...launch, dispatches }), [[0, 0]]), [false]);
  assertEquals(alike(own, own, [[0, 0]]), [true]);
});

Deno.test("a launch that says nothing of its work list promises nothing", () => {
  const shape = decodeShape({ H: 4, kv: [100, 7] });
  const launch = attendFused.launch(shape, { pages: 9, tableWidth: 9 }, {}, DEVICE);
  const silent: Launch = { ...launch, buffers: launch.buffers.map(({ list: _, ...spec }) => spec) };
  const own = reductionsOf("attend", shape, silent);
  assertEquals(own.sequences, [undefined, undefined]);
  assertEquals([alike(own, own, [[0, 0]]), splitsOf(own, 0)], [[false], undefined]);
});

Deno.test("the blocks of a prefill are counted from the first token of its sequence; padding is nobody's", () => {
  const model = { Dv: 128, weight: "f32", padding: 3 } as const;
  const reductions = (q: number[], kv: number[]) => {
    const shape = { ...decodeShape({ H: 2, q, kv, causal: true }), ...model };
    return reductionsOf("prefill", shape, prefillFused.launch(shape, { pages: 99, tableWidth: 99 }, {}, DEVICE));
  };
  const a = reductions([70, 0, 5], [70, 9, 50]), b = reductions([5, 70, 0], [50, 70, 9]);
  assertEquals(alike(a, b, [[0, 1], [1, 2], [2, 0]]), [true, true, true]);
  assertEquals(a.sequences, ["0+64:0-64 64+6:0-70", "", "0+5:0-50"]);
});
