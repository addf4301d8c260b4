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

/**
 * One line that is equal for two environments whose times are comparable: `wgpu · NVIDIA H200 · …`.
 *
 * @param environment Of a report or journal.
 */
export function fingerprint(environment: Environment): string {
  return identity.map((field) => String(environment.adapter[field])).join(" · ");
}

/**
 * Names what keeps two environments from being compared, one line per field; empty when nothing does.
 *
 * @example
 * `adapter.description is "NVIDIA H200" and "llvmpipe (LLVM 19.1.7, 256 bits)"`
 */
export function fingerprintDifferences(a: Environment, b: Environment): string[] {
  return identity.filter((field) => a.adapter[field] !== b.adapter[field]).map((field) =>
    `adapter.${field} is ${JSON.stringify(a.adapter[field])} and ${JSON.stringify(b.adapter[field])}`
  );
}
