/**
 * `mutants`: kernels with planted faults, all of which verification must see.
 *
 * @module
 */
import { describeHost } from "../bench/environment.ts";
import { hashCaseIds, type JournalHeader, openJournal, resumeJournal } from "../bench/journal.ts";
import { type Provider, startProvider } from "../bench/provider.ts";
import type { Environment, Result } from "../bench/result.ts";
import { kernelName } from "../kernels/kernel.ts";
import { MUTANTS } from "../kernels/mutants/mutants.ts";
import { chosenCases, type Mutant } from "../kernels/mutants/plant.ts";
import { KERNELS } from "../kernels/registry.ts";
import {
  exitCodeOf,
  type KillMatrix,
  killMatrix,
  type PlannedMutant,
  toMatrixMarkdown,
  toMatrixText,
} from "../reports/kill_matrix.ts";
import { writeWhole } from "../reports/write.ts";
import { expandSuites } from "../suites/expand.ts";
import { matchGlob } from "../suites/glob.ts";
import { INTERRUPTED, providerOf, type RunSettings, settingsOf } from "./bench.ts";
import { makeWritable } from "./files.ts";
import { type Flags, isOn, list, text } from "./flags.ts";
import { type MutantsRun, runMutants } from "./mutants_run.ts";
import { Progress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

/** Suites by whose cases mutants are judged, the first of them the one that every change is checked with. */
const SUITES_SHOWN: readonly string[] = ["smoke", "boundary"];

/** The mutants that the command runs. */
export interface MutantSet {
  /** The mutants. */
  readonly mutants: readonly Mutant[];
  /** URL of the module that exports their kernels, for the process that runs them. */
  readonly module: string;
}

const BUILT_IN: MutantSet = {
  mutants: MUTANTS,
  module: new URL("../kernels/mutants/mutants.ts", import.meta.url).href,
};

/**
 * Runs `mutants` and returns the exit code: 2 where a mutant survived or is broken, 4 where the device could run none,
 * 130 interrupted, else 0.
 *
 * @param set The mutants to choose from. @default those of `kernels/mutants`
 */
export async function mutantsCommand(
  given: Flags,
  argv: readonly string[],
  terminal: Terminal,
  set: MutantSet = BUILT_IN,
): Promise<number> {
  const { flags, ...settings } = settingsOf("mutants", given, argv);
  const mutants = planMutants(set.mutants, flags);
  await makeWritable(settings.out);
  const provider = await startProvider(providerOf(flags), {}, (line) => terminal.err(`${line}\n`));
  try {
    return await run({
      ...settings,
      mutants,
      kernelModule: set.module,
      full: isOn(flags, "full"),
      provider,
    }, terminal);
  } finally {
    await provider.child.end();
  }
}

/** A run to be made. */
type Request = Pick<MutantsRun, "mutants" | "kernelModule" | "full" | "provider"> & Omit<RunSettings, "flags">;

async function run(request: Request, terminal: Terminal): Promise<number> {
  const { mutants, full, out, resume, quiet, provider, argv } = request;
  const ids = mutants.flatMap(({ cases }) => cases.map(({ id }) => id));
  const environment = await describeRun(provider, argv);
  const header: JournalHeader = {
    journal: 1,
    environment,
    cases: { count: ids.length, sha256: await hashCaseIds(ids) },
  };
  const resumed = resume ? resumeJournal(`${out}/${JOURNAL}`, header) : undefined;
  using journal = resumed?.journal ?? openJournal(`${out}/${JOURNAL}`, header);
  const results = new Map<string, Result>(resumed?.results.map((result) => [result.id, result]));
  const earlierS = [...results.values()].reduce((sum, { hostMs }) => sum + hostMs / 1000, 0);
  if (!quiet) {
    terminal.err(`Running ${mutants.length} mutants on up to ${ids.length} cases on ${provider.adapter.description}\n`);
  }
  const start = performance.now();
  const interruption = new AbortController();
  const stopListening = terminal.onInterrupt(() => interruption.abort());
  const progress = new Progress({
    total: mutants.length,
    done: 0,
    style: quiet ? "none" : terminal.interactive ? "line" : "log",
    columns: terminal.columns,
    write: terminal.err,
    expectsFailures: true,
  });
  let breakdown: unknown;
  try {
    await runMutants({ ...request, results, journal, progress, signal: interruption.signal });
  } catch (error) {
    breakdown = error;
  } finally {
    stopListening();
    progress.clear();
  }
  const wallS = earlierS + (performance.now() - start) / 1000;
  const matrix = killMatrix({ environment: { ...environment, wallS }, full, mutants, results });
  await writeMatrix(matrix, out);
  terminal.out(toMatrixText(matrix));
  terminal.out(`\nThe matrix is in ${out}: mutants.md, mutants.json\n`);
  const goOn = `Go on with: deno task mutants --resume ${out}`;
  // An error of its own, so that no class of it is taken for bad input.
  if (breakdown) throw new Error(`${(breakdown as Error).message}. ${goOn}`, { cause: breakdown });
  if (!interruption.signal.aborted || matrix.counts.pending === 0) return exitCodeOf(matrix);
  terminal.err(`Interrupted. ${goOn}\n`);
  return INTERRUPTED;
}

async function describeRun({ adapter }: Provider, argv: readonly string[]): Promise<Environment> {
  return {
    ...await describeHost(),
    adapter,
    argv,
    command: "mutants",
    suites: [...SUITES_SHOWN],
    seed: 0,
    startedAt: new Date().toISOString(),
    wallS: 0,
  };
}

/** Journal of a run, in its folder: that of other commands, so that it is taken up in the same way. */
const JOURNAL = "cases.ndjson";

/**
 * The mutants that `flags` select, with their cases: those chosen for the fault, or with `--full` those of the suites
 * as well.
 *
 * @throws {RangeError} If a name or the filter fits none.
 */
export function planMutants(mutants: readonly Mutant[], flags: Flags): PlannedMutant[] {
  const inSuites = suiteCases();
  return selectMutants(mutants, list(flags, "kernel"), text(flags, "filter")).map(({ kernel, base, fault }) => {
    const name = kernelName(kernel);
    const chosen = chosenCases({ kernel, fault });
    const known = inSuites.get(base) ?? new Map<string, string[]>();
    const shapes = new Set([...chosen, ...isOn(flags, "full") ? known.keys() : []]);
    const cases = [...shapes].map((shape) => ({ id: `${name}:${shape}`, suites: known.get(shape) ?? [] }));
    return { name, base, fault, cases };
  });
}

function selectMutants(mutants: readonly Mutant[], names: readonly string[], filter?: string): Mutant[] {
  const isNamed = ({ kernel, base }: Mutant, name: string) =>
    name === base || name === base.slice(base.indexOf("/") + 1) || name === kernelName(kernel);
  const unknown = names.find((name) => !mutants.some((mutant) => isNamed(mutant, name)));
  if (unknown !== undefined) {
    const choices = [...new Set(mutants.map(({ base }) => base))].join(", ");
    throw new RangeError(`Cannot select mutants of kernel ${JSON.stringify(unknown)}: there are those of ${choices}`);
  }
  const selected = mutants.filter((mutant) =>
    (names.length === 0 || names.some((name) => isNamed(mutant, name))) &&
    (filter === undefined || matchGlob(filter, kernelName(mutant.kernel)))
  );
  if (selected.length > 0) return selected;
  throw new RangeError(
    `Cannot select mutants by filter ${JSON.stringify(filter)}: none of ${mutants.length} matches; ` +
      `it is a name or a glob, for instance "attend/fused-*" or "*-no_scale"`,
  );
}

/** Suites by case and kernel without a fault: `smoke`, and of `boundary` what a software adapter runs of it. */
function suiteCases(): Map<string, Map<string, string[]>> {
  const kernels = new Map<string, Map<string, string[]>>();
  for (const suite of SUITES_SHOWN) {
    for (const c of expandSuites({ suites: [suite], kernelsAvailable: KERNELS, software: true, full: false })) {
      const shapes = kernels.get(kernelName(c)) ?? new Map<string, string[]>();
      kernels.set(kernelName(c), shapes);
      const shape = c.id.slice(c.id.indexOf(":") + 1);
      shapes.set(shape, [...shapes.get(shape) ?? [], suite]);
    }
  }
  return kernels;
}

/** Writes both forms. */
async function writeMatrix(matrix: KillMatrix, dir: string): Promise<void> {
  const files = { "mutants.json": JSON.stringify(matrix, undefined, 1) + "\n", "mutants.md": toMatrixMarkdown(matrix) };
  for (const [name, content] of Object.entries(files)) {
    await writeWhole(`${dir}/${name}`, content);
  }
}
