import { assertAlmostEquals, assertEquals, assertGreater, assertLess } from "@std/assert";
import { ColumnSizes, columnSizes } from "./column_sizes.ts";
import { DTYPES, encode } from "./dtypes.ts";
import { fillNormal, streamKey } from "./random.ts";
import { fourthNorm, fourthNorms, headWeights } from "./weights.ts";

Deno.test("headWeights() takes the rows of a head's part, in every dtype", () => {
  const dims = { H: 3, R: 2, Dn: 2, Dv: 3 };
  const values = Array.from({ length: 3 * 5 * 2 }, (_, i) => i);
  for (const weight of DTYPES) {
    const weights = { ...dims, weight, kvB: encode(values, weight) };
    assertEquals([...headWeights(weights, "k", 0)], [0, 1, 2, 3]);
    assertEquals([...headWeights(weights, "v", 0)], [4, 5, 6, 7, 8, 9]);
    assertEquals([...headWeights(weights, "k", 2)], [20, 21, 22, 23]);
    assertEquals([...headWeights(weights, "v", 2)], [24, 25, 26, 27, 28, 29]);
  }
});

Deno.test("fourthNorms() bound norms of products, closely where both factors are normal", () => {
  const { rows, columns } = fourthNorms(Float64Array.of(1, 2, 3, 4, 5, 6), 3);
  [1 + 16 + 81, 256 + 625 + 1296].forEach((sum, i) => assertAlmostEquals(rows[i], sum ** 0.25, 1e-12));
  [1 + 256, 16 + 625, 81 + 1296].forEach((sum, i) => assertAlmostEquals(columns[i], sum ** 0.25, 1e-12));
  const [a, b] = [new Float32Array(500), new Float32Array(500)];
  fillNormal(a, streamKey(1, 1));
  fillNormal(b, streamKey(1, 2));
  const ratio = fourthNorm(a) * fourthNorm(b) / Math.hypot(...a.map((x, i) => x * b[i]));
  assertGreater(ratio, 1.4);
  assertLess(ratio, 2);
});

Deno.test("columnSizes() are the columns' rms, times the ratio of the longest vector to the rms vector", () => {
  // Vectors of lengths 5 and 1: rms √13, ratio 5/√13.
  const sizes = columnSizes(Float32Array.of(3, 4, 0, 1), 2);
  const ratio = 5 / Math.sqrt(13);
  assertAlmostEquals(sizes[0], Math.sqrt(9 / 2) * ratio, 1e-12);
  assertAlmostEquals(sizes[1], Math.sqrt(17 / 2) * ratio, 1e-12);
  assertEquals([...columnSizes(new Float32Array(6), 3)], [0, 0, 0]);
  assertEquals([...new ColumnSizes(2).sizes()], [0, 0]);
  assertEquals(columnSizes(new Float32Array(0), 0).length, 0);
});
