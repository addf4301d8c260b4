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
  return (options.registry ?? SUITES).map(({ name, summary }) => {
    const whole = { ...options, suites: [name], full: true };
    const of = expandSuites(whole).length;
    return {
      name,
      summary,
      cases: options.software && !options.full ? expandSuites({ ...options, suites: [name] }).length : of,
      of,
    };
  });
}

/**
 * The ids of `cases`, one a line, and below an empty line the suites with their number of cases.
 *
 * @returns Text that ends with a newline.
 */
export function formatList(cases: readonly Case[], suites: readonly SuiteSummary[]): string {
  const nameWidth = Math.max(0, ...suites.map(({ name }) => name.length));
  const counts = suites.map(({ cases, of }) => cases === of ? `${of} cases` : `${cases} of ${of} cases`);
  const countWidth = Math.max(0, ...counts.map((count) => count.length));
  const lines = [
    ...cases.map(({ id }) => id),
    "",
    `${cases.length} cases selected. Suites:`,
    ...suites.map(({ name, summary }, i) =>
      `  ${name.padEnd(nameWidth)}  ${counts[i].padStart(countWidth)}  ${summary}`
    ),
  ];
  if (suites.some(({ cases, of }) => cases < of)) {
    lines.push("A software adapter runs a sample of what takes it hours; --full runs all.");
  }
  return `${lines.join("\n")}\n`;
}
