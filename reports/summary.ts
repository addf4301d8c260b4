/**
 * What a run says at its end on a terminal, and the exit code it ends with.
 *
 * @module
 */
import type { Report, Result } from "../bench/result.ts";
import { rooflineInWords } from "./calibration.ts";
import { checkedInWords } from "./checked.ts";
import { differentialInWords } from "./differential.ts";
import { oneLine } from "./escape.ts";
import { harnessCostInWords } from "./harness_cost.ts";
import { figure, formatFigure, rooflineOfRow, type Row, rowsOf } from "./figures.ts";
import {
  adapterInWords,
  blindness,
  countResults,
  countsInWords,
  explain,
  explainInLines,
  isBlind,
  skippedByReason,
  worstFirst,
} from "./outcome.ts";
import { reproduceCommands, shrunkCommand } from "./reproduce.ts";

/** What {@linkcode toSummary} varies. */
export interface SummaryOptions {
  /** Wrong and failed cases listed before the rest is only counted. @default {20} */
  readonly maxProblems?: number;
  /** Kernels listed with their best figures. @default {10} */
  readonly maxKernels?: number;
}

/** Exit codes of `bench` and `verify` that a report can cause. */
export type RunExitCode = 0 | 2 | 4;

/**
 * Exit code of a finished run, the first that applies: 2 a case is incorrect or failed; 4 nothing was verified, or on
 * hardware `bench` measured nothing though something could be, or has a time that cannot be believed; 0 else. Skipped
 * cases do not change it. On a software adapter times never do, and `verify` ignores them.
 *
 * @param report What was run.
 * @param command `bench` or `verify`. @default {report.environment.command}
 */
export function exitCode(report: Report, command: string = report.environment.command): RunExitCode {
  const { incorrect, failed, measured, verified, invalid } = countResults(report.results);
  if (incorrect > 0 || failed > 0) return 2;
  if (measured + verified === 0) return 4;
  const timesCount = command === "bench" && !report.environment.adapter.software;
  // A flow is never timed, and nothing to do cannot be: such results say so.
  const timeable = report.results.some((result) => result.status === "verified" && result.reason === undefined);
  return timesCount && (invalid > 0 || (measured === 0 && timeable)) ? 4 : 0;
}

/**
 * Summary in plain text: wrong and failed cases with the command that runs each again, in small where it was shrunk,
 * cases that would accept a trivial output, times that are in doubt, reasons of skipped cases, best figures per kernel,
 * distances from another kernel or adapter, how many cases had which checks, and the counts as the last line. No line
 * is wider than what it quotes; control characters of messages are dropped.
 */
export function toSummary(report: Report, options: SummaryOptions = {}): string {
  const { maxProblems = 20, maxKernels = 10 } = options;
  const { results, environment } = report;
  const lines = [
    ...limited(
      worstFirst(results).filter(({ status }) => status === "incorrect" || status === "failed"),
      maxProblems,
      (result) => [
        `${result.status.toUpperCase()} ${oneLine(result.id)}`,
        ...explainInLines(result).map((line) => `  ${cut(oneLine(line))}`),
        `  ${shrunkCommand(result, environment.argv) ?? reproduceCommands(result, environment.argv).at(-1)}`,
      ],
      "wrong or failed",
    ),
    ...limited(
      results.filter(isBlind),
      5,
      (result) => [`BLIND ${oneLine(result.id)}`, ...blindness(result).map((line) => `  ${cut(oneLine(line))}`)],
      "blind",
    ),
    ...timesInWords(report),
    ...skippedByReason(results).map(({ reason, ids }) => `skipped ${ids.length}: ${cut(oneLine(reason))}`),
    ...environment.adapter.software ? [] : bestPerKernel(report).slice(0, maxKernels),
    ...differentialInWords(report),
    ...checkedInWords(results) === "" ? [] : [`checked: ${oneLine(checkedInWords(results))}`],
    ...[harnessCostInWords(report)].filter(Boolean),
    `${oneLine(adapterInWords(report))}, ${environment.wallS.toFixed(1)} s: ${countsInWords(countResults(results))}`,
  ];
  return lines.join("\n") + "\n";
}

/** Measured times that are in doubt; of a software adapter only that they say nothing. */
function timesInWords({ results, environment }: Report): string[] {
  const doubtful = results.filter((result) => result.status === "measured" && result.verdict !== "ok");
  if (!environment.adapter.software) {
    const draw = (result: Result) => [`DOUBT ${oneLine(result.id)}`, `  ${cut(oneLine(explain(result)))}`];
    return limited(doubtful, 5, draw, "in doubt");
  }
  return results.some(({ status }) => status === "measured")
    ? ["Times were taken on a software adapter: they show that measuring works and say nothing about GPUs."]
    : [];
}

/** The fastest believed headline of each kernel: by TFLOP/s, then GB/s. */
function bestPerKernel(report: Report): string[] {
  const believed = rowsOf(report).filter(({ result, run, summary }) =>
    result.status === "measured" && result.verdict === "ok" && summary !== undefined &&
    run === result.measurement.runs[0]
  );
  const speed = (row: Row) => [figure("tflopPerS"), figure("gbPerS")].map(({ value }) => value(row) ?? 0);
  return [...Map.groupBy(believed, (row) => row.kernel)].map(([kernel, rows]) => {
    const [best] = rows.toSorted((a, b) => {
      const [tflopA, gbA] = speed(a), [tflopB, gbB] = speed(b);
      return tflopB - tflopA || gbB - gbA;
    });
    const figures = ["tflopPerS", "gbPerS", "medianNs"].map((name) => formatFigure(name, best));
    const roofline = rooflineOfRow(best);
    if (roofline) figures.push(rooflineInWords(roofline));
    const shape = best.result.id.slice(kernel.length + 1);
    return `best ${oneLine(kernel)}: ${figures.filter(Boolean).join(", ")} (${best.run?.mode}; ${oneLine(shape)})`;
  });
}

function limited(
  results: readonly Result[],
  limit: number,
  draw: (result: Result) => string[],
  what: string,
): string[] {
  const rest = results.length - limit;
  return [
    ...results.slice(0, limit).flatMap(draw),
    ...rest > 0 ? [`… and ${rest} more ${what}`] : [],
  ];
}

function cut(line: string, width = 240): string {
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`;
}
