/**
 * Two results of one computation beside each other and beside the f64 reference, in units in the last place.
 *
 * A difference is no verdict: two correct kernels differ in their last bits because they sum in different orders. It
 * shows how far apart they are, and which of them stands nearer to the truth.
 *
 * @module
 */
import type { WorstElement } from "./check.ts";
import type { ElementPlace } from "./compare.ts";
import { ulpDistance, ulpError } from "./ulps.ts";

export type { ElementPlace } from "./compare.ts";

/** The element in which two results differ most, with its place in the batch. */
export interface DifferentElement extends ElementPlace {
  /** What the kernel of the case wrote; a string for NaN and ±Infinity, which JSON lacks. */
  readonly actual: WorstElement["actual"];
  /** What the other one wrote. */
  readonly other: WorstElement["actual"];
  /** What the reference says. */
  readonly expected: WorstElement["expected"];
}

/**
 * One output of two results. Differences are {@linkcode ulpDistance}s of f32, errors are {@linkcode ulpError}s:
 * distances from the f64 reference in units in the last place of the reference's value. Near zero such units are tiny,
 * so the largest figure of a sum that cancels may be large while its median is not.
 */
export interface OutputDifference {
  /** `out`, `lse`, `lse2`, `q_latent`, or `cache`: the tokens that the last call appended. */
  readonly name: string;
  /** Elements compared: those of rows that have a reference in both runs. */
  readonly elements: number;
  /** Share of the elements whose bits are the same, 0…1; 1 where there are none. */
  readonly equalShare: number;
  /** Median difference, ULPs of f32. */
  readonly ulpMedian: number;
  /** Difference that 99 of 100 elements do not exceed, ULPs. */
  readonly ulpP99: number;
  /** Largest difference, ULPs; 2³² where one is NaN and the other is not. */
  readonly ulpMax: number;
  /** Median error of the kernel of the case, ULPs of the reference. */
  readonly errorUlpMedian: number;
  /** Its largest error, ULPs of the reference. */
  readonly errorUlpMax: number;
  /** Median error of the other one, ULPs of the reference. */
  readonly otherErrorUlpMedian: number;
  /** Its largest error, ULPs of the reference. */
  readonly otherErrorUlpMax: number;
  /** Where the difference is largest; absent where there is none. */
  readonly worst?: DifferentElement;
}

/** What {@linkcode compareOutput} compares: three arrays of equal length. */
export interface OutputPair {
  /** Name of the output. */
  readonly name: string;
  /** What the kernel of the case wrote. */
  readonly actual: Float32Array;
  /** What the other one wrote. */
  readonly other: Float32Array;
  /** The reference. */
  readonly expected: ArrayLike<number>;
  /** Place of element `i`. */
  place(i: number): ElementPlace;
}

/**
 * Compares two results of one output.
 *
 * @throws {RangeError} If the lengths differ.
 */
export function compareOutput({ name, actual, other, expected, place }: OutputPair): OutputDifference {
  const elements = expected.length;
  if (actual.length !== elements || other.length !== elements) {
    throw new RangeError(
      `Cannot compare ${actual.length} elements of ${name} with ${other.length} others and ${elements} expected ones`,
    );
  }
  const distances = new Float64Array(elements),
    errors = new Float64Array(elements),
    others = new Float64Array(elements);
  const bits = new Uint32Array(actual.buffer, actual.byteOffset, elements);
  const otherBits = new Uint32Array(other.buffer, other.byteOffset, elements);
  let equal = 0, worst = -1;
  for (let i = 0; i < elements; i++) {
    if (bits[i] === otherBits[i]) equal++;
    distances[i] = ulpDistance(actual[i], other[i]);
    errors[i] = ulpError(actual[i], expected[i]);
    others[i] = ulpError(other[i], expected[i]);
    if (distances[i] > (worst < 0 ? 0 : distances[worst])) worst = i;
  }
  for (const values of [distances, errors, others]) values.sort();
  return {
    name,
    elements,
    equalShare: elements === 0 ? 1 : equal / elements,
    ulpMedian: rank(distances, 0.5),
    ulpP99: rank(distances, 0.99),
    ulpMax: rank(distances, 1),
    errorUlpMedian: rank(errors, 0.5),
    errorUlpMax: rank(errors, 1),
    otherErrorUlpMedian: rank(others, 0.5),
    otherErrorUlpMax: rank(others, 1),
    ...(worst < 0 ? {} : {
      worst: {
        ...place(worst),
        actual: inJson(actual[worst]),
        other: inJson(other[worst]),
        expected: inJson(expected[worst]),
      },
    }),
  };
}

/** The least of the sorted values that `share` of them do not exceed; 0 where there are none. */
function rank(sorted: Float64Array, share: number): number {
  return sorted.length === 0 ? 0 : sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

function inJson(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}
