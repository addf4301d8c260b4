import { assertEquals, assertNotEquals } from "@std/assert";
import { fingerprint, fingerprintDifferences } from "./fingerprint.ts";
import type { Environment } from "./result.ts";

const environment: Environment = {
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

Deno.test("fingerprint() names the adapter and leaves out the host, the seed and the features", () => {
  assertEquals(fingerprint(environment), "wgpu · 4318 · hopper · 9013 · NVIDIA H200 · false");
  const other = { ...environment, seed: 2, adapter: { ...environment.adapter, features: ["shader-f16"] } };
  assertEquals(fingerprint(other), fingerprint(environment));
  assertEquals(fingerprintDifferences(environment, other), []);
});

Deno.test("fingerprint() differs, and the difference is named, in every field that identifies an adapter", () => {
  const changes = {
    provider: "dawn",
    vendor: "4098",
    architecture: "ada",
    device: "1",
    description: "L40S",
    software: true,
  };
  for (const [field, value] of Object.entries(changes)) {
    const other = { ...environment, adapter: { ...environment.adapter, [field]: value } };
    assertNotEquals(fingerprint(other), fingerprint(environment));
    const was = environment.adapter[field as keyof typeof changes];
    assertEquals(fingerprintDifferences(environment, other), [
      `adapter.${field} is ${JSON.stringify(was)} and ${JSON.stringify(value)}`,
    ]);
  }
});
