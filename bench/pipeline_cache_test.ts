import { assertEquals } from "@std/assert";
import { PipelineCache } from "./pipeline_cache.ts";

Deno.test("of too many pipelines the one that was not used for longest goes", () => {
  const cache = new PipelineCache<number>(3);
  cache.set("a", 1).set("b", 2).set("c", 3);
  assertEquals(cache.get("a"), 1);
  cache.set("d", 4);
  assertEquals([...cache.keys()], ["c", "a", "d"]);
  assertEquals(cache.get("b"), undefined);
  cache.set("c", 5);
  assertEquals([...cache], [["a", 1], ["d", 4], ["c", 5]]);
});
