/**
 * `report`: draws stored results again, or several runs as one.
 *
 * @module
 */
import { providerName } from "../bench/fingerprint.ts";
import { readJournal } from "../bench/journal.ts";
import type { Report } from "../bench/result.ts";
import { besideInWords } from "../reports/beside.ts";
import { mergeReports, type Source } from "../reports/merge.ts";
import { serveReport } from "../reports/serve.ts";
import { toSummary } from "../reports/summary.ts";
import { writeReports } from "../reports/write.ts";
import { makeWritable } from "./files.ts";
import { type Flags, isOn, text, UsageError } from "./flags.ts";
import { readReportFile } from "./judge.ts";
import type { Terminal } from "./terminal.ts";

/** Runs `report` and returns the exit code. */
export async function reportCommand(flags: Flags, terminal: Terminal): Promise<number> {
  const { files } = flags;
  if (files.length === 0) {
    throw new UsageError("Cannot draw a report of nothing: name folders of runs, or report.json files");
  }
  const reports = await Promise.all(files.map(readAny));
  const [report, other] = mergeByProvider(reports.map((report, i) => ({ source: files[i], report })));
  const out = text(flags, "out") ?? (files.length === 1 ? await folderOf(files[0]) : undefined);
  if (out === undefined) throw new UsageError(`Cannot merge ${files.length} reports without a folder: give --out=DIR`);
  await makeWritable(out);
  await writeReports(report, out, other);
  terminal.out(toSummary(report));
  if (other) terminal.out(besideInWords(report, other).map((line) => `${line}\n`).join(""));
  terminal.out(`\nReports are in ${out}: open ${out}/report.html\n`);
  if (!isOn(flags, "serve")) return 0;
  const server = serveReport(report, { other });
  terminal.out(`Serving the report at ${server.url} until Ctrl-C\n`);
  const stopListening = terminal.onInterrupt(() => void server.close());
  await server.finished;
  stopListening();
  return 0;
}

/**
 * One report of each provider, in the order of the first source of each.
 *
 * @throws {RangeError} If there are more than two providers, or reports of one do not go together.
 */
function mergeByProvider(sources: readonly Source[]): [report: Report, other?: Report] {
  const providers = Map.groupBy(sources, ({ report }) => providerName(report.environment.adapter));
  const [report, other, ...rest] = [...providers.values()].map(mergeReports);
  if (rest.length > 0) {
    throw new RangeError(`Cannot draw reports of ${[...providers.keys()].join(", ")} side by side: two at most`);
  }
  return [report, other];
}

async function folderOf(path: string): Promise<string> {
  return (await Deno.stat(path)).isDirectory ? path : path.replace(/[^/\\]*$/, "") || ".";
}

/** A report, or what the journal of a killed run holds. */
async function readAny(path: string): Promise<Report> {
  const journal = `${path}/cases.ndjson`;
  const hasReport = await exists(`${path}/report.json`) || !await exists(journal);
  if (hasReport) return await readReportFile(path, "report");
  const { header, results, calibration } = readJournal(journal);
  return { schemaVersion: 1, environment: { ...header.environment, ...calibration && { calibration } }, results };
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}
