import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { checkProject, checkProjected, naturalLse } from "./acceptance.ts";
import { projectBounds, projectedBounds } from "./bounds.ts";
import { decode } from "./dtypes.ts";
import { makePrefillInputs, makeProjectInputs } from "./mla_inputs.ts";
import { projectReference } from "./project.ts";
import { attendProjected } from "./projected.ts";
import { emulateProjected, PROJECTED_FAULTS, type ProjectedFault } from "./testdata/projected_faults.ts";
import { sampleProjectRows } from "./rows.ts";
import { type InputKind, type PrefillShape, PROJECTED_KINDS, type ProjectShape } from "./shapes.ts";

const SHAPE: PrefillShape = {
  B: 2,
  H: 2,
  R: 128,
  Dr: 32,
  Dn: 64,
  Dv: 64,
  q: [3, 2],
  kv: [100, 2],
  page: 16,
  cache: "bf16",
  weight: "bf16",
  padding: 1,
  scale: 1 / Math.sqrt(96),
  causal: true,
};

const SHAPES: readonly PrefillShape[] = [
  SHAPE,
  { ...SHAPE, H: 1, R: 512, Dn: 128, Dr: 64, Dv: 128, q: [1, 1], kv: [200, 1], cache: "f16", weight: "f32" },
  { ...SHAPE, R: 16, Dr: 0, Dn: 8, Dv: 8, q: [33, 3], kv: [33, 20], cache: "f32", padding: 0 },
  // Sequences without tokens, and queries before the first token.
  { ...SHAPE, R: 16, q: [2, 3], kv: [0, 2] },
];

const FORMS = ["absorbed", "expanded"] as const;

function setUp(shape: PrefillShape, kind: InputKind, seed = 1) {
  const inputs = makePrefillInputs(shape, kind, seed);
  return { inputs, reference: attendProjected(inputs) };
}

const rms = (values: ArrayLike<number>) =>
  Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0) / values.length);

for (const kind of PROJECTED_KINDS) {
  Deno.test(`checkProjected() passes honest f32 kernels of both forms, with room to spare (${kind})`, () => {
    for (const shape of SHAPES) {
      const { inputs, reference } = setUp(shape, kind);
      const bounds = projectedBounds(shape, reference);
      for (const form of FORMS) {
        const actual = emulateProjected(inputs, { form });
        const checks = checkProjected(inputs, reference, actual);
        for (const check of checks) {
          assertEquals([check.passed, check.message], [true, undefined]);
          assertLess(check.budgetUsed ?? 0, 0.3);
        }
        assertEquals(checks.map((c) => c.name), ["out", "lse", ...(shape.padding > 0 ? ["padding"] : [])]);
        // What RMS_SHARE of compare.ts rests on.
        assertLess(rms(Array.from(reference.out, (x, i) => actual.out[i] - x)), 0.05 * rms(bounds.out));
      }
    }
  });

  Deno.test(`checkProjected() fails every planted fault that changes the answer (${kind})`, () => {
    // Without queries there are no logits; logits that lie far apart leave a row one token, whatever the others are.
    const logitsOnly: readonly ProjectedFault[] = ["scale_off_by_1_percent", "scale_of_the_latent", "rope_dropped"];
    const othersOnly: readonly ProjectedFault[] = ["last_token_dropped", "one_key_skipped", "lse_base_2"];
    for (const seed of [1, 2]) {
      const { inputs, reference } = setUp({ ...SHAPE, kv: [60, 30] }, kind, seed);
      for (const fault of PROJECTED_FAULTS) {
        if (kind === "large" && othersOnly.includes(fault)) continue;
        const harmless = kind === "equal" && logitsOnly.includes(fault);
        for (const form of FORMS) {
          const checks = checkProjected(inputs, reference, emulateProjected(inputs, { form, fault }));
          assertEquals(checks.every((c) => c.passed), harmless, `${fault}, ${form}, seed ${seed}`);
        }
      }
    }
  });
}

Deno.test("the bounds of prefill are within two orders of magnitude of what honest kernels err by", () => {
  const { inputs, reference } = setUp({ ...SHAPE, R: 256, q: [20, 2], kv: [120, 300] }, "normal");
  const bounds = projectedBounds(inputs.shape, reference);
  for (const form of FORMS) {
    const { out, lse } = emulateProjected(inputs, { form });
    let largest = 0, largestLse = 0;
    reference.out.forEach((x, i) => largest = Math.max(largest, Math.abs(out[i] - x) / bounds.out[i]));
    reference.lse.forEach((x, i) => largestLse = Math.max(largestLse, Math.abs(lse[i] - x) / bounds.lse[i]));
    assert(largest > 0.01 && largestLse > 0.01, `${form}: ${largest}, ${largestLse}`);
  }
});

Deno.test("checkProjected() finds one key skipped of 1,000 where all weights are equal", () => {
  const { inputs, reference } = setUp({ ...SHAPE, B: 1, H: 1, R: 64, q: [1], kv: [1000] }, "equal");
  for (const form of FORMS) {
    const actual = emulateProjected(inputs, { form, fault: "one_key_skipped" });
    assertEquals(checkProjected(inputs, reference, actual).map((c) => c.passed), [false, false, true]);
  }
});

Deno.test("checkProjected() demands zero of padding rows, exactly", () => {
  const { inputs, reference } = setUp(SHAPE, "normal");
  const actual = emulateProjected(inputs, { form: "absorbed" });
  for (const value of [1e-30, NaN, 1]) {
    const out = actual.out.slice();
    out[out.length - 3] = value;
    const [, , padding] = checkProjected(inputs, reference, { ...actual, out });
    assertEquals([padding.name, padding.passed, padding.elements, padding.mismatches], ["padding", false, 128, 1]);
    assertEquals(padding.message, "1 of 128 elements of rows past the last token are not zero");
  }
});

Deno.test("checkProjected() locates the worst element and looks for poison in rows that were not sampled", () => {
  const { inputs } = setUp(SHAPE, "normal");
  const reference = attendProjected(inputs, Int32Array.of(0, 5, 9));
  const actual = emulateProjected(inputs, { form: "expanded" });
  assertEquals(checkProjected(inputs, reference, actual).map((c) => [c.name, c.passed, c.elements]), [
    ["out", true, 3 * 64],
    ["lse", true, 3],
    ["unsampled", true, 7 * 65],
    ["padding", true, 128],
  ]);
  actual.out[5 * 64 + 7] += 0.01;
  actual.out[2 * 64] = NaN;
  const [out, , unsampled] = checkProjected(inputs, reference, actual);
  const { sequence, head, token, dim, page } = out.worst!;
  assertEquals([out.passed, sequence, head, token, dim], [false, 0, 1, 2, 7]);
  assertEquals(page, inputs.pageTable[Math.floor(99 / 16)]);
  assertEquals([unsampled.passed, unsampled.mismatches], [false, 1]);
});

Deno.test("checkProjected() refuses outputs of another length", () => {
  const { inputs, reference } = setUp(SHAPE, "normal");
  const { out, lse } = emulateProjected(inputs, { form: "absorbed" });
  assertThrows(
    () => checkProjected(inputs, reference, { out: out.subarray(1), lse }),
    RangeError,
    "Cannot check 767 elements of out: the batch has 640, and 128 of padding",
  );
  assertThrows(() => checkProjected(inputs, reference, { out, lse: lse.subarray(1) }), RangeError, "9 of lse");
});

Deno.test("naturalLse() of an LSE of base 2 is within the bound, empty rows included", () => {
  const { inputs, reference } = setUp({ ...SHAPE, q: [3, 3] }, "normal");
  const { out, lse } = emulateProjected(inputs, { form: "absorbed" });
  const lse2 = lse.map((x) => x === Math.fround(-1e30) ? x : Math.fround(x) * Math.fround(Math.LOG2E));
  assert(lse2.includes(Math.fround(-1e30)));
  const check = (values: Float32Array | Float64Array) =>
    checkProjected(inputs, reference, { out, lse: values }).find((c) => c.name === "lse")!.passed;
  assertEquals([check(naturalLse(lse2)), check(lse2), check(naturalLse(lse))], [true, false, false]);
});

const PROJECT: ProjectShape = { part: "q", tokens: 5, padding: 2, H: 3, R: 64, Dn: 24, Dv: 40, weight: "bf16" };

/** An f32 kernel of `project`; `fault` takes the other part of the weight, or the next head's. */
function emulateProject(shape: ProjectShape, kind: InputKind, fault?: "other_part" | "next_head") {
  const { part, tokens, H, R, Dn, Dv } = shape;
  const inputs = makeProjectInputs(shape, kind, 1);
  const weights = decode(inputs.kvB, shape.weight);
  const [width, inner] = part === "q" ? [R, Dn] : [Dv, R];
  const actual = new Float32Array((tokens + (part === "v" ? shape.padding : 0)) * H * width);
  for (let row = 0; row < tokens * H; row++) {
    const head = (row + (fault === "next_head" ? 1 : 0)) % H;
    const first = head * (Dn + Dv) + (part === "v" ? Dn : 0) + (fault === "other_part" ? (part === "v" ? -Dn : Dn) : 0);
    for (let c = 0; c < width; c++) {
      let sum = 0;
      for (let d = 0; d < inner; d++) {
        const weight = weights[part === "q" ? (first + d) * R + c : (first + c) * R + d];
        sum = Math.fround(sum + Math.fround(inputs.x[row * inner + d] * weight));
      }
      actual[row * width + c] = sum;
    }
  }
  return { inputs, actual };
}

for (const part of ["q", "v"] as const) {
  Deno.test(`checkProject() passes an honest f32 kernel and fails faulty ones (${part})`, () => {
    const shape = { ...PROJECT, part };
    for (const kind of PROJECTED_KINDS) {
      const { inputs, actual } = emulateProject(shape, kind);
      const reference = projectReference(inputs);
      const checks = checkProject(inputs, reference, actual);
      assertEquals(checks.map((c) => [c.name, c.passed]), [
        ["out", true],
        ...(part === "v" ? [["padding", true]] : []),
      ]);
      const used = checks[0].budgetUsed!;
      // Few sums of weights alone are inexact.
      assert(used < 0.4 && (used > 0.01 || kind === "equal"), `${kind}: ${used}`);
      for (const fault of ["other_part", "next_head"] as const) {
        assertEquals(checkProject(inputs, reference, emulateProject(shape, kind, fault).actual)[0].passed, false);
      }
      for (const [place, value] of [[7, NaN], [7, 0], [actual.length - 1, 1]]) {
        const spoilt = actual.slice();
        spoilt[place] = value;
        assert(checkProject(inputs, reference, spoilt).some((c) => !c.passed), `${place}`);
      }
      const bound = projectBounds(shape, reference);
      assert(bound.every((b) => b > 0));
    }
  });
}

Deno.test("checkProject() of sampled rows compares those and looks for poison in all others", () => {
  const shape = { ...PROJECT, part: "v" } as const;
  const { inputs, actual } = emulateProject(shape, "normal");
  const rows = sampleProjectRows(shape, 6 * 4 * 64 * 40, 1);
  assertEquals([rows.length, rows[0], rows.at(-1), [2, 12].every((row) => rows.includes(row))], [6, 0, 14, true]);
  const reference = projectReference(inputs, rows);
  assertEquals(checkProject(inputs, reference, actual).map((c) => [c.name, c.passed, c.elements]), [
    ["out", true, 240],
    ["unsampled", true, 360],
    ["padding", true, 240],
  ]);
  const other = [...Array(15).keys()].find((row) => !rows.includes(row))!;
  actual[other * 40 + 1] = Infinity;
  assertEquals(checkProject(inputs, reference, actual).map((c) => c.passed), [true, false, true]);
  assertEquals(sampleProjectRows(shape, 1e9, 1).length, 15);
  assertThrows(() => checkProject(inputs, reference, actual.subarray(1)), RangeError, "Cannot check 839 elements");
  assertThrows(() => projectReference(inputs, Int32Array.of(15)), RangeError, "there are rows 0…14");
});
