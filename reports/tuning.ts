/**
 * Which tuning of a kernel is the fastest for a shape, by the times of a run of `tune`.
 *
 * @module
 */
import type { Environment, Measured, Report, Result, Samples } from "../bench/result.ts";
import { repetitionsOf, separatingIntervals, summarize } from "../bench/statistics.ts";
import { tuningClass } from "../kernels/shape_class.ts";
import type { TuningEntry } from "../kernels/tuning_table.ts";
import { formatTuning, TUNED, type TunedValues } from "../kernels/tunings.ts";
import { parseCaseId } from "../suites/case_id.ts";
import { oneLine } from "./escape.ts";
import { axesWithout, formatNumber, formatTimeNs, kernelOf } from "./figures.ts";

/** A tuning that was timed. */
interface Timed {
  readonly tuning: TunedValues;
  readonly medianNs: number;
  readonly run: Samples;
}

/** How the tunings of one kernel did on one shape. */
export interface TunedShape {
  /** Id of the case in which the kernel chose for itself. */
  readonly id: string;
  /** Its median time, ns; absent where that cannot be believed: then nothing can be better. */
  readonly defaultNs?: number;
  /** Combinations that were run, without that. */
  readonly combinations: number;
  /** Those of them whose times can be believed. */
  readonly timed: number;
  /** The fastest of those that are faster beyond doubt; absent: the kernel's own choice stays. */
  readonly best?: { readonly tuning: TunedValues; readonly medianNs: number };
}

/** Chance that a combination of a shape is taken for faster by noise alone. */
const ALPHA = 0.05;

/**
 * Finds the best tuning of each shape. A combination is faster where it is not what the kernel chose by itself, and the
 * interval of its median lies below that of the kernel's own choice; the intervals are so wide that over all
 * combinations of a shape none passes by chance in 95 % of runs (Bonferroni's correction, as the gate has it).
 */
export function tunedShapes({ results, environment }: Pick<Report, "results" | "environment">): TunedShape[] {
  const { software } = environment.adapter;
  return [...Map.groupBy(results, untunedId)].map(([id, own]): TunedShape => {
    const untuned = own.find((result) => result.id === id);
    const others = own.filter((result) => result.id !== id);
    const base = untuned && timedOf(untuned, software);
    const timed = others.flatMap((result) => timedOf(result, software) ?? []);
    const counts = { id, combinations: others.length, timed: timed.length };
    if (!base) return counts;
    const alpha = ALPHA / Math.max(1, timed.length);
    const faster = timed.filter((candidate) =>
      !isChoice(candidate, untuned?.chosen) && isFaster(candidate, base, alpha)
    );
    if (faster.length === 0) return { ...counts, defaultNs: base.medianNs };
    const { tuning, medianNs } = faster.reduce((a, b) => b.medianNs < a.medianNs ? b : a);
    return { ...counts, defaultNs: base.medianNs, best: { tuning, medianNs } };
  });
}

/** Whether the kernel `chose` the same by itself: the same launch, whose times differ by chance alone. */
function isChoice({ tuning }: Timed, chose: Result["chosen"] = {}): boolean {
  return Object.entries(tuning).every(([name, value]) => chose[name] === value);
}

function isFaster(a: Timed, b: Timed, alpha: number): boolean {
  const apart = separatingIntervals([repetitionsOf(a.run), repetitionsOf(b.run)], alpha);
  return apart !== undefined && apart.intervals[0].high < apart.intervals[1].low;
}

/** The id without what was tuned. */
function untunedId({ id }: Result): string {
  return `${kernelOf(id)}:${axesWithout(id, TUNED)}`;
}

/** The headline time, where it can be believed; on a software adapter any, so that the way to the table can be seen. */
function timedOf(result: Result, software: boolean): Timed | undefined {
  if (result.status !== "measured" || !isBelieved(result, software)) return undefined;
  const [run] = result.measurement.runs;
  return { tuning: tuningOf(result), medianNs: summarize(run).medianNs, run };
}

function isBelieved({ verdict }: Measured, software: boolean): boolean {
  return verdict === "ok" || (software && verdict === "unstable");
}

function tuningOf({ axes }: Result): TunedValues {
  const given = TUNED.filter((name) => typeof axes[name] === "number");
  return Object.fromEntries(given.map((name) => [name, axes[name]]));
}

/**
 * The entries of the table of tunings that follow from a run: one for each shape with a best tuning. Those of a
 * software adapter are marked, so that nobody keeps them.
 */
export function tuningEntries(
  shapes: readonly TunedShape[],
  { adapter, startedAt, version }: Environment,
): (TuningEntry & { readonly software?: true })[] {
  const { vendor, architecture, description, software } = adapter;
  return shapes.flatMap(({ id, best, defaultNs, timed }) => {
    const { operation, shape } = parseCaseId(id);
    if (!best || operation !== "attend") return [];
    const instead = `${formatTimeNs(best.medianNs)} instead of ${formatTimeNs(defaultNs!)}`;
    return [{
      kernel: kernelOf(id),
      device: { vendor, architecture, description },
      shapes: tuningClass(shape),
      tuning: best.tuning,
      source: `${description}, ${startedAt.slice(0, 10)}, version ${version}: ${instead}, best of ${timed}; ${id}`,
      ...(software && { software } as const),
    }];
  });
}

/** A short table of what was found: shape, time of the kernel's own choice, best tuning and its time, gain. */
export function toTuningText(shapes: readonly TunedShape[]): string {
  const rows = shapes.map(({ id, defaultNs, best, combinations, timed }) => [
    oneLine(id),
    defaultNs === undefined ? "not timed" : formatTimeNs(defaultNs),
    best ? `${formatTuning(best.tuning)}: ${formatTimeNs(best.medianNs)}` : "default",
    best ? `${formatNumber(defaultNs! / best.medianNs)}×` : "",
    `${timed} of ${combinations}`,
  ]);
  const table = [["shape", "default", "best", "gain", "timed"], ...rows];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  return table.map((row) => row.map((cell, i) => cell.padEnd(widths[i])).join("  ").trimEnd() + "\n").join("");
}
