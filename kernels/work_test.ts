import { assertEquals } from "@std/assert";
import { appendShape, decodeShape } from "./testing.ts";
import { minBytes, workFlops } from "./work.ts";

Deno.test("workFlops() of decode is 2·H·kv·(2R+Dr)", () => {
  const shape = decodeShape({ H: 128, R: 512, Dr: 64, kv: [4096, 0, 1] });
  assertEquals(workFlops({ operation: "attend", shape }), 2 * 128 * 4097 * 1088);
});

Deno.test("workFlops() follows the causal rule, bottom-right aligned", () => {
  const flopsOf = (q: number, kv: number, causal: boolean) =>
    workFlops({ operation: "attend", shape: { ...decodeShape({ H: 1, R: 16, Dr: 0, kv: [kv] }), q: [q], causal } });
  assertEquals(flopsOf(3, 5, true), (3 + 4 + 5) * 64);
  assertEquals(flopsOf(3, 5, false), 15 * 64);
  assertEquals(flopsOf(3, 2, true), (0 + 1 + 2) * 64);
});

Deno.test("minBytes() of attend reads every input once and writes every output once", () => {
  const shape = decodeShape({ H: 2, R: 32, Dr: 16, kv: [65, 0, 3], page: 4, cache: "bf16" });
  const queries = 3 * 2 * (32 + 16) * 4, cache = 68 * 48 * 2, table = (17 + 0 + 1) * 4, lengths = 3 * 4;
  const out = 3 * 2 * 32 * 4, lse = 3 * 2 * 4;
  assertEquals(minBytes({ operation: "attend", shape }), queries + cache + table + lengths + out + lse);
  // Nobody asks for a sequence without queries: its tokens and pages need not be read, its length is.
  const waiting = { ...shape, B: 4, q: [...shape.q, 0], kv: [...shape.kv, 90] };
  const bytes = minBytes({ operation: "attend", shape });
  assertEquals(minBytes({ operation: "attend", shape: waiting }), bytes + 4);
});

Deno.test("minBytes() of append reads the new tokens and their pages and writes the cache", () => {
  const shape = appendShape({ B: 3, R: 32, Dr: 16, q: [2, 0, 5], kv: [5, 7, 5], page: 4, cache: "f16" });
  const tokens = 7 * 48 * (4 + 2), metadata = (4 + 4 + 3) * 4, entries = (2 + 0 + 2) * 4;
  assertEquals(minBytes({ operation: "append", shape }), tokens + metadata + entries);
  assertEquals(workFlops({ operation: "append", shape }), 0);
});
