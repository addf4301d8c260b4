/**
 * Loads kernels that a user wrote.
 *
 * @module
 */
import { type Kernel, kernelName, OPERATIONS } from "../kernels/kernel.ts";
import { KERNELS } from "../kernels/registry.ts";
import type { F16Chains, KernelPrecision } from "../reference/precision.ts";

/**
 * Imports each module and returns its kernels: every export that is a kernel, or an array of kernels.
 *
 * @param urls `file:` URLs.
 * @returns The kernels, in order of the modules and their exports.
 * @throws {TypeError} If a module cannot be loaded, exports no kernel, or one whose name is taken or whose precision is
 * none.
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
      throw new TypeError(`Cannot load kernels from "${url}": ${firstLineAndPlace(error as Error)}`);
    }
    const found = Object.values(exports).flat().filter(isKernel);
    if (found.length === 0) throw new TypeError(`Cannot load kernels from "${url}": ${whyNone(exports)}`);
    for (const kernel of found) {
      const name = kernelName(kernel);
      if (taken.has(name)) throw new TypeError(`Cannot load kernel "${name}" from "${url}": the name is taken`);
      if (!isPrecision(kernel.precision)) {
        const form = `precision must have scores and values, each "f32" or { f16Chain: products }`;
        throw new TypeError(`Cannot load kernel "${name}" from "${url}": ${form}`);
      }
      taken.add(name);
      kernels.push(kernel);
    }
  }
  return kernels;
}

/** What each member of a kernel must be. */
const MEMBERS: readonly (readonly [name: keyof Kernel, form: string, is: (value: unknown) => boolean])[] = [
  ["operation", `one of ${OPERATIONS.join(", ")}`, (value) => OPERATIONS.some((known) => known === value)],
  ["variant", "a string", (value) => typeof value === "string"],
  ["requires", "an array of device features", Array.isArray],
  ["refuses", "a function", (value) => typeof value === "function"],
  ["launch", "a function", (value) => typeof value === "function"],
];

function isKernel(value: unknown): value is Kernel {
  return faultsOf(value).length === 0;
}

/** Whether a kernel declares a precision, or nothing. */
function isPrecision(value: unknown): boolean {
  if (value === undefined) return true;
  const { scores, values } = (value ?? {}) as Partial<Record<keyof KernelPrecision, unknown>>;
  return [scores, values].every((products) => {
    const { f16Chain } = (products ?? {}) as Partial<F16Chains>;
    return products === "f32" || (Number.isInteger(f16Chain) && f16Chain! >= 0);
  });
}

function faultsOf(value: unknown): string[] {
  const members = (value ?? {}) as Partial<Record<keyof Kernel, unknown>>;
  return MEMBERS.filter(([name, , is]) => !is(members[name])).map(([name, form]) => `${name} must be ${form}`);
}

/** Why a module has no kernel: what is wrong with the export that comes closest. */
function whyNone(exports: Readonly<Record<string, unknown>>): string {
  const [closest] = Object.entries(exports).map(([name, value]) => ({ name, faults: faultsOf(value) }))
    .sort((a, b) => a.faults.length - b.faults.length);
  return closest && closest.faults.length < MEMBERS.length - 1
    ? `${closest.name} is no kernel: ${closest.faults.join(", ")}`
    : `it exports no kernel (${MEMBERS.map(([name]) => name).join(", ")})`;
}

/** Deno writes below a message the line of source, and last where that is. */
function firstLineAndPlace({ message }: Error): string {
  // deno-lint-ignore no-control-regex
  const [first, ...rest] = message.replaceAll(/\x1b\[[\d;]*m/g, "").split("\n");
  const place = rest.map((line) => /^\s*at (file:\S+)$/.exec(line)?.[1]).find(Boolean);
  return place ? `${first.replace(/\.$/, "")} (${place})` : first;
}
