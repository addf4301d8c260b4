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
export const OUTPUTS: Readonly<Record<string, (report: Report) => string>> = {
  "report.json": (report) => JSON.stringify(report) + "\n",
  "report.html": renderHtml,
  "report.md": toMarkdown,
  "junit.xml": toJunit,
  "results.csv": toCsv,
};

/** Writes the files of {@linkcode OUTPUTS} into `dir`. */
export async function writeReports(report: Report, dir: string): Promise<void> {
  for (const [name, draw] of Object.entries(OUTPUTS)) {
    await writeWhole(`${dir}/${name}`, draw(report));
  }
}

/** Writes a file by way of a temporary name, so that a reader never sees half of it. */
export async function writeWhole(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(`${path}.partial`, text);
  await Deno.rename(`${path}.partial`, path);
}
