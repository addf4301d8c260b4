/**
 * Runs commands in this process with a terminal that keeps what is printed.
 *
 * @module
 */
import { main } from "../cli.ts";

/** What a command printed and returned. */
export interface Ran {
  /** Exit code. */
  readonly code: number;
  /** Standard output. */
  readonly out: string;
  /** Standard error. */
  readonly err: string;
}

/** Runs `argv`; `interruptAfter` presses Ctrl-C once standard error matches it. */
export async function runCli(argv: readonly string[], interruptAfter?: RegExp): Promise<Ran> {
  let out = "", err = "";
  let stop: (() => void) | undefined;
  const code = await main(argv, {
    out: (text) => out += text,
    err(text) {
      err += text;
      if (interruptAfter !== undefined && interruptAfter.test(err)) stop?.();
    },
    interactive: interruptAfter !== undefined,
    columns: 200,
    onInterrupt(listener) {
      stop = listener;
      return () => stop = undefined;
    },
  });
  return { code, out, err };
}

/** Runs `work` with a folder that is removed afterwards. */
export async function withFolder<T>(work: (dir: string) => Promise<T>): Promise<T> {
  const dir = await Deno.makeTempDir({ prefix: "mla-bench-" });
  try {
    return await work(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
