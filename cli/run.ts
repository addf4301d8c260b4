/**
 * Makes a run: cases under supervision, journal, progress, reports.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { describeHost } from "../bench/environment.ts";
import { hashCaseIds, type JournalHeader, openJournal, resumeJournal } from "../bench/journal.ts";
import { type Provider, type ProviderRequest, startProvider } from "../bench/provider.ts";
import type { Environment, Report, Result } from "../bench/result.ts";
import { writeOutputs } from "../bench/stored_outputs.ts";
import { supervise } from "../bench/supervise.ts";
import { toSummary } from "../reports/summary.ts";
import { writeReports } from "../reports/write.ts";
import type { Case } from "../suites/case.ts";
import { estimateCost } from "../suites/cost.ts";
import { describeOutputs } from "./against.ts";
import type { Command } from "./flags.ts";
import { makeWritable } from "./files.ts";
import { Progress } from "./progress.ts";
import type { Selection } from "./select.ts";
import type { Terminal } from "./terminal.ts";

/** Longest that a case may take on a GPU: the slowest kernel at the largest shape of a suite needs a tenth of it. */
const CASE_LIMIT_MS = 120_000;
/** What a software adapter may take on top: a core does about 0.5 GFLOP/s, and a case is launched a dozen times. */
const SOFTWARE_LIMIT_MS_PER_GFLOP = 30_000;

/** A run to be made. */
export interface RunPlan {
  /** `bench`, `verify`, `tune` or `gate`. */
  readonly command: Command;
  /** Arguments of the command, for the record and for `--resume`. */
  readonly argv: readonly string[];
  /** What was selected. */
  readonly selection: Selection;
  /** The cases, once the kind of adapter is known. */
  readonly cases: (software: boolean) => readonly Case[];
  /** Suites that the cases come from, once the kind of adapter is known. */
  readonly suites: (software: boolean) => readonly string[];
  /** Whether verified cases are timed. */
  readonly timing: boolean;
  /** Folder of the outputs. */
  readonly out: string;
  /** Whether `out` holds a journal to go on with. */
  readonly resume: boolean;
  /** Folder that `--resume` takes to go on with it. @default {`out`} */
  readonly resumedBy?: string;
  /** The same cases on another provider: the HTML shows them side by side. @default {none} */
  readonly beside?: Report;
  /** Provider that was asked for. */
  readonly provider: ProviderRequest;
  /** Whether progress is hidden. */
  readonly quiet: boolean;
}

/** How a run ended. */
export interface RunOutcome {
  /** What was found. */
  readonly report: Report;
  /** Whether it was interrupted before the last case. */
  readonly interrupted: boolean;
  /** Cases that were planned. */
  readonly planned: number;
}

/**
 * Makes the run: opens the GPU, runs every case, keeps the journal, writes the reports and prints the summary.
 *
 * @throws {RangeError} If nothing is selected.
 * @throws {UsageError} If the folder cannot be written.
 */
export async function execute(plan: RunPlan, terminal: Terminal): Promise<RunOutcome> {
  // What can be refused is refused before the GPU is opened, and before anything is written.
  plan.cases(false);
  await makeWritable(plan.out);
  const { recorded, kernelModules, against, saveOutputs } = plan.selection;
  if (saveOutputs) await makeWritable(saveOutputs, "save-outputs");
  const readPaths = [
    ...recorded.map(({ path }) => path),
    ...kernelModules.map((url) => fileURLToPath(new URL(".", url))),
    ...(against && "folder" in against ? [against.folder] : []),
  ];
  const provider = await startProvider(plan.provider, { readPaths }, (line) => terminal.err(`${line}\n`));
  const { adapter } = provider;
  try {
    const cases = plan.cases(adapter.software);
    const environment = await describeRun(plan, provider);
    return await sweep(plan, provider, cases, environment, terminal);
  } finally {
    await provider.child.end();
  }
}

async function sweep(
  plan: RunPlan,
  provider: Provider,
  cases: readonly Case[],
  environment: Environment,
  terminal: Terminal,
): Promise<RunOutcome> {
  const path = `${plan.out}/cases.ndjson`;
  const ids = cases.map(({ id }) => id);
  const header: JournalHeader = {
    journal: 1,
    environment,
    cases: { count: ids.length, sha256: await hashCaseIds(ids) },
  };
  const resumed = plan.resume ? resumeJournal(path, header) : undefined;
  using journal = resumed?.journal ?? openJournal(path, header);
  const { against, saveOutputs } = plan.selection;
  using outputs = saveOutputs ? writeOutputs(saveOutputs, environment, { resume: plan.resume }) : undefined;
  const results = new Map<string, Result>(resumed?.results.map((result) => [result.id, result]));
  const earlierS = (resumed?.results ?? []).reduce((sum, { hostMs }) => sum + hostMs / 1000, 0);
  const start = performance.now();
  if (!plan.quiet) terminal.err(`${describeStart(plan, environment, cases.length, results.size)}\n`);
  const progress = new Progress({
    total: cases.length,
    done: results.size,
    style: plan.quiet ? "none" : terminal.interactive ? "line" : "log",
    columns: terminal.columns,
    write: terminal.err,
  });
  const { software } = provider.adapter;
  const interruption = new AbortController();
  let breakdown: unknown;
  // A resumed run measures it again, since times of now must be held against the device of now: another of the same
  // name may be in its place. Where nothing was left to run, what the journal has holds.
  let calibration = resumed?.calibration;
  const stopListening = terminal.onInterrupt(() => interruption.abort());
  try {
    await supervise(cases.filter(({ id }) => !results.has(id)), {
      kernelModules: plan.selection.kernelModules,
      recorded: plan.selection.recorded.map(({ key, path }) => ({ key, path })),
      timing: plan.timing,
      shrink: true,
      ...(against && ("folder" in against ? { againstFolder: against.folder } : { againstKernels: against.kernels })),
      tellOutputs: saveOutputs !== undefined,
    }, {
      ...provider.options,
      child: provider.child,
      caseLimitMs: (c) => {
        const limitMs = CASE_LIMIT_MS + (software ? estimateCost(c).flops / 1e9 * SOFTWARE_LIMIT_MS_PER_GFLOP : 0);
        return against && "kernels" in against ? 2 * limitMs : limitMs;
      },
      signal: interruption.signal,
      onCalibration(measured) {
        calibration = measured;
        journal.append({ calibration });
      },
      onBegin: (id) => progress.begin(id),
      onOutputs: (packed) => outputs?.append(packed),
      onResult(result) {
        journal.append(result);
        results.set(result.id, result);
        progress.end(result);
      },
    });
  } catch (error) {
    breakdown = error;
  } finally {
    stopListening();
    progress.clear();
  }
  const report: Report = {
    schemaVersion: 1,
    environment: {
      ...environment,
      ...calibration && { calibration },
      wallS: earlierS + (performance.now() - start) / 1000,
    },
    results: ids.flatMap((id) => results.get(id) ?? []),
  };
  await writeReports(report, plan.out, plan.beside);
  terminal.out(toSummary(report));
  if (saveOutputs && outputs) terminal.out(`\n${describeOutputs(saveOutputs, outputs)}\n`);
  terminal.out(`\nReports are in ${plan.out}: open ${plan.out}/report.html\n`);
  const done = `${report.results.length} of ${cases.length} cases are done`;
  const resume = `Go on with: deno task ${plan.command} --resume ${plan.resumedBy ?? plan.out}`;
  // An error of its own, so that no class of it is taken for bad input.
  if (breakdown) throw new Error(`${(breakdown as Error).message}; ${done}. ${resume}`, { cause: breakdown });
  const interrupted = interruption.signal.aborted && report.results.length < cases.length;
  if (interrupted) terminal.err(`Interrupted: ${done}. ${resume}\n`);
  return { report, interrupted, planned: cases.length };
}

function describeStart(plan: RunPlan, { adapter }: Environment, total: number, done: number): string {
  const what = plan.timing ? "Verifying and timing" : "Verifying";
  const where = adapter.software ? `${adapter.description}, a software adapter` : adapter.description;
  const rest = done > 0 ? `, ${done} of them done before` : "";
  return `${what} ${total} cases${rest} on ${where}`;
}

async function describeRun(plan: RunPlan, { adapter }: Provider): Promise<Environment> {
  return {
    ...await describeHost(),
    adapter,
    argv: plan.argv,
    command: plan.command,
    suites: plan.suites(adapter.software),
    seed: plan.selection.seed ?? 0,
    startedAt: new Date().toISOString(),
    wallS: 0,
  };
}
