import { assert, assertEquals } from "@std/assert";
import type { MlaShape } from "../reference/shapes.ts";
import { minBytes, workFlops } from "./work.ts";

const call: MlaShape = {
  B: 2,
  H: 4,
  R: 32,
  Dr: 16,
  Dn: 24,
  Dv: 8,
  q: [3, 1],
  kv: [3, 9],
  page: 4,
  cache: "bf16",
  weight: "f16",
  padding: 2,
  scale: 0.1,
  causal: true,
};

const flops = (shape: MlaShape) => workFlops({ operation: "mla", shape });
const bytes = (shape: MlaShape) => minBytes({ operation: "mla", shape });

/** Attended pairs of a query token and a cached token of `call`: 1 + 2 + 3 of the prompt, 9 of the step. */
const PAIRS = 15;

Deno.test("workFlops() of mla is that of the cheaper form", () => {
  const absorbed = 2 * 4 * 4 * 32 * (24 + 8) + 2 * PAIRS * 4 * (2 * 32 + 16);
  const expanded = 2 * PAIRS * 4 * (24 + 16 + 8) + 2 * 12 * 32 * 4 * (24 + 8);
  assert(absorbed < expanded);
  assertEquals(flops(call), absorbed);
  // With many queries on each key, expanding it pays.
  const prompt = { ...call, q: [90, 90], kv: [90, 90] };
  const pairs = 2 * (90 * 91) / 2;
  assertEquals(flops(prompt), 2 * pairs * 4 * (24 + 16 + 8) + 2 * 180 * 32 * 4 * (24 + 8));
});

Deno.test("minBytes() of mla appends and attends, each input read once and each output written once", () => {
  const append = 4 * 48 * (4 + 2) + 4 * (3 * 2 + 2) + 4 * (1 + 1);
  const queries = 4 * 4 * 4 * (24 + 16), cache = 12 * 48 * 2, weight = 4 * (24 + 8) * 32 * 2, table = 4 * (1 + 3);
  const outputs = 4 * (4 + 2) * 4 * 8 + 4 * 4 * 4;
  assertEquals(bytes(call), append + queries + cache + weight + table + outputs);
});

Deno.test("the work of a flow is that of its calls, of the sequences that each has", () => {
  const flow: MlaShape = { ...call, q: [4, 5], kv: [10, 5], steps: [[3, 0], [1, 5]] };
  const calls: MlaShape[] = [{ ...call, B: 1, q: [3], kv: [9] }, { ...call, q: [1, 5], kv: [10, 5] }];
  assertEquals(flops(flow), flops(calls[0]) + flops(calls[1]));
  assertEquals(bytes(flow), bytes(calls[0]) + bytes(calls[1]));
});
