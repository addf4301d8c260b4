/**
 * Writes every form of a report into one folder.
 *
 * @module
 */
import type { Report } from "../bench/result.ts";
import { toCsv } from "./csv.ts";
import { renderHtml } from "./html.ts";
import { toJunit } from "./junit.ts";
import { toMarkdown } from "./markdown.ts";

/** Files of a report by name, and what draws each. */
export const OUTPUTS: Readonly<Record<string, (report: Report, other?: Report) => string>> = {
  "report.json": (report) => JSON.stringify(report) + "\n",
  "report.html": renderHtml,
  "report.md": (report) => toMarkdown(report),
  "junit.xml": (report) => toJunit(report),
  "results.csv": (report) => toCsv(report),
};

/**
 * Writes the files of {@linkcode OUTPUTS} into `dir`.
 *
 * @param other The same cases under another implementation: the HTML shows them side by side.
 */
export async function writeReports(report: Report, dir: string, other?: Report): Promise<void> {
  for (const [name, draw] of Object.entries(OUTPUTS)) {
    await writeWhole(`${dir}/${name}`, draw(report, other));
  }
}

/** Writes a file by way of a temporary name, so that a reader never sees half of it. */
export async function writeWhole(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(`${path}.partial`, text);
  await Deno.rename(`${path}.partial`, path);
}
