import { assertEquals } from "@std/assert";
import { appendReference } from "./cache.ts";
import { makeAppendInputs, makeAttendInputs } from "./inputs.ts";
import { attendAbsorbed } from "./mla.ts";
import { makePrefillInputs, makeProjectInputs } from "./mla_inputs.ts";
import { projectReference } from "./project.ts";
import { attendProjected } from "./projected.ts";
import { type AttendShape, INPUT_KINDS, type InputKind, type PrefillShape, PROJECTED_KINDS } from "./shapes.ts";
import { blindAppend, blindAttend, blindProject, blindProjected } from "./trivial.ts";

const SHAPE: AttendShape = {
  B: 3,
  H: 2,
  R: 64,
  Dr: 16,
  Dn: 32,
  Dv: 32,
  q: [1, 1, 2],
  kv: [30, 2, 0],
  page: 16,
  cache: "bf16",
  scale: 0.15,
  causal: true,
};

const PREFILL: PrefillShape = { ...SHAPE, q: [3, 2, 0], weight: "bf16", padding: 1 };

const attend = (shape: AttendShape, kind: InputKind) => {
  const inputs = makeAttendInputs(shape, kind, 1);
  return blindAttend(inputs, attendAbsorbed(inputs), kind);
};
const prefill = (shape: PrefillShape, kind: InputKind) => {
  const inputs = makePrefillInputs(shape, kind, 1);
  return blindProjected(inputs, attendProjected(inputs), kind);
};

Deno.test("no kind of inputs accepts a trivial output, by the a-priori bounds alone", () => {
  for (const kind of INPUT_KINDS) assertEquals(attend(SHAPE, kind), [], kind);
  for (const kind of PROJECTED_KINDS) assertEquals(prefill(PREFILL, kind), [], kind);
  for (const kind of PROJECTED_KINDS) {
    for (const part of ["q", "v"] as const) {
      const { H, R, Dn, Dv } = SHAPE;
      const inputs = makeProjectInputs({ part, tokens: 3, padding: 1, H, R, Dn, Dv, weight: "f16" }, kind, 1);
      assertEquals(blindProject(inputs, projectReference(inputs)), []);
    }
  }
});

Deno.test("a trivial output that is the answer makes no case blind: it follows from shape and kind", () => {
  // One token or none, weights that are all equal, nothing seen at all, no rows.
  assertEquals(attend({ ...SHAPE, kv: [1, 1, 0] }, "normal"), []);
  assertEquals(attend({ ...SHAPE, kv: [0, 0, 0] }, "normal"), []);
  assertEquals(attend({ ...SHAPE, q: [0, 0, 0] }, "normal"), []);
  assertEquals(attend({ ...SHAPE, scale: 0 }, "normal"), []);
  assertEquals(prefill({ ...PREFILL, q: [1, 0, 1], kv: [1, 9, 0] }, "normal"), []);
});

Deno.test("a case that cannot tell a trivial output from the answer is blind", () => {
  // Scores that differ by less than f32 tells: the kind does not say so.
  assertEquals(attend({ ...SHAPE, scale: 1e-12 }, "flashmla"), ["mean_of_values"]);
  const queries = makePrefillInputs(PREFILL, "equal", 1);
  assertEquals(blindProjected(queries, attendProjected(queries), "normal"), ["mean_of_values"]);
  // A cache of zeros, as of a test that forgot to fill it.
  const empty = makeAttendInputs(SHAPE, "normal", 1);
  const zeros = { ...empty, cache: new Uint8Array(empty.cache.length) };
  const all = ["zeros", "constant", "mean_of_values"];
  assertEquals(blindAttend(zeros, attendAbsorbed(zeros), "normal"), all);
  const model = { ...queries, kvB: new Uint8Array(queries.kvB.length) };
  assertEquals(blindProjected(model, attendProjected(model)), all);
  const inputs = makeProjectInputs(
    { part: "v", tokens: 3, padding: 0, H: 1, R: 16, Dn: 8, Dv: 8, weight: "f32" },
    "equal",
    1,
  );
  const nothing = { ...inputs, x: new Float32Array(inputs.x.length) };
  assertEquals(blindProject(nothing, projectReference(nothing)), ["zeros", "constant"]);
});

Deno.test("an append whose tokens are in the cache already is blind to a kernel that writes nothing", () => {
  const { B, R, Dr, page, cache } = SHAPE;
  const inputs = makeAppendInputs({ B, R, Dr, page, cache, q: [3, 1, 0], kv: [9, 1, 4] }, 1);
  const expected = appendReference(inputs);
  assertEquals(blindAppend(inputs, expected), []);
  assertEquals(blindAppend({ ...inputs, cache: expected }, expected), ["untouched_cache"]);
  const none = makeAppendInputs({ B, R, Dr, page, cache, q: [0, 0, 0], kv: [9, 1, 4] }, 1);
  assertEquals(blindAppend(none, appendReference(none)), []);
});
