import { assertEquals } from "@std/assert";
import { inDialect } from "./dialect.ts";

Deno.test("inDialect() enables subgroups for Tint where they are used, on the line that was the first", () => {
  const uses = ["let x = subgroupAdd(y);", "@builtin(subgroup_invocation_id) lane: u32", "subgroupShuffleXor(a, 1u)"];
  for (const text of uses) {
    assertEquals(inDialect(text, "dawn"), `enable subgroups; diagnostic(off, subgroup_uniformity); ${text}`);
    for (const provider of ["wgpu", "software"]) assertEquals(inDialect(text, provider), text);
  }
  assertEquals(
    inDialect("alias Left = subgroup_matrix_left<f16, 16, 16>;", "dawn"),
    "enable subgroups; enable chromium_experimental_subgroup_matrix; enable chromium_disable_uniformity_analysis; " +
      "diagnostic(off, subgroup_uniformity); diagnostic(off, chromium.subgroup_matrix_uniformity); alias Left = subgroup_matrix_left<f16, 16, 16>;",
  );
  for (const text of ["fn main() {}", "enable f16; // A group of lanes."]) assertEquals(inDialect(text, "dawn"), text);
});
