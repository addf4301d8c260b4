import { assert, assertEquals } from "@std/assert";
import { checkAttend, checkProject } from "./acceptance.ts";
import { compare, type Comparison } from "./compare.ts";
import { emulateAttend } from "./testdata/attend_faults.ts";
import { makeAttendInputs } from "./inputs.ts";
import { attendAbsorbed } from "./mla.ts";
import { makeProjectInputs } from "./model_inputs.ts";
import { projectReference } from "./project.ts";
import type { AttendShape, ProjectShape } from "./shapes.ts";

const SHAPE: AttendShape = {
  B: 3,
  H: 4,
  R: 64,
  Dr: 16,
  Dn: 128,
  Dv: 128,
  q: [1, 1, 1],
  kv: [100, 1, 33],
  page: 16,
  cache: "f32",
  scale: 0.1,
  causal: true,
};

/** Checks of an emulated kernel whose output `spoil` has changed. */
function checksOf(spoil: (out: Float32Array, lse: Float32Array) => void) {
  const inputs = makeAttendInputs(SHAPE, "normal", 1);
  const actual = emulateAttend(inputs, { order: "serial" });
  spoil(actual.out, actual.lse as Float32Array);
  return checkAttend(inputs, attendAbsorbed(inputs), actual);
}

Deno.test("a passed check has neither a first wrong element nor maps, edges or a pattern", () => {
  for (const check of checksOf(() => {})) {
    assert(check.passed);
    assertEquals([check.first, check.maps, check.pattern, check.worst?.edges], [
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  }
});

Deno.test("a failed check tells the first wrong element apart from the worst, with their edges", () => {
  // Sequence 2, which is one token past two pages, from head 1 on; the last head is the worst.
  const row = (head: number) => (2 * SHAPE.H + head) * SHAPE.R;
  const [out, lse] = checksOf((out) => {
    out[row(1) + 20] += 1;
    out[row(3) + 63] += 100;
  });
  assert(!out.passed && lse.passed);
  const place = ({ sequence, head, token, dim }: NonNullable<typeof out.first>) => [sequence, head, token, dim];
  assertEquals(place(out.first!), [2, 1, 0, 20]);
  assertEquals(place(out.worst!), [2, 3, 0, 63]);
  assert(out.first!.absError! > 0.9 && out.worst!.absError! > 90);
  assertEquals(out.first!.edges, ["last sequence", "first token of a page", "one token past a multiple of 32"]);
  assert(out.worst!.edges!.includes("last head") && out.worst!.edges!.includes("last dim"));
  assertEquals(out.pattern, [
    "sequence 2 (last sequence)",
    "heads 1, 3",
    "first token of a page, one token past a multiple of 32",
    `page ${out.first!.page}`,
    "dims 20, 63",
  ]);
  assertEquals(out.maps!.map(({ rows, columns }) => `${rows.name} ${columns.name}`), ["head dim", "sequence page"]);
  assertEquals(out.maps![0].values.flatMap((value, i) => value > 1 ? [i] : []), [64 + 20, 3 * 64 + 63]);
});

Deno.test("a failed LSE is mapped over heads", () => {
  const [out, lse] = checksOf((_, lse) => lse[2] = NaN);
  assert(out.passed && !lse.passed);
  assertEquals(lse.first!.actual, "NaN");
  assertEquals(lse.maps![0].rows.name + lse.maps![0].columns.name, "sequencehead");
  assertEquals(lse.maps![0].values.indexOf(-1), 2);
});

Deno.test("a failed projection is mapped over heads, dims and tokens", () => {
  const shape: ProjectShape = { part: "q", tokens: 40, padding: 0, H: 2, R: 32, Dn: 16, Dv: 16, weight: "f32" };
  const inputs = makeProjectInputs(shape, "normal", 1);
  const reference = projectReference(inputs);
  const actual = Float32Array.from(reference.out);
  for (let i = 39 * 2 * 32; i < actual.length; i++) actual[i] = 0;
  const [out] = checkProject(inputs, reference, actual);
  assertEquals(out.pattern, ["token 39 (last token, partial last tile of 32)"]);
  assertEquals(out.maps!.map(({ rows, columns }) => `${rows.name} ${columns.name}`), ["head dim", "token head"]);
});

Deno.test("what fails as a whole only has no first wrong element, and still its maps", () => {
  const n = 4096;
  const comparison: Comparison = {
    name: "out",
    actual: new Float64Array(n).fill(1.009),
    expected: new Float64Array(n).fill(1),
    bound: new Float64Array(n).fill(0.01),
    width: 64,
    place: (i) => ({ sequence: 0, head: Math.floor(i / 64), token: 0, dim: i % 64, page: 0 }),
  };
  const check = compare(comparison);
  assertEquals([check.passed, check.mismatches, check.first, check.pattern], [false, 0, undefined, undefined]);
  assertEquals(new Set(check.maps![0].values), new Set([0.9]));
});
