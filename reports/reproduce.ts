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
 * @param argv Arguments of the run it comes from, whose `--tensors` and `--provider` are carried over.
 */
export function reproduceCommands(result: Result, argv: readonly string[]): string[] {
  const rest = [`--filter ${shellQuote(result.id)}`, ...carriedFlags(argv)].join(" ");
  const tasks = result.status === "measured" ? ["bench", "verify"] : ["verify"];
  return tasks.map((task) => `deno task ${task} ${rest}`);
}

/** `text` as one word of a POSIX shell. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function carriedFlags(argv: readonly string[]): string[] {
  return argv.flatMap((word, i) => {
    if (CARRIED.includes(word) && argv[i + 1] !== undefined) return [`${word} ${shellQuote(argv[i + 1])}`];
    const flag = CARRIED.find((name) => word.startsWith(`${name}=`));
    return flag === undefined ? [] : [`${flag} ${shellQuote(word.slice(flag.length + 1))}`];
  });
}
