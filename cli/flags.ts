/**
 * The command line as one table: it parses, refuses and explains itself.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";

/** Commands that take flags. */
export type Command = "bench" | "verify" | "tune" | "mutants" | "gate" | "report" | "list" | "info";

/** A flag. */
interface Flag {
  readonly name: string;
  /** `text` takes one value, `list` may be repeated, `switch` takes none. */
  readonly kind: "text" | "list" | "switch";
  /** Placeholder of the value in the usage text. */
  readonly value?: string;
  readonly help: string;
  readonly commands: readonly Command[];
}

const RUNS = ["bench", "verify"] as const;
const OPENS = [...RUNS, "tune", "mutants", "gate", "info"] as const;
const SELECTS = ["bench", "verify", "tune", "list"] as const;

const FLAGS: readonly Flag[] = [
  { name: "suite", kind: "list", value: "NAME", help: "suite to run; may be repeated", commands: SELECTS },
  {
    name: "axis",
    kind: "list",
    value: "NAME=VALUES",
    help: "replace an axis: page=16,64 · B=1..64:x2 · kv=0..256:+16 · kv=boundary",
    commands: SELECTS,
  },
  {
    name: "filter",
    kind: "text",
    value: "PATTERN",
    help: "only the case of this id, or those that match a glob with *",
    commands: SELECTS,
  },
  {
    name: "kernel",
    kind: "list",
    value: "NAME|FILE.ts",
    help: "only this kernel, or those that a module exports; may be repeated",
    commands: SELECTS,
  },
  {
    name: "fuzz",
    kind: "text",
    value: "N",
    help: "N random cases over the whole contract, drawn by --seed, instead of suites",
    commands: ["verify", "list"],
  },
  {
    name: "filter",
    kind: "text",
    value: "PATTERN",
    help: "only the mutant of this name, or those that match a glob with *: *-no_scale",
    commands: ["mutants"],
  },
  {
    name: "kernel",
    kind: "list",
    value: "NAME",
    help: "only mutants of this kernel; may be repeated",
    commands: ["mutants"],
  },
  {
    name: "full",
    kind: "switch",
    help: "every mutant on every case of smoke and of a sample of boundary; without it, until a case sees it",
    commands: ["mutants"],
  },
  { name: "seed", kind: "text", value: "N", help: "seed of the inputs", commands: SELECTS },
  { name: "shard", kind: "text", value: "I/N", help: "the I-th of N parts of the cases", commands: SELECTS },
  { name: "full", kind: "switch", help: "whole suites where a software adapter would run a sample", commands: SELECTS },
  {
    name: "against",
    kind: "text",
    value: "NAME|FILE.ts|DIR",
    help: "compare what passes with another kernel, or with outputs of another adapter stored in DIR, in ULPs",
    commands: RUNS,
  },
  {
    name: "save-outputs",
    kind: "text",
    value: "DIR",
    help: "store the verified outputs, for --against on another adapter",
    commands: RUNS,
  },
  {
    name: "tensors",
    kind: "list",
    value: "FILE",
    help: "replay recorded safetensors; may be repeated",
    commands: RUNS,
  },
  {
    name: "provider",
    kind: "text",
    value: "wgpu|dawn|software|all",
    help:
      "Deno's WebGPU, Chrome's (npm:webgpu, or the module DAWN_MODULE), SwiftShader on the CPU, or both (bench, verify)",
    commands: OPENS,
  },
  {
    name: "dawn-toggles",
    kind: "text",
    value: "LIST",
    help: "toggles of Dawn: disable_robustness switches one on, -name off; it ignores those that it does not know",
    commands: OPENS,
  },
  {
    name: "out",
    kind: "text",
    value: "DIR",
    help: "folder of the reports",
    commands: [...RUNS, "tune", "mutants", "gate", "report"],
  },
  {
    name: "resume",
    kind: "text",
    value: "DIR",
    help: "go on with the run in DIR",
    commands: [...RUNS, "tune", "mutants"],
  },
  {
    name: "keep",
    kind: "text",
    value: "FILE",
    help: "put the tuning.json of a run into the project's table; nothing is run",
    commands: ["tune"],
  },
  { name: "baseline", kind: "text", value: "FILE", help: "report.json to compare with", commands: ["bench", "gate"] },
  {
    name: "candidate",
    kind: "text",
    value: "FILE",
    help: "report.json to judge; without it the baseline's cases run now",
    commands: ["gate"],
  },
  { name: "serve", kind: "switch", help: "show the report on loopback", commands: ["report"] },
  { name: "quiet", kind: "switch", help: "no progress", commands: [...RUNS, "tune", "mutants", "gate"] },
];

const SUMMARIES: Readonly<Record<Command, string>> = {
  bench: "verify and time kernels over suites of cases, write reports",
  verify: "the same without timing",
  tune: "time every combination of tuning parameters, and find the best by device and shape",
  mutants: "plant known faults in every kernel, and prove that verification sees each",
  gate: "judge a run against a baseline",
  report: "draw reports again, or several as one: report DIR|FILE…",
  list: "print the cases that a selection holds; needs no GPU",
  info: "describe the adapter, the kernels and what each lacks here",
};

/** Values of the flags that were given. */
export interface Flags {
  /** Values by flag: a string, a list of strings, or true. */
  readonly values: Readonly<Record<string, string | readonly string[] | true>>;
  /** Positional arguments. */
  readonly files: readonly string[];
  /** Whether help was asked for. */
  readonly help: boolean;
}

/** A mistake on the command line: one line, exit code 64. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Whether `word` is a command. */
export function isCommand(word: string): word is Command {
  return Object.hasOwn(SUMMARIES, word);
}

/** The commands, for messages. */
export const COMMANDS: readonly string[] = Object.keys(SUMMARIES);

/**
 * Parses the arguments of `command`.
 *
 * @throws {UsageError} If a flag is unknown, lacks its value or has one too many, or an argument is out of place.
 */
export function parseFlags(command: Command, argv: readonly string[]): Flags {
  const flags = FLAGS.filter(({ commands }) => commands.includes(command));
  const namesOf = (...kinds: Flag["kind"][]) =>
    flags.filter(({ kind }) => kinds.includes(kind)).map(({ name }) => name);
  const switches = [...namesOf("switch"), "help"];
  for (const argument of argv) {
    const [, name] = /^--([^=]+)=/.exec(argument) ?? [];
    if (switches.includes(name)) throw new UsageError(`Cannot take ${argument}: --${name} takes no value`);
  }
  const args = parseArgs(argv, {
    string: namesOf("text", "list"),
    // Repeated flags are collected so that one given twice is noticed.
    collect: namesOf("text", "list"),
    boolean: switches,
    alias: { h: "help" },
    unknown(argument, name) {
      if (name === undefined) return true;
      const choices = [...flags.map(({ name }) => `--${name}`), "--help"].join(", ");
      throw new UsageError(`Cannot take "${argument}": ${command} has ${choices}`);
    },
  });
  const values: Record<string, string | readonly string[] | true> = {};
  for (const { name, kind, value } of flags) {
    if (kind === "switch") {
      if (args[name] === true) values[name] = true;
      continue;
    }
    const given = (args[name] ?? []) as readonly string[];
    if (given.length === 0) continue;
    if (given.includes("")) throw new UsageError(`Cannot take --${name} without a value: give --${name}=${value}`);
    if (kind === "text" && given.length > 1) {
      throw new UsageError(`Cannot take --${name} twice: "${given.join('" and "')}"`);
    }
    values[name] = kind === "text" ? given[0] : given;
  }
  const files = args._.map(String);
  if (files.length > 0 && command !== "report") {
    throw new UsageError(`Cannot take "${files[0]}": ${command} takes flags only (--help lists them)`);
  }
  return { values, files, help: args.help === true };
}

/** Value of a flag that takes one. */
export function text(flags: Flags, name: string): string | undefined {
  return flags.values[name] as string | undefined;
}

/** Values of a flag that may be repeated. */
export function list(flags: Flags, name: string): readonly string[] {
  return (flags.values[name] as readonly string[] | undefined) ?? [];
}

/** Whether a switch is on. */
export function isOn(flags: Flags, name: string): boolean {
  return flags.values[name] === true;
}

/** What `--help` prints: the flags of `command`, or the commands. */
export function usage(command?: Command): string {
  if (!command) {
    const width = Math.max(...COMMANDS.map((name) => name.length));
    const rows = Object.entries(SUMMARIES).map(([name, summary]) => `  deno task ${name.padEnd(width)}  ${summary}`);
    return [
      "mla-bench verifies and times WGSL kernels for paged multi-head latent attention.",
      "",
      ...rows,
      "",
      "Each takes --help.",
      "",
    ].join("\n");
  }
  const rows = FLAGS.filter(({ commands }) => commands.includes(command))
    .map(({ name, value, help }) => [`--${name}${value ? ` ${value}` : ""}`, help]);
  const width = Math.max(...rows.map(([flag]) => flag.length));
  const operands = command === "report" ? " DIR|FILE…" : "";
  return [
    `deno task ${command}${operands} [flags]: ${SUMMARIES[command]}`,
    "",
    ...rows.map(([flag, help]) => `  ${flag.padEnd(width)}  ${help}`),
    "",
    "Exit codes: 0 pass · 1 regressed · 2 incorrect or failed · 3 inconclusive · 4 nothing measured or timer unreliable · 64 usage",
    "",
  ].join("\n");
}
