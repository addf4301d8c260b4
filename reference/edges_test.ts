import { assertEquals } from "@std/assert";
import { appendEdges, attendEdges, edgesAt, projectEdges } from "./edges.ts";
import type { AttendShape } from "./shapes.ts";

const SHAPE: AttendShape = {
  B: 4,
  H: 4,
  R: 32,
  Dr: 16,
  Dn: 128,
  Dv: 128,
  q: [1, 1, 1, 1],
  kv: [0, 17, 64, 100],
  page: 16,
  cache: "f16",
  scale: 1,
  causal: true,
};

/** Edges of one element of an attention over `shape`. */
function edges(shape: AttendShape, place: Partial<Parameters<typeof edgesAt>[1]>): string[] {
  return edgesAt(attendEdges(shape, shape.R), { sequence: 1, head: 1, token: 0, dim: 12, page: 3, ...place });
}

Deno.test("an element in the middle of everything sits on no edge", () => {
  assertEquals(edges({ ...SHAPE, kv: [5, 10, 10, 10] }, {}), ["partial last page (10 of 16 tokens)"]);
  assertEquals(edges({ ...SHAPE, page: 1, kv: [5, 10, 10, 10], B: 4 }, {}), []);
});

Deno.test("edges of a decode: ends of the batch, of its heads, of a page, of a tile, of a row", () => {
  assertEquals(
    edges(SHAPE, {}),
    [
      "after an empty sequence",
      "first token of a page",
      "one token past a multiple of 16",
    ].slice(0, 2),
  );
  assertEquals(edges(SHAPE, { sequence: 0, page: -1 }), ["first sequence", "empty sequence", "attends to no token"]);
  assertEquals(edges(SHAPE, { sequence: 3, head: 3, dim: 31 }), [
    "last sequence",
    "longest sequence",
    "last head",
    "partial last page (4 of 16 tokens)",
    "partial last tile of 64 (36 tokens)",
    "last dim",
  ]);
  assertEquals(edges(SHAPE, { sequence: 2, head: 0, dim: 3, page: 0 }), [
    "first head",
    "last token of a page",
    "a multiple of 64 tokens",
    "first 8 dims",
    "physical page 0",
  ]);
});

Deno.test("what there is only one of is neither first nor last", () => {
  const single: AttendShape = { ...SHAPE, B: 1, H: 1, q: [1], kv: [10], page: 1 };
  assertEquals(edges(single, { sequence: 0, head: 0 }), []);
  assertEquals(edges({ ...single, kv: [1] }, { sequence: 0, head: 0 }), [
    "single-token sequence",
    "attends to a single token",
  ]);
});

Deno.test("a row of a chunk knows its ends, and what it attends to by the causal rule", () => {
  const chunk: AttendShape = { ...SHAPE, B: 2, q: [1, 3], kv: [10, 34] };
  assertEquals(edges(chunk, { sequence: 0 })[1], "shortest sequence");
  assertEquals(edges(chunk, { sequence: 0 }).includes("only new token of its sequence, beside longer ones"), true);
  assertEquals(edges(chunk, { token: 0 }), [
    "last sequence",
    "longest sequence",
    "first row of a chunk",
    "last token of a page",
    "a multiple of 32 tokens",
  ]);
  assertEquals(edges(chunk, { token: 1 }).slice(2), ["first token of a page", "one token past a multiple of 32"]);
  assertEquals(edges(chunk, { token: 2 }).slice(2), [
    "newest token",
    "partial last page (2 of 16 tokens)",
    "partial last tile of 32 (2 tokens)",
  ]);
  assertEquals(edges({ ...chunk, q: [1, 34] }, { token: 0 })[2], "first token of a prompt");
});

Deno.test("edges of a cache element: new tokens, pages, the rope key, and what is nobody's", () => {
  const words = appendEdges({ ...SHAPE, B: 2, q: [3, 2], kv: [20, 32] });
  const at = (sequence: number, token: number, dim: number, page = 5) => edgesAt(words, { sequence, token, dim, page });
  assertEquals(at(0, 17, 20), ["first sequence", "shortest sequence", "first new token", "latent"]);
  assertEquals(at(0, 19, 32).slice(2), ["newest token", "first rope dim", "rope key"]);
  assertEquals(at(0, 20, 40).slice(2), ["slot past the end of its sequence", "rope key"]);
  assertEquals(at(1, 31, 31).slice(2), ["newest token", "last token of a page", "last dim", "latent"]);
  assertEquals(at(1, 16, 20).slice(2), ["token of an earlier call", "first token of a page", "latent"]);
  assertEquals(at(-1, -1, 20, 0), ["page that nobody owns", "latent", "physical page 0"]);
});

Deno.test("edges of a projection: tiles of its rows", () => {
  const words = projectEdges({ part: "v", tokens: 67, padding: 0, H: 2, R: 64, Dn: 32, Dv: 32, weight: "f32" });
  const at = (token: number) => edgesAt(words, { sequence: 0, head: 1, token, dim: 20, page: -1 }).slice(1);
  assertEquals(at(5), []);
  assertEquals(at(0), ["first token", "first row of a tile of 64"]);
  assertEquals(at(63), ["last row of a tile of 64"]);
  assertEquals(at(66), ["last token", "partial last tile of 64 (3 tokens)"]);
});
