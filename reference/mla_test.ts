import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { nanBits } from "./dtypes.ts";
import { makeAttendInputs } from "./inputs.ts";
import { absorb, attendAbsorbed, attendExpanded, attendLatent, projectValue } from "./mla.ts";
import { fillNormal, streamKey } from "./random.ts";
import { readRecorded, recordedInputs } from "./recorded.ts";
import { type AttendShape, INPUT_KINDS } from "./shapes.ts";

function random(length: number, stream: number, scale = 1): Float64Array {
  // Two f32 make an f64 with digits beyond f32.
  const [high, low] = [0, 1].map((part) => {
    const values = new Float32Array(length);
    fillNormal(values, streamKey(11, 2 * stream + part), { scale });
    return values;
  });
  return Float64Array.from(high, (x, i) => x + low[i] * 2 ** -26);
}

/** Frobenius norm of the difference, relative to that of `b`. */
function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let difference = 0, size = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    size += b[i] ** 2;
  }
  assertEquals(a.length, b.length);
  return Math.sqrt(difference / size);
}

for (
  const [q, kv, R, Dn, Dr, Dv, H, causal] of [
    [1, 1, 16, 8, 0, 8, 1, true],
    [1, 130, 64, 16, 32, 24, 3, true],
    [5, 70, 32, 24, 16, 8, 2, true],
    [70, 70, 32, 8, 64, 16, 2, true],
    [4, 67, 48, 8, 0, 16, 3, false],
  ] as const
) {
  Deno.test(`absorbed and expanded attention agree to 1e-12 (q=${q}, kv=${kv}, R=${R}, Dr=${Dr}, causal=${causal})`, () => {
    const dims = { H, R, Dn, Dv };
    const scale = 1 / Math.sqrt(Dn + Dr);
    const qNope = random(q * H * Dn, 0);
    const qPe = random(q * H * Dr, 1);
    const compressedKv = random(kv * R, 2);
    const kpe = random(kv * Dr, 3);
    const kvB = random(H * (Dn + Dv) * R, 4, 1 / Math.sqrt(R));
    const expanded = attendExpanded({ ...dims, Dr, scale, causal, qNope, qPe, compressedKv, kpe, kvB });
    const W = R + Dr;
    const latent = absorb(qNope, kvB, dims);
    const queries = new Float64Array(q * H * W);
    for (let row = 0; row < q * H; row++) {
      queries.set(latent.subarray(row * R, (row + 1) * R), row * W);
      queries.set(qPe.subarray(row * Dr, (row + 1) * Dr), row * W + R);
    }
    const keys = new Float64Array(kv * W);
    for (let t = 0; t < kv; t++) {
      keys.set(compressedKv.subarray(t * R, (t + 1) * R), t * W);
      keys.set(kpe.subarray(t * Dr, (t + 1) * Dr), t * W + R);
    }
    const seen = Array.from({ length: q * H }, (_, row) => causal ? kv - q + Math.floor(row / H) + 1 : kv);
    const absorbed = attendLatent({ queries, keys, seen, R, W, scale });
    assertLess(relativeError(projectValue(absorbed.out, kvB, dims), expanded.out), 1e-12);
    assertLess(relativeError(absorbed.lse, expanded.lse), 1e-12);
  });
}

for (const file of ["glm47flash-h2-r512", "minicpm3-h5-r256", "mistral4-h8-r256", "sharp-h3-r256", "v2lite-h4-r512"]) {
  Deno.test(`both formulations agree with every row of ${file} to 1e-6`, async () => {
    const recorded = readRecorded(await Deno.readFile(new URL(`goldens/${file}.safetensors`, import.meta.url)), file);
    const { T, H, Dv, out } = recorded;
    const inputs = recordedInputs(recorded, { page: 16, cache: "f32" });
    const absorbed = projectValue(attendAbsorbed(inputs).out, recorded.kvB, recorded);
    const expanded = attendExpanded({ ...recorded, causal: true }).out;
    for (const answer of [absorbed, expanded]) {
      assertLess(relativeError(answer, out), 1e-6);
      for (let t = 0; t < T; t++) {
        const row = (values: Float32Array | Float64Array) => values.subarray(t * H * Dv, (t + 1) * H * Dv);
        assertLess(relativeError(row(answer), row(out)), 1e-6);
      }
    }
  });
}

const SHAPE: AttendShape = {
  B: 4,
  H: 3,
  R: 32,
  Dr: 16,
  Dn: 16,
  Dv: 16,
  q: [1, 2, 1, 3],
  kv: [37, 9, 0, 2],
  page: 8,
  cache: "bf16",
  scale: 1 / Math.sqrt(32),
  causal: true,
};

Deno.test("attendAbsorbed() answers zero and −Infinity where a row sees no token, and finite values elsewhere", () => {
  for (const kind of INPUT_KINDS) {
    const { out, lse, seen, outAbs, scoreAbs } = attendAbsorbed(makeAttendInputs(SHAPE, kind, 1));
    // Sequence 2 is empty; the first query of sequence 3 comes before its two keys.
    const empty = [9, 10, 11, 12, 13, 14];
    for (let row = 0; row < lse.length; row++) {
      const isEmpty = empty.includes(row);
      assertEquals(seen[row] === 0, isEmpty);
      assertEquals(lse[row] === -Infinity, isEmpty);
      assert(isEmpty || Number.isFinite(lse[row]) && scoreAbs[row] > 0);
      for (let i = row * 32; i < (row + 1) * 32; i++) {
        assert(isEmpty ? out[i] === 0 : Math.abs(out[i]) <= outAbs[i] * (1 + 1e-12));
      }
    }
  }
});

Deno.test("attendLatent() gives the conditions of its sums by their definition", () => {
  for (const n of [1, 5, 70]) {
    const [R, W, scale] = [4, 6, -0.5];
    const [queries, keys] = [random(2 * W, n), random(n * W, n + 100)];
    const { out, lse, outAbs, scoreAbs } = attendLatent({ queries, keys, seen: [n, n], R, W, scale });
    for (let row = 0; row < 2; row++) {
      const product = (t: number, d: number) => queries[row * W + d] * keys[t * W + d];
      const each = Array.from({ length: n }, (_, t) => Array.from({ length: W }, (_, d) => product(t, d)));
      const sizes = each.map((products) => products.reduce((sum, x) => sum + Math.abs(x), 0));
      assertLess(Math.abs(scoreAbs[row] - 0.5 * Math.max(...sizes)), 1e-12);
      const weights = each.map((products) => Math.exp(scale * products.reduce((a, b) => a + b) - lse[row]));
      for (let d = 0; d < R; d++) {
        const values = weights.map((weight, t) => weight * keys[t * W + d]);
        assertLess(Math.abs(out[row * R + d] - values.reduce((a, b) => a + b)), 1e-12);
        assertLess(Math.abs(outAbs[row * R + d] - values.reduce((a, b) => a + Math.abs(b), 0)), 1e-12);
      }
    }
  }
});

Deno.test("attendAbsorbed() of some rows, in any order, equals those rows of all", () => {
  const inputs = makeAttendInputs(SHAPE, "normal", 1);
  const all = attendAbsorbed(inputs);
  const rows = Int32Array.of(20, 0, 4, 2, 11);
  const some = attendAbsorbed(inputs, rows);
  assertEquals(some.rows, rows);
  rows.forEach((row, i) => {
    assertEquals(some.out.slice(i * 32, (i + 1) * 32), all.out.slice(row * 32, (row + 1) * 32));
    assertEquals([some.lse[i], some.seen[i], some.scoreAbs[i]], [all.lse[row], all.seen[row], all.scoreAbs[row]]);
  });
});

Deno.test("attendAbsorbed() does not depend on how the pages lie, nor on their size", () => {
  const shape: AttendShape = { ...SHAPE, q: [1, 1, 1, 1], kv: [37, 9, 0, 2], cache: "f32" };
  const answer = attendAbsorbed(makeAttendInputs(shape, "normal", 1));
  for (const page of [1, 3, 64]) {
    const other = attendAbsorbed(makeAttendInputs({ ...shape, page }, "normal", 1));
    assertEquals(other.out, answer.out);
    assertEquals(other.lse, answer.lse);
  }
});

Deno.test("attendAbsorbed() reads NaN only where a token that a row sees holds it", () => {
  const inputs = makeAttendInputs(SHAPE, "normal", 1);
  const bits = new Uint16Array(inputs.cache.buffer);
  // Token 36 of sequence 0, the last it has.
  const slot = inputs.pageTable[4] * 8 + 4;
  bits[slot * 48] = nanBits("bf16");
  const { lse } = attendAbsorbed(inputs);
  assertEquals([...lse.subarray(0, 3)], [NaN, NaN, NaN]);
  assert(lse.subarray(3).every((value) => !Number.isNaN(value)));
});

Deno.test("attendAbsorbed() refuses a row that does not exist and a page outside the cache", () => {
  const inputs = makeAttendInputs(SHAPE, "normal", 1);
  assertThrows(() => attendAbsorbed(inputs, Int32Array.of(21)), RangeError, "Cannot place row 21");
  const pageTable = inputs.pageTable.slice().fill(-1, 0, 1);
  assertThrows(() => attendAbsorbed({ ...inputs, pageTable }), RangeError, "token 0 of sequence 0: its page is -1");
});

Deno.test("valueMost and scoreReach are the largest of the tokens that each row sees", () => {
  const keys = Float64Array.of(1, -2, 3, 0, -5, 1, 9, 0, 0);
  const queries = Float64Array.of(2, -4, 1, 0, 0, 0, 1, 1, 1);
  const attention = { queries, keys, seen: [2, 3, 0], R: 2, W: 3, scale: -0.5 };
  const { valueMost, scoreReach } = attendLatent(attention);
  assertEquals([...valueMost], [5, 9, 0]);
  assertEquals([...scoreReach], [0.5 * 4 * Math.hypot(1, 6, 2), 0, 0]);
});
