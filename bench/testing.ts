/**
 * An environment for tests.
 *
 * @module
 */
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
