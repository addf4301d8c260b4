import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { decode, DTYPE_BYTES, nanBits } from "./dtypes.ts";
import { attendExpanded } from "./mla.ts";
import { makePrefillInputs, type PrefillInputs } from "./mla_inputs.ts";
import { attendProjected, type ProjectedReference } from "./projected.ts";
import { allRows, projectedFlops, sampleProjectedRows } from "./rows.ts";
import { type PrefillShape, PROJECTED_KINDS } from "./shapes.ts";

const SHAPE: PrefillShape = {
  B: 3,
  H: 3,
  R: 48,
  Dr: 16,
  Dn: 24,
  Dv: 40,
  q: [7, 2, 1],
  kv: [7, 37, 9],
  page: 8,
  cache: "f16",
  weight: "bf16",
  padding: 2,
  scale: 1 / Math.sqrt(40),
  causal: true,
};

/** The same answer by the expanded formulation, which shares no code. */
function expanded(inputs: PrefillInputs): { out: number[]; lse: number[] } {
  const { shape, cache, pageTable, tableWidth } = inputs;
  const { H, R, Dr, Dn, page } = shape;
  const bytes = (R + Dr) * DTYPE_BYTES[shape.cache];
  const out: number[] = [], lse: number[] = [];
  for (let b = 0; b < shape.B; b++) {
    const [first, end] = inputs.cuSeqlen.subarray(b, b + 2);
    const compressedKv: number[] = [], kpe: number[] = [];
    for (let t = 0; t < shape.kv[b]; t++) {
      const slot = pageTable[b * tableWidth + Math.floor(t / page)] * page + t % page;
      const key = [...decode(cache.slice(slot * bytes, (slot + 1) * bytes), shape.cache)];
      compressedKv.push(...key.slice(0, R));
      kpe.push(...key.slice(R));
    }
    const answer = attendExpanded({
      ...shape,
      qNope: inputs.qNope.subarray(first * H * Dn, end * H * Dn),
      qPe: inputs.qPe.subarray(first * H * Dr, end * H * Dr),
      compressedKv,
      kpe,
      kvB: decode(inputs.kvB, shape.weight),
    });
    out.push(...answer.out);
    lse.push(...answer.lse);
  }
  return { out, lse };
}

function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assertEquals(a.length, b.length);
  let difference = 0, size = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    size += b[i] ** 2;
  }
  return Math.sqrt(difference / size);
}

const SHAPES: readonly (readonly [what: string, shape: PrefillShape])[] = [
  ["prefill, chunk and decode in one batch", SHAPE],
  ["no rope, no causal rule", { ...SHAPE, Dr: 0, causal: false, cache: "f32", weight: "f32" }],
  ["Dv larger than R", { ...SHAPE, R: 16, Dv: 64, cache: "bf16", weight: "f16" }],
  ["page of one token", { ...SHAPE, page: 1, H: 1 }],
];

for (const [what, shape] of SHAPES) {
  Deno.test(`attendProjected() agrees with the expanded formulation to 1e-12 (${what})`, () => {
    for (const kind of PROJECTED_KINDS) {
      const inputs = makePrefillInputs(shape, kind, 5);
      const reference = attendProjected(inputs);
      const other = expanded(inputs);
      // Logits in the hundreds lose three of the sixteen digits.
      const limit = kind === "large" ? 1e-10 : 1e-12;
      assertLess(relativeError(reference.out, other.out), limit, kind);
      assertLess(relativeError(reference.lse, other.lse), limit, kind);
    }
  });
}

Deno.test("attendProjected() answers zero and −Infinity where a row sees no token", () => {
  const { out, lse, seen } = attendProjected(makePrefillInputs({ ...SHAPE, q: [1, 4, 1], kv: [0, 2, 3] }, "normal", 1));
  // Of sequence 1, the first two of four queries come before the first of two tokens.
  const empty = [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
  assertEquals(Array.from(seen, (n) => n === 0 ? 1 : 0), empty);
  assertEquals(Array.from(lse, (x) => x === -Infinity ? 1 : 0), empty);
  empty.forEach((isEmpty, row) => {
    assertEquals(out.subarray(row * 40, (row + 1) * 40).every((x) => x === 0), isEmpty === 1);
  });
  assert(out.every(Number.isFinite));
});

Deno.test("attendProjected() of some rows, in any order and of many blocks, gives the rows of the whole", () => {
  const inputs = makePrefillInputs(
    { ...SHAPE, R: 16, Dr: 0, Dn: 8, Dv: 8, q: [800, 2, 1], kv: [800, 37, 9] },
    "normal",
    2,
  );
  const whole = attendProjected(inputs);
  assert(whole.rows.length > 2048);
  const rows = Int32Array.of(2408, 3, 2400, 1700, 0, 2047, 2048);
  const some = attendProjected(inputs, rows);
  assertEquals(some.rows, rows);
  for (const [name, values] of Object.entries(some) as [keyof ProjectedReference, Float64Array][]) {
    const width = values.length / rows.length;
    rows.forEach((row, i) => {
      if (name === "rows") return;
      const [a, b] = [
        values.subarray(i * width, (i + 1) * width),
        whole[name].subarray(row * width, (row + 1) * width),
      ];
      assertEquals([...a], [...b], name);
    });
  }
});

Deno.test("attendProjected() reads neither unused slots nor padding, and refuses rows and pages that are not there", () => {
  const inputs = makePrefillInputs(SHAPE, "normal", 1);
  assert(inputs.qNope.subarray(10 * 3 * 24).every(Number.isNaN));
  assert(new Uint16Array(inputs.cache.buffer).includes(nanBits("f16")));
  const { out, lse, valueNorm, latentNorm, scoreNorm, absorbNorm, keyNorm, unfoldNorm } = attendProjected(inputs);
  for (const values of [out, lse, valueNorm, latentNorm, scoreNorm, absorbNorm, keyNorm, unfoldNorm]) {
    assert(values.every(Number.isFinite));
  }
  assertThrows(() => attendProjected(inputs, Int32Array.of(30)), RangeError, "Cannot place row 30");
  const pageTable = inputs.pageTable.map((page) => page === inputs.pageTable[1 * inputs.tableWidth] ? -1 : page);
  assertThrows(() => attendProjected({ ...inputs, pageTable }), RangeError, "Cannot read token 0 of sequence 1");
});

Deno.test("sampleProjectedRows() counts the projections of a row and takes every row where the budget allows", () => {
  const shape = { ...SHAPE, H: 16, q: [40, 0, 1], kv: [100, 3, 70] };
  assertEquals(projectedFlops(shape, Int32Array.of(0)), 2 * (2 * 48 + 16) * 61 + 2 * 48 * (24 + 80));
  assertEquals(sampleProjectedRows(shape, projectedFlops(shape), 1), allRows(shape));
  const budget = projectedFlops(shape) / 4;
  const rows = sampleProjectedRows(shape, budget, 1);
  assertLess(projectedFlops(shape, rows), budget);
  assert(projectedFlops(shape, rows) > 0.9 * budget);
  // First and last head of the first and last query of both sequences.
  for (const row of [0, 15, 39 * 16, 40 * 16 - 1, 40 * 16, 41 * 16 - 1]) assert(rows.includes(row));
});
