import { assert, assertEquals, assertGreater, assertLess, assertNotEquals, assertThrows } from "@std/assert";
import { bitsView, decode, DTYPES, nanBits } from "./dtypes.ts";
import { LOGIT_DEVIATION } from "./input_kinds.ts";
import { LARGE_QUERY, makeMlaInputs, makePrefillInputs, makeProjectInputs, type MlaInputs } from "./mla_inputs.ts";
import { UNOWNED_PAGES } from "./paging.ts";
import { attendProjected } from "./projected.ts";
import { sha256 } from "./sha256.ts";
import { INPUT_KINDS, type MlaShape, PROJECTED_KINDS, type ProjectShape } from "./shapes.ts";

const SHAPE: MlaShape = {
  B: 3,
  H: 2,
  R: 32,
  Dr: 16,
  Dn: 8,
  Dv: 16,
  q: [5, 0, 9],
  kv: [5, 7, 20],
  page: 4,
  cache: "f16",
  weight: "bf16",
  padding: 2,
  scale: 1 / Math.sqrt(24),
  causal: true,
};

const deviation = (values: ArrayLike<number>) =>
  Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0) / values.length);

Deno.test("makePrefillInputs() poisons what no token owns, and the padding rows", () => {
  for (const cache of DTYPES) {
    const inputs = makePrefillInputs({ ...SHAPE, cache }, "normal", 1);
    const bits = bitsView(inputs.cache, cache);
    assertEquals(inputs.pages, 2 + 2 + 5 + UNOWNED_PAGES);
    assertEquals(Array.from(bits).filter((word) => word !== nanBits(cache)).length, 32 * 48);
    assertEquals([inputs.qNope.length, inputs.qPe.length], [16 * 2 * 8, 16 * 2 * 16]);
    assertEquals(inputs.qNope.map((x) => Number(Number.isNaN(x))).indexOf(1), 14 * 2 * 8);
    assertEquals(inputs.qPe.map((x) => Number(Number.isNaN(x))).indexOf(1), 14 * 2 * 16);
    assertEquals([...inputs.cuSeqlen], [0, 5, 5, 14]);
  }
});

const LONG = { ...SHAPE, B: 1, H: 4, R: 128, Dr: 32, Dn: 64, Dv: 32, q: [100], kv: [600], padding: 0 } as const;

Deno.test("normal inputs of prefill have logits with a deviation of about 2.5, keys and values of about 1", () => {
  for (const scale of [1 / Math.sqrt(96), -2]) {
    const inputs = makePrefillInputs({ ...LONG, scale }, "normal", 1);
    const { lse, out } = attendProjected({ ...inputs, shape: { ...inputs.shape, kv: [100] } });
    // The first query sees one token: its LSE is the logit, its output the value.
    assertLess(Math.abs(lse[0]), 4 * LOGIT_DEVIATION);
    assertGreater(deviation(out.subarray(0, 128)), 0.7);
    assertLess(deviation(out.subarray(0, 128)), 1.4);
    const single = makePrefillInputs(
      { ...LONG, B: 400, q: Array(400).fill(1), kv: Array(400).fill(1), scale },
      "normal",
      1,
    );
    const logits = deviation(attendProjected(single).lse);
    assertGreater(logits, 2.2);
    assertLess(logits, 2.8);
  }
});

Deno.test("large queries are a hundred times the normal ones, equal ones zero", () => {
  const [normal, large, equal] = (["normal", "large", "equal"] as const).map((kind) =>
    makePrefillInputs(LONG, kind, 1)
  );
  for (const name of ["qNope", "qPe"] as const) {
    normal[name].forEach((x, i) => assertLess(Math.abs(large[name][i] / LARGE_QUERY - x), 1e-6 * Math.abs(x) + 1e-12));
    assert(equal[name].every((x) => x === 0));
  }
  assertEquals(normal.cache, large.cache);
});

Deno.test("seed inputs have the deviations of the seed's tests: cached tokens 1, new ones and queries less", () => {
  const inputs = makePrefillInputs({ ...LONG, cache: "f32", page: 600 }, "seed", 1);
  const first = inputs.pageTable[0] * 600 * 160;
  const tokens = decode(inputs.cache, "f32").subarray(first, first + 600 * 160);
  const part = (from: number, to: number, rope: boolean) =>
    deviation(tokens.subarray(from * 160, to * 160).filter((_, i) => (i % 160 >= 128) === rope));
  const near = (actual: number, expected: number) => assertLess(Math.abs(actual / expected - 1), 0.05);
  near(part(0, 500, false), 1);
  near(part(0, 500, true), 1);
  near(part(500, 600, false), 1 / Math.sqrt(128));
  near(part(500, 600, true), 1 / 8);
  near(deviation(inputs.qNope), 1 / 8);
  near(deviation(inputs.qPe), 1 / 8);
  near(deviation(decode(inputs.kvB, "bf16")), 1 / Math.sqrt(128));
});

Deno.test("makeProjectInputs() makes values of each kind for both parts, and the weight that prefill has", () => {
  const shape: ProjectShape = { part: "q", tokens: 50, padding: 3, H: 2, R: 32, Dn: 8, Dv: 16, weight: "bf16" };
  for (const part of ["q", "v"] as const) {
    const width = part === "q" ? 8 : 32;
    const sizes = PROJECTED_KINDS.map((kind) => {
      const { x, kvB } = makeProjectInputs({ ...shape, part }, kind, 7);
      assertEquals([x.length, kvB.length], [50 * 2 * width, 2 * 24 * 32 * 2]);
      assertEquals(kvB, makePrefillInputs(SHAPE, kind, 7).kvB);
      return deviation(x);
    });
    [1, 100, 1, 1 / Math.sqrt(width)].forEach((size, i) => assertLess(Math.abs(sizes[i] / size - 1), 0.1));
  }
});

Deno.test("inputs of kinds that only attend has are refused, with the choices", () => {
  for (const kind of INPUT_KINDS.filter((kind) => !PROJECTED_KINDS.includes(kind))) {
    const message = `inputs of kind "${kind}": it has normal, large, equal, seed`;
    assertThrows(() => makePrefillInputs(SHAPE, kind, 1), RangeError, `Cannot make prefill ${message}`);
    assertThrows(() => makeMlaInputs(SHAPE, kind, 1), RangeError, `Cannot make mla ${message}`);
    const project: ProjectShape = { ...SHAPE, part: "v", tokens: 1 };
    assertThrows(() => makeProjectInputs(project, kind, 1), RangeError, `Cannot make project ${message}`);
  }
});

Deno.test("the same seed makes the same bytes, another one others", () => {
  const digest = (seed: number) => {
    const { kvB, cache, calls } = makeMlaInputs(SHAPE, "seed", seed);
    const views = [kvB, cache, ...Object.values(calls[0]).filter((value) => ArrayBuffer.isView(value))] as Uint8Array[];
    return sha256(Uint8Array.from(views.flatMap((v) => [...new Uint8Array(v.buffer, v.byteOffset, v.byteLength)])));
  };
  assertEquals(digest(1).slice(0, 16), "e771e62a036fab0d");
  assertNotEquals(digest(2), digest(1));
});

/** The keys of all new tokens of a flow by sequence and position, and the queries. */
function byToken({ shape, calls }: MlaInputs): Map<string, string> {
  const tokens = new Map<string, string>();
  for (const { call, cuSeqlen, inputPos, compressedKv, kpe, qNope, qPe } of calls) {
    call.sequences.forEach((b, i) => {
      for (let row = cuSeqlen[i]; row < cuSeqlen[i + 1]; row++) {
        const of = (values: Float32Array, width: number) => values.subarray(row * width, (row + 1) * width).join();
        const { H, R, Dr, Dn } = shape;
        const all = [of(compressedKv, R), of(kpe, Dr), of(qNope, H * Dn), of(qPe, H * Dr)].join(" ");
        tokens.set(`${b}:${inputPos[i] + row - cuSeqlen[i]}`, all);
      }
    });
  }
  return tokens;
}

Deno.test("makeMlaInputs() gives each call the tokens, pages and positions of the sequences present", () => {
  const { calls, cache, pages } = makeMlaInputs({ ...SHAPE, steps: [[3, 0, 5], [0, 0, 4], [2, 0, 0]] }, "normal", 1);
  assertEquals(calls.map((c) => c.call.sequences), [[0, 2], [2], [0]]);
  assertEquals(calls.map((c) => [...c.inputPos]), [[0, 11], [16], [3]]);
  assertEquals(calls.map((c) => [...c.kvLen]), [[3, 16], [20], [5]]);
  assertEquals(calls.map((c) => [...c.cuSeqlen]), [[0, 3, 8], [0, 4], [0, 2]]);
  assertEquals(calls.map((c) => [...c.cuNumPages]), [[0, 1, 5], [0, 5], [0, 2]]);
  const [first, second, third] = calls.map((c) => [...c.cacheLoc]);
  assertEquals(first.slice(1), second.slice(0, 4));
  assertEquals(first[0], third[0]);
  const owned = [...second, ...third];
  assertEquals(new Set(owned).size, 7);
  assert(owned.every((page) => page >= 0 && page < pages));
  assertNotEquals(owned, owned.toSorted((a, b) => a - b));
  for (const { compressedKv, kpe, qNope, qPe, call } of calls) {
    const tokens = call.shape.q.reduce((a, b) => a + b);
    for (const [values, width] of [[compressedKv, 32], [kpe, 16], [qNope, 16], [qPe, 32]] as const) {
      assertEquals(values.length, (tokens + 2) * width);
      assertEquals(values.map((x) => Number(Number.isNaN(x))).indexOf(1), tokens * width);
    }
  }
  // Sequences 1 and 2 have 7 and 11 tokens before the flow.
  const written = Array.from(bitsView(cache, "f16")).filter((word) => word !== nanBits("f16")).length;
  assertEquals(written, 18 * 48);
});

Deno.test("makeMlaInputs() of an empty sequence gives it a page", () => {
  const [{ cuNumPages, cacheLoc }] = makeMlaInputs({ ...SHAPE, q: [0, 0, 9], kv: [0, 7, 20] }, "normal", 1).calls;
  assertEquals([[...cuNumPages], cacheLoc.length], [[0, 1, 3, 8], 8]);
});

Deno.test("makeMlaInputs() cut into other steps has the same tokens", () => {
  for (const kind of PROJECTED_KINDS) {
    const whole = byToken(makeMlaInputs(SHAPE, kind, 1));
    assertEquals(whole.size, 14);
    for (const steps of [[[3, 0, 5], [0, 0, 4], [2, 0, 0]], [[5, 0, 0], [0, 0, 9]]]) {
      assertEquals(byToken(makeMlaInputs({ ...SHAPE, steps }, kind, 1)), whole);
    }
  }
});
