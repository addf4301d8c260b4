/**
 * What GitHub Actions shows of a run: a step summary and annotations. Strings only: the caller writes the one to the
 * file that `GITHUB_STEP_SUMMARY` names and the others to standard output when `GITHUB_ACTIONS` is set.
 *
 * @module
 */
import type { Report } from "../bench/result.ts";
import { markdownCode, markdownText, oneLine, workflowData, workflowProperty } from "./escape.ts";
import { formatFigure, rowsOf } from "./figures.ts";
import type { CaseVerdict, GateOutcome } from "./gate.ts";
import { markdownTable } from "./markdown.ts";
import { adapterInWords, blindness, countResults, countsInWords, explain, isBlind, worstFirst } from "./outcome.ts";

/** Bytes of a step summary that GitHub takes: 1 MiB; beyond that it shows none of it. */
export const maxSummaryBytes = 1024 * 1024;

/** Annotations of one kind and step that GitHub shows. */
export const maxAnnotations = 10;

const blocking: readonly CaseVerdict[] = [
  "incorrect",
  "failed",
  "invalid",
  "regressed",
  "inconclusive",
  "lost",
  "missing",
  "renamed",
];

/**
 * Markdown for `GITHUB_STEP_SUMMARY`: the verdict, then a table of all cases, worst first; cut between two lines at
 * {@linkcode maxSummaryBytes} with a line that says how many are left out.
 *
 * @param report The run.
 * @param outcome Its gate, where there was one: the table then shows the gate's verdicts.
 */
export function toStepSummary(report: Report, outcome?: GateOutcome): string {
  const counts = countsInWords(countResults(report.results));
  const head = outcome === undefined ? [`## mla-bench ${markdownText(report.environment.command)}: ${counts}`] : [
    `## mla-bench gate: ${outcome.verdict}`,
    ...outcome.reasons.length > 0 ? [outcome.reasons.map((reason) => `- ${markdownText(reason)}`).join("\n")] : [],
    `${counts}; ${outcome.compared} ${outcome.compared === 1 ? "case" : "cases"} compared in time` +
    (outcome.timesNotGated === undefined ? "" : ` (${markdownText(outcome.timesNotGated)})`),
  ];
  const adapter = markdownText(adapterInWords(report));
  const [headings, lines] = outcome === undefined ? resultTable(report) : gateTable(outcome);
  return cutTable([...head, adapter].join("\n\n") + "\n\n", headings, lines);
}

/**
 * Workflow commands, one per case that is wrong, failed or (with a gate) keeps it from passing, worst first, then a
 * warning per case that is blind, at most {@linkcode maxAnnotations}: of more, the last says how many.
 *
 * @param report The run.
 * @param outcome Its gate, where there was one.
 */
export function toAnnotations(report: Report, outcome?: GateOutcome): string[] {
  const blind = report.results.filter(isBlind)
    .map((result) => command("warning", `blind: ${result.id}`, blindness(result).join("; ")));
  const all = outcome === undefined
    ? [
      ...worstFirst(report.results).filter(({ status }) => status === "incorrect" || status === "failed")
        .map((result) => command("error", `${result.status}: ${result.id}`, explain(result))),
      ...blind,
    ]
    : [
      // The whole first where no case tells it: a gate that measured nothing.
      ...outcome.exitCode === 4 && outcome.counts.invalid === 0
        ? [command("error", "gate: invalid", outcome.reasons.join("; "))]
        : [],
      ...outcome.cases.filter(({ verdict }) => isBlocking(verdict, outcome)).map(({ id, verdict, reason }) =>
        command(isError(verdict) ? "error" : "warning", `${verdict}: ${id}`, reason)
      ),
      ...blind,
    ];
  if (all.length <= maxAnnotations) return all;
  const shown = all.slice(0, maxAnnotations - 1);
  return [...shown, command("error", "more", `${all.length - shown.length} more cases, see the step summary`)];
}

function command(kind: "error" | "warning", title: string, message: string): string {
  return `::${kind} title=${workflowProperty(oneLine(title))}::${workflowData(oneLine(message))}`;
}

function isError(verdict: CaseVerdict): boolean {
  return verdict === "incorrect" || verdict === "failed" || verdict === "invalid" || verdict === "regressed";
}

/** Missing cases are warned of only where they count. */
function isBlocking(verdict: CaseVerdict, outcome: GateOutcome): boolean {
  if (verdict === "missing" || verdict === "renamed") return !outcome.partial;
  return blocking.includes(verdict);
}

type Table = readonly [headings: readonly string[], lines: readonly (readonly string[])[]];

function resultTable(report: Report): Table {
  const rows = Map.groupBy(rowsOf(report), (row) => row.result);
  const lines = worstFirst(report.results).map((result) => {
    const [headline] = rows.get(result) ?? [];
    const figures = ["medianNs", "relativeHalfWidth", "gbPerS", "tflopPerS"];
    return [
      result.status,
      markdownCode(result.id),
      ...figures.map((name) => headline === undefined ? "" : formatFigure(name, headline)),
      markdownText(explain(result)),
    ];
  });
  return [["status", "case", "median", "±", "bandwidth", "throughput", "note"], lines];
}

function gateTable(outcome: GateOutcome): Table {
  const lines = outcome.cases.map(({ id, verdict, reason }) => [verdict, markdownCode(id), markdownText(reason)]);
  return [["verdict", "case", "why"], lines];
}

/** As many lines as fit. */
function cutTable(head: string, headings: readonly string[], lines: readonly (readonly string[])[]): string {
  const encoder = new TextEncoder();
  const bytes = (text: string) => encoder.encode(text).length;
  const notice = (left: number) => `\n${left} more cases do not fit here; they are in report.html and results.csv.\n`;
  let room = maxSummaryBytes - bytes(head + markdownTable(headings, [])) - bytes(notice(lines.length)) - 2;
  const fitting = lines.findIndex((line) => {
    room -= bytes(`| ${line.join(" | ")} |\n`);
    return room < 0;
  });
  const shown = fitting < 0 ? lines.length : fitting;
  const table = markdownTable(headings, lines.slice(0, shown)) + "\n";
  return head + table + (shown < lines.length ? notice(lines.length - shown) : "");
}
