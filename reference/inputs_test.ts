import { assert, assertEquals, assertGreater, assertLess, assertNotEquals } from "@std/assert";
import { bitsView, decode, type Dtype, DTYPES, encode, nanBits } from "./dtypes.ts";
import { LARGE_LOGIT, peakToken } from "./input_kinds.ts";
import { type AttendInputs, makeAppendInputs, makeAttendInputs } from "./inputs.ts";
import { attendAbsorbed } from "./mla.ts";
import { HOSTILE_ENTRIES, UNOWNED_PAGES } from "./paging.ts";
import { sha256 } from "./sha256.ts";
import { type AttendShape, INPUT_KINDS, pagesOf } from "./shapes.ts";

const SHAPE: AttendShape = {
  B: 5,
  H: 4,
  R: 32,
  Dr: 16,
  Dn: 16,
  Dv: 16,
  q: [1, 1, 1, 1, 1],
  kv: [37, 0, 8, 1, 16],
  page: 8,
  cache: "f16",
  scale: 1 / Math.sqrt(32),
  causal: true,
};

/** Physical slots that hold cached tokens, those that hold nothing, and the bits of a slot. */
function slots({ shape, cache, pages, pageTable, tableWidth }: AttendInputs) {
  const W = shape.R + shape.Dr;
  const free = new Set(Array.from({ length: pages * shape.page }, (_, slot) => slot));
  const used: number[] = [];
  for (let b = 0; b < shape.B; b++) {
    for (let t = 0; t < shape.kv[b]; t++) {
      const slot = pageTable[b * tableWidth + Math.floor(t / shape.page)] * shape.page + t % shape.page;
      assert(free.delete(slot), `slot ${slot} belongs to two tokens`);
      used.push(slot);
    }
  }
  const bits = bitsView(cache, shape.cache);
  return { used, free, row: (slot: number) => bits.subarray(slot * W, (slot + 1) * W) };
}

Deno.test("makeAttendInputs() poisons every slot that no token owns, and no other", () => {
  for (const cache of DTYPES) {
    for (const kind of INPUT_KINDS) {
      const { used, free, row } = slots(makeAttendInputs({ ...SHAPE, cache }, kind, 3));
      const poison = nanBits(cache);
      for (const slot of free) assert(row(slot).every((bits) => bits === poison));
      for (const slot of used) assert(row(slot).every((bits) => bits !== poison));
    }
  }
});

Deno.test("makeAttendInputs() permutes pages, leaves some unowned and fills the rest of the table with hostile entries", () => {
  const { pages, pageTable, tableWidth } = makeAttendInputs(SHAPE, "normal", 1);
  const owned: number[] = [];
  for (let b = 0; b < SHAPE.B; b++) {
    const count = pagesOf(SHAPE.kv[b], SHAPE.page);
    const row = pageTable.subarray(b * tableWidth, (b + 1) * tableWidth);
    owned.push(...row.subarray(0, count));
    assertGreater(row.length, count);
    for (const entry of row.subarray(count)) assert(HOSTILE_ENTRIES.includes(entry));
  }
  assertEquals(pages, owned.length + UNOWNED_PAGES);
  assertEquals(new Set(owned).size, owned.length);
  assert(owned.every((page) => page >= 0 && page < pages));
  assertNotEquals(owned, owned.toSorted((a, b) => a - b));
});

Deno.test("makeAttendInputs() makes the same bytes for the same seed, other ones for another", () => {
  const digest = (seed: number, cache: Dtype) => {
    const { cache: bytes, qLatent, qPe, pageTable } = makeAttendInputs({ ...SHAPE, cache }, "normal", seed);
    const views = [bytes, qLatent, qPe, pageTable];
    return sha256(Uint8Array.from(views.flatMap((v) => [...new Uint8Array(v.buffer, v.byteOffset, v.byteLength)])));
  };
  assertEquals(digest(1, "f16").slice(0, 16), "efe46bb2a822bbe2");
  assertEquals(digest(1, "bf16").slice(0, 16), "6d43a91a698adbe6");
  assertNotEquals(digest(2, "f16"), digest(1, "f16"));
});

/** Logits of every (row, token), in f64. */
function logits(inputs: AttendInputs): number[][] {
  const { shape, qLatent, qPe, pageTable, tableWidth } = inputs;
  const { R, Dr, H } = shape;
  const W = R + Dr;
  const cache = decode(inputs.cache, shape.cache);
  return Array.from({ length: shape.B * H }, (_, row) => {
    const b = Math.floor(row / H);
    return Array.from({ length: shape.kv[b] }, (_, t) => {
      const slot = pageTable[b * tableWidth + Math.floor(t / shape.page)] * shape.page + t % shape.page;
      let sum = 0;
      for (let d = 0; d < W; d++) {
        sum += cache[slot * W + d] * (d < R ? qLatent[row * R + d] : qPe[row * Dr + d - R]);
      }
      return sum * shape.scale;
    });
  });
}

const LONG: AttendShape = { ...SHAPE, B: 1, H: 8, R: 128, Dr: 32, q: [1], kv: [500], page: 16 };

for (const Dr of [0, 32]) {
  const shape = { ...LONG, Dr };
  const deviation = (values: number[]) => {
    const mean = values.reduce((a, b) => a + b) / values.length;
    return Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
  };

  Deno.test(`normal inputs have logits with a deviation of 2 to 3 (Dr=${Dr})`, () => {
    for (const row of logits(makeAttendInputs(shape, "normal", 1))) {
      assertGreater(deviation(row), 2);
      assertLess(deviation(row), 3);
    }
  });

  Deno.test(`peak inputs put nearly all weight on the boundary tokens in turn (Dr=${Dr})`, () => {
    const inputs = makeAttendInputs(shape, "peak", 0);
    const rows = logits(inputs);
    const { lse } = attendAbsorbed(inputs);
    const peaks = rows.map((row) => row.indexOf(Math.max(...row)));
    assertEquals(peaks, [499, 0, 15, 16, 31, 32, 47, 48]);
    rows.forEach((row, i) => assertGreater(Math.exp(row[peaks[i]] - lse[i]), 0.98));
  });

  Deno.test(`large inputs have logits beyond the range of exp in f32 (Dr=${Dr})`, () => {
    logits(makeAttendInputs(shape, "large", 1)).forEach((row, i) => {
      const sign = i % 2 === 0 ? 1 : -1;
      for (const logit of row) assertLess(Math.abs(logit - sign * LARGE_LOGIT), 20);
    });
  });

  Deno.test(`jump inputs have logits that move twice by more than the range of exp in f32 (Dr=${Dr})`, () => {
    logits(makeAttendInputs(shape, "jump", 1)).forEach((row, i) => {
      const sign = i % 2 === 0 ? 1 : -1;
      row.forEach((logit, t) => {
        assertLess(Math.abs(logit - sign * Math.floor(3 * t / row.length) * LARGE_LOGIT / 2), 20);
      });
    });
  });

  Deno.test(`equal inputs have one logit per row, other ones per head, and values that differ (Dr=${Dr})`, () => {
    const inputs = makeAttendInputs(shape, "equal", 1);
    const rows = logits(inputs);
    for (const row of rows) assert(row.every((logit) => logit === row[0] && logit !== 0));
    assertEquals(new Set(rows.map((row) => row[0])).size, shape.H);
    assertLess(Math.abs(attendAbsorbed(inputs).lse[0] - rows[0][0] - Math.log(500)), 1e-12);
    const { used, row } = slots(inputs);
    assertEquals(new Set(used.map((slot) => row(slot).slice(1, shape.R).join())).size, 500);
  });

  Deno.test(`monotone inputs have logits that grow from token to token, in every dtype (Dr=${Dr})`, () => {
    for (const cache of DTYPES) {
      for (const row of logits(makeAttendInputs({ ...shape, cache }, "monotone", 1))) {
        for (let t = 1; t < row.length; t++) assertGreater(row[t], row[t - 1]);
      }
    }
  });

  Deno.test(`alternating inputs have values whose sign changes from token to token, and logits that do not follow it (Dr=${Dr})`, () => {
    const inputs = makeAttendInputs(shape, "alternating", 1);
    const { out, outAbs } = attendAbsorbed(inputs);
    const size = (values: Float64Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));
    assertLess(size(out), 0.3 * size(outAbs));
    for (const row of logits(inputs)) assertGreater(deviation(row), 0.5);
  });

  Deno.test(`onehot inputs read back the softmax weights (Dr=${Dr})`, () => {
    const inputs = makeAttendInputs({ ...shape, kv: [100] }, "onehot", 1);
    const { out, lse } = attendAbsorbed(inputs);
    logits(inputs).forEach((row, i) => {
      row.forEach((logit, t) => assertLess(Math.abs(out[i * shape.R + t] - Math.exp(logit - lse[i])), 1e-12));
    });
  });
}

Deno.test("onehot inputs without rope keys have another logit for every token of an element, in every dtype", () => {
  const shape: AttendShape = { ...LONG, H: 1, R: 16, Dr: 0, kv: [16 * 64], page: 64 };
  for (const cache of DTYPES) {
    const [row] = logits(makeAttendInputs({ ...shape, cache }, "onehot", 1));
    assertEquals(new Set(row).size, row.length);
  }
});

Deno.test("peak inputs leave the others what an f32 sum can see, and the peak nearly all, in long contexts too", () => {
  for (const kv of [3000, 20000]) {
    const shape: AttendShape = { ...LONG, H: 1, R: 256, Dr: 64, kv: [kv] };
    const inputs = makeAttendInputs(shape, "peak", 0);
    const { lse, vanishing } = attendAbsorbed(inputs);
    const [row] = logits(inputs);
    assertGreater(Math.exp(Math.max(...row) - lse[0]), 0.9);
    assertLess(vanishing[0], 5e-5);
  }
});

Deno.test("seed and flashmla inputs have the deviations of those tests", () => {
  const size = (values: Iterable<number>) => {
    const all = [...values];
    return Math.sqrt(all.reduce((sum, x) => sum + x * x, 0) / all.length);
  };
  const near = (actual: number, expected: number) => assertLess(Math.abs(actual / expected - 1), 0.06);
  const shape: AttendShape = { ...LONG, q: [100], kv: [500], page: 500, cache: "f32", Dn: 64 };
  const parts = (kind: "seed" | "flashmla") => {
    const { cache, pageTable, qLatent, qPe } = makeAttendInputs(shape, kind, 1);
    const tokens = decode(cache, "f32").subarray(pageTable[0] * 500 * 160, (pageTable[0] + 1) * 500 * 160);
    const part = (from: number, to: number, rope: boolean) =>
      size(tokens.subarray(from * 160, to * 160).filter((_, i) => (i % 160 >= 128) === rope));
    return [
      part(0, 400, false),
      part(0, 400, true),
      part(400, 500, false),
      part(400, 500, true),
      size(qLatent),
      size(qPe),
    ];
  };
  const [latent, rope] = [1 / Math.sqrt(128), 1 / Math.sqrt(64)];
  parts("seed").forEach((actual, i) => near(actual, [1, 1, latent, rope, latent, rope][i]));
  parts("flashmla").forEach((actual) => near(actual, 0.1));
});

Deno.test("makeAttendInputs() counts the queries of the sequences before", () => {
  assertEquals([...makeAttendInputs({ ...SHAPE, q: [2, 0, 3, 1, 1] }, "normal", 1).cuSeqlen], [0, 2, 2, 5, 6, 7]);
});

Deno.test("no two heads of one query have the same answer, whatever the kind", () => {
  for (const kind of INPUT_KINDS) {
    const { out, lse } = attendAbsorbed(makeAttendInputs(LONG, kind, 2));
    const answers = Array.from({ length: LONG.H }, (_, h) => `${out.slice(h * LONG.R, (h + 1) * LONG.R)} ${lse[h]}`);
    assertEquals(new Set(answers).size, LONG.H);
  }
});

Deno.test("peakToken() goes through the last token, the first and both sides of every page boundary", () => {
  assertEquals([0, 1, 2, 3, 4, 5, 6, 7].map((turn) => peakToken(10, 4, turn)), [9, 0, 3, 4, 7, 8, 9, 0]);
  assertEquals([0, 1, 2].map((turn) => peakToken(1, 4, turn)), [0, 0, 0]);
  assertEquals([0, 1, 2, 3].map((turn) => peakToken(8, 4, turn)), [7, 0, 3, 4]);
});

Deno.test("makeAppendInputs() writes the cached tokens, poisons the rest, and holds rounding ties", () => {
  for (const cache of DTYPES) {
    const shape = { B: 4, R: 64, Dr: 16, page: 4, cache, q: [3, 0, 1, 9], kv: [10, 5, 1, 9] };
    const inputs = makeAppendInputs(shape, 1);
    assertEquals([...inputs.inputPos], [7, 5, 0, 0]);
    assertEquals([...inputs.cuSeqlen], [0, 3, 3, 4, 13]);
    assertEquals([...inputs.cuNumPages], [0, 3, 5, 6, 9]);
    assertEquals(inputs.pages, 9 + UNOWNED_PAGES);
    const bits = bitsView(inputs.cache, cache);
    const poisoned = Array.from(bits).filter((word) => word === nanBits(cache)).length;
    assertEquals(bits.length - poisoned, 12 * 80);
    if (cache === "f32") continue;
    const rounded = decode(encode(inputs.compressedKv, cache), cache);
    const ties = inputs.compressedKv.filter((value, i) => {
      const other = 2 * value - rounded[i];
      return value !== rounded[i] && decode(encode([other], cache), cache)[0] === other;
    });
    assertGreater(ties.length, 10);
  }
});
