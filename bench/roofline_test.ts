import { assertAlmostEquals, assertEquals } from "@std/assert";
import type { Calibration } from "./result.ts";
import type { KernelPrecision } from "../reference/precision.ts";
import { peaksOf, rooflineOf } from "./roofline.ts";

const F16: KernelPrecision = { scores: { f16Chain: 18 }, values: { f16Chain: 32 } };

const h200: Calibration = {
  readBytesPerS: { value: 4e12 },
  copyBytesPerS: { value: 3e12 },
  workgroupBytesPerS: { value: 28e12 },
  f32FlopsPerS: { value: 60e12 },
  f16FlopsPerS: { value: 100e12 },
  matrixFlopsPerS: { value: 600e12 },
  doubts: [],
  wallMs: 1,
};

Deno.test("rooflineOf() is the least time by the limit that binds over the time", () => {
  // 4 MB take 1 µs, 300 Mflop 5 µs: arithmetic binds. With 40 MB it is memory.
  assertEquals(rooflineOf({ minBytes: 4e6, flops: 300e6 }, 10_000, h200), {
    share: 0.5,
    limit: "f32FlopsPerS",
    perS: 60e12,
  });
  assertEquals(rooflineOf({ minBytes: 40e6, flops: 300e6 }, 20_000, h200), {
    share: 0.5,
    limit: "readBytesPerS",
    perS: 4e12,
  });
});

Deno.test("rooflineOf() holds an operation without arithmetic against copying", () => {
  const { share, limit, perS } = rooflineOf({ minBytes: 3e6, flops: 0 }, 4000, h200)!;
  assertAlmostEquals(share, 0.25, 1e-12);
  assertEquals([limit, perS], ["copyBytesPerS", 3e12]);
});

Deno.test("rooflineOf() takes the rate of f16 for a kernel that has products in it, and does not hide what passes a limit", () => {
  const work = { minBytes: 4e6, flops: 300e6 };
  assertAlmostEquals(rooflineOf(work, 4000, h200)!.share, 1.25, 1e-12);
  for (const precision of [F16, { ...F16, scores: "f32" }, { ...F16, values: "f32" }] as const) {
    const half = rooflineOf(work, 4000, h200, { precision })!;
    assertAlmostEquals(half.share, 0.75, 1e-12);
    assertEquals([half.limit, half.perS], ["f16FlopsPerS", 100e12]);
  }
});

Deno.test("matrices have a rate of their own, and where that is not known no time of theirs is judged", () => {
  const precision: KernelPrecision = { scores: { f16Chain: 0 }, values: { f16Chain: 0 } };
  const work = { minBytes: 1e6, flops: 600e6 };
  const { share, limit } = rooflineOf(work, 2000, h200, { precision })!;
  assertAlmostEquals(share, 0.5, 1e-12);
  assertEquals(limit, "matrixFlopsPerS");
  assertEquals(peaksOf(h200, { precision }).flopsPerS, 600e12);
  const { matrixFlopsPerS: _, ...without } = h200;
  assertEquals([rooflineOf(work, 2000, without, { precision }), peaksOf(without, { precision }).flopsPerS], [
    undefined,
    undefined,
  ]);
});

Deno.test("rooflineOf() knows nothing where a limit that may bind is not known", () => {
  const { readBytesPerS: _, ...blind } = h200;
  assertEquals(rooflineOf({ minBytes: 4e6, flops: 300e6 }, 1000, blind), undefined);
  assertEquals(rooflineOf({ minBytes: 4e6, flops: 0 }, 1000, blind)?.limit, "copyBytesPerS");
  assertEquals(rooflineOf({ minBytes: 4e6, flops: 300e6 }, 1000, undefined), undefined);
});

Deno.test("peaksOf() are the fastest rates of memory and of a kernel's arithmetic; what was not measured is not judged", () => {
  assertEquals(peaksOf(h200), { bytesPerS: 4e12, flopsPerS: 60e12 });
  assertEquals(peaksOf(h200, { precision: F16 }), { bytesPerS: 4e12, flopsPerS: 100e12 });
  const { f16FlopsPerS: _, readBytesPerS: __, ...less } = h200;
  assertEquals(peaksOf(less), { bytesPerS: 3e12, flopsPerS: 60e12 });
  assertEquals(peaksOf({ doubts: [], wallMs: 1 }), { bytesPerS: undefined, flopsPerS: undefined });
});
