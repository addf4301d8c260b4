/**
 * The figures of one compared element, in the form that JSON can hold.
 *
 * @module
 */
import type { WorstElement } from "./check.ts";

/** What was written and what was expected, their difference where both are finite, and the bound on it. */
export function elementFigures(
  actual: number,
  expected: number,
  bound: number,
): Pick<WorstElement, "actual" | "expected" | "absError" | "bound"> {
  const bothFinite = Number.isFinite(actual) && Number.isFinite(expected);
  return {
    actual: Number.isFinite(actual) ? actual : String(actual),
    expected: Number.isFinite(expected) ? expected : String(expected),
    ...(bothFinite ? { absError: Math.abs(actual - expected) } : {}),
    bound,
  };
}
