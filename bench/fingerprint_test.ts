import { assertEquals, assertNotEquals } from "@std/assert";
import { fingerprint, fingerprintDifferences } from "./fingerprint.ts";
import { environment } from "./testing.ts";

Deno.test("fingerprint() names the adapter and leaves out the host, the seed and the features", () => {
  assertEquals(fingerprint(environment), "wgpu · 4318 · hopper · 9013 · NVIDIA H200 · false");
  const other = { ...environment, seed: 2, adapter: { ...environment.adapter, features: ["shader-f16"] } };
  assertEquals(fingerprint(other), fingerprint(environment));
  assertEquals(fingerprintDifferences(environment, other), []);
});

Deno.test("fingerprint() has the toggles of Dawn: times with and without robustness are not compared", () => {
  const toggled = { ...environment, adapter: { ...environment.adapter, toggles: ["disable_robustness"] } };
  assertEquals(fingerprintDifferences(environment, toggled), [
    'adapter.provider is "wgpu" and "wgpu (disable_robustness)"',
  ]);
  assertEquals(fingerprintDifferences(toggled, structuredClone(toggled)), []);
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
