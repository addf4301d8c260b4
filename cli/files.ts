/**
 * Files and folders that a user names: what is wrong with one is said in one line.
 *
 * @module
 */
import { UsageError } from "./flags.ts";

/** What went wrong with a file, in a few words. */
export function describeIo(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.IsADirectory) return "it is a directory";
  return (error as Error).message.split("\n")[0];
}

/**
 * Creates `dir` and proves that files can be written there.
 *
 * @param flag Name of the flag that gave it, for the message.
 * @throws {UsageError} If they cannot.
 */
export async function makeWritable(dir: string, flag = "out"): Promise<void> {
  try {
    await Deno.mkdir(dir, { recursive: true });
    const probe = `${dir}/.writable`;
    await Deno.writeTextFile(probe, "");
    await Deno.remove(probe);
  } catch (error) {
    throw new UsageError(`Cannot write to --${flag} "${dir}": ${describeIo(error)}`);
  }
}
