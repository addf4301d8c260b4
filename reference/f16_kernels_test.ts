import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { type AttendActual, checkAttend, checkProjected } from "./acceptance.ts";
import type { Check } from "./check.ts";
import { attendEmulation } from "./emulate_attend.ts";
import { projectedEmulation } from "./emulate_projected.ts";
import { type AttendInputs, makeAttendInputs } from "./inputs.ts";
import { attendAbsorbed } from "./mla.ts";
import { makePrefillInputs } from "./mla_inputs.ts";
import { F32, type KernelPrecision } from "./precision.ts";
import { attendProjected } from "./projected.ts";
import { type AttendShape, INPUT_KINDS, type InputKind, type PrefillShape, PROJECTED_KINDS } from "./shapes.ts";
import { F16_ALL, F16_FACTORS, F16_VALUES, f16Absorbed, f16Attend, type F16Fault } from "./testdata/f16_kernels.ts";

const SHAPE: AttendShape = {
  B: 1,
  H: 4,
  R: 64,
  Dr: 64,
  Dn: 128,
  Dv: 128,
  q: [1],
  kv: [100],
  page: 16,
  cache: "f16",
  scale: 1 / Math.sqrt(192),
  causal: true,
};

/** The kernels that compute less than f32: what they declare, and how they compute. */
const KERNELS = [
  { name: "f16 values", precision: F16_VALUES, how: { scores: false } },
  { name: "f16 scores and values", precision: F16_ALL, how: { scores: true } },
  { name: "f16 factors summed in f32", precision: F16_FACTORS, how: { scores: true, sumsInF32: true } },
] as const;

/** Inputs and how results are judged by the limits of a precision. */
function judge(inputs: AttendInputs) {
  const reference = attendAbsorbed(inputs);
  const emulations = new Map<KernelPrecision, ReturnType<typeof attendEmulation>>();
  return (precision: KernelPrecision, actual: AttendActual): Check[] => {
    const emulation = emulations.get(precision) ?? attendEmulation(inputs, reference, precision);
    emulations.set(precision, emulation);
    return checkAttend(inputs, reference, actual, emulation);
  };
}

const isPassed = (checks: readonly Check[]) => checks.every(({ passed }) => passed);
const mostUsed = (checks: readonly Check[]) => Math.max(...checks.map(({ budgetUsed }) => budgetUsed ?? Infinity));

const SHAPES: readonly AttendShape[] = [
  SHAPE,
  { ...SHAPE, B: 3, H: 3, q: [3, 1, 2], kv: [33, 1, 60] },
  { ...SHAPE, R: 256, H: 2, kv: [300] },
  { ...SHAPE, R: 512, H: 2, kv: [90] },
  { ...SHAPE, R: 512, H: 16, kv: [3] },
  { ...SHAPE, R: 16, Dr: 0, H: 9, kv: [150] },
  { ...SHAPE, H: 1, kv: [1500] },
];

for (const { name, precision, how } of KERNELS) {
  Deno.test(`honest kernels with ${name} pass as what they declare, whatever the inputs, and hardly as f32`, () => {
    const used: number[] = [];
    let cases = 0, passedAsF32 = 0;
    for (const kind of INPUT_KINDS) {
      for (const [i, shape] of SHAPES.entries()) {
        const inputs = makeAttendInputs(shape, kind, 3 + i);
        const checksOf = judge(inputs);
        const actual = f16Attend(inputs, { ...how, seed: 11 * i + cases });
        const checks = checksOf(precision, actual);
        assert(isPassed(checks), `${kind}, case ${i}: ${checks.map(({ message }) => message)}`);
        used.push(...checks.map(({ budgetUsed }) => budgetUsed!));
        cases++;
        if (isPassed(checksOf(F32, actual))) passedAsF32++;
      }
    }
    assertLess(Math.max(...used), 0.85);
    assertGreater(Math.max(...used), 0.25);
    // Large scores err by as much in f32, and products with equal weights of few tokens may happen to be exact.
    assertLess(passedAsF32, 0.15 * cases);
  });
}

/** Kinds of inputs that show a fault of each of {@linkcode KERNELS}, and how clearly they do at least. */
const CAUGHT: readonly [fault: F16Fault, kinds: readonly InputKind[], clearly: number, kernel?: "f16 values"][] = [
  ["token_dropped", ["equal", "seed", "flashmla"], 10],
  ["first_for_last_token", ["normal", "equal", "alternating", "onehot", "seed", "flashmla"], 10],
  ["softmax_scale_off_by_1_percent", ["normal", "peak", "equal", "alternating", "onehot"], 3],
  ["weights_not_scaled_back", INPUT_KINDS, 1.5],
  ["no_rescale", ["normal", "peak", "alternating", "seed"], 10],
  ["no_maximum", ["large", "monotone", "jump"], 1],
  ["weights_of_8_bits", ["onehot"], 1.25],
  ["subnormals_flushed", ["onehot"], 1.5],
  // Chains in f16 err as much as bf16 weights do; values of one token alone show them.
  ["bf16_weights", ["onehot"], 1.5, "f16 values"],
  ["weights_of_8_bits", ["normal", "large", "alternating"], 1.5, "f16 values"],
  ["subnormals_flushed", ["normal", "large"], 1.5, "f16 values"],
];

for (const { name, precision, how } of KERNELS) {
  Deno.test(`faults of a kernel with ${name} are caught under its own limits`, () => {
    for (const [fault, kinds, clearly, kernel = name] of CAUGHT) {
      if (kernel !== name) continue;
      for (const kind of kinds) {
        const inputs = makeAttendInputs(SHAPE, kind, 5);
        const checksOf = judge(inputs);
        // This seed has tiles of 32 tokens, two groups of threads and two splits.
        const checks = checksOf(precision, f16Attend(inputs, { ...how, seed: 1, fault }));
        assertEquals(isPassed(checks), false, `${fault} ${kind}`);
        assertGreater(mostUsed(checks), clearly, `${fault} ${kind}`);
      }
    }
  });
}

Deno.test("chains in f16 are caught where sums in f32 are declared", () => {
  for (const kind of ["large", "equal", "jump", "alternating"] as const) {
    const inputs = makeAttendInputs({ ...SHAPE, R: 512, kv: [300] }, kind, 5);
    const checks = judge(inputs)(F16_FACTORS, f16Attend(inputs, { scores: true, seed: 1 }));
    assertEquals(isPassed(checks), false, `${kind}: ${mostUsed(checks)}`);
  }
});

Deno.test("scores in one chain are caught", () => {
  const inputs = makeAttendInputs(SHAPE, "normal", 5);
  const actual = f16Attend(inputs, { scores: true, seed: 1, fault: "scores_in_one_chain" });
  assertEquals(isPassed(judge(inputs)(F16_ALL, actual)), false);
});

Deno.test("a row that is never flushed is caught where many tokens have values of one sign", () => {
  const inputs = makeAttendInputs({ ...SHAPE, R: 256, kv: [1024] }, "alternating", 5);
  const checksOf = judge(inputs);
  // This seed has two groups of threads: one of them walks the positive values.
  const used = (fault?: F16Fault) =>
    mostUsed(checksOf(F16_VALUES, f16Attend(inputs, { scores: false, seed: 5, fault })));
  const honest = used();
  assertLess(honest, 0.4);
  // Chains that are four times as long err two to four times as much, about what the limits let pass.
  assertGreater(used("chains_of_64"), 2 * honest);
  assertGreater(used("never_flushed"), 1.5);
});

Deno.test("what is declared of values does not loosen scores: the limit of the log-sum-exp is that of f32", () => {
  const inputs = makeAttendInputs({ ...SHAPE, R: 512 }, "normal", 5);
  const checksOf = judge(inputs);
  const onlyValues = f16Attend(inputs, { scores: false, seed: 1 });
  const all = f16Attend(inputs, { scores: true, seed: 1 });
  const passed = (precision: KernelPrecision, actual: AttendActual) =>
    checksOf(precision, actual).map(({ passed }) => passed);
  assertEquals(passed(F16_VALUES, onlyValues), [true, true]);
  assertEquals(passed(F16_VALUES, all)[1], false);
  const lseUsed = (precision: KernelPrecision) => checksOf(precision, onlyValues)[1].budgetUsed;
  assertEquals(lseUsed(F16_VALUES), lseUsed(F32));
});

const MODEL: PrefillShape = { ...SHAPE, B: 2, q: [1, 3], kv: [100, 33], Dn: 32, Dv: 32, weight: "f16", padding: 0 };

for (const { name, precision, how } of KERNELS) {
  Deno.test(`projections around an attention with ${name} pass as what it declares, and not with a fault`, () => {
    const used: number[] = [];
    let passedAsF32 = 0;
    for (const kind of PROJECTED_KINDS) {
      for (const shape of [MODEL, { ...MODEL, R: 256 }, { ...MODEL, q: [1, 1], kv: [800, 5], causal: false }]) {
        const inputs = makePrefillInputs(shape, kind, 3);
        const reference = attendProjected(inputs);
        const checksOf = (declared: KernelPrecision, fault?: F16Fault) => {
          const actual = f16Absorbed(inputs, { ...how, seed: 1, fault });
          return checkProjected(inputs, reference, actual, projectedEmulation(inputs, reference, declared));
        };
        const checks = checksOf(precision);
        assert(isPassed(checks), `${kind}: ${checks.map(({ message }) => message)}`);
        used.push(mostUsed(checks));
        if (isPassed(checksOf(F32))) passedAsF32++;
        if (kind !== "large") assertEquals(isPassed(checksOf(precision, "token_dropped")), false, kind);
      }
    }
    assertLess(Math.max(...used), 0.6);
    assertLess(passedAsF32, used.length / 3);
  });
}
