/**
 * Vulkan on a machine that has none: SwiftShader, a Vulkan driver that runs on the CPU, with the loader that finds it.
 *
 * Both come out of a package on npm, because npm is the one source that a machine able to start Deno has reached. The
 * package is fetched by a child `deno info` into a directory of its own that is removed afterwards: its code never
 * runs, neither the lock file nor Deno's cache grows by its 76 MB, and a run that finds an adapter fetches nothing,
 * which a literal `import("npm:…")` would do.
 *
 * @module
 */
import { parseTar } from "nanotar";

/** A package with a driver in it, and how to know that it is the one that was reviewed. */
export interface SoftwareRelease {
  /** Name on npm. */
  readonly package: string;
  /** Exact version. */
  readonly version: string;
  /** Path of the tar archive in the package, compressed with Brotli. */
  readonly archive: string;
  /** SHA-256 in hexadecimal of each file wanted from the archive: they are loaded as machine code. */
  readonly files: Readonly<Record<string, string>>;
}

/**
 * Chromium's SwiftShader and the Vulkan loader of the same build, for Linux on x86-64. For another version read
 * `sha256sum` of the files after a review. The OpenGL libraries of the archive are left out: they must not count as
 * an adapter.
 */
export const SWIFTSHADER: SoftwareRelease = {
  package: "@sparticuz/chromium",
  version: "153.0.0",
  archive: "bin/swiftshader.tar.br",
  files: {
    "libvk_swiftshader.so": "2f3ceffaaca7d031bc3943f8eacf398a5d9c42c5fe0d15d8840b9acfa630b58e",
    "libvulkan.so.1": "8ee5ac00fd7968e863b05e0f6808057db16a00ad322777e5a05bed51d4f84085",
    "vk_swiftshader_icd.json": "c9eef28b6b984fec220ef0abfecc40b502d46946706e47bfe97707027cb818bd",
  },
};

/** Options of {@linkcode ensureSoftwareVulkan}. */
export interface SoftwareVulkanOptions {
  /** Where downloads are kept. Default: `mla-bench` in `$XDG_CACHE_HOME` or `~/.cache`. */
  readonly cacheDirectory?: string;
  /** What to fetch. Default: {@linkcode SWIFTSHADER}. */
  readonly release?: SoftwareRelease;
  /** Called once with a line for people before anything is fetched; not called when the files are there. */
  readonly onFetch?: (line: string) => void;
}

/** A software Vulkan that is ready to be used. */
export interface SoftwareVulkan {
  /** Variables for the process that opens the device; they must be set before it starts. */
  readonly env: Readonly<Record<string, string>>;
  /** Directory that holds the loader, the driver and its manifest. */
  readonly directory: string;
  /** Version of the package they come from. */
  readonly version: string;
}

/** A directory left by a killed fetch is removed once it is this old; no fetch lasts as long. */
const ABANDONED_AFTER_MS = 24 * 60 * 60 * 1000;
const SCRATCH_PREFIX = ".fetch-";

/**
 * Makes SwiftShader available in the user's cache directory and says how to start a process that uses it. The first
 * call fetches 71 MB from the npm registry that Deno is configured for and keeps 7 MB; later calls only compare
 * checksums and need no network. Safe against other processes that do the same and against a kill at any moment: the
 * directory appears complete or not at all, and a damaged one is replaced.
 *
 * Needs `--allow-run` without names (Deno refuses to set `LD_LIBRARY_PATH` for a child otherwise, and the child of
 * the caller is what this is for), `--allow-env=HOME,XDG_CACHE_HOME,LD_LIBRARY_PATH`, and read and write access to the
 * cache directory.
 *
 * @example Start a script under SwiftShader
 * ```ts ignore
 * import { ensureSoftwareVulkan } from "./software.ts";
 *
 * const { env } = await ensureSoftwareVulkan();
 * new Deno.Command(Deno.execPath(), { args: ["run", "script.ts"], env: { ...env, DENO_WEBGPU_BACKEND: "vulkan" } });
 * ```
 * @throws {Deno.errors.NotSupported} On anything but Linux on x86-64.
 * @throws {Error} If the package cannot be fetched, lacks a file or holds another one than was reviewed, or if the
 * cache directory cannot be written.
 */
export async function ensureSoftwareVulkan(options: SoftwareVulkanOptions = {}): Promise<SoftwareVulkan> {
  const { release = SWIFTSHADER, onFetch } = options;
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    throw new Deno.errors.NotSupported(
      `Cannot use the software adapter on ${Deno.build.os} ${Deno.build.arch}: SwiftShader is packaged for linux ` +
        `x86_64 only; install a Vulkan driver`,
    );
  }
  const cache = options.cacheDirectory ?? userCacheDirectory();
  const directory = `${cache}/swiftshader-${release.version}`;
  if (!await isIntact(directory, release)) {
    onFetch?.(`Fetching the software adapter SwiftShader from npm (${specifierOf(release)}, 71 MB, once)`);
    await install(directory, cache, release);
  }
  await removeAbandoned(cache);
  const inherited = Deno.env.get("LD_LIBRARY_PATH");
  return {
    // The loader stands beside the driver, so it is this one that reads VK_DRIVER_FILES, whatever the system has.
    env: {
      LD_LIBRARY_PATH: inherited ? `${directory}:${inherited}` : directory,
      VK_DRIVER_FILES: `${directory}/vk_swiftshader_icd.json`,
    },
    directory,
    version: release.version,
  };
}

/** `$XDG_CACHE_HOME/mla-bench`; the XDG specification has a relative value ignored. */
function userCacheDirectory(): string {
  const xdg = Deno.env.get("XDG_CACHE_HOME");
  if (xdg?.startsWith("/")) return `${xdg}/mla-bench`;
  const home = Deno.env.get("HOME");
  if (home) return `${home}/.cache/mla-bench`;
  throw new Error("Cannot find the user's cache directory: neither XDG_CACHE_HOME nor HOME is set");
}

function specifierOf(release: SoftwareRelease): string {
  return `npm:${release.package}@${release.version}`;
}

/** Whether every file is there with the content that was reviewed: a crash or a full disk can leave shorter ones. */
async function isIntact(directory: string, release: SoftwareRelease): Promise<boolean> {
  try {
    for (const [name, sha256] of Object.entries(release.files)) {
      if (await sha256Of(await Deno.readFile(`${directory}/${name}`)) !== sha256) return false;
    }
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
}

async function install(directory: string, cache: string, release: SoftwareRelease): Promise<void> {
  const scratch = await writing(cache, async () => {
    await Deno.mkdir(cache, { recursive: true });
    return await Deno.makeTempDir({ dir: cache, prefix: SCRATCH_PREFIX });
  });
  try {
    const files = await unpack(await fetchArchive(scratch, release), release);
    await writing(cache, async () => {
      const staged = `${scratch}/staged`;
      await Deno.mkdir(staged);
      for (const [name, content] of files) await Deno.writeFile(`${staged}/${name}`, content);
      try {
        await Deno.rename(staged, directory);
      } catch (error) {
        // Another process was faster, unless what stands there is damaged.
        if (await isIntact(directory, release)) return;
        if (!await exists(directory)) throw error;
        await Deno.rename(directory, `${scratch}/damaged`);
        await Deno.rename(staged, directory);
      }
    });
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}

/** Has Deno fetch the package from the registry that the user configured, and reads the archive out of it. */
async function fetchArchive(scratch: string, release: SoftwareRelease): Promise<Uint8Array<ArrayBuffer>> {
  const specifier = specifierOf(release);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--quiet", "--no-config", "--no-lock", specifier],
    env: { DENO_DIR: `${scratch}/deno`, NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const detail = new TextDecoder().decode(stderr).trim().split("\n")[0];
  const info = success ? JSON.parse(new TextDecoder().decode(stdout)) : {};
  const path: string | undefined = info.npmPackages?.[`${release.package}@${release.version}`]?.localPath;
  const problem: string | undefined = info.modules?.[0]?.error;
  if (path === undefined) {
    throw new Error(
      `Cannot fetch the software adapter ${specifier}: ${problem ?? (detail || "deno info does not know it")}; ` +
        `connect to the npm registry or install a Vulkan driver (Debian: mesa-vulkan-drivers)`,
    );
  }
  try {
    return await Deno.readFile(`${path}/${release.archive}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error(`Cannot find ${release.archive} in ${specifier}${detail && `: ${detail}`}`, { cause: error });
  }
}

/** The wanted files of the archive, each compared with its checksum. */
async function unpack(
  archive: Uint8Array<ArrayBuffer>,
  release: SoftwareRelease,
): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const where = `${release.archive} of ${specifierOf(release)}`;
  let tar: ArrayBuffer;
  try {
    tar = await new Response(new Blob([archive]).stream().pipeThrough(new DecompressionStream("brotli"))).arrayBuffer();
  } catch (error) {
    throw new Error(`Cannot unpack ${where}: it is not Brotli data`, { cause: error });
  }
  const entries = parseTar(tar);
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const [name, expected] of Object.entries(release.files)) {
    const data = entries.find((entry) => entry.name === name)?.data;
    if (data === undefined) throw new Error(`Cannot find ${name} in ${where}`);
    const content = new Uint8Array(data);
    const actual = await sha256Of(content);
    if (actual !== expected) {
      throw new Error(`Cannot use ${name} in ${where}: its SHA-256 is ${actual}, expected ${expected}`);
    }
    files.set(name, content);
  }
  return files;
}

async function removeAbandoned(cache: string): Promise<void> {
  for await (const { name } of Deno.readDir(cache)) {
    if (!name.startsWith(SCRATCH_PREFIX)) continue;
    const path = `${cache}/${name}`;
    const { mtime } = await Deno.stat(path).catch(() => ({ mtime: null }));
    if (mtime && Date.now() - mtime.getTime() > ABANDONED_AFTER_MS) {
      await Deno.remove(path, { recursive: true }).catch(() => {/* another process is at it, or it is not ours */});
    }
  }
}

/** Runs `action` and says what to do when the cache directory stops it. */
async function writing<T>(cache: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw new Error(
      `Cannot write the cache directory ${cache}: ${(error as Error).message}; set XDG_CACHE_HOME to one that can be`,
      { cause: error },
    );
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

async function sha256Of(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
