/**
 * `bench` and `verify`: from flags to a run, and from its report to an exit code.
 *
 * @module
 */
import { type JournalHeader, readJournal } from "../bench/journal.ts";
import { ALL_PROVIDERS, type ProviderRequest, PROVIDERS } from "../bench/provider.ts";
import { exitCode } from "../reports/summary.ts";
import { checkAgainst } from "./against.ts";
import { executeOnAll, journalFolderOf, wholeOf } from "./all.ts";
import { type Command, type Flags, isOn, parseFlags, text, UsageError } from "./flags.ts";
import { judge, readReportFile, tellGitHub, worstExit } from "./judge.ts";
import { execute, type RunPlan } from "./run.ts";
import { describeIo } from "./files.ts";
import { casesOf, readSelection, suitesOf } from "./select.ts";
import type { Terminal } from "./terminal.ts";

/** What a shell reports for a command ended by Ctrl-C. */
export const INTERRUPTED = 130;

/** Runs `bench` or `verify` and returns the exit code. */
export async function bench(
  command: "bench" | "verify",
  given: Flags,
  argv: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const { flags, ...settings } = settingsOf(command, given, argv);
  const baselinePath = text(flags, "baseline");
  const baseline = baselinePath === undefined ? undefined : await readReportFile(baselinePath, "baseline");
  const selection = await readSelection(flags);
  const plan: RunPlan = {
    ...settings,
    command,
    selection,
    cases(software) {
      const cases = casesOf(selection, software);
      checkAgainst(selection.against, cases);
      return cases;
    },
    suites: (software) => suitesOf(selection, software),
    timing: command === "bench",
    provider: providerOf(flags, { orAll: true }),
  };
  const isOnAll = plan.provider.provider === ALL_PROVIDERS;
  const outcomes = isOnAll ? await executeOnAll(plan, terminal) : [await execute(plan, terminal)];
  const outcome = outcomes.at(-1)!;
  if (outcome.interrupted) return INTERRUPTED;
  const code = worstExit(...outcomes.map(({ report }) => exitCode(report, command)));
  if (baseline) {
    // Whoever narrows the selection does not expect the rest of the baseline.
    const partial = ["filter", "shard", "kernel", "axis"].some((name) => flags.values[name] !== undefined);
    return worstExit(code, await judge(baseline, outcome.report, partial, terminal));
  }
  await tellGitHub(outcome.report, terminal);
  return code;
}

/** What the flags of a command say of the run that it makes, beside what is run. */
export interface RunSettings {
  /** Flags that count. */
  readonly flags: Flags;
  /** Arguments of the command, for the record and for `--resume`. */
  readonly argv: readonly string[];
  /** Folder of the outputs. */
  readonly out: string;
  /** Whether it holds a journal to go on with. */
  readonly resume: boolean;
  /** Whether progress is hidden. */
  readonly quiet: boolean;
}

/** The settings of a run. One that is resumed has those that it began with, but for `--quiet`. */
export function settingsOf(command: Command, given: Flags, argv: readonly string[]): RunSettings {
  const dir = text(given, "resume");
  const quiet = isOn(given, "quiet");
  if (dir === undefined) {
    return { flags: given, argv, out: text(given, "out") ?? defaultOut(command), resume: false, quiet };
  }
  const began = resumedArgv(command, dir, given);
  return { flags: parseFlags(command, began), argv: began, out: dir, resume: true, quiet };
}

/** Arguments of the run in `dir`, which its journal holds. */
function resumedArgv(command: Command, dir: string, given: Flags): readonly string[] {
  const other = Object.keys(given.values).find((name) => !["resume", "quiet"].includes(name));
  if (other) {
    throw new UsageError(`Cannot combine --resume with --${other}: the run in "${dir}" has its own selection`);
  }
  let header: JournalHeader;
  try {
    ({ header } = readJournal(`${journalFolderOf(dir)}/cases.ndjson`));
  } catch (error) {
    if (error instanceof SyntaxError) throw error;
    throw new UsageError(`Cannot resume "${dir}": ${describeIo(error)} (cases.ndjson)`);
  }
  const { command: then, argv } = header.environment;
  if (then !== command) throw new UsageError(`Cannot resume "${dir}" with ${command}: it was begun by ${then}`);
  const whole = wholeOf(dir);
  if (whole !== undefined && providerOf(parseFlags(command, argv), { orAll: true }).provider === ALL_PROVIDERS) {
    throw new UsageError(`Cannot resume "${dir}": it is half of a run; resume "${whole}"`);
  }
  return argv;
}

/** The provider that was asked for; `orAll`: or {@linkcode ALL_PROVIDERS}. */
export function providerOf(flags: Flags, { orAll = false } = {}): ProviderRequest {
  const provider = text(flags, "provider");
  const choices = [...PROVIDERS, ...orAll ? [ALL_PROVIDERS] : []];
  if (provider !== undefined && !choices.includes(provider)) {
    throw new UsageError(`Cannot use provider "${provider}": there are ${choices.join(", ")}`);
  }
  const toggles = text(flags, "dawn-toggles");
  if (toggles === undefined) return { provider };
  if (provider !== "dawn" && provider !== ALL_PROVIDERS) {
    throw new UsageError("Cannot use --dawn-toggles: they are of --provider dawn");
  }
  const dawnToggles = toggles.split(",");
  const strange = dawnToggles.find((name) => !/^-?[a-z][a-z0-9_]*$/.test(name));
  if (strange !== undefined) {
    throw new UsageError(`Cannot use the toggle "${strange}": a name of a-z, 0-9 and _, or one with a - before it`);
  }
  return { provider, dawnToggles };
}

/** A new folder for each run, so that none overwrites another. */
export function defaultOut(command: Command, now: Date = new Date()): string {
  return `out/${now.toISOString().slice(0, 19).replaceAll(":", "-")}-${command}`;
}
