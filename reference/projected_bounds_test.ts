import { assertAlmostEquals, assertGreater, assertLess } from "@std/assert";
import { LAMBDA, projectedBounds, U32 } from "./bounds.ts";
import { decode } from "./dtypes.ts";
import { absorb } from "./mla.ts";
import { makePrefillInputs } from "./mla_inputs.ts";
import { attendProjected, type ProjectedReference } from "./projected.ts";
import type { PrefillShape } from "./shapes.ts";

const SHAPE: PrefillShape = {
  B: 1,
  H: 2,
  R: 64,
  Dr: 16,
  Dn: 24,
  Dv: 8,
  q: [1],
  kv: [100],
  page: 100,
  cache: "f32",
  weight: "f32",
  padding: 0,
  scale: -0.3,
  causal: true,
};

/** Bounds of one row, in units of u, that has nothing but `figures`. */
function boundsOf(figures: { [Name in keyof ProjectedReference]?: number }) {
  const of = (name: keyof ProjectedReference) => Float64Array.of(figures[name] ?? 0);
  const reference: ProjectedReference = {
    rows: Int32Array.of(0),
    out: of("out"),
    lse: of("lse"),
    valueNorm: of("valueNorm"),
    latentNorm: of("latentNorm"),
    scoreNorm: of("scoreNorm"),
    absorbNorm: of("absorbNorm"),
    keyNorm: of("keyNorm"),
    unfoldNorm: of("unfoldNorm"),
    rescalings: of("rescalings"),
    weightNorm: of("weightNorm"),
    vanishing: of("vanishing"),
    valueMost: of("valueMost"),
    scoreReach: of("scoreReach"),
    seen: Int32Array.of(figures.seen ?? 1),
  };
  const { out, lse } = projectedBounds({ ...SHAPE, Dv: 1 }, reference);
  return { out: out[0] / U32, lse: lse[0] / U32 };
}

Deno.test("projectedBounds() takes every line of its table at its factor", () => {
  const value = { valueNorm: 1, weightNorm: 0.5 };
  const base = boundsOf(value);
  const grows = (figures: Parameters<typeof boundsOf>[0], out: number, lse: number) => {
    const bound = boundsOf({ ...value, ...figures });
    assertAlmostEquals(bound.out - base.out, out, 1e-6);
    assertAlmostEquals(bound.lse - base.lse, lse, 1e-6);
  };
  const root = (n: number) => LAMBDA * Math.sqrt(n);
  // Errors that are the same for all tokens count in full, others at half, the weights' norm.
  grows({ absorbNorm: 1 }, root(24), root(24));
  grows({ scoreNorm: 1 }, 0.5 * root(80), 0.5 * root(80));
  grows({ keyNorm: 1 }, 0.5 * root(40), 0.5 * root(40));
  grows({ unfoldNorm: 1 }, 0.5 * root(64), 0.5 * root(64));
  grows({ keyNorm: 1, unfoldNorm: 1, scoreNorm: 1 }, 0.5 * (root(40) + root(64)), 0.5 * (root(40) + root(64)));
  grows({ rescalings: 1 }, 6, 6);
  grows({ lse: -3 }, 24 + 1.5 * root(80), 48 + 1.5 * root(80));
  // 8·ln n and 4·log₂n of the weights, and sums of 16 instead of one.
  const weights = 8 * Math.log(16) + 16;
  grows({ seen: 16 }, weights + 0.5 * (root(16) - root(1)), weights + root(16) - root(1));
  // The projection of a latent beyond the spread of the values, and the sum over tokens that made it.
  grows({ latentNorm: 3 }, 3 * (root(1) + 4) + root(64) * (3 - 1), 0);
  // What one accumulator may lose, of the weights and of the values.
  grows({ vanishing: U32 }, 1, 2);
  // A result counts in the numerator and in the denominator: in the weights' own errors and in both sums.
  grows({ out: 3 }, 2 * 3 * (6 + root(1) + 4) + root(64) * (3 - 1), 0);
});

Deno.test("the norms of attendProjected() are at least those of the products they stand for, and at most three times", () => {
  const inputs = makePrefillInputs(SHAPE, "normal", 4);
  const { H, R, Dr, Dn, Dv, scale } = SHAPE;
  const reference = attendProjected(inputs);
  const kvB = decode(inputs.kvB, "f32");
  const first = inputs.pageTable[0] * 100 * (R + Dr);
  const keys = decode(inputs.cache, "f32").subarray(first, first + 100 * (R + Dr));
  const qLatent = absorb(inputs.qNope, kvB, SHAPE);
  const tokens = Array.from({ length: 100 }, (_, t) => keys.subarray(t * (R + Dr), (t + 1) * (R + Dr)));
  const rms = (of: (token: Float32Array) => number) =>
    Math.sqrt(tokens.reduce((sum, token) => sum + of(token) ** 2, 0) / tokens.length);
  const close = (actual: number, expected: number) => {
    assertGreater(actual, 0.95 * expected);
    assertLess(actual, 3 * expected);
  };
  const size = Math.abs(scale);
  for (let h = 0; h < H; h++) {
    const weights = (row: number) => kvB.subarray((h * (Dn + Dv) + row) * R, (h * (Dn + Dv) + row + 1) * R);
    const nope = [...inputs.qNope.subarray(h * Dn, (h + 1) * Dn)];
    const latent = [...qLatent.subarray(h * R, (h + 1) * R)];
    const rope = (c: Float32Array) => [...inputs.qPe.subarray(h * Dr, (h + 1) * Dr)].map((x, d) => x * c[R + d]);
    const dot = (row: number, c: Float32Array) => weights(row).reduce((sum, w, r) => sum + w * c[r], 0);
    close(reference.scoreNorm[h], size * rms((c) => Math.hypot(...latent.map((x, r) => x * c[r]), ...rope(c))));
    close(reference.keyNorm[h], size * rms((c) => Math.hypot(...nope.map((x, d) => x * dot(d, c)), ...rope(c))));
    const absorbed = latent.map((x, r) => Math.hypot(x, ...nope.map((y, d) => y * weights(d)[r])));
    close(reference.absorbNorm[h], size * rms((c) => Math.hypot(...absorbed.map((x, r) => x * c[r]))));
    const unfolded = (c: Float32Array) =>
      nope.map((x, d) => x * Math.hypot(dot(d, c), ...weights(d).map((w, r) => w * c[r])));
    close(reference.unfoldNorm[h], size * rms((c) => Math.hypot(...unfolded(c))));
    for (let v = 0; v < Dv; v++) {
      close(reference.valueNorm[h * Dv + v], rms((c) => Math.hypot(...weights(Dn + v).map((w, r) => w * c[r]))));
    }
  }
});
