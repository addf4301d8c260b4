/**
 * Runs a case in another guise and compares what that leaves with what the case left.
 *
 * @module
 */
import type { Batch } from "../reference/variations.ts";
import type { FirstRun } from "./first_run.ts";
import { expectedCaches } from "./guise_caches.ts";
import { compareGuise, type GuiseToCompare } from "./guise_compare.ts";
import type { GuiseOutcome } from "./guise_outcome.ts";
import { type PlannedGuise, tryGuise } from "./guise_run.ts";

/** What is run and compared. */
export interface GuiseTrial extends Pick<GuiseToCompare, "isExact"> {
  /** The case as a batch. */
  readonly batch: Batch;
  /** The guise. */
  readonly guise: PlannedGuise;
}

/** Runs `guise` and compares; undefined where the device lacks room for it. */
export async function tryAndCompare(
  run: FirstRun,
  { batch, guise, isExact }: GuiseTrial,
): Promise<GuiseOutcome | undefined> {
  const call = run.inputs.calls.at(-1)!;
  const first = { batch, results: run.results };
  const caches = expectedCaches(call.work, first, guise.batch);
  const results = await tryGuise(run, guise, caches);
  return results && compareGuise({ call, first, other: { batch: guise.batch, results }, caches, isExact });
}
