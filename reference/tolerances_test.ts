import { assert, assertEquals } from "@std/assert";
import { checkTolerance, type Closeness, type Tolerance, TOLERANCES } from "./tolerances.ts";

/** One row of four elements each, beside a row that has no reference. */
function check(tolerance: Tolerance, error: number, size = 1, lseError = 0) {
  const out = Float32Array.of(NaN, NaN, NaN, NaN, size + error, size, -size, size);
  const expected = { rows: Int32Array.of(1), out: Float64Array.of(size, size, -size, size), lse: Float64Array.of(3) };
  return checkTolerance("some", tolerance, { out, lse: Float32Array.of(NaN, 3 + lseError) }, expected);
}

const passes = (closeness: Closeness, error: number, size = 1) =>
  check({ source: "", out: closeness }, error, size)[0].passed;

Deno.test("the rule sum allows atol + rtol·|e|, as allclose", () => {
  const closeness: Closeness = { atol: 0.01, rtol: 0.1, rule: "sum" };
  assertEquals([0.1099, -0.1099, 0.1101, -0.1101].map((e) => passes(closeness, e)), [true, true, false, false]);
  assertEquals([0.0099, 0.0101].map((e) => passes(closeness, e, 0)), [true, false]);
});

Deno.test("the rule either allows an absolute or a relative error", () => {
  const closeness: Closeness = { atol: 0.01, rtol: 0.1, rule: "either" };
  assertEquals([0.0999, 0.1001].map((e) => passes(closeness, e)), [true, false]);
  assertEquals([0.0099, 0.0101].map((e) => passes(closeness, e, 0.01)), [true, false]);
});

Deno.test("a share of the elements may be far, a cosine difference may not", () => {
  const closeness: Closeness = { atol: 0.01, rtol: 0, rule: "either", share: 0.75 };
  assertEquals([passes(closeness, 9), passes({ ...closeness, share: 0.76 }, 9)], [true, false]);
  const whole: Closeness = { atol: 1, rtol: 1, rule: "either", cosine: 1e-3 };
  // Σ(a−e)²/Σ(a²+e²) of an error of d in one element of four is d²/(8 + 2d + d²).
  assertEquals([0.085, 0.095].map((e) => passes(whole, e)), [true, false]);
});

Deno.test("checkTolerance() looks at the rows that have a reference alone, and names what it looks at", () => {
  const checks = check(TOLERANCES["flashmla"], 0);
  assertEquals(checks.map((c) => [c.name, c.passed, c.elements]), [
    ["tolerance_out", true, 4],
    ["tolerance_lse", true, 1],
  ]);
  assertEquals(check(TOLERANCES["flashmla"], 0, 1, 1e-3).map((c) => c.passed), [true, false]);
  assertEquals(check(TOLERANCES["seed-decode"], 0.11)[0].message, '1 of 4 elements are out of the tolerance "some"');
  assertEquals(check(TOLERANCES["seed-decode"], 0.11).length, 1);
});

Deno.test("tolerances of a log-sum-exp of base 2 hold for the natural one", () => {
  const limit = (1e-3 + 1e-3 * 3 * Math.LOG2E) * Math.LN2;
  const passed = (error: number) => check(TOLERANCES["flashinfer"], 0, 1, error)[1].passed;
  assertEquals([0.99, -0.99, 1.01, -1.01].map((share) => passed(share * limit)), [true, true, false, false]);
});

Deno.test("checkTolerance() demands NaN and ±∞ where the reference has them", () => {
  const of = (out: number, lse: number) =>
    checkTolerance("flashinfer", TOLERANCES["flashinfer"], {
      out: Float32Array.of(out),
      lse: Float32Array.of(lse),
    }, { rows: Int32Array.of(0), out: Float64Array.of(0), lse: Float64Array.of(-Infinity) }).map((c) => c.passed);
  assertEquals(of(0, -1e30), [true, true]);
  assertEquals(of(0, -Infinity), [true, true]);
  for (const wrong of [NaN, Infinity, -Infinity]) assertEquals(of(wrong, 0), [false, false]);
});

Deno.test("checkTolerance() of an output without LSE, and of no rows", () => {
  const { out } = { out: Float32Array.of(1, 2) };
  const expected = { rows: Int32Array.of(0), out: Float64Array.of(1, 2) };
  assertEquals(checkTolerance("x", TOLERANCES["flashinfer"], { out }, expected).map((c) => c.passed), [true]);
  const none = { rows: new Int32Array(0), out: new Float64Array(0), lse: new Float64Array(0) };
  assert(checkTolerance("x", TOLERANCES["flashmla"], { out, lse: out }, none).every((c) => c.passed));
});

Deno.test("every tolerance says where it is from and limits the output", () => {
  for (const [name, { source, out, lse }] of Object.entries(TOLERANCES)) {
    assert(source.length > 0, name);
    for (const closeness of [out, lse ?? out]) {
      assert(closeness.atol >= 0 && closeness.rtol >= 0 && closeness.atol <= 0.15, name);
      assertEquals(passes(closeness, name === "flashinfer-xqa" ? NaN : 10), false, name);
      assertEquals(passes(closeness, 0), true, name);
    }
  }
});
