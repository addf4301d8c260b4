/**
 * An environment, and a device, for tests.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { AttendKernel, Tuning } from "../kernels/kernel.ts";
import { checkLimits } from "../kernels/limits.ts";
import type { AttendInputs } from "../reference/inputs.ts";
import { uploadStorage } from "./buffers.ts";
import { type Gpu, openGpu } from "./device.ts";
import { prepare, runOnce } from "./execute.ts";
import { bytesOf, cacheBuffers, type Results } from "./inputs_buffers.ts";
import type { Environment } from "./result.ts";

/** A bench of `smoke` on a GPU. */
export const environment: Environment = {
  version: "0.1.0",
  runtime: { deno: "2.9.6", v8: "14", typescript: "5.9" },
  host: { os: "linux", osRelease: "6", arch: "x86_64", cpu: "CPU", cores: 2, loadAverage: [0, 0, 0] },
  adapter: {
    provider: "wgpu",
    vendor: "4318",
    architecture: "hopper",
    device: "9013",
    description: "NVIDIA H200",
    software: false,
    features: [],
    limits: {},
    subgroupMinSize: 32,
    subgroupMaxSize: 32,
  },
  argv: [],
  command: "bench",
  suites: ["smoke"],
  seed: 1,
  startedAt: "2026-08-01T12:00:00.000Z",
  wallS: 0,
};

/** Hands `work` a device of its own, which is closed after it. */
export async function withGpu(work: (gpu: Gpu) => Promise<void>): Promise<void> {
  const gpu = await openGpu();
  try {
    await work(gpu);
  } finally {
    gpu.close();
  }
}

/** `gpu` with a device of which one method is replaced by what `replace` makes of it. */
export function withDeviceMethod<K extends "createBuffer" | "createComputePipeline">(
  gpu: Gpu,
  name: K,
  replace: (original: GPUDevice[K]) => GPUDevice[K],
): Gpu {
  const replaced = replace(gpu.device[name].bind(gpu.device) as GPUDevice[K]);
  const device = new Proxy(gpu.device, {
    get(target, key) {
      if (key === name) return replaced;
      const value = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { ...gpu, device };
}

/** Runs `kernel` twice, and returns its result where both agree bit by bit. */
export async function runAttend(
  gpu: Gpu,
  kernel: AttendKernel,
  inputs: AttendInputs,
  tuning: Tuning,
): Promise<Results> {
  const { shape } = inputs;
  const launch = kernel.launch(shape, inputs, tuning, gpu.traits);
  assertEquals(checkLimits(launch, gpu.traits), undefined);
  const arrays: [string, Uint8Array][] = [
    ["q_latent", bytesOf(inputs.qLatent)],
    ["q_pe", bytesOf(inputs.qPe)],
    ...cacheBuffers(inputs.cache, shape),
    ["page_table", bytesOf(inputs.pageTable)],
  ];
  const ranges = new Map(arrays.map(([name, data]) => [name, uploadStorage(gpu, name, data)]));
  const prepared = await prepare(gpu, launch, ranges);
  try {
    const results = await runOnce(gpu, prepared);
    assertEquals(await runOnce(gpu, prepared), results, "two runs differ");
    return results;
  } finally {
    prepared.destroy();
    for (const { buffer } of ranges.values()) buffer.destroy();
  }
}
