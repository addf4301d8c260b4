import { assertEquals, assertMatch } from "@std/assert";
import { attendFusedMatrix } from "./attend_fused_matrix.ts";
import type { DeviceTraits } from "./kernel.ts";
import { checkLimits } from "./limits.ts";
import { decodeShape, MATRIX, matrixDevice, teamDevice } from "./testing.ts";

/** Shapes with the rows and the tile that they get on an H200, and on a device of 32 KiB. */
const TILES: readonly (readonly [R: number, H: number, large: [number, number], small: [number, number]])[] = [
  [512, 16, [16, 32], [16, 16]],
  [512, 32, [32, 32], [16, 16]],
  [512, 128, [64, 16], [16, 16]],
  [256, 16, [16, 32], [16, 32]],
  [256, 128, [64, 16], [64, 16]],
];

for (const [R, H, large, small] of TILES) {
  Deno.test(`attend/fused_matrix at rank ${R} and ${H} heads takes ${large} rows and tokens, in 32 KiB ${small}`, () => {
    const shape = decodeShape({ R, H, kv: [4096] });
    const chosen = (device: DeviceTraits) => {
      const reason = attendFusedMatrix.refuses(shape, {}, device);
      if (reason !== undefined) return reason;
      const launch = attendFusedMatrix.launch(shape, { pages: 64, tableWidth: 64 }, {}, device);
      assertEquals(checkLimits(launch, device), undefined);
      return [launch.chosen.rows, launch.chosen.tile];
    };
    assertEquals(chosen(matrixDevice()), large);
    assertEquals(chosen(matrixDevice([MATRIX], 32768)), small);
  });
}

Deno.test("attend/fused_matrix refuses what it does not take, in words that name it", () => {
  const shape = decodeShape();
  const refusal = (device: DeviceTraits, values = {}, tuning = {}) =>
    attendFusedMatrix.refuses({ ...shape, ...values }, tuning, device) ?? "";
  assertEquals(refusal(matrixDevice()), "");
  assertEquals(refusal(teamDevice(32)), "needs the device feature chromium-experimental-subgroup-matrix");
  assertEquals(
    refusal(matrixDevice([{ ...MATRIX, N: 8 }])),
    "matrices f16→f32 16×16×16 or f16→f32 8×8×8 are needed, the device has f16→f32 16×8×16",
  );
  assertEquals(refusal(matrixDevice([])), "matrices f16→f32 16×16×16 or f16→f32 8×8×8 are needed, the device has none");
  assertEquals(refusal(matrixDevice(), { cache: "f32" }), "cache=f32: only f16, bf16");
  assertMatch(refusal(matrixDevice(), {}, { rows: 4 }), /^rows=4: only 8, 16, 32, 64$/);
  assertEquals(
    refusal(matrixDevice(), {}, { rows: 32, tile: 16 }),
    "rows=32 and tile=16: no block of matrices f16→f32 16×16×16 for subgroups of 32 lanes",
  );
  assertEquals(
    refusal(matrixDevice(), {}, { rows: 64, tile: 32 }),
    "rows=64 and tile=32: no block of matrices f16→f32 16×16×16 for subgroups of 32 lanes",
  );
  assertMatch(refusal(matrixDevice(), { R: 2048 }), /^R \+ Dr = 2112: no tile fits 49152 bytes$/);
});

Deno.test("attend/fused_matrix takes matrices of 8 × 8, with fewer subgroups where they have 32 lanes", () => {
  const sizes = (lanes: number, H: number) => {
    const device = matrixDevice([{ ...MATRIX, M: 8, N: 8, K: 8 }], 32768);
    const { chosen } = attendFusedMatrix.launch(
      decodeShape({ R: 256, H, kv: [4096] }),
      { pages: 64, tableWidth: 64 },
      {},
      { ...device, subgroupMinSize: lanes, subgroupMaxSize: lanes },
    );
    return [chosen.rows, chosen.tile, chosen.threads];
  };
  assertEquals([8, 16, 128].map((H) => sizes(8, H)), [[8, 16, 64], [16, 16, 64], [32, 8, 64]]);
  assertEquals([16, 128].map((H) => sizes(32, H)), [[16, 16, 128], [32, 8, 128]]);
});
