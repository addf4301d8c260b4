/**
 * The same cases under another implementation of WebGPU: its results beside those of a report.
 *
 * @module
 */
import type { Report, Status } from "../bench/result.ts";
import { figure, formatNumber, geometricMean, isBelieved, kernelOf, rowsOf } from "./figures.ts";
import { adapterInWords } from "./outcome.ts";

/** What became of a case there. */
export interface BesideCase {
  /** Its status. */
  readonly status: Status;
  /** Median of its headline run, ns; absent where its time is not believed. */
  readonly medianNs?: number;
  /** Largest share of its error bound that any check used. */
  readonly budget?: number;
}

/** What became of each case of `report`, by id. */
export function besideCases(report: Report): Map<string, BesideCase> {
  const rows = rowsOf(report);
  const medians = new Map(rows.filter(isBelieved).map(({ result, summary }) => [result.id, summary!.medianNs]));
  return new Map(rows.map((row) => {
    const { id, status } = row.result;
    const [medianNs, budget] = [medians.get(id), figure("errorBudget").value(row)];
    return [id, { status, ...medianNs !== undefined && { medianNs }, ...budget !== undefined && { budget } }];
  }));
}

/** What one kernel came to, here and there. */
export interface BesideKernel {
  /** `operation/variant`. */
  readonly kernel: string;
  /** Cases that are in both reports and were skipped in neither. */
  readonly both: number;
  /** Of those, the cases that are right here, and there. */
  readonly right: number;
  readonly rightThere: number;
  /** Cases whose times are believed in both. */
  readonly timed: number;
  /** Geometric mean, over those, of the time there over the time here; absent without any. */
  readonly speedRatio?: number;
}

/** The kernels of two reports, in the order of the first. */
export function besideKernels(report: Report, other: Report): BesideKernel[] {
  const [here, there] = [besideCases(report), besideCases(other)];
  const pairs = [...here].flatMap(([id, own]) => {
    const beside = there.get(id);
    const isRun = beside !== undefined && own.status !== "skipped" && beside.status !== "skipped";
    return isRun ? [{ kernel: kernelOf(id), own, beside }] : [];
  });
  return [...Map.groupBy(pairs, ({ kernel }) => kernel)].map(([kernel, list]) => {
    const ratios = list.flatMap(({ own, beside }) => speedRatio(own, beside) ?? []);
    const ratio = geometricMean(ratios);
    return {
      kernel,
      both: list.length,
      right: list.filter(({ own }) => isRight(own)).length,
      rightThere: list.filter(({ beside }) => isRight(beside)).length,
      timed: ratios.length,
      ...ratio !== undefined && { speedRatio: ratio },
    };
  });
}

/** Time there over time here; undefined where one is not believed. */
export function speedRatio(
  own: Pick<BesideCase, "medianNs">,
  beside: Pick<BesideCase, "medianNs">,
): number | undefined {
  return own.medianNs === undefined || beside.medianNs === undefined ? undefined : beside.medianNs / own.medianNs;
}

/**
 * Lines for a terminal: `beside NVIDIA H200 (wgpu): 38 cases on both, 38 right here and 38 there`, then a kernel each with
 * its speed, and those that are wrong somewhere.
 */
export function besideInWords(report: Report, other: Report): string[] {
  const kernels = besideKernels(report, other);
  const sum = (of: "both" | "right" | "rightThere") => kernels.reduce((sum, kernel) => sum + kernel[of], 0);
  const rightness = (both: number, right: number, there: number) =>
    `${both} on both, ${right} right here and ${there} there`;
  return [
    `beside ${adapterInWords(other)}: cases ${rightness(sum("both"), sum("right"), sum("rightThere"))}`,
    ...kernels.flatMap(({ kernel, both, right, rightThere, timed, speedRatio }) => {
      const isWrong = right < both || rightThere < both;
      if (!isWrong && speedRatio === undefined) return [];
      const words = [
        ...isWrong ? [rightness(both, right, rightThere)] : [],
        ...speedRatio === undefined ? [] : [`${formatNumber(speedRatio)} times as fast here, over ${timed}`],
      ];
      return [`  ${kernel}: ${words.join("; ")}`];
    }),
  ];
}

function isRight({ status }: BesideCase): boolean {
  return status === "measured" || status === "verified";
}
