/**
 * `info`: describes the adapter and what each kernel lacks on it.
 *
 * @module
 */
import { providerName } from "../bench/fingerprint.ts";
import type { Calibration } from "../bench/result.ts";
import type { GpuChild } from "../bench/supervise.ts";
import { calibrationInWords } from "../reports/calibration.ts";
import { describeHost } from "../bench/environment.ts";
import { startProvider } from "../bench/provider.ts";
import { kernelName } from "../kernels/kernel.ts";
import { KERNELS } from "../kernels/registry.ts";
import type { Flags } from "./flags.ts";
import { providerOf } from "./bench.ts";
import type { Terminal } from "./terminal.ts";

/** Longest wait for a calibration, ms. */
const CALIBRATION_LIMIT_MS = 60_000;

/** Runs `info` and returns the exit code. */
export async function info(flags: Flags, terminal: Terminal): Promise<number> {
  const { child, adapter } = await startProvider(providerOf(flags), {}, (line) => terminal.err(`${line}\n`));
  const calibration = await calibrationOf(child).finally(() => child.end());
  const { version, runtime, host } = await describeHost();
  const subgroups = adapter.subgroupMinSize === adapter.subgroupMaxSize
    ? String(adapter.subgroupMinSize)
    : `${adapter.subgroupMinSize} to ${adapter.subgroupMaxSize}`;
  const rows: [string, string][] = [
    ["mla-bench", version],
    ["Deno", `${runtime.deno} (V8 ${runtime.v8}, TypeScript ${runtime.typescript})`],
    ["host", `${host.cpu}, ${host.cores} cores, ${host.os} ${host.osRelease} ${host.arch}`],
    ["adapter", `${adapter.description}${adapter.software ? " (software: its times say nothing about GPUs)" : ""}`],
    ["provider", providerName(adapter)],
    ["features", adapter.features.join(", ") || "none of those that kernels use"],
    ["subgroup size", adapter.subgroupMaxSize === 0 ? "no subgroups" : subgroups],
    ...calibration ? calibrationInWords(calibration) : [],
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

/** What the device does at best: a plan without cases measures nothing else. Undefined where it has no timestamps. */
async function calibrationOf(child: GpuChild): Promise<Calibration | undefined> {
  await child.send({ cases: [], kernelModules: [], recorded: [], timing: true });
  for (;;) {
    const event = await child.next(CALIBRATION_LIMIT_MS);
    if (event === undefined || event === "timeout") return undefined;
    if (event.event === "calibrated") return event.calibration;
  }
}
