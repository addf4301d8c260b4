/**
 * `info`: describes the adapter and what each kernel lacks on it.
 *
 * @module
 */
import { describeHost } from "../bench/environment.ts";
import { startProvider } from "../bench/provider.ts";
import { kernelName } from "../kernels/kernel.ts";
import { KERNELS } from "../kernels/registry.ts";
import type { Flags } from "./flags.ts";
import { providerOf } from "./bench.ts";
import type { Terminal } from "./terminal.ts";

/** Runs `info` and returns the exit code. */
export async function info(flags: Flags, terminal: Terminal): Promise<number> {
  const { child, adapter } = await startProvider(providerOf(flags), {}, (line) => terminal.err(`${line}\n`));
  await child.end();
  const { version, runtime, host } = await describeHost();
  const subgroups = adapter.subgroupMinSize === adapter.subgroupMaxSize
    ? String(adapter.subgroupMinSize)
    : `${adapter.subgroupMinSize} to ${adapter.subgroupMaxSize}`;
  const rows: [string, string][] = [
    ["mla-bench", version],
    ["Deno", `${runtime.deno} (V8 ${runtime.v8}, TypeScript ${runtime.typescript})`],
    ["host", `${host.cpu}, ${host.cores} cores, ${host.os} ${host.osRelease} ${host.arch}`],
    ["adapter", `${adapter.description}${adapter.software ? " (software: its times say nothing about GPUs)" : ""}`],
    ["provider", adapter.provider],
    ["features", adapter.features.join(", ") || "none of those that kernels use"],
    ["subgroup size", adapter.subgroupMaxSize === 0 ? "no subgroups" : subgroups],
    ...Object.entries(adapter.limits).map(([name, value]): [string, string] => [name, String(value)]),
    ...KERNELS.map((kernel): [string, string] => {
      const missing = kernel.requires.filter((feature) => !adapter.features.includes(feature));
      return [kernelName(kernel), missing.length > 0 ? `skipped here: lacks ${missing.join(", ")}` : kernel.summary];
    }),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  terminal.out(rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join(""));
  return 0;
}
