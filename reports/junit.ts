/**
 * `junit.xml`: what CI systems show of a run. A wrong kernel is a failure, a case that did not run to its end an error.
 *
 * @module
 */
import type { Report, Result } from "../bench/result.ts";
import { oneLine, plainText, xml } from "./escape.ts";
import { formatFigure, kernelOf, type Row, rowsOf } from "./figures.ts";
import { adapterInWords, explain } from "./outcome.ts";
import { reproduceCommands, shrunkCommand } from "./reproduce.ts";

/** Draws `report` as JUnit XML: one test suite per kernel, one test case per case, times in s of the host. */
export function toJunit(report: Report): string {
  const rows = Map.groupBy(rowsOf(report), (row) => row.result);
  const suites = [...Map.groupBy(report.results, (result) => kernelOf(result.id))];
  return `<?xml version="1.0" encoding="UTF-8"?>\n` + element(
    "testsuites",
    { name: `mla-bench ${report.environment.command}`, ...totals(report.results) },
    suites.map(([kernel, results]) =>
      element(
        "testsuite",
        {
          name: kernel,
          ...totals(results),
          // JUnit's pattern has no zone; ours is always UTC.
          timestamp: report.environment.startedAt.slice(0, 19),
          hostname: adapterInWords(report),
        },
        results.map((result) => testCase(result, rows.get(result) ?? [], report.environment.argv)),
      )
    ),
  );
}

function testCase(result: Result, rows: readonly Row[], argv: readonly string[]): string {
  const message = oneLine(explain(result));
  const again = reproduceCommands(result, argv).at(-1);
  const small = shrunkCommand(result, argv);
  const details = [plainText(explain(result, "\n")), `Run again: ${again}`, ...small ? [`In small: ${small}`] : []]
    .join("\n");
  return element(
    "testcase",
    { name: result.id, classname: kernelOf(result.id), time: seconds(result.hostMs) },
    ((): string[] => {
      switch (result.status) {
        case "incorrect":
          return [element("failure", { message, type: "incorrect" }, xml(details))];
        case "failed":
          return [element("error", { message, type: result.stage }, xml(details))];
        case "skipped":
          return [element("skipped", { message }, [])];
        case "measured":
        case "verified":
          return [element("system-out", {}, xml(rows.map(inWords).concat(message || []).join("\n")))];
        default:
          return result satisfies never;
      }
    })(),
  );
}

/** `cold: median 50.0 µs, ± 0.51 %, 55.4 GB/s, 1.51 TFLOP/s; error budget 21.0 %`. */
function inWords(row: Row): string {
  const budget = `error budget ${formatFigure("errorBudget", row) || "unknown"}`;
  if (row.run === undefined) return budget;
  const median = formatFigure("medianNs", row);
  const parts = [
    median && `median ${median}${row.software ? " (software adapter)" : ""}`,
    formatFigure("relativeHalfWidth", row) && `± ${formatFigure("relativeHalfWidth", row)}`,
    formatFigure("gbPerS", row),
    formatFigure("tflopPerS", row),
    budget,
  ];
  return `${row.run.mode}: ${parts.filter(Boolean).join(", ")}`;
}

function totals(results: readonly Result[]): Record<string, string> {
  const count = (status: Result["status"]) => String(results.filter((result) => result.status === status).length);
  return {
    tests: String(results.length),
    failures: count("incorrect"),
    errors: count("failed"),
    skipped: count("skipped"),
    time: seconds(results.reduce((sum, result) => sum + result.hostMs, 0)),
  };
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(6);
}

/** `content`: child elements on lines of their own, or text that is escaped already. */
function element(
  name: string,
  attributes: Readonly<Record<string, string>>,
  content: readonly string[] | string,
): string {
  const open = [name, ...Object.entries(attributes).map(([key, value]) => `${key}="${xml(value)}"`)].join(" ");
  if (content.length === 0) return `<${open}/>\n`;
  return typeof content === "string" ? `<${open}>${content}</${name}>\n` : `<${open}>\n${content.join("")}</${name}>\n`;
}
