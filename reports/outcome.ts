/**
 * Results in words and counts, shared by every output that people read.
 *
 * @module
 */
import type { Check, Report, Result, Status } from "../bench/result.ts";

/** How many results there are of each kind. */
export interface Counts extends Readonly<Record<Status, number>> {
  /** Of the measured ones, those whose interval did not close. */
  readonly unstable: number;
  /** Of the measured ones, those whose timer cannot be believed. */
  readonly invalid: number;
}

/** Worst first: the order in which results are listed for people. */
const rank: Readonly<Record<Status, number>> = { incorrect: 0, failed: 1, measured: 2, verified: 3, skipped: 4 };

/** Counts of `results`. */
export function countResults(results: readonly Result[]): Counts {
  const counts = { measured: 0, verified: 0, incorrect: 0, skipped: 0, failed: 0, unstable: 0, invalid: 0 };
  for (const result of results) {
    counts[result.status]++;
    if (result.status === "measured" && result.verdict !== "ok") counts[result.verdict]++;
  }
  return counts;
}

/** `6 measured (1 unstable, 1 invalid), 1 incorrect, 2 failed, 1 skipped`: kinds that occur, in that order. */
export function countsInWords(counts: Counts): string {
  const part = (count: number, name: string, inside = "") => count > 0 ? [`${count} ${name}${inside}`] : [];
  const doubts = [...part(counts.unstable, "unstable"), ...part(counts.invalid, "invalid")].join(", ");
  const parts = [
    ...part(counts.measured, "measured", doubts && ` (${doubts})`),
    ...part(counts.verified, "verified"),
    ...part(counts.incorrect, "incorrect"),
    ...part(counts.failed, "failed"),
    ...part(counts.skipped, "skipped"),
  ];
  return parts.length > 0 ? parts.join(", ") : "no cases";
}

/**
 * Why a result is not simply right, with the worst element of the first failed check; `""` when there is nothing to
 * say. May hold several lines and control characters when a compiler spoke: escape it for where it goes.
 *
 * @param separator Between several reasons. @default {"; "}
 */
export function explain(result: Result, separator = "; "): string {
  switch (result.status) {
    case "incorrect": {
      const failed = result.verification.checks.filter((check) => !check.passed);
      return failed.length === 0 ? "verification did not pass" : failed.map(explainCheck).join(separator);
    }
    case "failed":
      return `${result.stage}: ${result.message}`;
    case "skipped":
      return result.reason;
    case "measured":
      return result.verdict === "ok" ? "" : `${result.verdict}: ${result.reasons.join(separator)}`;
    case "verified":
      return "";
    default:
      return result satisfies never;
  }
}

/** A check in words: `out: 3 of 64 elements differ, worst at sequence 3, head 5, token 0, dim 17 (page 12): NaN, not -0.31 ± 5e-6`. */
export function explainCheck(check: Check): string {
  const said = check.message ??
    (check.passed ? "passed" : `${check.mismatches} of ${check.elements} elements differ`);
  if (check.worst === undefined || check.passed) return `${check.name}: ${said}`;
  const { sequence, head, token, dim, page, actual, expected, bound } = check.worst;
  const place = [
    `sequence ${sequence}`,
    ...head === undefined ? [] : [`head ${head}`],
    `token ${token}`,
    ...dim === undefined ? [] : [`dim ${dim}`],
  ].join(", ");
  return `${check.name}: ${said}, worst at ${place} (page ${page}): ${actual}, not ${expected} ± ${bound}`;
}

/** Results in an order in which the worst come first; equal ones keep theirs. */
export function worstFirst(results: readonly Result[]): Result[] {
  return results.toSorted((a, b) => rank[a.status] - rank[b.status]);
}

/** Reasons of skipped results with the ids they hold for, the most frequent first. */
export function skippedByReason(results: readonly Result[]): { reason: string; ids: string[] }[] {
  const groups = Map.groupBy(
    results.filter((result) => result.status === "skipped"),
    (result) => result.reason,
  );
  return [...groups].map(([reason, skipped]) => ({ reason, ids: skipped.map((result) => result.id) }))
    .sort((a, b) => b.ids.length - a.ids.length);
}

/** The adapter in one line: `NVIDIA H200 (wgpu)`, `llvmpipe (LLVM 19) (software adapter)`. */
export function adapterInWords(report: Report): string {
  const { description, provider, software } = report.environment.adapter;
  return `${description || "unnamed adapter"} (${software ? "software adapter" : provider})`;
}
