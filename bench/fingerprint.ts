/**
 * What two runs must share before their times may stand side by side.
 *
 * @module
 */
import type { Environment } from "./result.ts";

/**
 * Fields of the adapter that name the hardware and the way to it; driver versions show in the description, if at all.
 */
const identity = ["provider", "vendor", "architecture", "device", "description", "software"] as const;

/** A provider, with the toggles that were asked for: `wgpu`, `dawn`, `dawn (disable_robustness)`. */
export function providerName({ provider, toggles = [] }: Environment["adapter"]): string {
  return toggles.length === 0 ? provider : `${provider} (${toggles.join(", ")})`;
}

/** Value of a field; toggles change what a provider does, so they are of its name. */
function identityOf({ adapter }: Environment, field: typeof identity[number]): string | boolean {
  return field === "provider" ? providerName(adapter) : adapter[field];
}

/**
 * One line that is equal for two environments whose times are comparable: `wgpu · NVIDIA H200 · …`.
 *
 * @param environment Of a report or journal.
 */
export function fingerprint(environment: Environment): string {
  return identity.map((field) => String(identityOf(environment, field))).join(" · ");
}

/**
 * Names what keeps two environments from being compared, one line per field; empty when nothing does.
 *
 * @example
 * `adapter.description is "NVIDIA H200" and "llvmpipe (LLVM 19.1.7, 256 bits)"`
 */
export function fingerprintDifferences(a: Environment, b: Environment): string[] {
  return identity.map((field) => [field, identityOf(a, field), identityOf(b, field)]).filter(([, x, y]) => x !== y)
    .map(([field, x, y]) => `adapter.${field} is ${JSON.stringify(x)} and ${JSON.stringify(y)}`);
}
