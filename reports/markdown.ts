/**
 * `report.md`: a run for reading in a terminal, a pull request or an editor.
 *
 * @module
 */
import { providerName } from "../bench/fingerprint.ts";
import type { Report, Result } from "../bench/result.ts";
import { markdownCode, markdownText } from "./escape.ts";
import { calibrationInWords, rooflineInWords } from "./calibration.ts";
import { checkedInWords } from "./checked.ts";
import { summarizeChoices } from "./choices.ts";
import { differentialInWords } from "./differential.ts";
import { formatFigure, precisionOf, precisionsDiffer, rooflineOfRow, type Row, rowsOf } from "./figures.ts";
import { harnessCostInWords } from "./harness_cost.ts";
import { resolverSentence } from "./html_verdict.ts";
import {
  adapterInWords,
  blindness,
  countResults,
  countsInWords,
  explain,
  isBlind,
  skippedByReason,
} from "./outcome.ts";
import { reproduceCommands, shrunkCommand } from "./reproduce.ts";

/**
 * Draws `report` as Markdown: counts, environment, what is wrong, what is blind, times, what was only verified, what
 * was skipped and why.
 */
export function toMarkdown(report: Report): string {
  const { environment, results } = report;
  const sections = [
    `# mla-bench ${markdownText(environment.command)}: ${countsInWords(countResults(results))}`,
    `${markdownText(adapterInWords(report))}, ${markdownText(environment.startedAt)}`,
    ...environment.adapter.software
      ? ["**Software adapter:** verification holds as on any other; the times say nothing about GPUs."]
      : [],
    ...checkedInWords(results) === "" ? [] : [`Cases by what was checked: ${markdownText(checkedInWords(results))}`],
    ...differentialInWords(report).map(markdownText),
    ...resolverSection(report),
    ...problemsSection(report),
    ...blindSection(report),
    ...timesSection(report),
    ...verifiedSection(report),
    ...skippedSection(results),
    ...environmentSection(report),
  ];
  return sections.join("\n\n") + "\n";
}

/** A table of Markdown; cells are escaped already. */
export function markdownTable(headings: readonly string[], lines: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(headings), line(headings.map(() => "---")), ...lines.map(line)].join("\n");
}

function problemsSection(report: Report): string[] {
  const wrong = report.results.filter((result) => result.status === "incorrect" || result.status === "failed");
  if (wrong.length === 0) return [];
  const lines = wrong.map((result) => [
    markdownCode(result.id),
    result.status,
    markdownText(explain(result)),
    markdownCode(reproduceCommands(result, report.environment.argv).at(-1) ?? ""),
    markdownCode(shrunkCommand(result, report.environment.argv) ?? ""),
  ]);
  // A column that no case fills is left out.
  const columns = wrong.some((result) => "shrunk" in result) ? 5 : 4;
  const headings = ["case", "status", "what", "run again", "run the smallest that fails"];
  const table = markdownTable(headings.slice(0, columns), lines.map((cells) => cells.slice(0, columns)));
  return ["## Wrong or failed", table];
}

function blindSection({ results }: Report): string[] {
  const lines = results.filter(isBlind).map((
    result,
  ) => [markdownCode(result.id), markdownText(blindness(result).join())]);
  return lines.length === 0 ? [] : ["## Blind", markdownTable(["case", "what"], lines)];
}

function resolverSection(report: Report): string[] {
  const sentence = resolverSentence({ resolver: summarizeChoices(report) });
  return sentence === "" ? [] : [`What the resolver picks: ${markdownText(sentence)}`];
}

function timesSection(report: Report): string[] {
  const rows = rowsOf(report).filter((row) => row.result.status === "measured");
  if (rows.length === 0) return [];
  const hasPrecision = precisionsDiffer(rows.map(({ result }) => result));
  const lines = rows.map((row) => [
    markdownCode(row.result.id),
    ...hasPrecision ? [precisionOf(row.result) ?? ""] : [],
    row.run?.mode ?? "",
    formatFigure("medianNs", row),
    formatFigure("relativeHalfWidth", row),
    formatFigure("gbPerS", row),
    formatFigure("tflopPerS", row),
    limitCell(row),
    formatFigure("errorBudget", row),
    markdownText(explain(row.result)),
  ]);
  const precision = hasPrecision ? ["precision"] : [];
  const figures = ["mode", "median", "95 % ±", "bandwidth", "throughput", "of limit", "error budget", "note"];
  const headings = ["case", ...precision, ...figures];
  return [
    report.environment.adapter.software ? "## Times (software adapter)" : "## Times",
    markdownTable(headings, lines),
  ];
}

function limitCell(row: Row): string {
  const roofline = rooflineOfRow(row);
  return roofline ? rooflineInWords(roofline) : "";
}

function verifiedSection(report: Report): string[] {
  const rows = rowsOf(report).filter((row: Row) => row.result.status === "verified");
  if (rows.length === 0) return [];
  const lines = rows.map((row) => [
    markdownCode(row.result.id),
    formatFigure("errorBudget", row),
    formatFigure("coverage", row),
  ]);
  return ["## Verified", markdownTable(["case", "error budget", "rows compared"], lines)];
}

function skippedSection(results: readonly Result[]): string[] {
  const groups = skippedByReason(results);
  if (groups.length === 0) return [];
  const lines = groups.map(({ reason, ids }) => [
    String(ids.length),
    markdownText(reason),
    ids.slice(0, 3).map(markdownCode).join(", ") + (ids.length > 3 ? ", …" : ""),
  ]);
  return ["## Skipped", markdownTable(["cases", "reason", "which"], lines)];
}

function environmentSection(report: Report): string[] {
  const { environment } = report;
  const { adapter, calibration, git, host, runtime } = environment;
  const cost = harnessCostInWords(report);
  const subgroups = adapter.subgroupMaxSize > 0 ? `${adapter.subgroupMinSize} … ${adapter.subgroupMaxSize}` : "none";
  const facts: [string, string][] = [
    ["command", ["deno task", environment.command, ...environment.argv].join(" ")],
    ["suites", environment.suites.join(", ")],
    ["seed", String(environment.seed)],
    ["adapter", [adapter.description, adapter.vendor, adapter.architecture, adapter.device].filter(Boolean).join(", ")],
    ["provider", providerName(adapter)],
    ["subgroup size", subgroups],
    ["features", adapter.features.join(", ")],
    ["host", `${host.cpu}, ${host.cores} cores, load ${host.loadAverage.map((load) => load.toFixed(2)).join(" ")}`],
    ["system", `${host.os} ${host.osRelease} ${host.arch}`],
    ["runtime", `Deno ${runtime.deno}, V8 ${runtime.v8}, TypeScript ${runtime.typescript}`],
    ["version", environment.version],
    ...git ? [["commit", git.commit + (git.dirty ? " with changes" : "")] as [string, string]] : [],
    ["wall time", `${environment.wallS.toFixed(1)} s`],
    ...cost === "" ? [] : [["spent on", cost] as [string, string]],
  ];
  const table = (lines: [string, string][]) =>
    markdownTable(["", ""], lines.map(([name, value]) => [name, markdownText(value)]));
  return [
    "## Environment",
    table(facts),
    ...calibration
      ? [
        `## What the device does at best${adapter.software ? " (software adapter)" : ""}`,
        table(calibrationInWords(calibration)),
      ]
      : [],
  ];
}
