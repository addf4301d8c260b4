/**
 * The commands that run a case again, as every output prints them.
 *
 * @module
 */
import type { Result } from "../bench/result.ts";

/** Flags without which the same case would be another one, or run elsewhere. */
const CARRIED = ["--tensors", "--provider", "--dawn-toggles"];

/**
 * The commands that run a case again: its timing, where it has one, then its verification.
 *
 * @param result The result.
 * @param argv Arguments of the run it comes from, whose `--tensors`, `--provider` and modules of kernels are carried
 * over.
 */
export function reproduceCommands(result: Result, argv: readonly string[]): string[] {
  const rest = [`--filter ${shellQuote(result.id)}`, ...carriedFlags(argv)].join(" ");
  const tasks = result.status === "measured" ? ["bench", "verify"] : ["verify"];
  return tasks.map((task) => `deno task ${task} ${rest}`);
}

/**
 * The command that runs the smallest case that fails like a wrong or failed one; undefined where none was looked for.
 */
export function shrunkCommand(result: Result, argv: readonly string[]): string | undefined {
  const shrunk = "shrunk" in result ? result.shrunk : undefined;
  return shrunk && ["deno task verify", `--filter ${shellQuote(shrunk.id)}`, ...carriedFlags(argv)].join(" ");
}

/** `text` as one word of a POSIX shell. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function carriedFlags(argv: readonly string[]): string[] {
  return flagsOf(argv).filter(isCarried).map(([name, value]) => `${name} ${shellQuote(value)}`);
}

/** Flags with their values, whether written `--name value` or `--name=value`. */
function flagsOf(argv: readonly string[]): [name: string, value: string][] {
  return argv.flatMap((word, i): [string, string][] => {
    const [, name, value] = /^(--[^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    if (name === undefined) return [];
    return value !== undefined || argv[i + 1] !== undefined ? [[name, value ?? argv[i + 1]]] : [];
  });
}

/** `--kernel` only where it names a module: a built-in kernel is named by the case id. */
function isCarried([name, value]: [name: string, value: string]): boolean {
  return CARRIED.includes(name) || (name === "--kernel" && /\.[cm]?[jt]s$/.test(value));
}
