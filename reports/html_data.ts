/**
 * What the HTML report's scripts are given: every figure computed here, once, so that they only draw.
 *
 * @module
 */
import type {
  Check,
  Differential,
  Measured,
  PlanTimes,
  Report,
  Result,
  Samples,
  Shrunk,
  Status,
  Timer,
} from "../bench/result.ts";
import { providerName } from "../bench/fingerprint.ts";
import type { Summary } from "../bench/statistics.ts";
import { type BesideCase, besideCases, speedRatio } from "./beside.ts";
import { type Choice, choicesOf, type ChoiceSummary, summarizeChoices } from "./choices.ts";
import { largestDifference } from "./differential.ts";
import { plainText } from "./escape.ts";
import { rooflineInWords } from "./calibration.ts";
import { figure, kernelOf, precisionOf, rooflineOfRow, type Row, rowsOf } from "./figures.ts";
import { blindness, explain, isBlind } from "./outcome.ts";
import { reproduceCommands, shrunkCommand } from "./reproduce.ts";
import { compareValues } from "./view/format.js";

export type { Differential, WorstElement } from "../bench/result.ts";
export type { ErrorMap, MapAxis } from "../reference/check.ts";

/** An axis of the report's cases. */
export interface ViewAxis {
  /** `kernel`, `B`, `kv`, … */
  readonly name: string;
  /** Its distinct values in order; null where a case does not have the axis. */
  readonly values: readonly (string | number | null)[];
}

/** One row of the table. Figures that a case does not have are absent. */
export interface ViewCase {
  /** Case id. */
  readonly id: string;
  /** `operation/variant`. */
  readonly kernel: string;
  /** Status of the result. */
  readonly status: Status;
  /** Verdict on the times, when measured. */
  readonly verdict?: Measured["verdict"];
  /** Value of each axis, in the order of {@linkcode ViewData.axes}. */
  readonly axes: readonly (string | number | null)[];
  /** Median of the headline run, ns; absent when the times are invalid. */
  readonly medianNs?: number;
  /** Half the 95 % interval of the median over the median. */
  readonly halfWidth?: number;
  /** Bandwidth by the bytes the operation must move. */
  readonly gbps?: number;
  /** Throughput. */
  readonly tflops?: number;
  /** Least time that the device allows over the median. */
  readonly limitShare?: number;
  /** Median of the operation's `unfused` kernel on the same case over this one's. */
  readonly speedup?: number;
  /** Largest share of its error bound that any check used. */
  readonly budget?: number;
  /** Share of output rows that were compared. */
  readonly coverage?: number;
  /** Whether a trivial output would have passed. */
  readonly blind?: true;
  /** Difference from another kernel or adapter that 99 of 100 elements of any output do not exceed, ULPs. */
  readonly ulpP99?: number;
  /** What the kernel computes in; absent where it only moves values. */
  readonly precision?: string;
  /** Median under the other implementation, ns; absent where its times are not believed. */
  readonly besideNs?: number;
  /** That over this one's. */
  readonly besideRatio?: number;
  /** Pipeline compilation, ms. */
  readonly compileMs?: number;
  /** What the resolver would pick for the shape: a variant, with the form where there is one. */
  readonly pick?: string;
  /** Median of the pick over that of the fastest kernel timed on the shape. */
  readonly pickOverFastest?: number;
  /** Why the case is not simply right and measured. */
  readonly note?: string;
}

/** Everything the table and the matrix need. */
export interface ViewData {
  /** Axes, the kernel first. */
  readonly axes: readonly ViewAxis[];
  /** Cases in the order of the run. */
  readonly cases: readonly ViewCase[];
  /** What the matrix shows at first. */
  readonly defaults: { readonly rows: string; readonly columns: string; readonly metric: string };
  /** How often the resolver would have picked the fastest kernel; absent where it cannot be told. */
  readonly resolver?: ChoiceSummary;
  /** Provider of the report that stands beside this one; absent where none does. */
  readonly beside?: string;
}

/** One check, as in the report. */
export type ViewCheck = Check;

/** Samples of one mode with what is said about them. */
export interface ViewRun extends Samples {
  /** Statistics; times in ns. */
  readonly summary: Summary;
  /** Distribution: bins of equal width from `lowNs`. */
  readonly histogram: Histogram;
  /** Bandwidth at the median; absent when the times are invalid, or a CPU's. */
  readonly gbps?: number;
  /** Throughput at the median; absent too where there are no flops. */
  readonly tflops?: number;
  /** How near the median comes to the limit that binds; absent where that is not known. */
  readonly limit?: { readonly share: number; readonly words: string };
}

/** Counts in bins of equal width. */
export interface Histogram {
  /** Lower edge of the first bin. */
  readonly lowNs: number;
  /** Width of a bin. */
  readonly widthNs: number;
  /** Samples in each. */
  readonly counts: readonly number[];
}

/** What the drawer shows of a case beyond its row. */
export interface ViewDetail {
  /** Commands that run the case again. */
  readonly commands: readonly string[];
  /** The smallest case that fails like it, with the command that runs that one. */
  readonly shrunk?: Shrunk & { readonly command: string };
  /** Checks, in order. */
  readonly checks: readonly ViewCheck[];
  /** Trivial outputs that would have passed. */
  readonly blind?: readonly string[];
  /** The case beside another kernel or adapter. */
  readonly differential?: Differential;
  /** What became of it under the other implementation. */
  readonly beside?: BesideCase;
  /** Share of output rows compared, when verified. */
  readonly coverage?: number;
  /** Timed runs, the headline first. */
  readonly runs: readonly ViewRun[];
  /** Timer of the runs. */
  readonly timer?: Timer;
  /** Nanoseconds per timestamp tick, where the timer has one. */
  readonly tickNs?: number;
  /** Bytes the operation must move. */
  readonly minBytes?: number;
  /** Flops of the operation. */
  readonly flops?: number;
  /** What the kernel chose. */
  readonly chosen?: Readonly<Record<string, number>>;
  /** Wall time that the case waited for its inputs and their reference, and that its checks took, ms. */
  readonly inputsMs?: number;
  readonly checksMs?: number;
  /** Wall time of the case, ms. */
  readonly hostMs: number;
  /** Time of the GPU over all passes of the case, ms, where it is known. */
  readonly gpuMs?: number;
  /** What the resolver would pick, why, and how it did. */
  readonly choice?: Choice;
  /** Host time of planning, ms. */
  readonly plan?: PlanTimes;
}

/** Rows and details of the same cases, in the same order: details are large and are read only when one is opened. */
export interface View {
  /** Rows. */
  readonly data: ViewData;
  /** Details. */
  readonly details: readonly ViewDetail[];
}

/**
 * Computes what the report shows of `report`.
 *
 * @param other The same cases under another implementation. @default {none}
 */
export function makeView(report: Report, other?: Report): View {
  const beside = other && besideCases(other);
  const rows = Map.groupBy(rowsOf(report), ({ result }) => result);
  const choices = choicesOf(report);
  const details = report.results.map((result) =>
    dropUndefined({
      ...detailOf(result, rows.get(result) ?? [], report.environment.argv, choices.get(result.id)),
      beside: beside?.get(result.id),
    })
  );
  const axes = axesOf(report.results);
  const medians = new Map<string, number>();
  report.results.forEach((result, i) => {
    const headline = details[i].runs[0];
    if (headline && believed(result)) medians.set(result.id, headline.summary.medianNs);
  });
  const cases = report.results.map((result, i) => caseOf(result, details[i], axes, medians));
  const withValues = axes.map((axis, a) => ({
    name: axis.name,
    values: sortedValues(cases.map((row) => row.axes[a])),
  }));
  const resolver = summarizeChoices(report);
  return {
    data: dropUndefined({
      axes: withValues,
      cases,
      defaults: defaultsOf(withValues, cases),
      resolver,
      beside: other && providerName(other.environment.adapter),
    }),
    details,
  };
}

/** Whether the times of a result may be shown as figures. */
function believed(result: Result): boolean {
  return result.status === "measured" && result.verdict !== "invalid";
}

/** Axes in the order in which the cases bring them, the kernel first. */
function axesOf(results: readonly Result[]): { name: string; value: (result: Result) => string | number | null }[] {
  const names = new Set(results.flatMap((result) => Object.keys(result.axes)));
  names.delete("kernel");
  return [
    { name: "kernel", value: (result) => kernelOf(result.id) },
    ...[...names].map((name) => ({ name, value: (result: Result) => result.axes[name] ?? null })),
  ];
}

function sortedValues(values: readonly (string | number | null)[]): (string | number | null)[] {
  return [...new Set(values)].sort(compareValues);
}

function caseOf(
  result: Result,
  detail: ViewDetail,
  axes: readonly { value: (result: Result) => string | number | null }[],
  medians: ReadonlyMap<string, number>,
): ViewCase {
  const kernel = kernelOf(result.id);
  const headline = believed(result) ? detail.runs[0] : undefined;
  const baseline = medians.get(result.id.replace(kernel, `${kernel.split("/")[0]}/unfused`));
  const row: Row = { result, kernel, software: false };
  return dropUndefined({
    id: result.id,
    kernel,
    status: result.status,
    verdict: result.status === "measured" ? result.verdict : undefined,
    axes: axes.map((axis) => axis.value(result)),
    medianNs: headline?.summary.medianNs,
    halfWidth: headline?.summary.relativeHalfWidth,
    gbps: headline?.gbps,
    tflops: headline?.tflops,
    limitShare: headline?.limit?.share,
    speedup: headline && baseline !== undefined && !kernel.endsWith("/unfused")
      ? baseline / headline.summary.medianNs
      : undefined,
    budget: figure("errorBudget").value(row),
    coverage: figure("coverage").value(row),
    blind: isBlind(result) ? true : undefined,
    ulpP99: largestDifference(result, "ulpP99"),
    precision: precisionOf(result),
    besideNs: detail.beside?.medianNs,
    besideRatio: speedRatio({ medianNs: headline?.summary.medianNs }, detail.beside ?? {}),
    compileMs: result.compileMs,
    pick: detail.choice && [detail.choice.backend, detail.choice.form].filter(Boolean).join(", "),
    pickOverFastest: detail.choice?.overFastest,
    note: noteOf(result),
  });
}

/** Why a result is not simply right and measured, one reason per line; undefined when it is. */
export function noteOf(result: Result): string | undefined {
  // The verdict of a measured result is shown beside its note.
  const why = result.status === "measured"
    ? [...result.reasons, ...blindness(result)].join("\n")
    : explain(result, "\n");
  return why === "" ? undefined : plainText(why);
}

function detailOf(
  result: Result,
  rows: readonly Row[],
  argv: readonly string[],
  choice: Choice | undefined,
): ViewDetail {
  const verification = "verification" in result ? result.verification : undefined;
  const measurement = result.status === "measured" ? result.measurement : undefined;
  const shrunk = "shrunk" in result ? result.shrunk : undefined;
  return dropUndefined({
    commands: reproduceCommands(result, argv),
    shrunk: shrunk && { ...shrunk, command: shrunkCommand(result, argv)! },
    checks: verification?.checks ?? [],
    coverage: verification?.coverage,
    blind: verification?.blind,
    differential: result.differential,
    runs: rows.flatMap(runOf),
    timer: measurement?.timer,
    tickNs: measurement?.tickNs,
    minBytes: measurement?.minBytes,
    flops: measurement && measurement.flops > 0 ? measurement.flops : undefined,
    chosen: result.chosen,
    inputsMs: result.inputsMs,
    checksMs: result.checksMs,
    hostMs: result.hostMs,
    gpuMs: result.gpuMs,
    choice,
    plan: result.plan,
  });
}

function runOf(row: Row): ViewRun[] {
  const { run, summary } = row;
  const roofline = rooflineOfRow(row);
  if (run === undefined || summary === undefined) return [];
  return [dropUndefined({
    ...run,
    // Six digits are what a plot can show; report.json keeps them all.
    samplesNs: run.samplesNs.map((ns) => Number(ns.toPrecision(6))),
    summary,
    histogram: histogramOf(run.samplesNs, summary),
    gbps: figure("gbPerS").value(row),
    tflops: figure("tflopPerS").value(row),
    limit: roofline && { share: roofline.share, words: rooflineInWords(roofline) },
  })];
}

/**
 * Bins by Freedman and Diaconis's width `2·IQR/∛n` (Z. Wahrscheinlichkeitstheorie 57, 1981), 5 to 40 of them: it
 * follows the bulk of the samples and is not widened by outliers.
 */
export function histogramOf(samplesNs: readonly number[], summary: Summary): Histogram {
  const { minNs, maxNs, q1Ns, q3Ns, n } = summary;
  const range = maxNs - minNs;
  if (!(range > 0)) return { lowNs: minNs * 0.995, widthNs: Math.max(minNs * 0.01, Number.MIN_VALUE), counts: [n] };
  const ideal = range / (2 * (q3Ns - q1Ns) / Math.cbrt(n));
  const bins = Math.min(40, Math.max(5, Number.isFinite(ideal) ? Math.ceil(ideal) : 40));
  const counts = new Array<number>(bins).fill(0);
  for (const ns of samplesNs) counts[Math.min(bins - 1, Math.floor((ns - minNs) / range * bins))]++;
  return { lowNs: minNs, widthNs: range / bins, counts };
}

/** Kernels down, and across the axis that a reader can take in: the one with most values up to 16, else the fewest. */
function defaultsOf(axes: readonly ViewAxis[], cases: readonly ViewCase[]): ViewData["defaults"] {
  const varying = axes.slice(1).filter((axis) => axis.values.length > 1);
  const readable = varying.filter((axis) => axis.values.length <= 16);
  const byCount = (a: ViewAxis, b: ViewAxis) => b.values.length - a.values.length;
  const columns = readable.toSorted(byCount)[0] ?? varying.toSorted(byCount).at(-1) ?? axes[1] ?? axes[0];
  const metric = (["tflops", "gbps", "medianNs", "budget"] as const).find((key) =>
    cases.some((row) => row[key] !== undefined)
  );
  return { rows: "kernel", columns: columns?.name ?? "kernel", metric: metric ?? "correct" };
}

/** JSON would leave them out; in memory they would make `"gbps" in row` true. */
function dropUndefined<T extends object>(record: T): T {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as T;
}
