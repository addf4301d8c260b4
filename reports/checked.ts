/**
 * What was checked, over a whole run.
 *
 * @module
 */
import type { Result } from "../bench/result.ts";
import { verificationOf } from "./figures.ts";
import { checkKind } from "./view/check_words.js";

/** One kind of check over all cases that had it. */
export interface CheckedKind {
  /** Name of the check, without the call of a flow. */
  readonly kind: string;
  /** Cases that had it. */
  readonly cases: number;
  /** Cases in which it failed. */
  readonly wrong: number;
  /** Largest share of the error budget used where it passed; absent where it has none. */
  readonly budgetUsed?: number;
  /** The case that used it. */
  readonly closest?: string;
  /** Largest share of the a-priori bound used where it passed; absent where it has none. */
  readonly ceilingUsed?: number;
}

/** Every kind of check in `results`, the most frequent first. */
export function checkedKinds(results: readonly Result[]): CheckedKind[] {
  const entries = results.flatMap((result) =>
    (verificationOf(result)?.checks ?? []).map((check) => ({ id: result.id, check }))
  );
  return [...Map.groupBy(entries, ({ check }) => checkKind(check.name))].map(([kind, group]) => {
    const passed = group.filter(({ check }) => check.passed && check.budgetUsed !== undefined);
    const [first, ...rest] = passed;
    const closest = first && rest.reduce((a, b) => b.check.budgetUsed! > a.check.budgetUsed! ? b : a, first);
    const ceilings = passed.flatMap(({ check }) => check.ceilingUsed ?? []);
    return {
      kind,
      cases: new Set(group.map(({ id }) => id)).size,
      wrong: new Set(group.filter(({ check }) => !check.passed).map(({ id }) => id)).size,
      ...closest && { budgetUsed: closest.check.budgetUsed, closest: closest.id },
      ...ceilings.length > 0 && { ceilingUsed: ceilings.reduce((a, b) => Math.max(a, b)) },
    };
  }).sort((a, b) => b.cases - a.cases);
}

/** `out 310, poison 310 (2 wrong), lse 294`; `""` where nothing was checked. */
export function checkedInWords(results: readonly Result[]): string {
  return checkedKinds(results).map(({ kind, cases, wrong }) =>
    `${kind} ${cases}${wrong > 0 ? ` (${wrong} wrong)` : ""}`
  )
    .join(", ");
}
