/**
 * Reads stored reports, and says what the gate found.
 *
 * @module
 */
import type { Report } from "../bench/result.ts";
import { gate, type GateOutcome } from "../reports/gate.ts";
import { toGateSummary } from "../reports/gate_summary.ts";
import { toAnnotations, toStepSummary } from "../reports/github.ts";
import { readReport } from "../reports/validate.ts";
import { UsageError } from "./flags.ts";
import { describeIo } from "./files.ts";
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

/**
 * Compares `candidate` with `baseline`, prints what was found, and returns the exit code.
 *
 * @param partial Whether the candidate holds a part of the baseline's cases on purpose.
 */
export async function judge(
  baseline: Report,
  candidate: Report,
  partial: boolean,
  terminal: Terminal,
): Promise<number> {
  const outcome = gate(baseline, candidate, { partial });
  terminal.out(toGateSummary(outcome));
  await tellGitHub(candidate, terminal, outcome);
  return outcome.exitCode;
}

/** Hands the results to GitHub where a workflow runs: a step summary, and annotations of what is wrong. */
export async function tellGitHub(report: Report, terminal: Terminal, outcome?: GateOutcome): Promise<void> {
  const summary = Deno.env.get("GITHUB_STEP_SUMMARY");
  if (summary) await Deno.writeTextFile(summary, toStepSummary(report, outcome), { append: true });
  if (Deno.env.get("GITHUB_ACTIONS") !== "true") return;
  for (const line of toAnnotations(report, outcome)) terminal.out(`${line}\n`);
}

/** Exit codes, the one that wins first: incorrect, invalid, regressed, inconclusive, pass. */
const PRECEDENCE: readonly number[] = [2, 4, 1, 3, 0];

/** The exit code of a command that has several reasons. */
export function worstExit(...codes: readonly number[]): number {
  return PRECEDENCE.find((code) => codes.includes(code)) ?? 0;
}
