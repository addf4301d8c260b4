/**
 * What a gate says at its end on a terminal.
 *
 * @module
 */
import { oneLine } from "./escape.ts";
import { formatShare } from "./figures.ts";
import { type CaseVerdict, caseVerdicts, type GateOutcome } from "./gate.ts";

/** Verdicts that are counted but not listed: there is nothing to do about them. */
const quiet: readonly CaseVerdict[] = ["same", "borderline", "verified", "new", "improved"];

/**
 * Plain text: one line per case that wants attention, worst first, then the counts and the verdict with its reasons as
 * the last line.
 *
 * @param outcome Of {@linkcode gate}.
 * @param maxCases Cases listed before the rest is only counted. @default {40}
 */
export function toGateSummary(outcome: GateOutcome, maxCases = 40): string {
  const loud = outcome.cases.filter(({ verdict }) => !quiet.includes(verdict));
  const counts = caseVerdicts.filter((verdict) => outcome.counts[verdict] > 0)
    .map((verdict) => `${outcome.counts[verdict]} ${verdict}`);
  const lines = [
    ...loud.slice(0, maxCases).map(({ id, verdict, reason }) => `${verdict} ${oneLine(id)}\n  ${oneLine(reason)}`),
    ...loud.length > maxCases ? [`… and ${loud.length - maxCases} more`] : [],
    ...outcome.timesNotGated === undefined ? [] : [`times are not gated: ${oneLine(outcome.timesNotGated)}`],
    `${counts.join(", ") || "no cases"}; ${outcome.compared} compared in time, margin ${formatShare(outcome.margin)}`,
    `gate: ${[outcome.verdict, outcome.reasons.map(oneLine).join("; ")].filter(Boolean).join(": ")}`,
  ];
  return lines.join("\n") + "\n";
}
