/**
 * Reads stored reports, and says what the gate found.
 *
 * @module
 */
import type { Report } from "../bench/result.ts";
import { formatGate, type GateOutcome } from "../reports/gate.ts";
import { annotations, stepSummary } from "../reports/github.ts";
import { readReport } from "../reports/validate.ts";
import { UsageError } from "./flags.ts";
import { describeIo } from "./select.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Reads a report from a file, or from `report.json` of a folder.
 *
 * @param what What the file is to the command, for the message: `baseline`.
 * @throws {UsageError | SyntaxError} If it cannot be read or is not a report.
 */
export async function readReportFile(path: string, what: string): Promise<Report> {
  let source: string;
  try {
    const isFolder = (await Deno.stat(path)).isDirectory;
    source = await Deno.readTextFile(isFolder ? `${path}/report.json` : path);
  } catch (error) {
    throw new UsageError(`Cannot read ${what} "${path}": ${describeIo(error)}`);
  }
  return readReport(source, path);
}

/** Prints the verdict, hands it to GitHub where a workflow runs, and returns the exit code. */
export async function showGate(outcome: GateOutcome, terminal: Terminal): Promise<number> {
  terminal.out(formatGate(outcome));
  const summary = Deno.env.get("GITHUB_STEP_SUMMARY");
  if (summary) await Deno.writeTextFile(summary, stepSummary(outcome), { append: true });
  if (Deno.env.get("GITHUB_ACTIONS") === "true") { for (const line of annotations(outcome)) terminal.out(`${line}\n`); }
  return outcome.exitCode;
}
