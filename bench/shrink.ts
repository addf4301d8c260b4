/**
 * Finds the smallest case that fails like a given one, by running smaller ones.
 *
 * @module
 */
import type { Case } from "../suites/case.ts";
import { REDUCTIONS } from "../suites/shrink.ts";
import type { Failed, Incorrect, Result, Shrunk, Stage } from "./result.ts";

/** What a search may cost. */
export interface ShrinkBudget {
  /** Cases that are run. @default {60} */
  readonly maxRuns?: number;
  /** Time after which no further case is run, ms. @default {10000} */
  readonly maxMs?: number;
  /** Clock, ms. @default {performance.now} */
  readonly now?: () => number;
}

/** Failing cases of one kernel that a sweep makes smaller: a kernel that is always wrong must not make it endless. */
export const SHRUNK_PER_KERNEL = 3;

/**
 * Goes through the ways to make `c` smaller, each as long as it leaves a case that fails, until none does any more or
 * the budget is spent.
 *
 * @param c A case that fails.
 * @param fails Whether a case fails in the same way; undefined ends the search.
 * @returns The smallest case that failed, `c` itself where none did.
 */
export async function shrinkCase(
  c: Case,
  fails: (smaller: Case) => Promise<boolean | undefined>,
  { maxRuns = 60, maxMs = 10_000, now = () => performance.now() }: ShrinkBudget = {},
): Promise<Shrunk> {
  const until = now() + maxMs;
  const tried = new Set([c.id]);
  let smallest = c, ended = false;
  const runs = () => tried.size - 1;

  /** Takes the first smaller case of one way that fails. */
  async function reduce(of: (c: Case) => Case[]): Promise<boolean> {
    for (const smaller of of(smallest)) {
      if (tried.has(smaller.id)) continue;
      if (ended || runs() >= maxRuns || now() >= until) return false;
      tried.add(smaller.id);
      const failed = await fails(smaller);
      if (failed === undefined) ended = true;
      if (!failed) continue;
      smallest = smaller;
      return true;
    }
    return false;
  }

  // What failed to become smaller may do so once the rest is smaller.
  let before: Case;
  do {
    before = smallest;
    for (const { of } of REDUCTIONS) while (await reduce(of));
  } while (smallest !== before);
  return { id: smallest.id, runs: runs() };
}

/** A result that is worth a smaller case. */
export type Shrinkable = Incorrect | Failed;

/** Stages whose failures a smaller case can have as well: the process and its device survive them. */
const SHRINKABLE_STAGES: ReadonlySet<Stage> = new Set<Stage>(["inputs", "reference", "launch", "compile", "run"]);

/**
 * Whether `result` is a failure that verification alone can find again: neither a crash, nor an output that only timing
 * made wrong.
 */
export function isShrinkable(result: Result): result is Shrinkable {
  switch (result.status) {
    case "incorrect":
      return result.verification.checks.some(({ name, passed }) => !passed && !name.startsWith("timed_"));
    case "failed":
      return SHRINKABLE_STAGES.has(result.stage);
    case "measured":
    case "verified":
    case "skipped":
      return false;
    default:
      return result satisfies never;
  }
}

/** Whether `result` fails like `like`: it is wrong too, or fails at the same stage. */
export function failsLike(result: Result, like: Shrinkable): boolean {
  if (like.status === "incorrect") return result.status === "incorrect";
  return result.status === "failed" && result.stage === like.stage;
}
