/**
 * Results in words and counts, shared by every output that people read.
 *
 * @module
 */
import { providerName } from "../bench/fingerprint.ts";
import type { Check, Report, Result, Status, WorstElement } from "../bench/result.ts";

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
 * Why a result is not simply right, with the first wrong element and the worst of each failed check and the smallest
 * case that fails likewise; `""` when there is nothing to say. May hold several lines and control characters when a
 * compiler spoke: escape it for where it goes.
 *
 * @param separator Between several reasons. @default {"; "}
 */
export function explain(result: Result, separator = "; "): string {
  switch (result.status) {
    case "incorrect": {
      const failed = result.verification.checks.filter((check) => !check.passed);
      const why = failed.length === 0 ? ["verification did not pass"] : failed.map(explainCheck);
      return [...why, ...smallest(result)].join(separator);
    }
    case "failed":
      return [`${result.stage}: ${result.message}`, ...smallest(result)].join(separator);
    case "skipped":
      return result.reason;
    case "measured":
      return [
        ...result.verdict === "ok" ? [] : [`${result.verdict}: ${result.reasons.join(separator)}`],
        ...blindness(result),
      ].join(separator);
    case "verified":
      return blindness(result).join(separator);
    default:
      return result satisfies never;
  }
}

/**
 * The same in lines for a terminal: the first failed check at length, the others by name; `[]` when there is nothing to
 * say.
 */
export function explainInLines(result: Result): string[] {
  const failed = result.status === "incorrect" ? result.verification.checks.filter((check) => !check.passed) : [];
  if (failed.length === 0) return [explain(result)].filter(Boolean);
  const [check, ...others] = failed;
  return [
    ...checkInParts(check),
    ...others.length > 0 ? [`also wrong: ${others.map(({ name }) => name).join(", ")}`] : [],
    ...smallest(result),
  ];
}

/** Whether the checks of a result would have accepted a trivial output. */
export function isBlind(result: Result): boolean {
  return "verification" in result && (result.verification.blind ?? []).length > 0;
}

/** `blind: would have accepted zeros or constant`; nothing of a result that is not. */
export function blindness(result: Result): string[] {
  if (!isBlind(result) || !("verification" in result)) return [];
  return [`blind: would have accepted ${result.verification.blind!.join(" or ")}`];
}

function smallest(result: Result): string[] {
  const shrunk = "shrunk" in result ? result.shrunk : undefined;
  return shrunk === undefined || shrunk.id === result.id ? [] : [`smallest failing case: ${shrunk.id}`];
}

/**
 * A check in words: `out: 3 of 64 elements are out of bound; all wrong elements: head 5 (last head); first and worst at
 * sequence 3, head 5, token 0, dim 17 (page 12): NaN, not -0.31 ± 5e-6`.
 */
export function explainCheck(check: Check): string {
  return checkInParts(check).join("; ");
}

/** What is said of a check; of a failed one what all wrong elements share, the first and the worst. */
function checkInParts(check: Check): string[] {
  const { name, passed, first, worst, pattern = [] } = check;
  const said = `${name}: ` +
    (check.message ?? (passed ? "passed" : `${check.mismatches} of ${check.elements} elements differ`));
  if (passed) return [said];
  const isSame = first !== undefined && worst !== undefined && placeInWords(first) === placeInWords(worst);
  return [
    said,
    ...pattern.length > 0 ? [`all wrong elements: ${pattern.join(", ")}`] : [],
    ...first === undefined ? [] : [`first ${isSame ? "and worst " : ""}at ${elementInWords(first)}`],
    ...worst === undefined || isSame ? [] : [`worst at ${elementInWords(worst)}`],
  ];
}

function elementInWords(element: WorstElement): string {
  const { page, actual, expected, bound, edges = [] } = element;
  const beside = [...page < 0 ? [] : [`page ${page}`], ...edges].join(", ");
  return `${placeInWords(element)}${beside && ` (${beside})`}: ${actual}, not ${expected} ± ${bound}`;
}

function placeInWords({ sequence, head, token, dim }: WorstElement): string {
  return [
    ...sequence < 0 ? ["a page of nobody"] : [`sequence ${sequence}`],
    ...head === undefined ? [] : [`head ${head}`],
    ...token < 0 ? [] : [`token ${token}`],
    ...dim === undefined ? [] : [`dim ${dim}`],
  ].join(", ");
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

/**
 * The adapter in one line: `NVIDIA H200 (wgpu)`, `llvmpipe (LLVM 19) (software adapter)`,
 * `SwiftShader driver (dawn, software adapter)`.
 */
export function adapterInWords(report: Report): string {
  const { adapter } = report.environment;
  const { description, provider, software } = adapter;
  const ways = [...provider === "software" ? [] : [providerName(adapter)], ...software ? ["software adapter"] : []];
  return `${description || "unnamed adapter"} (${ways.join(", ")})`;
}
