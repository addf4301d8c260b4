import { assertEquals } from "@std/assert";
import { parseCaseId } from "../suites/case_id.ts";
import { leadingGroup } from "./case_groups.ts";

const SMALL = "B=1;H=2;R=32;Dr=16;q=1;kv=9;page=4;cache=f32";

function group(ids: string[], most = 8): string[] {
  return leadingGroup(ids.map(parseCaseId), most).map(({ variant }) => variant);
}

Deno.test("leadingGroup() takes neighbours with the same inputs, at most as many as are asked for", () => {
  const ids = ["unfused", "fused", "fused_subgroup"].map((variant) => `attend/${variant}:${SMALL}`);
  assertEquals(group([...ids, `attend/fused:${SMALL.replace("kv=9", "kv=10")}`]), [
    "unfused",
    "fused",
    "fused_subgroup",
  ]);
  assertEquals(group(ids, 2), ["unfused", "fused"]);
  assertEquals(group([ids[0], "append/combined:B=1;R=32;Dr=16;q=1;kv=9;page=4;cache=f32", ids[1]]), ["unfused"]);
});

Deno.test("leadingGroup() takes no more than fit the device together, and one that is too large alone", () => {
  const variants = (B: number) =>
    ["unfused", "fused", "fused_subgroup"].map((variant) =>
      `attend/${variant}:B=${B};H=128;R=512;Dr=64;q=1;kv=65536;page=64;cache=f16`
    );
  // Scores of a sequence: 32 MiB.
  assertEquals(group(variants(32)).length, 3);
  assertEquals(group(variants(64)).length, 2);
  assertEquals(group(variants(256)).length, 1);
});
