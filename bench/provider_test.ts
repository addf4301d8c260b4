import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { parseCaseId } from "../suites/case_id.ts";
import { startProvider } from "./provider.ts";
import type { Result } from "./result.ts";
import { startChild, supervise } from "./supervise.ts";

const FAULTY = new URL("./testdata/faulty_kernels.ts", import.meta.url).href;
const SIZES = "B=2;H=2;R=32;Dr=16;q=1;kv=9,40;page=4;cache=bf16";

Deno.test("Dawn runs the same kernels, sees the same faults, and its toggles are told", async () => {
  const ids = ["fused", "fused_subgroup", "unfused", "idles", "miscompiles"].map((variant) =>
    `attend/${variant}:${SIZES}`
  );
  const { child, adapter, options } = await startProvider(
    { provider: "dawn", dawnToggles: ["-vulkan_enable_f16_on_nvidia"] },
    {},
    () => {},
  );
  const results: Result[] = [];
  try {
    assertEquals([adapter.provider, adapter.toggles], ["dawn", ["-vulkan_enable_f16_on_nvidia"]]);
    assert(adapter.features.includes("subgroups"), adapter.features.join());
    await supervise(ids.map(parseCaseId), { kernelModules: [FAULTY], recorded: [], timing: false }, {
      ...options,
      child,
      caseLimitMs: () => 60_000,
      onBegin() {},
      onResult: (result) => void results.push(result),
    });
  } finally {
    await child.end();
  }
  assertEquals(results.map(({ id }) => id), ids);
  assertEquals(results.map(({ status }) => status), ["verified", "verified", "verified", "incorrect", "failed"]);
  const last = results.at(-1)!;
  assert(last.status === "failed" && last.stage === "compile", JSON.stringify(last));
  assertMatch(last.message, /^attend does not compile: \d+:\d+ unresolved call target 'workgroupBarier'/);
});

Deno.test("a module that is no Dawn is told in one line", async () => {
  const dawn = { module: new URL("./testdata/no_such_dawn.js", import.meta.url).href, toggles: [] };
  const error = await assertRejects(() => startChild({ dawn }), Error);
  assertStringIncludes(error.message, "Cannot load Dawn from file:///");
  assertEquals(error.message.split("\n").length, 1);
});
