import { assert, assertAlmostEquals, assertEquals, assertGreater, assertLess } from "@std/assert";
import { checkAttend, checkProject, checkProjected } from "./acceptance.ts";
import { kernelArithmetic } from "./arithmetic.ts";
import type { Check } from "./check.ts";
import { attendEmulation } from "./emulate_attend.ts";
import { emulateProjectRows, projectEmulation } from "./emulate_project.ts";
import { projectedEmulation } from "./emulate_projected.ts";
import {
  DEVIATIONS,
  type Emulation,
  errorLimits,
  LEAST_DRAWS,
  limitOf,
  planEmulation,
  referenceRows,
  RowDraws,
} from "./emulation.ts";
import { makeAttendInputs } from "./inputs.ts";
import { attendLimits } from "./limits.ts";
import { attendAbsorbed } from "./mla.ts";
import { makePrefillInputs, makeProjectInputs } from "./mla_inputs.ts";
import { F32 } from "./precision.ts";
import { projectReference } from "./project.ts";
import { attendProjected } from "./projected.ts";
import { type AttendShape, INPUT_KINDS, type InputKind, type PrefillShape, PROJECTED_KINDS } from "./shapes.ts";
import { emulateAttend } from "./testdata/attend_faults.ts";
import { FINE_FAULTS, type FineFault } from "./testdata/faulty_arithmetic.ts";
import { emulateProjected } from "./testdata/projected_faults.ts";

const SHAPE: AttendShape = {
  B: 1,
  H: 4,
  R: 128,
  Dr: 64,
  Dn: 128,
  Dv: 128,
  q: [1],
  kv: [100],
  page: 16,
  cache: "bf16",
  scale: 1 / Math.sqrt(192),
  causal: true,
};

function setUp(shape: AttendShape, kind: InputKind, seed = 1) {
  const inputs = makeAttendInputs(shape, kind, seed);
  const reference = attendAbsorbed(inputs);
  return { inputs, reference, emulation: attendEmulation(inputs, reference) };
}

const isPassed = (checks: readonly Check[]) => checks.every(({ passed }) => passed);
const mostUsed = (checks: readonly Check[]) => Math.max(...checks.map(({ budgetUsed }) => budgetUsed ?? 0));

/** Half of `values` are larger. */
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];

Deno.test("limitOf() is twice Student's prediction bound, or twice the largest draw, and a tenth", () => {
  // Mean 2, standard deviation 1.
  const draws = (n: number) => Array.from({ length: n }, (_, i) => 2 + (i % 2 === 0 ? 1 : -1) * (1 + i * 1e-9));
  const student = (n: number) => (limitOf(draws(n), 1) - 0.1) / 2 - 2;
  const z = DEVIATIONS;
  const quantile = (freedom: number) => Math.sqrt(freedom * (Math.exp(z * z / freedom) - 1));
  for (const n of [4, 16, 1000]) {
    assertAlmostEquals(student(n), quantile(n - 1) * Math.sqrt(n / (n - 1)) * Math.sqrt(1 + 1 / n), 1e-5);
  }
  // The quantiles themselves, integrated: the approximation is 3 % below at 14 degrees of freedom.
  assertAlmostEquals(quantile(14) / 5.6186, 1, 0.03);
  assertAlmostEquals(quantile(30) / 4.6451, 1, 0.015);
  assertAlmostEquals(quantile(63) / 4.2867, 1, 0.005);
  assertAlmostEquals(limitOf([...draws(10_000), 30], 1), 60.1);
  // More rows than were drawn err more at most, as normal ones do; fewer do not err less.
  const of64 = limitOf(draws(64), 64) - 0.1;
  assertAlmostEquals((limitOf(draws(64), 64 ** 2) - 0.1) / of64, Math.SQRT2, 1e-9);
  assertEquals(limitOf(draws(64), 10) - 0.1, of64);
});

Deno.test("limitOf() counts equal draws, and knows nothing of a single one", () => {
  assertAlmostEquals(limitOf([0.3, 0.3, 0.3, 0.3], 1), 0.7);
  assertEquals(limitOf([0.3], 1), Infinity);
  assertEquals(limitOf([NaN, NaN], 1), Infinity);
  assertLess(limitOf([0.1, 0.1, 0.3, 0.3, 0.1, 0.3], 1), limitOf([0.1, 0.3], 1));
});

Deno.test("rows of one kernel that err alike are one draw, those of two kernels are two", () => {
  const draws = new RowDraws(F32);
  for (const [variant, out, lse] of [[0, 0.1, 0.2], [0, 0.1, 0.2], [0, 0.1, 0.3], [3, 0.1, 0.2]]) {
    draws.add(variant, 0, out, lse);
  }
  assertEquals(draws.emulation, {
    shape: Int32Array.of(0, 0, 0),
    out: Float64Array.of(0.1, 0.1, 0.1),
    lse: Float64Array.of(0.2, 0.3, 0.2),
    precision: F32,
  });
});

Deno.test("a sequence of one token has a limit of its own: what is off by 2⁻¹³ of itself is wrong", () => {
  const shape = { ...SHAPE, H: 16, R: 512, Dr: 64, kv: [1] };
  const { inputs, reference, emulation } = setUp(shape, "normal");
  const right = { out: Float32Array.from(reference.out), lse: Float32Array.from(reference.lse) };
  assertEquals(checkAttend(inputs, reference, right, emulation).map(({ passed }) => passed), [true, true]);
  const off = { ...right, out: right.out.map((x) => x * (1 + 2 ** -13)) };
  assertEquals(checkAttend(inputs, reference, off, emulation)[0].passed, false);
});

Deno.test("errorLimits() pools each reduction shape by itself, and takes the largest limit", () => {
  const emulation = (shape: number[]): Emulation => ({
    shape: Int32Array.from(shape),
    out: Float64Array.of(0.1, 0.11, 0.12, 0.8, 0.81, 0.82),
    lse: new Float64Array(6).fill(NaN),
  });
  assertAlmostEquals(errorLimits(emulation([0, 0, 0, 1, 1, 1]), 1).out, limitOf([0.8, 0.81, 0.82], 1), 1e-12);
  assertGreater(errorLimits(emulation([0, 0, 0, 0, 0, 0]), 1).out, 2 * limitOf([0.8, 0.81, 0.82], 1));
  assertEquals(errorLimits(emulation([0, 0, 0, 1, 1, 1]), 1).lse, Infinity);
  assertEquals(errorLimits({ ...emulation([]), out: new Float64Array(0) }, 1).out, Infinity);
});

Deno.test("planEmulation() takes the longest and the shortest rows and those that depend on single weights", () => {
  const seen = Int32Array.from({ length: 1000 }, (_, i) => i);
  const weightNorm = new Float64Array(1000).fill(1);
  weightNorm[777] = 0.6;
  const [{ entries, variants }, sensitive] = planEmulation({ seen, weightNorm }, (tokens) => 1e4 * tokens);
  assert([999, 1, 777].every((entry) => entries.includes(entry)) && !entries.includes(0));
  assertEquals([...entries].toSorted((a, b) => a - b), [...entries]);
  assertEquals(variants, [0, 1, 2]);
  const all = 1e4 * 999 * 500, cost = entries.reduce((sum, entry) => sum + 3e4 * entry, 0);
  assert(cost <= all / 3 && cost > all / 6, `${cost} of ${all}`);
  // Drawn once each, the few that depend on single weights are drawn again, in variants of their own.
  assert(sensitive.entries.includes(777) && sensitive.entries.length === 4);
  assert(sensitive.variants.length >= 3 && sensitive.variants.length % 3 === 0 && sensitive.variants.length <= 24);
  assertEquals(sensitive.variants[0], 3);
});

Deno.test("planEmulation() draws few rows often, as far as the budget goes, and nothing where nothing is seen", () => {
  const plan = (seen: number[], flops: number) => planEmulation({ seen: Int32Array.from(seen) }, () => flops);
  assertEquals(plan([5, 0], 1e3), [{ entries: Int32Array.of(0), variants: [...Array(3 * LEAST_DRAWS).keys()] }]);
  const times = (rows: number, flops: number) => plan(Array(rows).fill(5), flops)[0].variants.length / 3;
  assertEquals([times(8, 1e3), times(1, 2e6), times(1, 1e9)], [LEAST_DRAWS / 8, 3, 1]);
  assertEquals(plan([0, 0], 1), []);
});

Deno.test("referenceRows() takes rows of every array", () => {
  const reference = { rows: Int32Array.of(3, 5, 9), out: Float64Array.of(1, 2, 3, 4, 5, 6) };
  const expected = { rows: Int32Array.of(3, 9), out: Float64Array.of(1, 2, 5, 6) };
  assertEquals(referenceRows(reference, Int32Array.of(0, 2)), expected);
});

Deno.test("honest kernels stay within the limits, and use a good part of them, whatever the inputs", () => {
  const shapes: AttendShape[] = [
    SHAPE,
    { ...SHAPE, B: 3, H: 3, R: 64, q: [3, 1, 2], kv: [33, 1, 60] },
    { ...SHAPE, R: 16, Dr: 0, H: 9, kv: [150], cache: "f16", lseBase: "2" },
    { ...SHAPE, H: 16, kv: [1] },
  ];
  const used: number[] = [];
  for (const kind of INPUT_KINDS) {
    for (const shape of shapes) {
      const { inputs, reference, emulation } = setUp(shape, kind, 3);
      for (const [order, seed] of [["serial", 100], ["normalized", 101], ["tiled", 102]] as const) {
        const checks = checkAttend(inputs, reference, emulateAttend(inputs, { order, seed }), emulation);
        assert(isPassed(checks), `${kind}, ${order}: ${checks.map(({ message }) => message)}`);
        used.push(...checks.map(({ budgetUsed }) => budgetUsed!));
      }
    }
  }
  assert(median(used) > 0.1 && median(used) < 0.4, `${median(used)}`);
  assertLess(Math.max(...used), 0.9);
});

Deno.test("a bias far below every limit is seen by the errors' energy, where there are rows enough to tell", () => {
  const judge = (H: number, share: number) => {
    const { inputs, reference, emulation } = setUp({ ...SHAPE, H }, "normal");
    const limits = attendLimits(inputs.shape, reference, emulation);
    const biased = (expected: Float64Array, bound: Float64Array) => expected.map((x, i) => x + share * bound[i]);
    const out = Float32Array.from(biased(reference.out, limits.out.bound));
    return checkAttend(inputs, reference, { out, lse: biased(reference.lse, limits.lse.bound) }, emulation);
  };
  for (const { passed, mismatches, message } of judge(64, 0.55)) {
    assertEquals([passed, mismatches], [false, 0]);
    assert(message!.includes("NMSE") && message!.includes("cosine difference"));
  }
  assert(isPassed(judge(64, 0.4)));
  // One row is one draw: its error may be all that a single error may.
  assert(isPassed(judge(1, 0.95)));
});

Deno.test("a sum of n equal addends may drift, and still a token that is left out shows", () => {
  const drifts: number[] = [];
  for (const kv of [100, 700, 2049, 8191]) {
    const { inputs, reference, emulation } = setUp({ ...SHAPE, R: 16, Dr: 0, kv: [kv] }, "equal");
    for (let seed = 200; seed < 210; seed++) {
      const actual = emulateAttend(inputs, { order: "normalized", seed });
      const [out, lse] = checkAttend(inputs, reference, actual, emulation);
      assert(out.passed && lse.passed, `${kv}, seed ${seed}: ${out.message} ${lse.message}`);
      drifts.push(out.ceilingUsed!);
    }
    for (const order of ["normalized", "serial"] as const) {
      const faulty = emulateAttend(inputs, { order, fault: "one_key_skipped" });
      assertEquals(isPassed(checkAttend(inputs, reference, faulty, emulation)), false, `${kv}, ${order}`);
    }
  }
  // Errors that scatter stay below a tenth of the ceiling.
  assert(Math.max(...drifts) > 0.15 && Math.max(...drifts) < 0.9, `${Math.max(...drifts)}`);
});

Deno.test("rows too long to be drawn often have a limit from the first tokens of their sequences", () => {
  for (const kind of INPUT_KINDS) {
    const { inputs, reference, emulation } = setUp({ ...SHAPE, H: 2, R: 64, kv: [20_000] }, kind);
    assertGreater(emulation.out.length, 3 * LEAST_DRAWS);
    const checks = checkAttend(inputs, reference, emulateAttend(inputs, { order: "serial", seed: 100 }), emulation);
    assert(isPassed(checks) && mostUsed(checks) < 0.9, `${kind}: ${mostUsed(checks)}`);
    // What single accumulators lose of 20,000 small weights leaves `peak` nothing below its ceiling.
    const [{ budgetUsed, ceilingUsed }] = checks;
    if (kind !== "peak") assertLess(ceilingUsed! / budgetUsed!, 0.9, kind);
  }
});

Deno.test("honest kernels of prefill stay within the limits in both forms", () => {
  const shape: PrefillShape = {
    ...SHAPE,
    H: 2,
    q: [20, 1],
    kv: [20, 50],
    B: 2,
    Dn: 64,
    Dv: 64,
    weight: "bf16",
    padding: 1,
  };
  const used: number[] = [];
  for (const kind of PROJECTED_KINDS) {
    const inputs = makePrefillInputs(shape, kind, 3);
    const reference = attendProjected(inputs);
    const emulation = projectedEmulation(inputs, reference);
    for (const form of ["absorbed", "expanded"] as const) {
      for (const [order, seed] of [["serial", 100], ["normalized", 101], ["tiled", 102]] as const) {
        const actual = emulateProjected(inputs, { form, order, seed });
        const checks = checkProjected(inputs, reference, actual, emulation);
        assert(isPassed(checks), `${kind}, ${form}, ${order}: ${checks.map(({ message }) => message)}`);
        used.push(mostUsed(checks));
      }
      for (const fault of FINE_FAULTS) {
        // Without queries all weights are 1, with large ones nearly all weight is on one token; `seed` has small
        // scores.
        if (kind !== "normal" && fault !== "one_key_skipped") continue;
        if (kind === "large") continue;
        const actual = emulateProjected(inputs, { form, order: "tiled", fault });
        assertEquals(
          isPassed(checkProjected(inputs, reference, actual, emulation)),
          false,
          `${kind}, ${form}, ${fault}`,
        );
      }
    }
  }
  assert(median(used) > 0.1 && Math.max(...used) < 0.9, `${used}`);
});

Deno.test("honest kernels of project stay within the limits, and one that is a little off does not", () => {
  for (const part of ["q", "v"] as const) {
    for (const kind of PROJECTED_KINDS) {
      const shape = { part, tokens: 3, padding: 0, H: 2, R: 128, Dn: 64, Dv: 64, weight: "bf16" } as const;
      const inputs = makeProjectInputs(shape, kind, 1);
      const reference = projectReference(inputs);
      const emulation = projectEmulation(inputs, reference);
      const actual = new Float32Array(reference.out.length);
      for (const { entry, out } of emulateProjectRows(inputs, reference.rows, [kernelArithmetic(F32, 100)])) {
        actual.set(out, entry * out.length);
      }
      const checks = checkProject(inputs, reference, actual, emulation);
      assert(isPassed(checks) && checks[0].budgetUsed! < 0.9, `${part}, ${kind}: ${checks[0].budgetUsed}`);
      // Far below a rounding to f16.
      const rounded = actual.map((x) => Math.fround(x * (1 + 2 ** -17)));
      assertEquals(isPassed(checkProject(inputs, reference, rounded, emulation)), false);
    }
  }
});

/**
 * Faults of precision that change too little to be seen. `equal` has one score for all tokens, which f16 holds, and
 * weights of 1; scores of `large` are ±300 and rounded to 3·10⁻⁵ at every step of their sums; those of `flashmla` are
 * all but 0; one weight of `peak` is 1 where a thousand others share a thousandth; and tokens in the middle of `jump`
 * weigh nothing.
 */
const UNSEEN: Partial<Record<InputKind, readonly FineFault[]>> = {
  equal: ["f16_scores", "f16_weights", "bf16_weights"],
  large: ["f16_weights", "exp_of_12_bits"],
  flashmla: ["scale_off_by_1e-4", "f16_scores"],
  peak: ["bf16_weights"],
  jump: ["one_key_skipped"],
};

Deno.test("faults of precision are seen in every kind of inputs, many of which the a-priori bounds let pass", () => {
  let passedBefore = 0, seenBefore = 0;
  for (const kind of INPUT_KINDS) {
    for (const kv of [100, 1000]) {
      const { inputs, reference, emulation } = setUp({ ...SHAPE, kv: [kv] }, kind);
      for (const fault of FINE_FAULTS) {
        if (UNSEEN[kind]?.includes(fault)) continue;
        const actual = emulateAttend(inputs, { order: "tiled", fault });
        const before = isPassed(checkAttend(inputs, reference, actual));
        const after = isPassed(checkAttend(inputs, reference, actual, emulation));
        assertEquals(after, false, `${kind}, ${kv} tokens, ${fault}`);
        if (before) passedBefore++;
        else seenBefore++;
      }
    }
  }
  assert(passedBefore >= 10 && seenBefore >= 80, `${passedBefore}, ${seenBefore}`);
});
