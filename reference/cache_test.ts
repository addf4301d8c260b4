import { assertEquals, assertThrows } from "@std/assert";
import { checkCache } from "./acceptance.ts";
import { appendReference, joinCache, splitCache } from "./cache.ts";
import { bitsView, decode, DTYPE_BYTES, DTYPES, encodeInto, nanBits } from "./dtypes.ts";
import { makeAppendInputs } from "./inputs.ts";
import type { AppendShape } from "./shapes.ts";

const SHAPE: AppendShape = { B: 5, R: 32, Dr: 16, page: 4, cache: "bf16", q: [3, 0, 1, 9, 0], kv: [10, 5, 1, 9, 0] };

/** The row of a token, looked up from the token's side. */
function rowOf(inputs: ReturnType<typeof makeAppendInputs>, b: number, token: number): number {
  const physical = inputs.cacheLoc[inputs.cuNumPages[b] + Math.floor(token / inputs.shape.page)];
  return physical * inputs.shape.page + token % inputs.shape.page;
}

Deno.test("appendReference() writes each new token after those of its sequence and leaves every other bit", () => {
  for (const cache of DTYPES) {
    for (const Dr of [0, 16]) {
      const inputs = makeAppendInputs({ ...SHAPE, cache, Dr }, 1);
      const W = SHAPE.R + Dr;
      const before = bitsView(inputs.cache.slice(), cache);
      const after = bitsView(appendReference(inputs), cache);
      assertEquals(bitsView(inputs.cache, cache), before);
      const written = new Set<number>();
      let next = 0;
      SHAPE.q.forEach((q, b) => {
        for (let i = 0; i < q; i++, next++) {
          const row = rowOf(inputs, b, SHAPE.kv[b] - q + i);
          // Copied as bits: a number does not keep those of a signalling NaN.
          const values = new Float32Array(W);
          values.set(inputs.compressedKv.subarray(next * SHAPE.R, (next + 1) * SHAPE.R));
          values.set(inputs.kpe.subarray(next * Dr, (next + 1) * Dr), SHAPE.R);
          const expected = new Uint8Array(W * DTYPE_BYTES[cache]);
          encodeInto(values, expected, cache);
          assertEquals(after.slice(row * W, (row + 1) * W), bitsView(expected, cache));
          written.add(row);
        }
      });
      assertEquals(written.size, 13);
      for (let row = 0; row < before.length / W; row++) {
        if (!written.has(row)) assertEquals(after.slice(row * W, (row + 1) * W), before.slice(row * W, (row + 1) * W));
      }
    }
  }
});

Deno.test("appendReference() of no tokens changes nothing", () => {
  const inputs = makeAppendInputs({ ...SHAPE, q: [0, 0, 0, 0, 0] }, 1);
  assertEquals(appendReference(inputs), inputs.cache);
});

Deno.test("appendReference() refuses a token beyond its sequence's pages, and a page beyond the cache", () => {
  const inputs = makeAppendInputs(SHAPE, 1);
  const shifted = { ...inputs, inputPos: inputs.inputPos.map((n) => n + 4) };
  assertThrows(() => appendReference(shifted), RangeError, "Cannot append token");
  const outside = { ...inputs, cacheLoc: inputs.cacheLoc.map(() => inputs.pages) };
  assertThrows(() => appendReference(outside), RangeError, `physical page ${inputs.pages}`);
});

Deno.test("checkCache() passes the reference and fails on one wrong bit, located by sequence, token and element", () => {
  const inputs = makeAppendInputs(SHAPE, 1);
  const expected = appendReference(inputs);
  assertEquals(checkCache(inputs, expected, expected.slice()).passed, true);
  const row = rowOf(inputs, 3, 6);
  // Either half of a word.
  for (const wrong of [40, 41]) {
    const actual = expected.slice();
    bitsView(actual, "bf16")[row * 48 + wrong] ^= 1;
    const check = checkCache(inputs, expected, actual);
    assertEquals([check.passed, check.mismatches], [false, 1]);
    const { sequence, token, dim, page, bound } = check.worst!;
    assertEquals({ sequence, token, dim, page, bound }, {
      sequence: 3,
      token: 6,
      dim: wrong,
      page: row >> 2,
      bound: 0,
    });
    assertEquals(check.worst!.expected, decode(expected, "bf16")[row * 48 + wrong]);
  }
});

Deno.test("checkCache() fails on a poisoned slot that was written, even by another NaN", () => {
  const inputs = makeAppendInputs(SHAPE, 1);
  const expected = appendReference(inputs);
  const owned = new Set(inputs.cacheLoc);
  const unowned = Array.from({ length: inputs.pages }, (_, page) => page).find((page) => !owned.has(page))!;
  const actual = expected.slice();
  bitsView(actual, "bf16")[unowned * 4 * 48] = nanBits("bf16") + 1;
  const check = checkCache(inputs, expected, actual);
  assertEquals([check.passed, check.worst!.sequence, check.worst!.actual], [false, -1, "NaN"]);
});

Deno.test("checkCache() fails on tokens that were not appended, shifted by one, or truncated instead of rounded", () => {
  for (const cache of DTYPES) {
    const inputs = makeAppendInputs({ ...SHAPE, cache }, 1);
    const expected = appendReference(inputs);
    assertEquals(checkCache(inputs, expected, inputs.cache).passed, false);
    const shifted = appendReference({
      ...inputs,
      inputPos: inputs.inputPos.map((n, b) => b === 3 ? n : n - 1 < 0 ? 0 : n - 1),
    });
    assertEquals(checkCache(inputs, expected, shifted).passed, false);
  }
  const inputs = makeAppendInputs(SHAPE, 1);
  const words = new Uint32Array(inputs.compressedKv.slice().buffer).map((word) => word & 0xffff0000);
  const truncated = appendReference({ ...inputs, compressedKv: new Float32Array(words.buffer) });
  assertEquals(checkCache(inputs, appendReference(inputs), truncated).passed, false);
});

Deno.test("splitCache() takes latents and rope keys apart bit by bit, poison included, and joinCache() puts them together", () => {
  for (const cache of DTYPES) {
    for (const Dr of [0, 16]) {
      const { shape, cache: combined, pages } = makeAppendInputs(
        { B: 2, R: 32, Dr, page: 4, cache, q: [3, 2], kv: [9, 4] },
        1,
      );
      const { ckv, kpe } = splitCache(combined, shape);
      const size = DTYPE_BYTES[cache];
      assertEquals([ckv.length, kpe.length], [pages * 4 * 32 * size, pages * 4 * Dr * size]);
      const slot = 5;
      const at = slot * (32 + Dr) * size;
      assertEquals(ckv.slice(slot * 32 * size, (slot + 1) * 32 * size), combined.slice(at, at + 32 * size));
      assertEquals(
        kpe.slice(slot * Dr * size, (slot + 1) * Dr * size),
        combined.slice(at + 32 * size, at + (32 + Dr) * size),
      );
      assertEquals(joinCache({ ckv, kpe }, shape), combined);
    }
  }
});

Deno.test("joinCache() ignores what lies behind the rope keys, and both refuse parts of tokens", () => {
  const shape = { R: 16, Dr: 0, page: 1, cache: "f16" } as const;
  assertEquals(joinCache({ ckv: new Uint8Array(64), kpe: new Uint8Array(16) }, shape).length, 64);
  assertThrows(
    () => splitCache(new Uint8Array(40), shape),
    RangeError,
    "Cannot take 40 bytes as cache slots: each has 32",
  );
  const rope = { ...shape, Dr: 16 };
  assertThrows(
    () => joinCache({ ckv: new Uint8Array(64), kpe: new Uint8Array(32) }, rope),
    RangeError,
    "Cannot join 2 latents with 32 bytes of rope keys: 32 each are needed",
  );
});
