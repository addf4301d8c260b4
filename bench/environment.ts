/**
 * Describes the host, the runtime and the checkout for the report.
 *
 * @module
 */
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import config from "../deno.json" with { type: "json" };
import type { Environment } from "./result.ts";

/** Version of this project. */
export const VERSION: string = config.version;

/** What is known without the GPU. */
export async function describeHost(): Promise<Pick<Environment, "version" | "git" | "runtime" | "host">> {
  const git = await describeGit();
  return {
    version: VERSION,
    ...(git ? { git } : {}),
    runtime: { deno: Deno.version.deno, v8: Deno.version.v8, typescript: Deno.version.typescript },
    host: {
      os: Deno.build.os,
      osRelease: Deno.osRelease(),
      arch: Deno.build.arch,
      cpu: cpus()[0]?.model.trim() ?? "unknown",
      cores: navigator.hardwareConcurrency,
      loadAverage: Deno.loadavg(),
    },
  };
}

/** The commit of this project's own checkout; undefined where it is not one, or git is missing. */
async function describeGit(): Promise<Environment["git"] | undefined> {
  const root = new URL("..", import.meta.url);
  if (root.protocol !== "file:") return undefined;
  const commit = await git(root, "rev-parse", "HEAD");
  if (commit === undefined) return undefined;
  return { commit, dirty: await git(root, "status", "--porcelain", "--untracked-files=no") !== "" };
}

async function git(root: URL, ...args: string[]): Promise<string | undefined> {
  try {
    const command = new Deno.Command("git", {
      args: ["-C", fileURLToPath(root), ...args],
      stderr: "null",
    });
    const { success, stdout } = await command.output();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch {
    return undefined;
  }
}
