/**
 * What a comparison of two runs of a case comes to.
 *
 * @module
 */
import type { WorstElement } from "../reference/check.ts";
import type { Batch } from "../reference/variations.ts";
import type { Results } from "./inputs_buffers.ts";

/** A batch, and what its last call left. */
export interface BatchResults {
  /** The batch. */
  readonly batch: Batch;
  /** Results by buffer name. */
  readonly results: Results;
}

/** Outcome of one comparison. */
export interface GuiseOutcome {
  /** Elements compared. */
  readonly elements: number;
  /** Those of them that had to be equal bit by bit. */
  readonly exact: number;
  /** Elements that differ, or are out of bound. */
  readonly mismatches: number;
  /** Largest share of a bound that was used, of elements with a bound. */
  readonly budgetUsed?: number;
  /** In one line, the first element that is wrong. */
  readonly message?: string;
  /** The first element that is wrong. */
  readonly wrong?: WorstElement;
}

/** Both values of an element that must be the same. */
export function figures(actual: number, expected: number): Omit<WorstElement, "sequence" | "token" | "page"> {
  const isFinite = Number.isFinite(actual) && Number.isFinite(expected);
  return {
    actual: Number.isFinite(actual) ? actual : String(actual),
    expected: Number.isFinite(expected) ? expected : String(expected),
    ...(isFinite ? { absError: Math.abs(actual - expected) } : {}),
    bound: 0,
  };
}

/** An element that differs from that of the first run, in words. */
export function differs(
  name: string,
  wrong: WorstElement,
  where: string = describe(wrong),
): Pick<GuiseOutcome, "message" | "wrong"> {
  const { actual, expected } = wrong;
  return {
    wrong,
    message: `${name} of ${where} is ${actual}, in the first run ${expected}: they must be equal bit by bit`,
  };
}

/** Where an element stands, in words. */
export function describe({ sequence, token, head, dim }: WorstElement): string {
  const inRow = [...head === undefined ? [] : [`head ${head}`], ...dim === undefined ? [] : [`dim ${dim}`]];
  return [`sequence ${sequence}`, `token ${token}`, ...inRow].join(", ");
}
