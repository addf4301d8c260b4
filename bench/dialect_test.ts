import { assertEquals } from "@std/assert";
import { inDialect } from "./dialect.ts";

Deno.test("inDialect() enables subgroups for Tint where they are used, on the line that was the first", () => {
  const uses = ["let x = subgroupAdd(y);", "@builtin(subgroup_invocation_id) lane: u32", "subgroupShuffleXor(a, 1u)"];
  for (const text of uses) {
    assertEquals(inDialect(text, "dawn"), `enable subgroups; diagnostic(off, subgroup_uniformity); ${text}`);
    for (const provider of ["wgpu", "software"]) assertEquals(inDialect(text, provider), text);
  }
  for (const text of ["fn main() {}", "enable f16; // A group of lanes."]) assertEquals(inDialect(text, "dawn"), text);
});
