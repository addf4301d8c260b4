/**
 * `list`: prints the cases that a selection holds.
 *
 * @module
 */
import { formatList, summarizeSuites } from "../suites/list.ts";
import type { Flags } from "./flags.ts";
import { casesOf, readSelection } from "./select.ts";
import type { Terminal } from "./terminal.ts";

/** Runs `list` and returns the exit code. It opens no GPU, so it lists what hardware would run. */
export async function listCommand(flags: Flags, terminal: Terminal): Promise<number> {
  const selection = await readSelection(flags);
  const { kernels, full, fuzzed } = selection;
  const suites = fuzzed ? [] : summarizeSuites({ kernelsAvailable: kernels, software: false, full });
  terminal.out(formatList(casesOf(selection, false), suites));
  return 0;
}
