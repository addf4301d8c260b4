/**
 * Finds a GPU for the command: Deno's own WebGPU, or a Vulkan driver that runs on the CPU where there is none.
 *
 * @module
 */
import { ensureSoftwareVulkan } from "./software.ts";
import { type ChildOptions, type GpuChild, startChild } from "./supervise.ts";
import type { Environment } from "./result.ts";

/** Providers that can be asked for. */
export const PROVIDERS: readonly string[] = ["wgpu", "software"];

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
 * @param request `wgpu` never falls back, `software` never looks for a GPU; absent: the first where there is one.
 * @param notice Called with one line when the software driver is used or fetched.
 * @throws {Error} If no adapter is found and none can be had.
 */
export async function startProvider(
  request: string | undefined,
  options: ChildOptions,
  notice: (line: string) => void,
): Promise<Provider> {
  if (request !== "software") {
    const child = await startChild(options);
    if (child.adapter) return { adapter: child.adapter, child, options };
    await child.end();
    if (request === "wgpu") {
      throw new Error("Cannot use provider wgpu: WebGPU found no adapter; install a Vulkan driver");
    }
  }
  const { env, version } = await ensureSoftwareVulkan({ onFetch: notice });
  const software = { ...options, env: { ...options.env, ...env } };
  const child = await startChild(software);
  if (!child.adapter) {
    await child.end();
    throw new Error("Cannot use provider software: SwiftShader's Vulkan driver gave no adapter");
  }
  notice(
    request === "software"
      ? `Using SwiftShader ${version} on the CPU: its times say nothing about GPUs`
      : `No GPU was found: using SwiftShader ${version} on the CPU, whose times say nothing about GPUs`,
  );
  return { adapter: child.adapter, child, options: software };
}
