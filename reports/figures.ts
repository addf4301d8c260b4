/**
 * Figures derived from results: one table that Markdown, CSV, HTML and the terminal draw from.
 *
 * @module
 */
import type { Calibration, Measured, Report, Result, Samples, Verification } from "../bench/result.ts";
import { type Roofline, rooflineOf } from "../bench/roofline.ts";
import { describePrecision, F32 } from "../reference/precision.ts";
import { clockRatio, summarize, type Summary } from "../bench/statistics.ts";

/** A result as one line of a table: a measured one has a row for each mode. */
export interface Row {
  /** The result. */
  readonly result: Result;
  /** `operation/variant`. */
  readonly kernel: string;
  /** Whether the adapter is a CPU implementation: times are shown as such, throughput is not. */
  readonly software: boolean;
  /** What that adapter does at best, where it was calibrated. */
  readonly calibration?: Calibration;
  /** Samples of the row's mode; absent where nothing was measured. */
  readonly run?: Samples;
  /** Statistics of those samples; absent where there is none. */
  readonly summary?: Summary;
}

/** A figure of a row. */
export interface Figure {
  /** Key with its unit, as in the CSV's header: `medianNs`. */
  readonly name: string;
  /** Heading of a column. */
  readonly label: string;
  /** Unit of {@linkcode Figure.value}; empty for counts and shares. */
  readonly unit: string;
  /** Which way is better, where one is. */
  readonly better?: "lower" | "higher";
  /** The figure; undefined where the row has none, never 0 or NaN instead. */
  value(row: Row): number | undefined;
  /** Rounds it for reading, unit included. */
  format(value: number): string;
}

/** Kernel of a case id: what stands before the first colon. */
export function kernelOf(id: string): string {
  const colon = id.indexOf(":");
  return colon < 0 ? id : id.slice(0, colon);
}

/** What stands after the kernel of a case id, without the axes `names`. */
export function axesWithout(id: string, names: readonly string[]): string {
  const axes = id.slice(kernelOf(id).length + 1).split(";");
  return axes.filter((axis) => !names.includes(axis.split("=", 1)[0])).join(";");
}

/** Rows of a report in its order, a measured result's headline mode first. */
export function rowsOf(report: Report): Row[] {
  const { adapter: { software }, calibration } = report.environment;
  return report.results.flatMap((result): Row[] => {
    const row: Row = { result, kernel: kernelOf(result.id), software, calibration };
    if (result.status !== "measured" || result.measurement.runs.length === 0) return [row];
    return result.measurement.runs.map((run) => ({
      ...row,
      run,
      ...run.samplesNs.length > 0 && { summary: summarize(run) },
    }));
  });
}

/** Whether a row is a headline time that says something about a GPU. */
export function isBelieved({ result, run, summary, software }: Row): boolean {
  return !software && result.status === "measured" && result.verdict !== "invalid" && summary !== undefined &&
    run === result.measurement.runs[0];
}

/** Undefined of no values. */
export function geometricMean(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** What a result's kernel computes in, in a few words; undefined where the operation only moves values. */
export function precisionOf({ id, precision = F32 }: Result): string | undefined {
  return kernelOf(id).startsWith("append/") ? undefined : describePrecision(precision);
}

/** Whether kernels of different precision stand side by side. */
export function precisionsDiffer(results: readonly Result[]): boolean {
  return new Set(results.flatMap((result) => precisionOf(result) ?? [])).size > 1;
}

/** Verification of a result that has one. */
export function verificationOf(result: Result): Verification | undefined {
  return "verification" in result ? result.verification : undefined;
}

/** Every figure, in the order of columns. */
export const figures: readonly Figure[] = [
  time("medianNs", "median", (summary) => summary.medianNs),
  time("ciLowNs", "95 % from", (summary) => summary.ciLowNs),
  time("ciHighNs", "95 % to", (summary) => summary.ciHighNs),
  share("relativeHalfWidth", "±", (row) => row.summary?.relativeHalfWidth, "lower"),
  {
    name: "gbPerS",
    label: "GB/s",
    unit: "GB/s",
    better: "higher",
    value: (row) => perSecond(row, (measured) => measured.measurement.minBytes / 1e9),
    format: (value) => `${formatNumber(value)} GB/s`,
  },
  {
    name: "tflopPerS",
    label: "TFLOP/s",
    unit: "TFLOP/s",
    better: "higher",
    value: (row) => perSecond(row, (measured) => measured.measurement.flops / 1e12),
    format: (value) => `${formatNumber(value)} TFLOP/s`,
  },
  share("limitShare", "of limit", (row) => rooflineOfRow(row)?.share, "higher"),
  time("minNs", "min", (summary) => summary.minNs),
  time("q1Ns", "q1", (summary) => summary.q1Ns),
  time("q3Ns", "q3", (summary) => summary.q3Ns),
  time("p95Ns", "p95", (summary) => summary.p95Ns),
  time("madNs", "MAD", (summary) => summary.madNs),
  count("samples", "samples", (row) => row.summary?.n),
  count("outliersMild", "mild outliers", (row) => row.summary?.outliersMild),
  count("outliersSevere", "severe outliers", (row) => row.summary?.outliersSevere),
  count("droppedSpans", "dropped spans", (row) => row.run?.droppedSpans),
  count("rejectedBatches", "rejected submissions", (row) => row.run?.rejectedBatches),
  count("launchesPerPass", "launches per pass", (row) => row.run?.launchesPerPass),
  count("rotation", "rotation", (row) => row.run?.rotation),
  share("clock", "clock", (row) => row.run?.clock && 1 / clockRatio(row.run.clock), "higher"),
  share("errorBudget", "error budget", (row) => largestBudget(verificationOf(row.result)), "lower"),
  share("ceilingUsed", "a-priori bound", (row) => largestCeiling(verificationOf(row.result)), "lower"),
  share("coverage", "coverage", (row) => verificationOf(row.result)?.coverage, "higher"),
  {
    name: "compileMs",
    label: "compile",
    unit: "ms",
    better: "lower",
    value: (row) => row.result.compileMs,
    format: (value) => formatTimeNs(value * 1e6),
  },
  hostTime("inputsMs", "inputs", ({ inputsMs }) => inputsMs),
  hostTime("checksMs", "checks", ({ checksMs }) => checksMs),
  {
    name: "hostMs",
    label: "host",
    unit: "ms",
    value: (row) => row.result.hostMs,
    format: (value) => formatTimeNs(value * 1e6),
  },
  {
    name: "gpuMs",
    label: "GPU",
    unit: "ms",
    value: (row) => row.result.gpuMs,
    format: (value) => formatTimeNs(value * 1e6),
  },
];

/**
 * The figure called `name`.
 *
 * @throws {RangeError} If there is none.
 */
export function figure(name: string): Figure {
  const found = figures.find((figure) => figure.name === name);
  if (found === undefined) {
    const names = figures.map((figure) => figure.name).join(", ");
    throw new RangeError(`Cannot show the figure ${JSON.stringify(name)}: there are ${names}`);
  }
  return found;
}

/** A figure of a row for reading; `""` where the row has none. */
export function formatFigure(name: string, row: Row): string {
  const { value, format } = figure(name);
  const found = value(row);
  return found === undefined ? "" : format(found);
}

/** `512 ns`, `58.0 µs`, `1.23 ms`, `2.00 s`: three significant digits. */
export function formatTimeNs(ns: number): string {
  const units: [number, string][] = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]];
  // 999.5 rounds to 1000: the next unit then, so that three digits remain.
  const [scale, unit] = units.find(([scale]) => Math.abs(ns) >= 0.9995 * scale) ?? [1, "ns"];
  return `${formatNumber(ns / scale)} ${unit}`;
}

/** `62.1 TFLOP/s`, `8.04 GB/s`: a rate of bytes or flops. */
export function formatRate(perS: number, unit: "B/s" | "FLOP/s"): string {
  const [scale, prefix] = perS >= 0.9995e12 ? [1e12, "T"] : [1e9, "G"];
  return `${formatNumber(perS / scale)} ${prefix}${unit}`;
}

/** Three significant digits, plain up to six digits before the point: `0.0123`, `58.0`, `1234`, `2.5e-7`. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size < 1e-3 || size >= 1e6) return value.toExponential(1);
  return size >= 999.5 ? value.toFixed(0) : value.toPrecision(3);
}

/** A share as a percentage: `21.0 %`, `0.51 %`, `138 %`. */
export function formatShare(value: number): string {
  const percent = 100 * value;
  return `${Math.abs(percent) >= 99.95 ? percent.toFixed(0) : percent.toFixed(Math.abs(percent) < 10 ? 2 : 1)} %`;
}

function time(name: string, label: string, of: (summary: Summary) => number | undefined): Figure {
  const value = (row: Row) => row.summary && of(row.summary);
  return { name, label, unit: "ns", better: "lower", value, format: formatTimeNs };
}

function hostTime(name: string, label: string, of: (result: Result) => number | undefined): Figure {
  return { name, label, unit: "ms", value: ({ result }) => of(result), format: (ms) => formatTimeNs(ms * 1e6) };
}

function count(name: string, label: string, value: Figure["value"]): Figure {
  return { name, label, unit: "", value, format: (value) => value.toFixed(0) };
}

function share(name: string, label: string, value: Figure["value"], better: Figure["better"]): Figure {
  return { name, label, unit: "", better, value, format: formatShare };
}

/**
 * The median of a row beside the limit that binds it; undefined where the time is not believed or a limit is not known.
 * Given of a software adapter as well: a share of what the same CPU does at best.
 */
export function rooflineOfRow({ result, summary, calibration }: Row): Roofline | undefined {
  if (result.status !== "measured" || result.verdict === "invalid" || summary === undefined) return undefined;
  return rooflineOf(result.measurement, summary.medianNs, calibration, result);
}

/**
 * `work` over the median; undefined where the operation does none, the time is not believed, or it says nothing about
 * GPUs.
 */
function perSecond({ result, software, summary }: Row, work: (measured: Measured) => number): number | undefined {
  if (result.status !== "measured" || result.verdict === "invalid" || software || summary === undefined) {
    return undefined;
  }
  const amount = work(result);
  return amount > 0 ? amount / (summary.medianNs * 1e-9) : undefined;
}

function largestBudget(verification: Verification | undefined): number | undefined {
  const used = (verification?.checks ?? []).flatMap((check) => check.budgetUsed ?? []);
  return used.length > 0 ? Math.max(...used) : undefined;
}

function largestCeiling(verification: Verification | undefined): number | undefined {
  const used = (verification?.checks ?? []).flatMap((check) => check.ceilingUsed ?? []);
  return used.length > 0 ? Math.max(...used) : undefined;
}
