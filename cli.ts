/**
 * The command line: arguments in, exit code out. Nothing else in the project prints or exits.
 *
 * @module
 */
import { bench } from "./cli/bench.ts";
import { type Command, COMMANDS, isCommand, parseFlags, usage, UsageError } from "./cli/flags.ts";
import { gateCommand } from "./cli/gate.ts";
import { info } from "./cli/info.ts";
import { listCommand } from "./cli/list.ts";
import { mutantsCommand } from "./cli/mutants.ts";
import { reportCommand } from "./cli/report.ts";
import { test } from "./cli/run_tests.ts";
import type { Terminal } from "./cli/terminal.ts";
import { tuneCommand } from "./cli/tune.ts";

/** Exit code of a usage error or bad input. */
const USAGE = 64;
/** Exit code where nothing could be measured. */
const INVALID = 4;

/**
 * Runs one command.
 *
 * @param argv Arguments; the first is the command.
 * @returns The exit code: 64 usage or bad input, 2 incorrect or failed, 4 nothing measured, 1 regressed,
 * 3 inconclusive, 0 pass, 130 interrupted.
 */
export async function main(argv: readonly string[], terminal: Terminal): Promise<number> {
  const [word, ...rest] = argv;
  if (word === undefined || word === "--help" || word === "-h") {
    terminal.out(usage());
    return word === undefined ? USAGE : 0;
  }
  try {
    if (word === "test") return await test(rest, terminal);
    if (!isCommand(word)) throw new UsageError(`Cannot run "${word}": there are ${COMMANDS.join(", ")}`);
    const flags = parseFlags(word, rest);
    if (flags.help) {
      terminal.out(usage(word));
      return 0;
    }
    return await dispatch(word, flags, rest, terminal);
  } catch (error) {
    if (isBadInput(error)) {
      terminal.err(`${error.message}\n`);
      return USAGE;
    }
    terminal.err(`${error instanceof Error ? error.message : String(error)}\n`);
    return INVALID;
  }
}

function dispatch(
  command: Command,
  flags: ReturnType<typeof parseFlags>,
  argv: readonly string[],
  terminal: Terminal,
): Promise<number> {
  switch (command) {
    case "bench":
    case "verify":
      return bench(command, flags, argv, terminal);
    case "mutants":
      return mutantsCommand(flags, argv, terminal);
    case "tune":
      return tuneCommand(flags, argv, terminal);
    case "gate":
      return gateCommand(flags, argv, terminal);
    case "report":
      return reportCommand(flags, terminal);
    case "list":
      return listCommand(flags, terminal);
    case "info":
      return info(flags, terminal);
    default:
      return command satisfies never;
  }
}

/** Layers below refuse what they are given with the built-in class that fits; here they all are bad input. */
function isBadInput(error: unknown): error is Error {
  return error instanceof UsageError || error instanceof RangeError || error instanceof TypeError ||
    error instanceof SyntaxError;
}

function standardTerminal(): Terminal {
  const encoder = new TextEncoder();
  const write = (stream: { writeSync(bytes: Uint8Array): number }) => (text: string) => {
    const bytes = encoder.encode(text);
    for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
  };
  const interactive = Deno.stderr.isTerminal() && environment("CI") === undefined;
  return {
    out: write(Deno.stdout),
    err: write(Deno.stderr),
    interactive,
    columns: interactive ? Deno.consoleSize().columns : 120,
    onInterrupt(stop) {
      Deno.addSignalListener("SIGINT", stop);
      return () => Deno.removeSignalListener("SIGINT", stop);
    },
  };
}

/** A variable of the environment; undefined where the task may not read it: `report` and `list` may read none. */
function environment(name: string): string | undefined {
  return Deno.permissions.querySync({ name: "env", variable: name }).state === "granted"
    ? Deno.env.get(name)
    : undefined;
}

if (import.meta.main) Deno.exit(await main(Deno.args, standardTerminal()));
