/**
 * What the backend resolver would have picked for each case, held against what was measured.
 *
 * @module
 */
import type { Report, Result } from "../bench/result.ts";
import { TUNED } from "../kernels/tunings.ts";
import { describePrecision, F32 } from "../reference/precision.ts";
import { axesWithout, isBelieved, kernelOf, precisionOf, type Row, rowsOf } from "./figures.ts";

/** The resolver's pick for the shape of a case, and how it did. */
export interface Choice {
  /** Variant that `auto` resolves to, or `reference`. */
  readonly backend: string;
  /** Form of `mla` that it resolves to. */
  readonly form?: "absorbed" | "expanded";
  /** Why, one reason each. */
  readonly reasons: readonly string[];
  /**
   * Median of the pick over that of the fastest kernel of its precision or of f32 on the same shape, at least 1; absent
   * where no other of them was timed, the pick was not, or the adapter is a CPU.
   */
  readonly overFastest?: number;
  /** Whether no kernel was faster by more than the 95 % intervals of both; absent where `overFastest` is. */
  readonly fastest?: boolean;
}

/** How often the resolver was right. */
export interface ChoiceSummary {
  /** Shapes on which the pick and at least one other kernel were timed. */
  readonly shapes: number;
  /** Those on which the pick was the fastest. */
  readonly fastest: number;
  /** Largest {@linkcode Choice.overFastest}. */
  readonly worst: number;
  /** Id of a case of that shape. */
  readonly worstId: string;
}

/** The choice for every result that has one, by case id. */
export function choicesOf(report: Report): Map<string, Choice> {
  const timed = Map.groupBy(rowsOf(report).filter(isBelieved), ({ result }) => shapeOf(result));
  const choices = new Map<string, Choice>();
  for (const result of report.results) {
    if (!result.resolver) continue;
    choices.set(result.id, { ...result.resolver, ...compare(result, timed.get(shapeOf(result)) ?? []) });
  }
  return choices;
}

/** Counts shapes, not cases: every kernel of a shape has the same choice. Undefined where nothing can be compared. */
export function summarizeChoices(report: Report): ChoiceSummary | undefined {
  const choices = choicesOf(report);
  const shapes = new Map<string, { choice: Choice; id: string }>();
  for (const result of report.results) {
    const choice = choices.get(result.id);
    if (choice?.overFastest !== undefined) shapes.set(shapeOf(result), { choice, id: result.id });
  }
  if (shapes.size === 0) return undefined;
  const worst = [...shapes.values()].reduce((a, b) => b.choice.overFastest! > a.choice.overFastest! ? b : a);
  return {
    shapes: shapes.size,
    fastest: [...shapes.values()].filter(({ choice }) => choice.fastest).length,
    worst: worst.choice.overFastest!,
    worstId: worst.id,
  };
}

/**
 * What cases of one shape share: the id without its variant, and without the form and the tuning that `auto` would
 * choose.
 */
function shapeOf({ id }: Result): string {
  const [operation] = id.split("/", 1);
  return `${operation}:${axesWithout(id, CHOSEN)}`;
}

/** Axes whose values `auto` chooses. */
const CHOSEN: readonly string[] = ["form", ...TUNED];

function compare(result: Result, timed: readonly Row[]): Pick<Choice, "overFastest" | "fastest"> {
  const { backend, form } = result.resolver!;
  const picks = timed.filter((row) => isPick(row.result, backend, form));
  const pick = fastestOf(picks);
  if (!pick) return {};
  // A kernel that rounds more than the pick runs only when asked for; cold and hot times are not compared.
  const precisions = [describePrecision(F32), precisionOf(pick.result)];
  const rivals = timed.filter((row) =>
    precisions.includes(precisionOf(row.result)) && row.run!.mode === pick.run!.mode
  );
  if (rivals.length < 2) return {};
  const best = fastestOf(rivals)!;
  const [mine, theirs] = [pick.summary!, best.summary!];
  return {
    overFastest: mine.medianNs / theirs.medianNs,
    fastest: (mine.ciLowNs ?? mine.medianNs) <= (theirs.ciHighNs ?? theirs.medianNs),
  };
}

/** Whether `result` ran what `auto` means: the variant, the form or none given, and a tuning of its own choice. */
function isPick(result: Result, backend: string, form: string | undefined): boolean {
  const given = result.axes.form ?? "auto";
  return kernelOf(result.id).endsWith(`/${backend}`) && (given === "auto" || given === form) &&
    TUNED.every((name) => (result.axes[name] ?? "auto") === "auto");
}

function fastestOf(rows: readonly Row[]): Row | undefined {
  return rows.length === 0 ? undefined : rows.reduce((a, b) => b.summary!.medianNs < a.summary!.medianNs ? b : a);
}
