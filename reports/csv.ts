/**
 * `results.csv`: one line per case and mode, every figure in the unit that its heading names.
 *
 * @module
 */
import type { Report } from "../bench/result.ts";
import { csvField, oneLine } from "./escape.ts";
import { choicesOf } from "./choices.ts";
import { largestDifference } from "./differential.ts";
import { figures, precisionOf, rooflineOfRow, type Row, rowsOf, verificationOf } from "./figures.ts";
import { explain } from "./outcome.ts";

/**
 * Draws `report` as CSV (RFC 4180: CRLF, a heading, quotes doubled). An absent figure is an empty field. Text that a
 * spreadsheet would run as a formula is disarmed.
 */
export function toCsv(report: Report): string {
  const { adapter } = report.environment;
  const choices = choicesOf(report);
  const axes = [...new Set(report.results.flatMap((result) => Object.keys(result.axes)))];
  const columns: [string, (row: Row) => string | number | undefined][] = [
    ["id", (row) => row.result.id],
    ["kernel", (row) => row.kernel],
    ["status", (row) => row.result.status],
    ["mode", (row) => row.run?.mode],
    ["verdict", (row) => row.result.status === "measured" ? row.result.verdict : undefined],
    ["timer", (row) => row.result.status === "measured" ? row.result.measurement.timer : undefined],
    // An axis is named as in the case id; a prefix keeps it apart from the figures.
    ...axes.map((axis): [string, (row: Row) => string | number | undefined] => [
      `axis:${axis}`,
      (row) => row.result.axes[axis],
    ]),
    ...figures.map((figure): [string, (row: Row) => number | undefined] => [figure.name, figure.value]),
    ["limit", (row) => rooflineOfRow(row)?.limit],
    ["precision", (row) => precisionOf(row.result)],
    ["resolverPick", (row) => choices.get(row.result.id)?.backend],
    ["resolverForm", (row) => choices.get(row.result.id)?.form],
    ["resolverOverFastest", (row) => choices.get(row.result.id)?.overFastest],
    ["resolverReasons", (row) => oneLine(choices.get(row.result.id)?.reasons.join("; ") ?? "")],
    ["planMs", (row) => row.result.plan?.planMs],
    ["planUpdateMs", (row) => row.result.plan?.updateMs],
    ["blind", (row) => verificationOf(row.result)?.blind?.join(" ")],
    ["shrunkId", (row) => "shrunk" in row.result ? row.result.shrunk?.id : undefined],
    ["differentialAgainst", (row) => row.result.differential?.against],
    ["differentialUlpP99", (row) => largestDifference(row.result, "ulpP99")],
    ["differentialUlpMax", (row) => largestDifference(row.result, "ulpMax")],
    ["note", (row) => oneLine(explain(row.result))],
    ["adapter", () => adapter.description],
    ["software", () => String(adapter.software)],
    ["startedAt", () => report.environment.startedAt],
  ];
  const lines = [
    columns.map(([name]) => csvField(name)),
    ...rowsOf(report).map((row) => columns.map(([, value]) => csvField(value(row) ?? ""))),
  ];
  return lines.map((fields) => fields.join(",") + "\r\n").join("");
}
