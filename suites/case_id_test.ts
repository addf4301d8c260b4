import { assert, assertAlmostEquals, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { type Operation, OPERATIONS } from "../kernels/kernel.ts";
import { TUNED } from "../kernels/tunings.ts";
import { streamKey, uniformIntAt } from "../reference/random.ts";
import { choicesOf } from "./axes.ts";
import { axesOf, type CaseFields, formatCaseId, makeCase, parseCaseId } from "./case_id.ts";

const EXAMPLE = "attend/fused:B=4;H=16;R=256;Dr=64;q=1;kv=65;page=64;cache=bf16";
const APPEND = "append/paged:B=3;R=512;Dr=64;q=0,3,5;kv=9,3,66;page=16;cache=f16";

Deno.test("a case id leaves out what is at its default", () => {
  const fields: CaseFields = { operation: "attend", variant: "fused", B: 4 };
  assertEquals(formatCaseId(fields), EXAMPLE);
  assertEquals(
    formatCaseId({
      ...fields,
      Dn: 128,
      Dv: 128,
      layout: "combined",
      input: "normal",
      seed: 0,
      causal: 1,
      scale: "auto",
    }),
    EXAMPLE,
  );
});

Deno.test("a case id writes what is not at its default, in the order of the axes", () => {
  const fields: CaseFields = {
    operation: "attend",
    variant: "fused",
    tensors: "mistral4@1a2b3c4d",
    splits: 3,
    scale: 0.5,
    causal: 0,
    seed: 7,
    input: "peak",
    Dv: 64,
    Dn: 64,
    B: 4,
  };
  const id = "attend/fused:B=4;H=16;R=256;Dr=64;Dn=64;Dv=64;q=1;kv=65;page=64;cache=bf16;" +
    "input=peak;seed=7;causal=0;scale=0.5;splits=3;tensors=mistral4@1a2b3c4d";
  assertEquals(formatCaseId(fields), id);
  assertEquals(parseCaseId(id), makeCase(fields));
});

Deno.test("parseCaseId() fills in shape, tuning and axes", () => {
  const parsed = parseCaseId(EXAMPLE);
  assert(parsed.operation === "attend");
  assertEquals(parsed.id, EXAMPLE);
  assertEquals(parsed.variant, "fused");
  assertEquals(parsed.shape.q, [1, 1, 1, 1]);
  assertEquals(parsed.shape.kv, [65, 65, 65, 65]);
  assertAlmostEquals(parsed.shape.scale, 1 / Math.sqrt(192), 1e-15);
  assertEquals(parsed.shape.causal, true);
  assertEquals([parsed.input, parsed.seed, parsed.tuning, parsed.tensors], ["normal", 0, {}, undefined]);
  assertEquals(Object.keys(parsed.axes), axesOf("attend").map((axis) => axis.name as string));
  assertEquals([parsed.axes.kv, parsed.axes.splits, parsed.axes.Dn], [65, "auto", 128]);
});

Deno.test("parseCaseId() reads the ragged batch of an append", () => {
  const parsed = parseCaseId(APPEND);
  assert(parsed.operation === "append");
  assertEquals(parsed.shape, { B: 3, R: 512, Dr: 64, q: [0, 3, 5], kv: [9, 3, 66], page: 16, cache: "f16" });
  assertEquals(parsed.axes.kv, "9,3,66");
  assert(!("H" in parsed.axes));
});

Deno.test("the default scale is that of the head before absorption", () => {
  const mistral = parseCaseId("attend/fused:B=1;H=16;R=256;Dr=64;Dn=64;q=1;kv=65;page=64;cache=bf16");
  assert(mistral.operation === "attend");
  assertAlmostEquals(mistral.shape.scale, 0.08838834764831845, 1e-15);
});

Deno.test("what is asked of a kernel's tuning is in the id after its splits, and in the case", () => {
  const id = `${EXAMPLE};splits=3;rows=16;tile=4;threads=64`;
  const asked = parseCaseId(id);
  assertEquals([asked.id, asked.tuning], [id, { splits: 3, rows: 16, tile: 4, threads: 64 }]);
  assertEquals([asked.axes.rows, asked.axes.tile, asked.axes.threads], [16, 4, 64]);
  assertEquals(parseCaseId(EXAMPLE).axes.rows, "auto");
});

Deno.test("equal lengths have one spelling", () => {
  const fields: CaseFields = { operation: "attend", variant: "fused", B: 4, kv: "65,65,65,65" };
  assertEquals(formatCaseId(fields), EXAMPLE);
});

Deno.test("the seed decides random lengths", () => {
  const at = (seed: number) => {
    const { operation, shape } = makeCase({ operation: "attend", variant: "fused", B: 8, kv: "rand(1..99)", seed });
    assert(operation === "attend");
    return shape.kv;
  };
  assertEquals(at(3), at(3));
  assertNotEquals(at(3), at(4));
});

Deno.test("a kernel that is not registered has case ids too", () => {
  assertEquals(parseCaseId(EXAMPLE.replace("fused", "my-kernel.v2")).variant, "my-kernel.v2");
});

function keysOf(operation: "attend" | "prefill"): string {
  return [...axesOf(operation).map(({ name }) => name), "tensors"].join(", ");
}

const lengths =
  "kv is an integer from 0 to 2147483647, rand(a..b), ramp(a..b), normal(a..b), idle(a..b) or one length per sequence such as 1,63,64";

const PROJECT = "project/tiled:B=4;H=16;R=256;q=1;part=v";
const PREFILL = "prefill/fused:B=2;H=16;R=512;Dr=64;q=33,9;kv=33,9;page=64;cache=bf16";
const MLA = "mla/fused:B=2;H=16;R=256;Dr=64;q=32,16>16,8>1x5;kv=53,30;page=64;cache=bf16";

const refused: readonly [id: string, error: typeof RangeError, reason: string][] = [
  ["", SyntaxError, `it is operation/variant:key=value;…, for instance ${EXAMPLE}`],
  ["fused:B=4", SyntaxError, `it is operation/variant:key=value;…, for instance ${EXAMPLE}`],
  ["merge/fused:B=4", SyntaxError, `it is operation/variant:key=value;…, for instance ${EXAMPLE}`],
  ["attend/fused", SyntaxError, `it is operation/variant:key=value;…, for instance ${EXAMPLE}`],
  [EXAMPLE.replace("fused", "fu*"), RangeError, "a variant is a name without spaces and / : ; = *"],
  [
    EXAMPLE.replace("page", "pages"),
    SyntaxError,
    '"pages=64" is no key=value of attend, whose keys are B, H, R, Dr, Dn, Dv, q, kv, page, cache, layout, input, seed, causal, scale, splits, rows, tile, threads, lse, tol, tensors',
  ],
  [
    APPEND.replace("R=512", "H=16;R=512"),
    SyntaxError,
    '"H=16" is no key=value of append, whose keys are B, R, Dr, q, kv, page, cache, layout, input, seed, tensors',
  ],
  [
    APPEND + ";",
    SyntaxError,
    '"" is no key=value of append, whose keys are B, R, Dr, q, kv, page, cache, layout, input, seed, tensors',
  ],
  [EXAMPLE.replace("H=16", "B=4"), SyntaxError, "B is given twice"],
  [
    APPEND.replace("B=3;R=512", "R=512;B=3"),
    SyntaxError,
    "B comes before R; the order is B, R, Dr, q, kv, page, cache, layout, input, seed, tensors",
  ],
  [EXAMPLE.replace(";page=64", ""), SyntaxError, "page is missing, tokens per page"],
  [EXAMPLE.replace("B=4", "B=04"), RangeError, "B is an integer from 1 to 65536"],
  [EXAMPLE.replace("R=256", "R=250"), RangeError, "R is a multiple of 16 from 16 to 2147483632"],
  [EXAMPLE.replace("Dr=64", "Dr=48"), RangeError, "Dr is 0, 16, 32 or 64"],
  [EXAMPLE.replace("page=64", "page=0"), RangeError, "page is an integer from 1 to 2147483647"],
  [EXAMPLE.replace("kv=65", "kv=1+65"), RangeError, lengths],
  [EXAMPLE.replace("kv=65", "kv=boundary"), RangeError, lengths],
  [EXAMPLE.replace("Dr=64", "Dr=64;Dn=128"), SyntaxError, `its one spelling is "${EXAMPLE}"`],
  [EXAMPLE + ";splits=auto", SyntaxError, `its one spelling is "${EXAMPLE}"`],
  [EXAMPLE + ";scale=0.50", SyntaxError, `its one spelling is "${EXAMPLE};scale=0.5"`],
  [EXAMPLE.replace("kv=65", "kv=65,65,65,65"), SyntaxError, `its one spelling is "${EXAMPLE}"`],
  [EXAMPLE.replace("kv=65", "kv=1,63"), RangeError, "kv gives the lengths of 2 sequences, B is 4; they must agree"],
  [
    EXAMPLE.replace("kv=65", "kv=ramp(1..9)"),
    RangeError,
    "kv gives the lengths of 9 sequences, B is 4; they must agree",
  ],
  [EXAMPLE.replace("q=1", "q=0"), RangeError, "q of attend is at least 1 for one sequence"],
  [APPEND.replace("kv=9,3", "kv=9,2"), RangeError, "kv counts the new tokens too, so no sequence has a kv below its q"],
  [
    PROJECT.replace(";part=v", ""),
    SyntaxError,
    "part is missing, which projection: queries into the latent space, or latents to values",
  ],
  [PROJECT.replace("part=v", "part=k"), RangeError, "part is q or v"],
  [
    PROJECT.replace("part=v", "part=q;padding=3"),
    RangeError,
    "padding is rows of the output of part v, part q has none",
  ],
  [PROJECT.replace("q=1;", "q=0;"), RangeError, "q of project is at least 1 for one sequence"],
  [PROJECT.replace("q=1;", "q=1;input=peak;"), RangeError, "input is normal, large, equal or seed"],
  [PREFILL.replace("33,9;kv", "0;kv"), RangeError, "q of prefill is at least 1 for one sequence"],
  [PREFILL + ";splits=2", SyntaxError, `"splits=2" is no key=value of prefill, whose keys are ${keysOf("prefill")}`],
  [PREFILL.replace("q=33,9", "q=33,9>1"), RangeError, lengths.replaceAll("kv is", "q is")],
  [
    APPEND + ";input=peak",
    RangeError,
    "input is normal",
  ],
  [
    MLA.replace("kv=53,30", "kv=53,28"),
    RangeError,
    "kv counts the new tokens too, so no sequence has a kv below its q",
  ],
  [MLA.replace("16,8>", "16,8,4>"), RangeError, "q gives the lengths of 3 sequences, B is 2; they must agree"],
  [MLA.replace(">1x5", ">0>1x5"), RangeError, "every step of q has a sequence with new tokens"],
  [MLA.replace(">1x5", ">1>1x4"), SyntaxError, `its one spelling is "${MLA}"`],
  [MLA.replace("16,8>", "9,9>"), SyntaxError, `its one spelling is "${MLA.replace("16,8>", "9>")}"`],
  [MLA + ";splits=3;form=expanded", RangeError, "splits are of the absorbed form, the expanded one has none"],
  [MLA + ";rows=8;form=expanded", RangeError, "rows are of the absorbed form, the expanded one has none"],
  [MLA + ";tile=4;form=expanded", RangeError, "tile is of the absorbed form, the expanded one has none"],
  [PREFILL + ";rows=8", SyntaxError, `"rows=8" is no key=value of prefill, whose keys are ${keysOf("prefill")}`],
  [EXAMPLE + ";rows=0", RangeError, "rows is auto or an integer from 1 to 2147483647"],
  [EXAMPLE + ";tile=4;rows=8", SyntaxError, `rows comes before tile; the order is ${keysOf("attend")}`],
  [EXAMPLE + ";threads=auto", SyntaxError, `its one spelling is "${EXAMPLE}"`],
  [EXAMPLE + ";tol=none", SyntaxError, `its one spelling is "${EXAMPLE}"`],
  [
    EXAMPLE + ";tensors=mistral4",
    RangeError,
    "tensors is name@hash8, letters, digits, _ . and - with 8 hexadecimal digits",
  ],
];

for (const [id, error, reason] of refused) {
  Deno.test(`parseCaseId() refuses ${id || "nothing"} in one line`, () => {
    const { message } = assertThrows(() => parseCaseId(id), error);
    assertEquals(message, `Cannot read case id ${JSON.stringify(id)}: ${reason}`);
  });
}

Deno.test("makeCase() names the values it cannot build", () => {
  const { message } = assertThrows(
    () => makeCase({ operation: "append", variant: "paged", q: 4, kv: 3 }),
    RangeError,
  );
  assertEquals(
    message,
    "Cannot build append/paged with q=4, kv=3: kv counts the new tokens too, so no sequence has a kv below its q",
  );
  assertThrows(() => makeCase({ operation: "append", variant: "paged", H: 4 }), RangeError, "append has no H");
  assertThrows(() => makeCase({ operation: "attend", variant: "a b" }), RangeError, "a variant is a name");
  assertThrows(() => makeCase({ operation: "attend", variant: "fused", page: NaN }), RangeError, "page is an integer");
});

Deno.test("a case of project has tokens, not sequences", () => {
  const parsed = parseCaseId(PROJECT.replace("q=1", "q=1,3,0,2") + ";weight=f16;padding=5");
  assert(parsed.operation === "project");
  assertEquals(parsed.shape, { part: "v", tokens: 6, padding: 5, H: 16, R: 256, Dn: 128, Dv: 128, weight: "f16" });
});

Deno.test("layout, base and tolerance are in shape and case only where they are not the default", () => {
  const plain = parseCaseId(EXAMPLE);
  assert(!("layout" in plain.shape) && !("lseBase" in plain.shape) && !("tolerance" in plain));
  const full = parseCaseId(EXAMPLE.replace("bf16", "bf16;layout=separate") + ";lse=2;tol=flashmla");
  assert(full.operation === "attend");
  assertEquals([full.shape.layout, full.shape.lseBase, full.tolerance], ["separate", "2", "flashmla"]);
});

Deno.test("a sequence of an attend may have no new token, as long as one has", () => {
  const parsed = parseCaseId(EXAMPLE.replace("q=1", "q=0,3,0,1"));
  assert(parsed.operation === "attend");
  assertEquals(parsed.shape.q, [0, 3, 0, 1]);
});

Deno.test("the steps of mla add up to its q", () => {
  const parsed = parseCaseId(MLA + ";padding=2;form=absorbed");
  assert(parsed.operation === "mla");
  assertEquals(parsed.shape.q, [53, 29]);
  assertEquals(parsed.shape.steps, [[32, 16], [16, 8], [1, 1], [1, 1], [1, 1], [1, 1], [1, 1]]);
  assertEquals([parsed.shape.padding, parsed.tuning], [2, { form: "absorbed" }]);
  const single = makeCase({ operation: "mla", variant: "fused", q: "5x1" });
  assert(single.operation === "mla");
  assertEquals([single.shape.q, "steps" in single.shape, single.axes.q], [[5], false, 5]);
});

Deno.test("the ids of stored baselines mean what they meant: each is its own one spelling", async () => {
  const folder = new URL("../reports/baselines/", import.meta.url);
  for (const [name, least] of [["h200-wgpu.json", 38], ["h200-default.json", 250]] as const) {
    const report = JSON.parse(await Deno.readTextFile(new URL(name, folder)));
    const ids: string[] = report.results.map(({ id }: { readonly id: string }) => id);
    assert(ids.length >= least, name);
    for (const id of ids) assertEquals(parseCaseId(id).id, id);
  }
});

/** Fields drawn at random: any value of any axis of the operation, lengths of a random batch. */
function randomFields(operation: Operation, seed: number): CaseFields {
  const key = streamKey(seed, 0x6964);
  let drawn = 0;
  const below = (n: number) => uniformIntAt(key, drawn++, n);
  const B = 1 + below(4);
  const list = (least: number, most: number) => Array.from({ length: B }, () => least + below(most - least + 1)).join();
  const steps = Array.from({ length: 1 + below(3) }, () => below(2) ? list(1, 9) : `${1 + below(3)}x${1 + below(4)}`);
  const fields: Record<string, string | number> = { B };
  for (const axis of axesOf(operation)) {
    if (axis.name === "B" || below(2) === 0) continue;
    if (axis.kind === "choice") {
      const choices = choicesOf(axis, operation);
      fields[axis.name] = choices[below(choices.length)];
    } else if (axis.kind === "integer") {
      fields[axis.name] = axis.word && below(2) === 0
        ? axis.word
        : Math.max(axis.min, axis.multipleOf * (1 + below(9)));
    } else if (axis.kind === "decimal") fields[axis.name] = (1 + below(99)) / 64;
  }
  fields.q = operation === "mla" ? steps.join(">") : list(1, 9);
  fields.kv = below(2) ? list(60, 99) : "rand(60..99)";
  if (operation === "project") {
    delete fields.kv;
    if (fields.part !== "v") delete fields.padding;
  }
  if (fields.form === "expanded") TUNED.forEach((name) => delete fields[name]);
  return { ...fields, operation, variant: "any" };
}

for (const operation of OPERATIONS) {
  Deno.test(`500 random cases of ${operation} are read back from their ids`, () => {
    const ids = new Set<string>();
    for (let seed = 0; seed < 500; seed++) {
      const made = makeCase(randomFields(operation, seed));
      assertEquals(parseCaseId(made.id), made);
      assertEquals(formatCaseId({ operation, variant: "any", ...made.axes }), made.id);
      ids.add(made.id);
    }
    assert(ids.size > 450, String(ids.size));
  });
}
