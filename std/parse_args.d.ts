/**
 * Types of the part of `@std/cli/parse-args` that this project uses (see `assert.d.ts` for why they stand here).
 *
 * @module
 */

/** What {@linkcode parseArgs} understands; see the documentation of `@std/cli`. */
export interface ParseOptions {
  /** Stop at the first positional argument. @default {false} */
  stopEarly?: boolean;
  /** Flags that take no value. */
  boolean?: readonly string[];
  /** Flags that take a string. */
  string?: readonly string[];
  /** Flags that may be repeated. */
  collect?: readonly string[];
  /** Short or other names, `alias → flag`. */
  alias?: Readonly<Record<string, string>>;
  /** Values of absent flags. */
  default?: Readonly<Record<string, unknown>>;
  /** Called for every argument that is not declared; returning false drops it. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}
/** Parsed flags by name; positional arguments under `_`. */
export type Args = Record<string, unknown> & { _: (string | number)[] };
/** Parses `args` by the declared flags. */
export function parseArgs(args: readonly string[], options?: ParseOptions): Args;
