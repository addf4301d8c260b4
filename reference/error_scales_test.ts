import { assert, assertLess } from "@std/assert";
import { attendBounds } from "./bounds.ts";
import { emulateAttend } from "./emulate_attend.ts";
import { referenceRows } from "./emulation.ts";
import { attendScales } from "./error_scales.ts";
import { makeAttendInputs } from "./inputs.ts";
import { attendAbsorbed } from "./mla.ts";
import { F32, type KernelPrecision } from "./precision.ts";
import type { AttendShape, InputKind } from "./shapes.ts";
import { F16_ALL, F16_VALUES } from "./testdata/f16_kernels.ts";

const SHAPE: AttendShape = {
  B: 4,
  H: 16,
  R: 64,
  Dr: 64,
  Dn: 128,
  Dv: 128,
  q: [12, 12, 12, 12],
  kv: [12, 40, 120, 300],
  page: 16,
  cache: "f16",
  scale: 1 / Math.sqrt(192),
  causal: true,
};

const rms = (values: readonly number[]) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);

/** Largest rms error of rows of like `weightNorm` over the smallest, in scales and as shares of the bounds. */
function spreads(kind: InputKind, of: "out" | "lse", precision: KernelPrecision = F32) {
  const inputs = makeAttendInputs(SHAPE, kind, 1);
  const reference = attendAbsorbed(inputs);
  const scales = attendScales(SHAPE, reference, precision), bounds = attendBounds(SHAPE, reference, precision);
  const rows = [...reference.rows.keys()].filter((row) => reference.seen[row] > 1);
  // Row by row: of rows that err alike one is a draw.
  const drawsOf = (row: number) =>
    emulateAttend(inputs, referenceRows(reference, Int32Array.of(row)), [0, 3], precision)[of];
  const errors = new Map(rows.map((row) => [row, rms([...drawsOf(row)])]));
  const byWeight = rows.sort((a, b) => reference.weightNorm[a] - reference.weightNorm[b]);
  const bins = Array.from({ length: 6 }, (_, i) => {
    return byWeight.slice(Math.round(i * rows.length / 6), Math.round((i + 1) * rows.length / 6));
  });
  const perRow = of === "lse" ? 1 : SHAPE.R;
  const share = (row: number) => errors.get(row)! * scales[of][row * perRow] / bounds[of][row * perRow];
  const spread = (error: (row: number) => number) => {
    const means = bins.map((bin) => rms(bin.map(error)));
    return Math.max(...means) / Math.min(...means);
  };
  return { scales: spread((row) => errors.get(row)!), bounds: spread(share) };
}

Deno.test("rows of one case err alike in scales, whether one token has the weight or many, and unlike in bounds", () => {
  let tighter = 0;
  for (const kind of ["normal", "large", "onehot", "peak", "flashmla"] as const) {
    for (const  of of["out", "lse"] as const) {
      const spread = spreads(kind, of);
      assertLess(spread.scales, 3.5, `${kind} ${of}: ${spread.scales}`);
      if (spread.scales < spread.bounds) tighter++;
    }
  }
  assert(tighter >= 7, `${tighter} of 10`);
});

Deno.test("so they do in f16, but for rows of one token, whose product is exact", () => {
  for (const precision of [F16_VALUES, F16_ALL]) {
    for (const kind of ["normal", "large", "onehot", "flashmla", "peak"] as const) {
      for (const figure of ["out", "lse"] as const) {
        const spread = spreads(kind, figure, precision);
        assertLess(spread.scales, kind === "peak" ? 8.5 : 6, `${kind} ${figure}: ${spread.scales}`);
      }
    }
  }
});
