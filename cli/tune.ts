/**
 * `tune`: times every combination of tuning parameters, and keeps the best in the table of tunings.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { formatTunings, mergeTunings, readTunings } from "../kernels/tuning_entries.ts";
import { exitCode } from "../reports/summary.ts";
import { toTuningText, tunedShapes, tuningEntries } from "../reports/tuning.ts";
import { writeWhole } from "../reports/write.ts";
import { defaultSuite } from "../suites/suites.ts";
import { isTuned, tuningCases } from "../suites/tuning_cases.ts";
import { INTERRUPTED, providerOf, settingsOf } from "./bench.ts";
import { describeIo } from "./files.ts";
import { type Flags, text, UsageError } from "./flags.ts";
import { execute, type RunOutcome } from "./run.ts";
import { casesOf, readSelection, type Selection } from "./select.ts";
import type { Terminal } from "./terminal.ts";

/** File of the entries that follow from a run, in its folder. */
const ENTRIES = "tuning.json";

/** Suite that is tuned on a GPU where none is named. */
const GPU_SUITE = "h200";

/** Runs `tune` and returns the exit code: that of `bench` on the same cases, or 0 where entries were kept. */
export async function tuneCommand(given: Flags, argv: readonly string[], terminal: Terminal): Promise<number> {
  const keep = text(given, "keep");
  if (keep !== undefined) {
    const other = Object.keys(given.values).find((name) => name !== "keep");
    if (other) throw new UsageError(`Cannot combine --keep with --${other}: it keeps what a run has found`);
    return await keepTunings(keep, terminal);
  }
  const { flags, ...settings } = settingsOf("tune", given, argv);
  const selection = await readSelection(flags);
  const outcome = await execute({
    ...settings,
    command: "tune",
    selection,
    cases: (software) => casesToTune(selection, software),
    suites: (software) => suitesToTune(selection, software),
    timing: true,
    provider: providerOf(flags),
  }, terminal);
  if (outcome.interrupted) return INTERRUPTED;
  await tellTunings(outcome, settings.out, terminal);
  return exitCode(outcome.report, "bench");
}

function suitesToTune({ suites }: Selection, software: boolean): readonly string[] {
  if (suites.length > 0) return suites;
  return [software ? defaultSuite({ software }) : GPU_SUITE];
}

function casesToTune(selection: Selection, software: boolean) {
  const { axes, kernels } = selection;
  const cases = casesOf({
    ...selection,
    suites: suitesToTune(selection, software),
    axes: axes.filter((axis) => !isTuned(axis)),
  }, software);
  return tuningCases({ cases, kernels, axes });
}

/** Prints what was found, and stores it in the form of the table. */
async function tellTunings({ report }: RunOutcome, out: string, terminal: Terminal): Promise<void> {
  const shapes = tunedShapes(report);
  const entries = tuningEntries(shapes, report.environment);
  const path = `${out}/${ENTRIES}`;
  await Deno.writeTextFile(path, formatTunings(entries));
  terminal.out(`\n${toTuningText(shapes)}\n`);
  if (report.environment.adapter.software) {
    terminal.out("These times say nothing about GPUs: there is nothing to keep of a software adapter's.\n");
  } else if (entries.length === 0) {
    terminal.out("Nothing is faster than what the kernels choose: there is nothing to keep.\n");
  } else {
    terminal.out(`${countEntries(entries.length)} in ${path}; keep them with: deno task tune --keep ${path}\n`);
  }
}

/**
 * Merges the entries in `path` into the table of tunings.
 *
 * @param table Path of the table. @default the project's
 * @throws {UsageError | SyntaxError} If a file cannot be read or is no table; nothing is written then.
 */
export async function keepTunings(path: string, terminal: Terminal, table: string = projectTable()): Promise<number> {
  const entries = readTunings(await readFile(path), path);
  const before = readTunings(await readFile(table), table);
  const after = mergeTunings(before, entries);
  await writeWhole(table, formatTunings(after));
  const replaced = before.length + entries.length - after.length;
  terminal.out(
    `${countEntries(entries.length)} kept in ${table}, ${replaced} in place of others; it has ${after.length}\n`,
  );
  return 0;
}

function projectTable(): string {
  return fileURLToPath(new URL("../kernels/tuning_table.json", import.meta.url));
}

async function readFile(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new UsageError(`Cannot read tunings "${path}": ${describeIo(error)}`);
  }
}

function countEntries(count: number): string {
  return count === 1 ? "1 entry" : `${count} entries`;
}
