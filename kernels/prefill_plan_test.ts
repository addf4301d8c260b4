import { assert, assertEquals, assertMatch } from "@std/assert";
import { tokensSeen } from "../reference/rows.ts";
import type { PrefillShape } from "../reference/shapes.ts";
import { checkLimits } from "./limits.ts";
import { prefillFused, prefillIterations, prefillTiles } from "./prefill_fused.ts";
import { planPrefill, planRounds, prefillCounts } from "./prefill_plan.ts";
import { decodeShape, deviceTraits } from "./testing.ts";
import { prefillFlops, prefillMinBytes } from "./work_prefill.ts";

function prefillShape(values: Partial<PrefillShape>): PrefillShape {
  const kv = values.kv ?? values.q;
  return { ...decodeShape({ ...values, kv }), weight: "f16", padding: 0, ...values };
}

const RAGGED = prefillShape({ q: [0, 70, 3, 200, 5], kv: [9, 70, 0, 210, 2], padding: 70 });

/** Items as `[first, rows, query quad, token quad, end, limit]`. */
function itemsOf(shape: PrefillShape, rows: number): number[][] {
  const { work, items } = planPrefill(shape, rows);
  return Array.from({ length: items }, (_, i) => [...work.subarray(6 * i, 6 * i + 6)]);
}

Deno.test("planPrefill() gives every row to one item, with the tokens that it sees", () => {
  for (const causal of [true, false]) {
    const shape = { ...RAGGED, causal };
    const seen = new Map<number, number>();
    for (const [first, rows, , , end, limit] of itemsOf(shape, 64)) {
      for (let r = 0; r < rows; r++) {
        assert(!seen.has(first + r), `row ${first + r} twice`);
        seen.set(first + r, Math.max(0, Math.min(end, r + limit)));
      }
    }
    const expected = shape.q.flatMap((n, b) => Array.from({ length: n }, (_, i) => tokensSeen(shape, b, i)));
    const padding = Array(shape.padding).fill(0);
    assertEquals([...seen].toSorted(([a], [b]) => a - b).map(([, n]) => n), [...expected, ...padding]);
  }
});

Deno.test("planPrefill() places sequences and queries at multiples of four, apart from each other", () => {
  const plan = planPrefill(RAGGED, 64);
  assertEquals([...plan.sequences], [0, 0, 0, 70, 72, 0, 72, 210, 284, 2]);
  assertEquals(plan.tokenQuads, 72);
  const taken = new Set<number>();
  for (const [, rows, quad, , end] of itemsOf(RAGGED, 64)) {
    if (end === 0) continue;
    for (let i = quad; i < quad + Math.ceil(rows / 4); i++) {
      assert(!taken.has(i), `place ${i} twice`);
      taken.add(i);
    }
  }
  assertEquals(taken.size, plan.queryQuads);
});

Deno.test("planPrefill() puts long items first", () => {
  const ends = itemsOf(RAGGED, 64).map(([, , , , end]) => end);
  assertEquals(ends, ends.toSorted((a, b) => b - a));
  assertEquals(planPrefill(RAGGED, 64).longest, 210);
});

Deno.test("planRounds() divides the heads evenly, into no more rounds than needed", () => {
  assertEquals(planRounds(16, 10, 1000), { heads: 16, rounds: 1 });
  assertEquals(planRounds(16, 10, 159), { heads: 8, rounds: 2 });
  assertEquals(planRounds(7, 10, 50), { heads: 4, rounds: 2 });
  assertEquals(planRounds(7, 10, 30), { heads: 3, rounds: 3 });
  assertEquals(planRounds(3, 10, 5), { heads: 1, rounds: 3 });
});

Deno.test("prefillCounts() are those of the rows one by one", () => {
  for (const causal of [true, false]) {
    const shape = { ...RAGGED, causal };
    const pairs = shape.q.flatMap((n, b) => Array.from({ length: n }, (_, i) => tokensSeen(shape, b, i)));
    assertEquals(prefillCounts(shape), { queries: 278, tokens: 282, pairs: pairs.reduce((a, b) => a + b) });
  }
});

Deno.test("prefillFlops() and prefillMinBytes() of two tokens, by hand", () => {
  const shape = prefillShape({ q: [2], H: 3, R: 32, Dr: 16, Dn: 8, Dv: 24, page: 1, cache: "bf16", padding: 1 });
  // 3 pairs and 2 tokens, each for 3 heads.
  assertEquals(prefillFlops(shape), 2 * 9 * 48 + 2 * 6 * 32 * 32);
  const read = 2 * 3 * 24 * 4 + 2 * 48 * 2 + 2 * 4 + 3 * 32 * 32 * 2;
  assertEquals(prefillMinBytes(shape), read + 3 * 3 * 24 * 4 + 2 * 3 * 4);
});

Deno.test("prefillTiles() fit workgroup memory and cover the width of a value", () => {
  for (let Dv = 8; Dv <= 256; Dv += 8) {
    const { ROWS, TILE, STEP, WIDTH } = prefillTiles(Dv);
    assert(16 * STEP * WIDTH <= 16384, `Dv=${Dv}`);
    assert(2 * TILE >= Dv && ROWS * TILE === 4096, `Dv=${Dv}`);
  }
});

Deno.test("prefill/fused of 8,192 tokens and 128 heads keeps its scratch below the limit on buffers, in rounds", () => {
  const shape = prefillShape({ q: [8192], H: 128, R: 512, Dn: 128, Dv: 128, cache: "bf16" });
  const launch = (bytes: number) => {
    const device = deviceTraits(32, { maxStorageBufferBindingSize: bytes, maxBufferSize: bytes });
    const { buffers, dispatches, chosen } = prefillFused.launch(shape, { pages: 128, tableWidth: 128 }, {}, device);
    const scratch = buffers.filter(({ role }) => role === "scratch");
    assertEquals(checkLimits({ buffers: scratch, dispatches, chosen }, device), undefined);
    return chosen.rounds;
  };
  assertEquals([launch(2 ** 27), launch(2 ** 31 - 4)], [7, 2]);
});

Deno.test("prefill/fused is refused where the driver would leave its loops", () => {
  const shape = (tokens: number) => prefillShape({ q: [1], kv: [tokens], H: 1, R: 16, Dr: 0, Dn: 8, Dv: 8, page: 64 });
  const driver = { ...deviceTraits(8), maxLoopIterations: 65535 };
  const launch = (tokens: number) => prefillFused.launch(shape(tokens), { pages: 9, tableWidth: 1 << 14 }, {}, driver);
  assertEquals(checkLimits(launch(100_000), driver), undefined);
  assertMatch(checkLimits(launch(400_000), driver) ?? "", /^dispatch "attend" needs up to \d+ loop iterations/);
});

Deno.test("prefillIterations() are what the loops do", () => {
  const shape = prefillShape({ q: [129], R: 512, Dr: 64, Dn: 72, Dv: 128, B: 5 });
  const tiles = prefillTiles(128);
  // A loop of n counts n + 1: queries 16 · 36 places for 128 threads; search, rope and latent of expand; 3 tiles of
  // attend.
  assertEquals(prefillIterations(shape, tiles, 129), {
    queries: 5 + 1,
    expand: (3 + 1) + (4 + 1) + (32 + 1),
    attend: 3 * (1 + (9 + 1) + (4 + 1) + (4 + 1)) + 1 + (4 + 1),
  });
});
