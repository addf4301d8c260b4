/**
 * Loads kernels that a user wrote.
 *
 * @module
 */
import { type Kernel, kernelName, OPERATIONS } from "../kernels/kernel.ts";
import { KERNELS } from "../kernels/registry.ts";

/**
 * Imports each module and returns its kernels: every export that is a kernel, or an array of kernels.
 *
 * @param urls `file:` URLs.
 * @returns The kernels, in order of the modules and their exports.
 * @throws {TypeError} If a module cannot be loaded, exports no kernel, or one whose name is taken.
 */
export async function loadKernels(urls: readonly string[]): Promise<Kernel[]> {
  const taken = new Set(KERNELS.map(kernelName));
  const kernels: Kernel[] = [];
  for (const url of urls) {
    let exports: Record<string, unknown>;
    try {
      // The prefix is written out for tools that look for computed imports.
      exports = await import(`file://${url.slice("file://".length)}`);
    } catch (error) {
      const message = (error as Error).message.split("\n")[0];
      throw new TypeError(`Cannot load kernels from "${url}": ${message}`);
    }
    const found = Object.values(exports).flat().filter(isKernel);
    if (found.length === 0) {
      throw new TypeError(
        `Cannot load kernels from "${url}": it exports no kernel (operation, variant, summary, requires, refuses, launch)`,
      );
    }
    for (const kernel of found) {
      const name = kernelName(kernel);
      if (taken.has(name)) throw new TypeError(`Cannot load kernel "${name}" from "${url}": the name is taken`);
      taken.add(name);
      kernels.push(kernel);
    }
  }
  return kernels;
}

function isKernel(value: unknown): value is Kernel {
  const { operation, variant, requires, refuses, launch } = (value ?? {}) as Partial<Record<keyof Kernel, unknown>>;
  return OPERATIONS.some((known) => known === operation) && typeof variant === "string" &&
    Array.isArray(requires) && typeof refuses === "function" && typeof launch === "function";
}
