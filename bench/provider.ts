/**
 * Finds a GPU for the command: Deno's own WebGPU or Dawn, and a Vulkan driver that runs on the CPU where there is none.
 *
 * @module
 */
import { findDawn } from "./dawn_package.ts";
import { ensureSoftwareVulkan } from "./software.ts";
import { type ChildOptions, type GpuChild, startChild } from "./supervise.ts";
import type { Environment } from "./result.ts";

/** Providers that can be asked for. */
export const PROVIDERS: readonly string[] = ["wgpu", "dawn", "software"];

/** What is asked for where a run is to be made on Deno's WebGPU and on Dawn, and compared. */
export const ALL_PROVIDERS = "all";

/** What is asked for. */
export interface ProviderRequest {
  /**
   * `wgpu` never falls back, `software` never looks for a GPU, `dawn` runs on a CPU where it finds no GPU. @default {`wgpu`,
   * or `software` where that finds none}
   */
  readonly provider?: string;
  /** Toggles of Dawn: `name` switches one on, `-name` off. @default {none} */
  readonly dawnToggles?: readonly string[];
}

/** A child with a device, and what starts another like it. */
export interface Provider {
  /** The device. */
  readonly adapter: Environment["adapter"];
  /** The process that holds it. */
  readonly child: GpuChild;
  /** How it was started. */
  readonly options: ChildOptions;
}

/**
 * Starts the process that opens the GPU.
 *
 * @param notice Called with one line when the software driver is used or fetched.
 * @throws {Error} If no adapter is found and none can be had.
 */
export async function startProvider(
  request: ProviderRequest,
  given: ChildOptions,
  notice: (line: string) => void,
): Promise<Provider> {
  const options = request.provider === "dawn"
    ? { ...given, dawn: { module: await findDawn(), toggles: request.dawnToggles ?? [] } }
    : given;
  if (request.provider !== "software") {
    const provider = await tryProvider(options);
    if (provider) return provider;
    if (request.provider === "wgpu") {
      throw new Error("Cannot use provider wgpu: WebGPU found no adapter; install a Vulkan driver");
    }
  }
  const { env, version } = await ensureSoftwareVulkan({ onFetch: notice });
  const software = await tryProvider({ ...options, env: { ...options.env, ...env } });
  if (!software) {
    const name = options.dawn ? "dawn" : "software";
    throw new Error(`Cannot use provider ${name}: SwiftShader's Vulkan driver gave no adapter`);
  }
  notice(whySoftware(request, version));
  return software;
}

async function tryProvider(options: ChildOptions): Promise<Provider | undefined> {
  const child = await startChild(options);
  if (child.adapter) return { adapter: child.adapter, child, options };
  await child.end();
}

function whySoftware({ provider }: ProviderRequest, version: string): string {
  const what = `SwiftShader ${version} on the CPU`;
  if (provider === "software") return `Using ${what}: its times say nothing about GPUs`;
  const nobody = provider === "dawn" ? "Dawn found no adapter" : "No GPU was found";
  return `${nobody}: using ${what}, whose times say nothing about GPUs`;
}
