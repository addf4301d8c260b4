/**
 * `--provider all`: a run on Deno's WebGPU, then the same on Dawn, whose outputs are compared with the first's.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { besideInWords } from "../reports/beside.ts";
import { UsageError } from "./flags.ts";
import { execute, type RunOutcome, type RunPlan } from "./run.ts";
import type { Terminal } from "./terminal.ts";

/** Folder of the first run in that of the second, and of its outputs in it. */
const FIRST = "wgpu", OUTPUTS = "outputs";

/**
 * Makes both runs: the first in a folder `wgpu` of the plan's, the second in the plan's, whose HTML shows them side by
 * side.
 *
 * @returns The outcomes in order; only the first where that was interrupted.
 * @throws {UsageError} If the plan compares or stores outputs already.
 */
export async function executeOnAll(plan: RunPlan, terminal: Terminal): Promise<RunOutcome[]> {
  const { selection, out, resume } = plan;
  if (selection.against || selection.saveOutputs) {
    throw new UsageError("Cannot combine --provider all with --against or --save-outputs: it compares the two");
  }
  const folder = `${out}/${FIRST}`;
  const outputs = `${folder}/${OUTPUTS}`;
  const first = await execute({
    ...plan,
    provider: {},
    out: folder,
    resume: resume && isBegun(folder),
    resumedBy: out,
    selection: { ...selection, saveOutputs: outputs },
  }, terminal);
  if (first.interrupted) return [first];
  const second = await execute({
    ...plan,
    provider: { ...plan.provider, provider: "dawn" },
    resume: resume && isBegun(out),
    selection: { ...selection, against: { folder: outputs } },
    beside: first.report,
  }, terminal);
  terminal.out(besideInWords(second.report, first.report).map((line) => `${line}\n`).join(""));
  return [first, second];
}

/** Folder of the journal that tells how the run in `dir` was begun: that of its first half where the second was not. */
export function journalFolderOf(dir: string): string {
  return !isBegun(dir) && isBegun(`${dir}/${FIRST}`) ? `${dir}/${FIRST}` : dir;
}

/** Folder of the whole run if `dir` is the first half of one; undefined where its name says that it is none. */
export function wholeOf(dir: string): string | undefined {
  return basename(resolve(dir)) === FIRST ? dirname(dir) : undefined;
}

function isBegun(folder: string): boolean {
  return existsSync(`${folder}/cases.ndjson`);
}
