/**
 * How far apart two kernels, or two adapters, were over a whole run.
 *
 * @module
 */
import type { Differential, OutputDifference, Report, Result } from "../bench/result.ts";
import { oneLine } from "./escape.ts";
import { quantile } from "../bench/statistics.ts";
import { formatNumber } from "./figures.ts";

/** What the cases of a run that were compared with one other run have in common. */
export interface DifferentialOverview {
  /** `attend/unfused`, or `the same kernels on NVIDIA H200`. */
  readonly against: string;
  /** Cases that were compared. */
  readonly compared: number;
  /** Cases that were not, by reason. */
  readonly skipped: ReadonlyMap<string, number>;
  /** The case and output with the largest difference; absent where nothing was compared. */
  readonly largest?: { readonly id: string; readonly output: OutputDifference };
  /** What is usual, ULPs: of the medians of each case's first output the median. Absent where nothing was compared. */
  readonly usual?: Pick<OutputDifference, "ulpMedian" | "errorUlpMedian" | "otherErrorUlpMedian">;
}

/**
 * One overview for each other kernel or adapter, in the order of the results; empty where nothing was to be compared.
 */
export function differentialOverviews({ results }: Pick<Report, "results">): DifferentialOverview[] {
  const groups = Map.groupBy(
    results.filter(({ differential }) => differential),
    (result) => nameOf(result.differential!),
  );
  return [...groups].map(([against, group]) => overviewOf(against, group));
}

/** Difference of that output of a case which has the largest, ULPs; undefined where none was compared. */
export function largestDifference({ differential }: Result, figure: "ulpP99" | "ulpMax"): number | undefined {
  const outputs = differential?.outputs ?? [];
  return outputs.length > 0 ? Math.max(...outputs.map((output) => output[figure])) : undefined;
}

/** A distance in ULPs: `3`, `0.512`, `1.1e+6`. */
export function formatUlps(value: number): string {
  return Number.isInteger(value) && value < 1e6 ? String(value) : formatNumber(value);
}

/** Stored outputs are those of the same kernel, on another adapter or of another version. */
function nameOf({ against, adapter, environment }: Differential): string {
  return environment === undefined ? against : `the same kernels on ${adapter || environment}`;
}

function overviewOf(against: string, results: readonly Result[]): DifferentialOverview {
  const skipped = new Map<string, number>();
  for (const { differential } of results) {
    const reason = differential?.skipped;
    if (reason !== undefined) skipped.set(reason, (skipped.get(reason) ?? 0) + 1);
  }
  const outputs = results.flatMap(({ id, differential }) => differential!.outputs.map((output) => ({ id, output })));
  const [first, ...rest] = outputs;
  return {
    against,
    compared: results.filter(({ differential }) => differential?.skipped === undefined).length,
    skipped,
    ...(first && { largest: rest.reduce((a, b) => b.output.ulpMax > a.output.ulpMax ? b : a, first) }),
    ...(first && { usual: usualOf(results.flatMap(({ differential }) => differential!.outputs[0] ?? [])) }),
  };
}

function usualOf(outputs: readonly OutputDifference[]): DifferentialOverview["usual"] {
  const of = (name: "ulpMedian" | "errorUlpMedian" | "otherErrorUlpMedian") =>
    quantile(outputs.map((output) => output[name]), 0.5);
  return {
    ulpMedian: of("ulpMedian"),
    errorUlpMedian: of("errorUlpMedian"),
    otherErrorUlpMedian: of("otherErrorUlpMedian"),
  };
}

/**
 * Lines for a terminal:
 * `against attend/unfused: 67 cases compared, differences of 10 ULP (errors 4.02 and 8.70 ULP), at most 512 ULP in out of attend/fused:…`, where the first three are what is usual; then the reasons of those that were not compared.
 */
export function differentialInWords(report: Pick<Report, "results">): string[] {
  return differentialOverviews(report).flatMap(({ against, compared, skipped, largest, usual }) => [
    `against ${oneLine(against)}: ${compared} ${compared === 1 ? "case" : "cases"} compared` +
    (usual && largest ? `, ${usualInWords(usual)}, ${largestInWords(largest)}` : ""),
    ...[...skipped].map(([reason, count]) => `  not compared ${count}: ${oneLine(reason)}`),
  ]);
}

function usualInWords(usual: NonNullable<DifferentialOverview["usual"]>): string {
  const [difference, error, other] = [usual.ulpMedian, usual.errorUlpMedian, usual.otherErrorUlpMedian].map(formatUlps);
  return `differences of ${difference} ULP (errors ${error} and ${other} ULP)`;
}

function largestInWords({ id, output }: NonNullable<DifferentialOverview["largest"]>): string {
  if (output.ulpMax === 0) return "none anywhere";
  const { name, ulpMax, errorUlpMax, otherErrorUlpMax } = output;
  return `at most ${formatUlps(ulpMax)} ULP (errors to ${formatUlps(errorUlpMax)} and ${
    formatUlps(otherErrorUlpMax)
  } ULP) ` +
    `in ${name} of ${oneLine(id)}`;
}
