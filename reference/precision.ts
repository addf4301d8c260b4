/**
 * In which precision a kernel computes: what it declares of itself, and what its limits follow.
 *
 * @module
 */

/** Sums of products in f16: each step an `fma` rounded to f16, each chain then added up in f32. */
export interface F16Chains {
  /**
   * Most products of a chain. 0: there is none, products of two f16 are added up in f32 as they are, as matrix units do
   * it.
   */
  readonly f16Chain: number;
}

/**
 * Precision of the two products of an attention. All else is f32: softmax, sums of weights, merges, projections.
 *
 * A product in f16 rounds one factor that was f32; the other, the cache, is f16 already. It is scaled by a power of two
 * first, so that no chain overflows, and the chain's sum is scaled back in f32:
 *
 * - `scores`: the query of a row, so that its largest element lies in [1/64, 1/32);
 * - `values`: the weights, by 1/64; they are relative to the running maximum, or to a score that follows it with a
 *   slack of at most half. Where that moves a chain ends, or is multiplied by a factor in f16, if each move is by more
 *   than half.
 *
 * Without chains (`f16Chain: 0`) less overflows: the largest element of a query lies in [1/2, 1), and weights, up to 2¹⁵, are
 * not scaled.
 */
export interface KernelPrecision {
  /** Products of queries with keys. */
  readonly scores: "f32" | F16Chains;
  /** Products of softmax weights with values, P·V. */
  readonly values: "f32" | F16Chains;
}

/** All in f32: what a kernel computes in that declares nothing else. */
export const F32: KernelPrecision = { scores: "f32", values: "f32" };

/** Arithmetic units: those of FMA in f32 or f16, and those of matrices. */
export type ArithmeticUnit = "f32" | "f16" | "matrix";

/** The arithmetic that bounds how fast a kernel of a precision can be: that in which it multiplies fastest. */
export function fastestArithmetic({ scores, values }: KernelPrecision): ArithmeticUnit {
  const units = [scores, values].map((products): ArithmeticUnit =>
    products === "f32" ? "f32" : products.f16Chain === 0 ? "matrix" : "f16"
  );
  return (["matrix", "f16", "f32"] as const).find((unit) => units.includes(unit))!;
}

/**
 * A precision in a few words; different ones differ.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(describePrecision(F32), "f32");
 * assertEquals(describePrecision({ scores: "f32", values: { f16Chain: 16 } }), "f32 scores, f16 P·V in chains of 16");
 * ```
 */
export function describePrecision({ scores, values }: KernelPrecision): string {
  if (scores === "f32" && values === "f32") return "f32";
  return `${describeProducts(scores, "scores")}, ${describeProducts(values, "P·V")}`;
}

function describeProducts(products: "f32" | F16Chains, what: string): string {
  if (products === "f32") return `f32 ${what}`;
  return products.f16Chain === 0 ? `f16 ${what} summed in f32` : `f16 ${what} in chains of ${products.f16Chain}`;
}
