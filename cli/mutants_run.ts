/**
 * Runs mutants on their cases in child processes, and stops with each at the first case that sees it.
 *
 * @module
 */
import type { Journal } from "../bench/journal.ts";
import type { Provider } from "../bench/provider.ts";
import type { Result } from "../bench/result.ts";
import { type GpuChild, startChild, supervise } from "../bench/supervise.ts";
import { controlOf, isSettled, type PlannedMutant } from "../reports/kill_matrix.ts";
import { parseCaseId } from "../suites/case_id.ts";
import type { Progress } from "./progress.ts";

/** Longest that a case may take: all are small. */
const CASE_LIMIT_MS = 120_000;
/** Processes at once: compiling, which takes most of the time, keeps one core each busy. */
const CHILDREN = 2;
/**
 * Mutants whose cases one process runs where it runs them all: each compiles its pipelines anew for every rank and
 * dtype.
 */
const MUTANTS_OF_A_CHILD = 24;

/** What {@linkcode runMutants} needs. */
export interface MutantsRun {
  /** The mutants. */
  readonly mutants: readonly PlannedMutant[];
  /** URL of the module that exports their kernels. */
  readonly kernelModule: string;
  /** Whether every mutant meets every case. */
  readonly full: boolean;
  /** The process that has the GPU, and how to start another. */
  readonly provider: Provider;
  /** Results by case id: those of an earlier run, to which those of this one are added. */
  readonly results: Map<string, Result>;
  /** Where results are kept as soon as there are any. */
  readonly journal: Journal;
  /** Where progress is shown, in mutants. */
  readonly progress: Progress;
  /** Ends the run. */
  readonly signal: AbortSignal;
}

/**
 * Runs what is not among the results yet, in rounds: the next case of every mutant that no case has seen; at the end
 * the controls, which are the cases that saw something with the kernels as they are. Cases of one shape run one after
 * another, so that they share their reference.
 */
export async function runMutants(run: MutantsRun): Promise<void> {
  let first: GpuChild | undefined = run.provider.child;
  for (;;) {
    const lists = nextRound(run);
    if (lists.length === 0 || run.signal.aborted) return;
    const failure = new AbortController();
    const signal = AbortSignal.any([run.signal, failure.signal]);
    const work = async () => {
      for (let ids = lists.shift(); ids && !signal.aborted; ids = lists.shift()) {
        const child = first ?? startChild(run.provider.options);
        first = undefined;
        await runCases({ ...run, signal }, ids, await child);
      }
    };
    // What goes wrong in one process ends the other, and is told once both have ended.
    const workers = Array.from({ length: CHILDREN }, () =>
      work().catch((error) => {
        failure.abort();
        throw error;
      }));
    const broken = (await Promise.allSettled(workers)).find((outcome) => outcome.status === "rejected");
    if (broken) throw broken.reason;
  }
}

/** Case ids, a list for each process. */
function nextRound(run: MutantsRun): string[][] {
  const lists = mutantRound(run);
  if (lists.length > 0) return lists;
  const controls = new Set(run.mutants.flatMap((mutant) => controlOf(mutant, run.results) ?? []));
  return inTurn(byShape([...controls].filter((id) => !run.results.has(id))));
}

/** Deals ids to the processes. */
function inTurn(ids: readonly string[]): string[][] {
  return Array.from({ length: CHILDREN }, (_, child) => ids.filter((_, i) => i % CHILDREN === child))
    .filter((list) => list.length > 0);
}

function mutantRound({ mutants, full, results }: MutantsRun): string[][] {
  const waiting = (mutant: PlannedMutant) => mutant.cases.map(({ id }) => id).filter((id) => !results.has(id));
  if (!full) {
    const ids = mutants.filter((mutant) => !isSettled(mutant, results)).flatMap((mutant) =>
      waiting(mutant).slice(0, 1)
    );
    return inTurn(byShape(ids));
  }
  const lists: string[][] = [];
  for (let i = 0; i < mutants.length; i += MUTANTS_OF_A_CHILD) {
    const ids = mutants.slice(i, i + MUTANTS_OF_A_CHILD).flatMap(waiting);
    if (ids.length > 0) lists.push(byShape(ids));
  }
  return lists;
}

function byShape(ids: readonly string[]): string[] {
  const key = (id: string) => id.slice(0, id.indexOf("/")) + id.slice(id.indexOf(":"));
  return [...Map.groupBy(ids, key).values()].flat();
}

async function runCases(run: MutantsRun, ids: readonly string[], child: GpuChild): Promise<void> {
  const { provider: { options }, results, journal, progress, signal, mutants } = run;
  const mutantOf = new Map(mutants.map((mutant) => [mutant.name, mutant]));
  await supervise(ids.map(parseCaseId), { kernelModules: [run.kernelModule], recorded: [], timing: false }, {
    ...options,
    child,
    caseLimitMs: () => CASE_LIMIT_MS,
    signal,
    onBegin: (id) => progress.begin(id),
    onResult(result) {
      journal.append(result);
      results.set(result.id, result);
      const mutant = mutantOf.get(result.id.slice(0, result.id.indexOf(":")));
      if (!mutant) return; // A control.
      const isDone = run.full ? false : isSettled(mutant, results);
      if (isDone || mutant.cases.every(({ id }) => results.has(id))) progress.end(result);
    },
  });
}
