import { assert, assertEquals, assertGreater, assertLess, assertThrows } from "@std/assert";
import { type AttendActual, checkAttend, checkUnchanged, EMPTY_LSE } from "./acceptance.ts";
import { attendBounds } from "./bounds.ts";
import { emulateAttend, type Fault, FAULTS } from "./testdata/attend_faults.ts";
import { makeAttendInputs } from "./inputs.ts";
import { attendAbsorbed } from "./mla.ts";
import { type AttendShape, INPUT_KINDS, type InputKind } from "./shapes.ts";

const SHAPE: AttendShape = {
  B: 3,
  H: 4,
  R: 512,
  Dr: 64,
  Dn: 128,
  Dv: 128,
  q: [1, 1, 1],
  kv: [100, 1, 0],
  page: 16,
  cache: "f16",
  scale: 1 / Math.sqrt(192),
  causal: true,
};

const SHAPES: readonly AttendShape[] = [
  SHAPE,
  { ...SHAPE, R: 256, H: 2, kv: [700, 33, 64], cache: "bf16" },
  { ...SHAPE, R: 16, Dr: 0, q: [3, 1, 5], kv: [33, 16, 2], cache: "f32" },
];

function setUp(shape: AttendShape, kind: InputKind, seed = 1) {
  const inputs = makeAttendInputs(shape, kind, seed);
  const reference = attendAbsorbed(inputs);
  const passes = (actual: AttendActual) => checkAttend(inputs, reference, actual).every((check) => check.passed);
  return { inputs, reference, passes };
}

for (const kind of INPUT_KINDS) {
  Deno.test(`checkAttend() passes an honest f32 kernel in both orders of summation, with room to spare (${kind})`, () => {
    for (const shape of SHAPES) {
      const { inputs, reference } = setUp(shape, kind);
      const bounds = attendBounds(shape, reference);
      const rms = (values: ArrayLike<number>) => Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0));
      for (const order of ["serial", "tiled"] as const) {
        const actual = emulateAttend(inputs, { order });
        for (const check of checkAttend(inputs, reference, actual)) {
          assertEquals([check.passed, check.message], [true, undefined]);
          assertLess(check.budgetUsed!, 0.4);
        }
        // What RMS_SHARE of compare.ts rests on.
        assertLess(rms(actual.out.map((x, i) => x - reference.out[i])), 0.1 * rms(bounds.out));
      }
    }
  });

  Deno.test(`checkAttend() fails every planted fault that changes the answer (${kind})`, () => {
    // Without max subtraction only logits beyond 88 go wrong; where all logits are equal the maximum never moves.
    const harmless: Partial<Record<Fault, boolean>> = {
      no_maximum: kind !== "large" && kind !== "jump",
      no_rescale: kind === "equal",
      mean_of_values: false,
    };
    const { inputs, passes } = setUp(SHAPE, kind);
    for (const fault of FAULTS) {
      for (const order of ["serial", "tiled"] as const) {
        assertEquals(passes(emulateAttend(inputs, { order, fault })), harmless[fault] ?? false, `${fault}, ${order}`);
      }
    }
  });
}

Deno.test("checkAttend() passes a single accumulator over long contexts, which loses the smallest weights", () => {
  const shape: AttendShape = { ...SHAPE, B: 1, H: 2, R: 16, Dr: 0, q: [1], kv: [40000], cache: "f32" };
  for (const kind of ["normal", "peak", "onehot", "flashmla"] as const) {
    const { inputs, reference, passes } = setUp(shape, kind);
    assert(passes(emulateAttend(inputs, { order: "serial" })), kind);
    if (kind !== "normal") continue;
    // What is lost is more than errors that scatter add up to.
    assertGreater(reference.vanishing[0], 2e-5);
    const scattered = { ...reference, vanishing: new Float64Array(2) };
    const checks = checkAttend(inputs, scattered, emulateAttend(inputs, { order: "serial" }));
    assert(checks.some((check) => !check.passed));
  }
});

Deno.test("checkAttend() passes a single accumulator of weights that are nearly equal, which rounds them all alike", () => {
  for (const [kv, scale] of [[1000, 1e-4], [8000, 1e-3], [30000, 2e-3], [30000, 1e-2]]) {
    const shape: AttendShape = { ...SHAPE, B: 1, H: 2, R: 16, Dr: 0, q: [1], kv: [kv], cache: "f32", scale };
    const { inputs, reference, passes } = setUp(shape, "flashmla");
    assert(passes(emulateAttend(inputs, { order: "serial" })), `kv ${kv}, scale ${scale}`);
    assertLess(reference.vanishing[0], 2 ** -24 * kv);
  }
  // At the scale of FlashMLA's own tests nothing is allowed for it.
  assertEquals(setUp({ ...SHAPE, kv: [8000, 1, 0] }, "flashmla").reference.vanishing[0], 0);
});

Deno.test("checkAttend() finds one key skipped of 100 in each head alone", () => {
  const shape: AttendShape = { ...SHAPE, B: 1, H: 1, q: [1], kv: [100] };
  for (const kind of ["normal", "equal", "onehot", "alternating"] as const) {
    for (let seed = 0; seed < 5; seed++) {
      const { inputs, passes } = setUp(shape, kind, seed);
      assert(!passes(emulateAttend(inputs, { order: "tiled", fault: "one_key_skipped" })), `${kind}, seed ${seed}`);
    }
  }
});

Deno.test("checkAttend() finds a token dropped of 4,096 where all logits are equal", () => {
  const shape: AttendShape = { ...SHAPE, B: 1, H: 2, R: 64, q: [1], kv: [4096] };
  const { inputs, passes } = setUp(shape, "equal");
  assert(passes(emulateAttend(inputs, { order: "serial" })));
  assert(!passes(emulateAttend(inputs, { order: "serial", fault: "last_token_dropped" })));
});

/** An honest answer that a test may spoil. */
function honest(shape = SHAPE, kind: InputKind = "normal") {
  const { inputs, reference, passes } = setUp(shape, kind);
  const actual = emulateAttend(inputs, { order: "tiled" });
  assert(passes(actual));
  return { inputs, reference, actual, check: () => checkAttend(inputs, reference, actual) };
}

Deno.test("checkAttend() locates the worst element by sequence, head, token, dim and page", () => {
  const { inputs, actual, check } = honest({ ...SHAPE, R: 32, q: [1, 2, 3], kv: [100, 40, 20] });
  // Token 1 of sequence 2 sees 19 tokens, the last of them in its second page.
  const row = (1 + 2 + 1) * 4 + 3;
  actual.out[row * 32 + 7] += 0.01;
  const [out, lse] = check();
  assertEquals([out.passed, out.mismatches, lse.passed], [false, 1, true]);
  const { sequence, head, token, dim, page, absError, bound } = out.worst!;
  assertEquals([sequence, head, token, dim], [2, 3, 1, 7]);
  assertEquals(page, inputs.pageTable[2 * inputs.tableWidth + 1]);
  assert(Math.abs(absError! - 0.01) < 1e-4 && bound < 0.01 && out.budgetUsed! > 1);
  actual.lse[row] += 0.01;
  assertEquals(check()[1].worst!.dim, undefined);
});

Deno.test("checkAttend() fails on NaN, on infinity, and on poison left in any row", () => {
  for (const value of [NaN, Infinity, -Infinity]) {
    for (const where of ["out", "lse"] as const) {
      const { actual, check } = honest({ ...SHAPE, R: 32 });
      actual[where][5] = value;
      const failed = check().find((c) => c.name === where)!;
      assertEquals([failed.passed, failed.mismatches, failed.worst!.actual], [false, 1, String(value)]);
      assert(failed.message!.startsWith("1 of"));
      assertEquals(failed.worst!.absError, undefined);
    }
  }
});

Deno.test("checkAttend() demands zero and −∞ of an empty sequence", () => {
  const { actual, check } = honest({ ...SHAPE, R: 32 });
  const row = 2 * 4; // Sequence 2, head 0.
  assertEquals([actual.out[row * 32], actual.lse[row]], [0, Math.fround(-1e30)]);
  actual.lse[row] = -Infinity;
  assert(check().every((c) => c.passed));
  for (const lse of [EMPTY_LSE / 2, 0, -1e20, Infinity, NaN]) {
    actual.lse[row] = lse;
    const [, failed] = check();
    assertEquals([failed.passed, failed.mismatches, failed.worst!.page], [false, 1, -1]);
  }
  actual.lse[row] = -1e30;
  actual.out[row * 32] = 1e-20;
  assertEquals(check()[0].passed, false);
});

Deno.test("checkAttend() fails an LSE of −1e30 where tokens are seen", () => {
  const { actual, check } = honest({ ...SHAPE, R: 32 });
  actual.lse[0] = -1e30;
  assertEquals(check()[1].passed, false);
});

Deno.test("checkAttend() fails heads, rows or sequences that are exchanged, whatever the kind", () => {
  const shape: AttendShape = { ...SHAPE, R: 32, q: [1, 1, 1], kv: [50, 50, 50] };
  for (const kind of INPUT_KINDS) {
    for (const [a, b] of [[0, 1], [1, 5]]) {
      const { actual, check } = honest(shape, kind);
      for (const [values, width] of [[actual.out, 32], [actual.lse, 1]] as const) {
        const copy = values.slice();
        values.set(copy.subarray(a * width, (a + 1) * width), b * width);
        values.set(copy.subarray(b * width, (b + 1) * width), a * width);
      }
      assert(check().some((c) => !c.passed), `${kind}: rows ${a} and ${b}`);
    }
  }
});

Deno.test("checkAttend() fails a small bias that every element has, by the errors' energy alone", () => {
  const { inputs, reference, check, actual } = honest({ ...SHAPE, R: 32, kv: [100, 30, 20] });
  const bounds = attendBounds(inputs.shape, reference);
  actual.out.forEach((_, i) => actual.out[i] = reference.out[i] + 0.7 * bounds.out[i]);
  const [out] = check();
  assertEquals([out.passed, out.mismatches], [false, 0]);
  assert(out.message!.includes("NMSE") && out.message!.includes("cosine difference"));
  assertLess(out.budgetUsed!, 0.8);
});

Deno.test("NMSE and cosine difference are as defined, and absent where the reference is zero throughout", () => {
  const { check, actual, reference } = honest({ ...SHAPE, R: 32, kv: [100, 30, 20] });
  actual.out.forEach((x, i) => actual.out[i] = i % 3 === 0 ? 0.9 * x : x + 0.1);
  const [{ nmse, cosineDifference }] = check();
  let squares = 0, errors = 0, products = 0, sizes = 0;
  reference.out.forEach((e, i) => {
    const a = actual.out[i];
    errors += (a - e) ** 2;
    squares += e * e;
    products += a * e;
    sizes += a * a + e * e;
  });
  assertLess(Math.abs(nmse! - errors / squares), 1e-12);
  assertLess(Math.abs(cosineDifference! - (1 - 2 * products / sizes)), 1e-12);
  const [empty] = honest({ ...SHAPE, kv: [0, 0, 0] }).check();
  assertEquals([empty.passed, empty.nmse, empty.cosineDifference], [true, undefined, undefined]);
});

Deno.test("checkAttend() of sampled rows compares those and looks for poison in all others", () => {
  const { inputs, actual } = honest({ ...SHAPE, R: 32 });
  const reference = attendAbsorbed(inputs, Int32Array.of(1, 6));
  const checks = checkAttend(inputs, reference, actual);
  assertEquals(checks.map((c) => [c.name, c.passed, c.elements]), [
    ["out", true, 64],
    ["lse", true, 2],
    ["unsampled", true, 330],
  ]);
  actual.out[32] += 0.01;
  actual.out[2 * 32] = NaN;
  actual.out[8 * 32] = 0.5; // Of the empty sequence.
  actual.lse[3] = NaN;
  const [out, , unsampled] = checkAttend(inputs, reference, actual);
  assertEquals([out.passed, out.mismatches], [false, 1]);
  assertEquals([unsampled.passed, unsampled.mismatches], [false, 3]);
});

Deno.test("checkAttend() refuses results of another size", () => {
  const { inputs, reference, actual } = honest({ ...SHAPE, R: 32 });
  const short = { ...actual, out: actual.out.subarray(1) };
  assertThrows(() => checkAttend(inputs, reference, short), RangeError, "383 elements of out and 12 of lse");
});

Deno.test("a bound follows the length of its sums and the size of its scores", () => {
  const bound = (shape: AttendShape, kind: InputKind) =>
    attendBounds(shape, attendAbsorbed(makeAttendInputs(shape, kind, 1))).lse[0];
  const short: AttendShape = { ...SHAPE, B: 1, q: [1], kv: [16] };
  assertGreater(bound({ ...short, kv: [2000] }, "equal"), bound(short, "equal"));
  assertGreater(bound(short, "large"), 4 * bound(short, "normal"));
  assertLess(bound({ ...short, R: 16 }, "normal"), bound(short, "normal"));
});

Deno.test("checkUnchanged() passes equal bytes and locates the first that changed", () => {
  const before = Uint8Array.of(1, 2, 3, 4);
  assertEquals(checkUnchanged("inputs", before, before.slice()).passed, true);
  const check = checkUnchanged("inputs", before, Uint8Array.of(1, 9, 3, 9));
  assertEquals([check.name, check.passed, check.mismatches], ["inputs_unchanged", false, 2]);
  assert(check.message!.includes("2 bytes of inputs changed, the first at 1"));
  assertEquals(checkUnchanged("inputs", before, before.subarray(1)).passed, false);
});
