/**
 * What `deno task list` shows.
 *
 * @module
 */
import type { Case } from "./case.ts";
import { type ExpandOptions, expandSuites } from "./expand.ts";
import { SUITES } from "./suites.ts";

/** A suite and how many cases it holds. */
export interface SuiteSummary {
  /** Name. */
  readonly name: string;
  /** What it is for. */
  readonly summary: string;
  /** Cases that would run. */
  readonly cases: number;
  /** Cases in all; more than `cases` where a software adapter runs a sample. */
  readonly of: number;
}

/**
 * Every suite with its number of cases.
 *
 * @param options Kernels and adapter; axes and filter do not enter.
 */
export function summarizeSuites(
  options: Pick<ExpandOptions, "kernelsAvailable" | "software" | "full" | "registry">,
): SuiteSummary[] {
  return (options.registry ?? SUITES).map(({ name, summary }) => ({
    name,
    summary,
    cases: expandSuites({ ...options, suites: [name] }).length,
    of: expandSuites({ ...options, suites: [name], full: true }).length,
  }));
}

/**
 * The ids of `cases`, one a line, and below an empty line the suites, if any, with their number of cases.
 *
 * @returns Text that ends with a newline.
 */
export function formatList(cases: readonly Case[], suites: readonly SuiteSummary[]): string {
  const nameWidth = Math.max(0, ...suites.map(({ name }) => name.length));
  const counts = suites.map(({ cases, of }) => cases === of ? countCases(of) : `${cases} of ${countCases(of)}`);
  const countWidth = Math.max(0, ...counts.map((count) => count.length));
  const lines = [
    ...cases.map(({ id }) => id),
    "",
    `${countCases(cases.length)} selected.${suites.length > 0 ? " Suites:" : ""}`,
    ...suites.map(({ name, summary }, i) =>
      `  ${name.padEnd(nameWidth)}  ${counts[i].padStart(countWidth)}  ${summary}`
    ),
  ];
  if (suites.some(({ cases, of }) => cases < of)) {
    lines.push("A software adapter runs a sample of what takes it hours; --full runs all.");
  }
  return `${lines.join("\n")}\n`;
}

function countCases(count: number): string {
  return count === 1 ? "1 case" : `${count} cases`;
}
