/**
 * Where Dawn is: in the module that the user names, or in a package on npm that Deno fetches.
 *
 * @module
 */
import { fileURLToPath, pathToFileURL } from "node:url";

/** Package and exact version, built from Dawn of the same month. */
const PACKAGE = "webgpu", VERSION = "0.6.2";

/**
 * Checksum of the package. Not in the project's own lock file: of what stands there every process fetches all that its
 * cache lacks, and Dawn has 130 MB.
 */
const LOCK = new URL("./dawn_package.lock.json", import.meta.url);

/**
 * URL of Dawn's module: `DAWN_MODULE`, a path, for hosts without npm; else that of the package, which is fetched the first
 * time. A specifier in the code would be fetched by every run.
 *
 * @throws {Error} If it cannot be fetched, or is another one than was locked: in one line.
 */
export async function findDawn(): Promise<string> {
  const path = Deno.env.get("DAWN_MODULE");
  if (path) return pathToFileURL(path).href;
  const name = `${PACKAGE}@${VERSION}`;
  const lock = LOCK.protocol === "file:" ? ["--frozen", `--lock=${fileURLToPath(LOCK)}`] : ["--no-lock"];
  // Only `cache` compares checksums, only `info` tells the place.
  await deno(["cache", ...lock], name);
  const info = JSON.parse(await deno(["info", "--json", "--no-lock"], name));
  return pathToFileURL(`${info.npmPackages[name].localPath}/index.js`).href;
}

async function deno(args: readonly string[], name: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args, "--quiet", "--no-config", `npm:${name}`],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  if (success) return new TextDecoder().decode(stdout);
  const lines = new TextDecoder().decode(stderr).split("\n").map((line) => line.trim().replace(/^error: |^\d+: /, ""));
  const why = lines.filter((line) => line !== "").slice(0, 2).join(": ");
  throw new Error(`Cannot fetch Dawn (npm:${name}): ${why}; connect to the npm registry or set DAWN_MODULE`);
}
