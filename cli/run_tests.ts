/**
 * `test`: runs `deno test` with a GPU, or the software driver where there is none.
 *
 * @module
 */
import { startProvider } from "../bench/provider.ts";
import { deviceEnv } from "../bench/supervise.ts";
import type { Terminal } from "./terminal.ts";

/** Runs `deno test` with `args` (permissions, paths, filters) and returns its exit code. */
export async function test(args: readonly string[], terminal: Terminal): Promise<number> {
  const { child, options } = await startProvider({}, {}, (line) => terminal.err(`${line}\n`));
  await child.end();
  const command = new Deno.Command(Deno.execPath(), {
    args: ["test", ...args],
    env: { ...deviceEnv(), ...options.env },
    stdin: "null",
  });
  return (await command.spawn().status).code;
}
