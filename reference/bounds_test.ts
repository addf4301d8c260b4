import { assert, assertAlmostEquals, assertEquals, assertGreater, assertLess } from "@std/assert";
import { attendBounds, U32 } from "./bounds.ts";
import { makeAttendInputs } from "./inputs.ts";
import { attendAbsorbed, type AttendReference } from "./mla.ts";
import { F32 } from "./precision.ts";
import type { AttendShape } from "./shapes.ts";
import { F16_ALL, F16_VALUES } from "./testdata/f16_kernels.ts";

const SHAPE: AttendShape = {
  B: 1,
  H: 1,
  R: 16,
  Dr: 0,
  Dn: 128,
  Dv: 128,
  q: [1],
  kv: [40000],
  page: 64,
  cache: "f32",
  scale: 0.125,
  causal: true,
};

Deno.test("rescalings count, by weight, the later tokens that raise the running maximum", () => {
  const shape = { ...SHAPE, kv: [3] };
  const { rescalings, lse } = attendAbsorbed(makeAttendInputs(shape, "monotone", 1));
  // Scores of ½, 1 and 1½: the first token is rescaled twice, the second once.
  const sum = Math.exp(0.5) + Math.exp(1) + Math.exp(1.5);
  assertAlmostEquals(lse[0], Math.log(sum), 1e-6);
  assertAlmostEquals(rescalings[0], (2 * Math.exp(0.5) + Math.exp(1)) / sum, 1e-6);
  for (const kind of ["equal", "normal"] as const) {
    const of = attendAbsorbed(makeAttendInputs({ ...SHAPE, kv: [2000] }, kind, 1)).rescalings[0];
    assert(kind === "equal" ? of === 0 : of < 20, `${kind}: ${of}`);
  }
});

Deno.test("a bias of exp that adds up over the tiles of a rising maximum is within the bound, and 8 ULP are not", () => {
  // The first tokens weigh next to nothing; that they may be lost is another line of the bound.
  const reference = { ...attendAbsorbed(makeAttendInputs(SHAPE, "monotone", 1)), vanishing: new Float64Array(1) };
  const bound = attendBounds(SHAPE, reference).lse[0];
  const bias = (ulp: number, tile: number) => {
    const step = 16 / SHAPE.kv[0];
    const factor = Math.exp(-step * tile) * (1 + ulp * U32);
    let honest = 0, biased = 0;
    for (let token = 0; token < SHAPE.kv[0]; token += tile) {
      const own = Array.from({ length: tile }, (_, i) => Math.exp(-step * i)).reduce((a, b) => a + b);
      honest = honest * Math.exp(-step * tile) + own;
      biased = biased * factor + own;
    }
    return Math.log(biased / honest);
  };
  for (const tile of [1, 4, 16]) assertLess(bias(3, tile), bound);
  assertGreater(bias(8, 1), bound);
  // Without the term, 3 ULP in tiles of 4 would be a failure.
  const without: AttendReference = { ...reference, rescalings: new Float64Array(1) };
  assertGreater(bias(3, 4), attendBounds(SHAPE, without).lse[0]);
});

Deno.test("a score that its first product dominates keeps seven standard deviations", () => {
  const { fround } = Math;
  const n = 576;
  let state = 1;
  const uniform = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  // 257 is at the start of a binade, where an f32 is coarsest for its size.
  let squares = 0;
  const runs = 2000;
  for (let run = 0; run < runs; run++) {
    let sum = 257, exact = 257;
    for (let i = 1; i < n; i++) {
      const product = fround((uniform() - 0.5) * 0.05);
      sum = fround(sum + product);
      exact += product;
    }
    squares += ((sum - exact) / 257) ** 2;
  }
  const deviation = Math.sqrt(squares / runs);
  const shape = { ...SHAPE, R: 512, Dr: 64, kv: [1] };
  const bound = (lse: number) =>
    attendBounds(shape, {
      rows: Int32Array.of(0),
      seen: Int32Array.of(1),
      scoreAbs: Float64Array.of(257),
      rescalings: Float64Array.of(0),
      weightNorm: Float64Array.of(1),
      vanishing: Float64Array.of(0),
      valueMost: Float64Array.of(1),
      scoreReach: Float64Array.of(1),
      out: new Float64Array(512),
      outAbs: new Float64Array(512),
      lse: Float64Array.of(lse),
    }).lse[0] / 257;
  assertLess(7 * deviation, bound(257));
  assertLess(7 * deviation, bound(-257));
  // A score that cancels out leaves no room for partial sums of more than half its condition.
  assertGreater(7 * deviation, bound(0));
});

Deno.test("sums in f16 add their lines to the bounds, those of f32 nothing", () => {
  const shape = { ...SHAPE, kv: [50], cache: "f16" as const };
  const reference = attendAbsorbed(makeAttendInputs(shape, "normal", 1));
  const [f32, values, all] = [F32, F16_VALUES, F16_ALL].map((precision) => attendBounds(shape, reference, precision));
  assertEquals(f32, attendBounds(shape, reference));
  assertEquals(values.lse, f32.lse);
  const u = 2 ** -11, [score] = reference.scoreAbs;
  reference.outAbs.forEach((size, i) => {
    assertGreater(values.out[i], f32.out[i] + 34 * u * size);
    assertLess(values.out[i], f32.out[i] + 34 * u * size + 50 * 6 * 2 ** -19);
    assertGreater(all.out[i], values.out[i] + Math.min(2 * 20 * u * score * size, 2 * reference.valueMost[0] - 1e-9));
  });
  assertGreater(all.lse[0], f32.lse[0] + 20 * u * score);
  // However wrong the weights are, what they make lies among the values.
  const hopeless = { ...reference, scoreAbs: Float64Array.of(1e9) };
  const [most, less] = [F16_ALL, F16_VALUES].map((precision) => attendBounds(shape, hopeless, precision).out[0]);
  assertAlmostEquals(most - less, 2 * reference.valueMost[0], 1e-9);
});
