/**
 * An environment, and a device, for tests.
 *
 * @module
 */
import { type Gpu, openGpu } from "./device.ts";
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
