import { assert, assertEquals } from "@std/assert";
import { checkCache } from "./acceptance.ts";
import { appendReference } from "./cache.ts";
import { attendEdges } from "./edges.ts";
import { type CheckedElements, locateErrors, MAX_SHARE, OUT_OF_PLACE, shareOf } from "./error_map.ts";
import { makeAppendInputs } from "./inputs.ts";
import type { AttendShape } from "./shapes.ts";

const SHAPE: AttendShape = {
  B: 3,
  H: 4,
  R: 128,
  Dr: 16,
  Dn: 128,
  Dv: 128,
  q: [1, 1, 1],
  kv: [33, 48, 65],
  page: 16,
  cache: "f16",
  scale: 1,
  causal: true,
};

/** Rows `sequence·H + head` of a decode over {@linkcode SHAPE}; page 2·sequence. */
function decoding(
  share: (sequence: number, head: number, dim: number) => number,
  kv = SHAPE.kv,
): CheckedElements {
  const { H, R, B } = SHAPE;
  return {
    rows: B * H,
    width: R,
    place: (row) => ({ sequence: Math.floor(row / H), head: row % H, token: 0, page: 2 * Math.floor(row / H) }),
    share: (i) => share(Math.floor(i / (R * H)), Math.floor(i / R) % H, i % R),
    edges: attendEdges({ ...SHAPE, kv }, R),
  };
}

const told = (elements: CheckedElements) => locateErrors(elements).told;

Deno.test("shareOf() tells right, wrong and out of place", () => {
  assertEquals(shareOf(1, 1, 0), 0);
  assertEquals(shareOf(-Infinity, -Infinity, 1), 0);
  assertEquals(shareOf(1.5, 1, 1), 0.5);
  assertEquals(shareOf(1, 1 + 1e-3, 0), MAX_SHARE);
  assertEquals(shareOf(1e300, 1, 1e-300), MAX_SHARE);
  for (const wrong of [NaN, Infinity]) {
    assertEquals(shareOf(wrong, 1, 1), OUT_OF_PLACE);
    assertEquals(shareOf(1, -wrong, 1), OUT_OF_PLACE);
  }
  assertEquals(shareOf(Infinity, -Infinity, 1), OUT_OF_PLACE);
});

Deno.test("a decode has a map of heads over dims and one of sequences over pages", () => {
  const { maps } = told(decoding((b, h, d) => b === 2 && h === 3 && d === 100 ? 7.01 : 0.123));
  const [heads, pages] = maps!;
  assertEquals(maps!.length, 2);
  assertEquals(heads.rows, { name: "head", from: 0, step: 1, bins: 4 });
  assertEquals(heads.columns, { name: "dim", from: 0, step: 2, bins: 64 });
  // Two digits, and upwards beyond the bound.
  assertEquals(heads.values, Array.from({ length: 256 }, (_, i) => i === 3 * 64 + 50 ? 7.1 : 0.12));
  assertEquals(pages.rows.name, "sequence");
  assertEquals(pages.columns, { name: "page", from: 0, step: 1, bins: 5 });
  assertEquals(pages.values, [0.12, -2, -2, -2, -2, -2, -2, 0.12, -2, -2, -2, -2, -2, -2, 7.1]);
});

Deno.test("what is barely out of bound is not rounded into it", () => {
  const { maps } = told(decoding((_, h) => h === 0 ? 1.0001 : 0.999));
  assertEquals(maps![0].values.slice(0, 1), [1.1]);
  assertEquals(maps![0].values.slice(64, 65), [1]);
});

Deno.test("NaN outweighs any error of its bin", () => {
  const { maps } = told(decoding((_, h, d) => h > 0 ? 0 : d === 0 ? OUT_OF_PLACE : 500));
  assertEquals(maps![0].values.slice(0, 2), [-1, 500]);
});

Deno.test("bins are at most 32 down and 64 across, of a power of two", () => {
  const wide: CheckedElements = {
    rows: 100,
    width: 576,
    place: (row) => ({ sequence: 0, head: row, token: 0, page: 0 }),
    share: (i) => i === 0 ? 2 : 0,
  };
  const [{ rows, columns, values }] = told(wide).maps!;
  assertEquals([rows.step, rows.bins, columns.step, columns.bins], [4, 25, 16, 36]);
  assertEquals(values.length, 25 * 36);
});

Deno.test("a prompt has its tokens instead of sequences, and one map more where there are several", () => {
  const prompt = (sequences: number): CheckedElements => ({
    rows: 40 * sequences,
    width: 1,
    place: (row) => ({
      sequence: Math.floor(row / 40),
      head: row % 2,
      token: Math.floor(row % 40 / 2),
      page: row >> 3,
    }),
    share: (i) => i === 7 ? 3 : 0,
  });
  const names = (sequences: number) =>
    told(prompt(sequences)).maps!.map(({ rows, columns }) => `${rows.name} ${columns.name}`);
  assertEquals(names(1), ["token head", "token page"]);
  assertEquals(names(2), ["token head", "token page", "sequence token"]);
});

Deno.test("the pattern names what all wrong elements share and the right ones do not", () => {
  const pattern = (isWrong: (b: number, h: number, d: number) => boolean) =>
    told(decoding((b, h, d) => isWrong(b, h, d) ? 9 : 0)).pattern;
  assertEquals(pattern((_, h) => h === 3), ["head 3 (last head)"]);
  assertEquals(pattern((_, h, d) => h % 2 === 1 && d >= 64), ["heads 1, 3", "dims 64–127"]);
  assertEquals(pattern((_, __, d) => d % 8 === 7), ["dims 7, 15, … (every 8th)"]);
  assertEquals(pattern((b) => b !== 1), ["sequences 0, 2", "first token of a page"]);
  assertEquals(pattern((b) => b === 0), [
    "sequence 0 (first sequence, shortest sequence)",
    "first token of a page, one token past a multiple of 32",
    "page 0 (physical page 0)",
  ]);
  assertEquals(pattern(() => true), undefined);
  // One dim of 128 is right by chance, three are not; of four heads one tells.
  assertEquals(pattern((_, __, d) => d > 0), undefined);
  assertEquals(pattern((_, __, d) => d > 2), ["dims 3–127"]);
  assertEquals(pattern((_, h) => h > 0), ["heads 1–3"]);
  // One element of a check that fails as a whole only.
  assertEquals(pattern(() => false), undefined);
});

Deno.test("a stride is one of values, not of those that were sampled", () => {
  const pattern = (tokens: number[], wrong: number[]) =>
    told({
      rows: tokens.length,
      width: 1,
      place: (row) => ({ sequence: 0, head: 0, token: tokens[row], page: 0 }),
      share: (row) => wrong.includes(tokens[row]) ? 9 : 0,
    }).pattern;
  assertEquals(pattern([0, 1, 15, 16, 100, 101, 500], [0, 15, 100]), ["tokens 0, 15, 100"]);
  assertEquals(pattern([0, 1, 16, 31, 32, 100], [0, 16, 32]), ["tokens 0, 16, … (every 16th)"]);
});

Deno.test("an edge that all elements sit on is no pattern", () => {
  const { pattern } = told(decoding((b) => b === 1 ? 9 : 0, [33, 33, 33]));
  assertEquals(pattern, ["sequence 1", "page 2"]);
});

Deno.test("checkCache() shows where in the pool a stray write went", () => {
  const { B, H: _, ...shape } = { ...SHAPE, q: [3, 16, 1] };
  const inputs = makeAppendInputs({ ...shape, B }, 1);
  const expected = appendReference(inputs);
  const W = shape.R + shape.Dr;
  assertEquals(checkCache(inputs, expected, expected.slice()), {
    name: "cache",
    passed: true,
    elements: expected.length / 2,
    mismatches: 0,
  });
  const owned = new Set(inputs.cacheLoc);
  const nobodys = Array.from({ length: inputs.pages }, (_, page) => page).find((page) => !owned.has(page))!;
  const actual = expected.slice();
  const at = (nobodys * shape.page + 5) * W + 140;
  actual.fill(0, 2 * at, 2 * at + 2);
  const { first, worst, maps, pattern } = checkCache(inputs, expected, actual);
  assertEquals([first?.sequence, first?.token, first?.page, first?.dim], [-1, -1, nobodys, 140]);
  assert(first!.edges!.includes("page that nobody owns") && first!.edges!.includes("rope key"));
  assertEquals(worst, first);
  assertEquals(pattern!.slice(0, 1), ["page that nobody owns"]);
  assert(pattern!.includes("slot 5") && pattern!.includes("dim 140 (rope key)"), pattern!.join());
  const pages = maps!.find(({ rows }) => rows.name === "page")!;
  assertEquals(pages.columns, { name: "slot", from: 0, step: 1, bins: 16 });
  assertEquals(pages.values.indexOf(-1), nobodys * 16 + 5);
  assertEquals(pages.values.filter((value) => value !== 0).length, 1);
});

Deno.test("an edge that all values of its direction have wrong elements on tells nothing", () => {
  const last = { sequence: 2, head: 3, token: 0, dim: 127, page: 4 };
  const edges = (isWrong: (b: number, h: number, d: number) => boolean) =>
    locateErrors(decoding((b, h, d) => isWrong(b, h, d) ? 9 : 0)).edgesOf(last).edges;
  const token = ["first token of a page", "one token past a multiple of 64"];
  const sequence = ["last sequence", "longest sequence"];
  assertEquals(edges(() => true), token);
  assertEquals(edges((b) => b === 2), [...sequence, ...token]);
  assertEquals(edges((_, h) => h === 3), ["last head", ...token]);
  assertEquals(edges((b, __, d) => b === 2 && d === 127), [...sequence, ...token, "last dim"]);
});
