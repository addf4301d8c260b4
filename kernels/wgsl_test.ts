import { assert, assertEquals, assertThrows } from "@std/assert";
import { composeWgsl, foldWorkgroups } from "./wgsl.ts";

Deno.test("composeWgsl() appends and never changes the file", () => {
  const file = "fn f() -> u32 { return R; }\n";
  const text = composeWgsl(file, { cache: "bf16", constants: { R: 512, DR: 0 } });
  assert(text.startsWith(file));
  assert(text.includes("fn low(c: Chunk)"));
  assert(text.endsWith("const R = 512u;\nconst DR = 0u;\n"));
  assertEquals(composeWgsl(file, {}), file);
});

Deno.test("composeWgsl() refuses constants that are no u32", () => {
  for (const R of [-1, 0.5, NaN, 2 ** 32]) {
    assertThrows(() => composeWgsl("", { constants: { R } }), RangeError, `R = ${R}`);
  }
});

Deno.test("foldWorkgroups() covers all items with less than a row to spare", () => {
  for (const limit of [1, 7, 65535]) {
    for (const items of [1, 6, 7, 8, 49, 65535, 65536, 1e6].filter((n) => n <= limit ** 2)) {
      const [x, y, z] = foldWorkgroups(items, limit);
      assert(x <= limit && y <= limit && z === 1);
      assert(x * y >= items && x * y - items < y, `${items} ${limit}`);
    }
  }
  assert(foldWorkgroups(50, 7)[1] > 7, "more than fits both dimensions is left for checkLimits() to refuse");
});
