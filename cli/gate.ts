/**
 * `gate`: judges a stored run, or one made now, against a baseline.
 *
 * @module
 */
import type { Report } from "../bench/result.ts";
import { KERNELS } from "../kernels/registry.ts";
import { parseCaseId } from "../suites/case_id.ts";
import { type Flags, isOn, text, UsageError } from "./flags.ts";
import { judge, readReportFile } from "./judge.ts";
import { defaultOut, INTERRUPTED, providerOf } from "./bench.ts";
import { execute } from "./run.ts";
import type { Terminal } from "./terminal.ts";

/** Runs `gate` and returns the exit code. */
export async function gateCommand(flags: Flags, argv: readonly string[], terminal: Terminal): Promise<number> {
  const baselinePath = text(flags, "baseline");
  if (baselinePath === undefined) throw new UsageError("Cannot gate without a baseline: give --baseline=FILE");
  const candidatePath = text(flags, "candidate");
  const baseline = await readReportFile(baselinePath, "baseline");
  if (candidatePath !== undefined) {
    const clash = ["out", "provider", "dawn-toggles"].find((name) => flags.values[name] !== undefined);
    if (clash) throw new UsageError(`Cannot combine --candidate with --${clash}: nothing is run`);
    return await judge(baseline, await readReportFile(candidatePath, "candidate"), false, terminal);
  }
  const outcome = await runAgain(baseline, flags, argv, terminal);
  if (outcome.interrupted) return INTERRUPTED;
  // Recorded tensors are not at hand: their cases are named as missing and do not count.
  return await judge(baseline, outcome.report, outcome.planned < baseline.results.length, terminal);
}

async function runAgain(baseline: Report, flags: Flags, argv: readonly string[], terminal: Terminal) {
  const cases = baseline.results
    .filter(({ axes }) => axes.tensors === undefined)
    .map(({ id }) => parseCaseId(id));
  if (cases.length === 0) throw new UsageError("Cannot gate: the baseline holds no case that can be run again");
  return await execute({
    command: "gate",
    argv,
    selection: {
      suites: [],
      axes: [],
      kernels: KERNELS,
      kernelNames: [],
      kernelModules: [],
      full: false,
      recorded: [],
    },
    cases: () => cases,
    suites: () => baseline.environment.suites,
    timing: true,
    out: text(flags, "out") ?? defaultOut("gate"),
    resume: false,
    provider: providerOf(flags),
    quiet: isOn(flags, "quiet"),
  }, terminal);
}
