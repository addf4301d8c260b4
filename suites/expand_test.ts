import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseAxis } from "./axis_values.ts";
import { type ExpandOptions, expandSuites, findSuites } from "./expand.ts";
import { mergeCases, selectKernels, shapeKey } from "./select.ts";
import type { Suite } from "./suite.ts";
import { TEST_KERNELS } from "./testing.ts";

const tiny: Suite = {
  name: "tiny",
  summary: "for these tests",
  groups: [
    { operation: "attend", variants: "all", axes: { page: [16, 64], kv: [65, 130] } },
    { operation: "append", variants: "all", axes: {}, rows: [{ q: 4, kv: 70 }, { B: 2, q: "0,3", kv: "9,3" }] },
  ],
};
const ragged: Suite = {
  name: "ragged",
  summary: "for these tests",
  groups: [
    { operation: "attend", variants: ["fused"], axes: { B: [3], kv: ["1,63,64"] } },
    { operation: "attend", variants: ["fused"], axes: { page: [16], kv: ["boundary"] } },
  ],
};
const both: Suite = { name: "both", summary: "for these tests", groups: [], includes: ["tiny", "ragged"] };

function expand(options: Partial<ExpandOptions>) {
  return expandSuites({
    suites: ["tiny"],
    kernelsAvailable: TEST_KERNELS,
    software: false,
    full: false,
    registry: [tiny, ragged, both],
    ...options,
  });
}

const ids = (options: Partial<ExpandOptions>) => expand(options).map(({ id }) => id);

Deno.test("a group crosses its axes and rows for every kernel of the operation, variants side by side", () => {
  const shape = "B=1;H=16;R=256;Dr=64;q=1";
  const append = "R=256;Dr=64";
  assertEquals(ids({}), [
    ...["kv=65;page=16", "kv=130;page=16", "kv=65;page=64", "kv=130;page=64"].flatMap((edge) =>
      ["unfused", "fused", "fused_subgroup"].map((variant) => `attend/${variant}:${shape};${edge};cache=bf16`)
    ),
    `append/paged:B=1;${append};q=4;kv=70;page=64;cache=bf16`,
    `append/paged:B=2;${append};q=0,3;kv=9,3;page=64;cache=bf16`,
  ]);
});

Deno.test("a group may name its variants", () => {
  assert(expand({ suites: ["ragged"] }).every((testCase) => testCase.variant === "fused"));
  const kernelsAvailable = [{ operation: "attend", variant: "unfused" }] as const;
  const { message } = assertThrows(() => expand({ suites: ["ragged"], kernelsAvailable }), RangeError);
  assertEquals(message, 'Cannot expand suite ragged for kernel "fused": kernels of attend are unfused');
});

Deno.test("boundary expands to the edges of the pages of each case", () => {
  const lengths = (axes: string[]) =>
    expand({ suites: ["ragged"], axes: axes.map(parseAxis), filter: "*B=1;*" }).map(({ axes }) => axes.kv);
  assertEquals(lengths([]), [0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65]);
  assertEquals(lengths(["page=3"]), [0, 1, 2, 3, 4, 5, 6, 7, 31, 32, 33, 63, 64, 65]);
  assertEquals(lengths(["splits=5"]).slice(1, 5), [1, 4, 5, 6]);
});

Deno.test("an axis value replaces those of every case, also where the suite does not name the axis", () => {
  assertEquals(ids({ axes: [parseAxis("page=8")], kernels: ["attend/fused"] }), [
    "attend/fused:B=1;H=16;R=256;Dr=64;q=1;kv=65;page=8;cache=bf16",
    "attend/fused:B=1;H=16;R=256;Dr=64;q=1;kv=130;page=8;cache=bf16",
  ]);
  assertEquals(ids({ axes: [parseAxis("Dr=0,32"), parseAxis("kv=7")], filter: "attend/fused:*;page=16;*" }), [
    "attend/fused:B=1;H=16;R=256;Dr=0;q=1;kv=7;page=16;cache=bf16",
    "attend/fused:B=1;H=16;R=256;Dr=32;q=1;kv=7;page=16;cache=bf16",
  ]);
});

Deno.test("an axis that an operation lacks leaves its cases as they are", () => {
  const append = (axes: string[]) => ids({ axes: axes.map(parseAxis), kernels: ["append/paged"] });
  assertEquals(append(["H=4", "splits=3"]), append([]));
});

Deno.test("a ragged batch on the command line sets B, and B repeats a ragged batch of the suite", () => {
  assertEquals(ids({ axes: [parseAxis("kv=0+5")], filter: "attend/fused:*;page=64;*" }), [
    "attend/fused:B=2;H=16;R=256;Dr=64;q=1;kv=0,5;page=64;cache=bf16",
  ]);
  assertEquals(ids({ suites: ["ragged"], axes: [parseAxis("B=2,5")], filter: "*;page=64;*" }), [
    "attend/fused:B=2;H=16;R=256;Dr=64;q=1;kv=1,63;page=64;cache=bf16",
    "attend/fused:B=5;H=16;R=256;Dr=64;q=1;kv=1,63,64,1,63;page=64;cache=bf16",
  ]);
  assertThrows(
    () => expand({ axes: [parseAxis("kv=0+5"), parseAxis("B=3")] }),
    RangeError,
    "kv gives the lengths of 2 sequences, B is 3; they must agree",
  );
});

Deno.test("an append cut to a given kv appends no more than that, and a given q deepens its cache", () => {
  const append = (...axes: string[]) =>
    expand({ axes: axes.map(parseAxis), kernels: ["paged"] }).map(({ operation, shape }) => {
      assert(operation === "append");
      return shape;
    });
  assertEquals(append("kv=2").map(({ q, kv }) => [q, kv]), [[[2], [2]], [[0, 2], [2, 2]]]);
  assertEquals(append("q=5").map(({ q, kv }) => [q, kv]), [[[5], [70]], [[5, 5], [9, 5]]]);
  assertEquals(append("kv=boundary")[0].q, [0]);
  assertThrows(() => append("q=5", "kv=4"), RangeError, "no sequence has a kv below its q");
});

Deno.test("axis values that collapse cases leave one of each", () => {
  const cases = ids({ axes: [parseAxis("page=8"), parseAxis("kv=9"), parseAxis("q=1")] });
  assertEquals(cases.length, new Set(cases).size);
  assertEquals(cases.filter((id) => id.startsWith("attend/fused:")).length, 1);
});

Deno.test("the seed is an axis of every case", () => {
  assert(expand({ seed: 7 }).every((testCase) => testCase.seed === 7 && testCase.id.includes(";seed=7")));
  assertThrows(() => expand({ seed: 7, axes: [parseAxis("seed=1")] }), RangeError, "Cannot take axis seed twice");
});

Deno.test("an axis given twice is refused", () => {
  const { message } = assertThrows(() => expand({ axes: [parseAxis("page=1"), parseAxis("page=2")] }), RangeError);
  assertEquals(message, "Cannot take axis page twice: give all its values in one list");
});

Deno.test("axis values that make more cases than anyone means are refused before they are made", () => {
  const axes = [parseAxis("kv=0..99999"), parseAxis("page=1..100000")];
  const { message } = assertThrows(() => expand({ axes }), RangeError);
  assertEquals(
    message,
    "Cannot expand suite tiny with 10000000000 combinations of axis values: that is more than 50000 cases; give fewer values, or a smaller suite",
  );
});

Deno.test("a suite that holds a case twice is refused", () => {
  const group = tiny.groups[1];
  const twice: Suite = { ...tiny, groups: [...tiny.groups, group] };
  const { message } = assertThrows(() => expand({ registry: [twice] }), RangeError);
  assertEquals(
    message,
    "Cannot expand suite tiny: it holds append/paged:B=1;R=256;Dr=64;q=4;kv=70;page=64;cache=bf16 twice",
  );
});

Deno.test("a case of several suites runs once", () => {
  assertEquals(ids({ suites: ["tiny", "tiny"] }), ids({}));
  const shared = "attend/fused:B=1;H=16;R=256;Dr=64;q=1;kv=65;page=16;cache=bf16";
  const [first, second] = [ids({ suites: ["tiny"] }), ids({ suites: ["ragged"] })];
  assert(first.includes(shared) && second.includes(shared));
  assertEquals(ids({ suites: ["both"] }).length, first.length + second.length - 1);
  assertEquals(ids({ suites: ["both", "tiny"] }), ids({ suites: ["both"] }));
});

Deno.test("mergeCases() puts variants of one shape side by side, whichever list they come from", () => {
  const cases = expand({});
  const [fused, others] = [true, false].map((is) => cases.filter(({ variant }) => (variant === "fused") === is));
  const shapes = mergeCases([fused, others]).map(shapeKey);
  assertEquals(shapes.filter((shape, i) => shape !== shapes[i - 1]).length, new Set(shapes).size);
});

Deno.test("unknown suites and kernels are refused with the choices", () => {
  assertEquals(
    assertThrows(() => expand({ suites: ["smok"] }), RangeError).message,
    'Cannot find suite "smok": there are tiny, ragged, both',
  );
  assertEquals(
    assertThrows(() => expand({ suites: [] }), RangeError).message,
    "Cannot expand suites: name at least one of tiny, ragged, both",
  );
  assertEquals(
    assertThrows(() => expand({ kernels: ["fused", "onlien"] }), RangeError).message,
    'Cannot select kernel "onlien": there are attend/unfused, attend/fused, attend/fused_subgroup, append/paged',
  );
  assertThrows(() => findSuites(["h100"]), RangeError, "there are smoke, boundary, page");
});

Deno.test("kernels are selected by full name or by variant", () => {
  assertEquals(selectKernels(TEST_KERNELS, ["paged", "attend/fused"]).map(({ variant }) => variant), [
    "fused",
    "paged",
  ]);
  assertEquals(selectKernels(TEST_KERNELS), TEST_KERNELS);
});

Deno.test("kernels that a suite has no case for are an error", () => {
  assertEquals(
    assertThrows(() => expand({ suites: ["ragged"], kernels: ["paged"] }), RangeError).message,
    "Cannot find a case in suite ragged: it has none for kernel append/paged",
  );
});

Deno.test("a filter selects by id or glob", () => {
  const id = "append/paged:B=2;R=256;Dr=64;q=0,3;kv=9,3;page=64;cache=bf16";
  assertEquals(ids({ filter: id }), [id]);
  assertEquals(ids({ filter: "attend/*;kv=65;page=16;*" }).length, 3);
});

Deno.test("a filter that is the id of no suite's case selects that case", () => {
  const id = "attend/fused:B=9;H=3;R=128;Dr=16;q=1;kv=5;page=7;cache=f32;input=peak;seed=12;splits=2";
  assertEquals(ids({ filter: id }), [id]);
  assertThrows(() => expand({ filter: id.replace("R=128", "R=129") }), RangeError, "R is a multiple of 16");
  assertThrows(() => expand({ filter: id, kernels: ["unfused"] }), RangeError, "none of 4 matches");
});

Deno.test("a filter that matches nothing is an error", () => {
  for (const filter of ["", "attend", "attend/online:*", `${ids({})[0]};tensors=a@00000000`]) {
    assertEquals(
      assertThrows(() => expand({ filter }), RangeError).message,
      `Cannot select cases by filter ${JSON.stringify(filter)}: none of 14 matches; ` +
        `it is a whole id or a glob, for instance "attend/fused:*;R=256;*"`,
    );
  }
});

const operators: Suite = {
  name: "operators",
  summary: "for these tests",
  groups: [
    { operation: "append", variants: "all", axes: { layout: ["combined", "separate"] } },
    { operation: "project", variants: "all", axes: { part: ["q", "v"] } },
    { operation: "prefill", variants: "all", axes: {}, rows: [{ q: 20, kv: 20 }] },
    { operation: "mla", variants: "all", axes: {}, rows: [{ B: 2, q: "20,3>7,0>1", kv: "40,9" }] },
  ],
};
const kernelsAvailable = [
  { operation: "append", variant: "combined", layouts: ["combined"] },
  { operation: "append", variant: "separate", layouts: ["separate"] },
  { operation: "append", variant: "either" },
  { operation: "append", variant: "halves", dtypes: ["f16", "bf16"] },
  { operation: "project", variant: "p" },
  { operation: "prefill", variant: "p" },
  { operation: "mla", variant: "m" },
] as const;

function operatorIds(kernel: string, ...axes: string[]): string[] {
  const options = { suites: ["operators"], registry: [operators], kernelsAvailable, kernels: [kernel] };
  return ids({ ...options, axes: axes.map(parseAxis) });
}

const values = (ids: readonly string[], key: string) => ids.map((id) => RegExp(`[:;]${key}=([^;]*)`).exec(id)?.[1]);

Deno.test("a kernel of one layout has the cases of that layout", () => {
  assertEquals(values(operatorIds("append/combined"), "layout"), [undefined]);
  assertEquals(values(operatorIds("append/separate"), "layout"), ["separate"]);
  assertEquals(operatorIds("append/either").length, 2);
  assertEquals(values(operatorIds("append/separate", "layout=separate", "kv=9"), "kv"), ["9"]);
  assertThrows(() => operatorIds("append/combined", "layout=separate"), RangeError, "it has none for kernel");
});

Deno.test("a kernel of some element types has the cases of those", () => {
  assertEquals(values(operatorIds("append/halves"), "layout"), [undefined, "separate"]);
  assertEquals(values(operatorIds("append/halves", "cache=f32,f16"), "cache"), ["f16", "f16"]);
  assertEquals(values(operatorIds("append/either", "layout=combined", "cache=f32,f16"), "cache"), ["f32", "f16"]);
  assertThrows(() => operatorIds("append/halves", "cache=f32"), RangeError, "it has none for kernel append/halves");
});

Deno.test("a kernel that does not take the element type of a group runs it in its own where the group lets it", () => {
  const group = { operation: "append", variants: "all", axes: { kv: [9] } } as const;
  const suite = (ownDtype: boolean): Suite => ({
    name: "own",
    summary: "for this test",
    groups: [{ ...group, ownDtype }],
  });
  const kernels = [...kernelsAvailable, { operation: "append", variant: "wide", dtypes: ["f32"] }] as const;
  const caches = (ownDtype: boolean, ...axes: string[]) =>
    values(
      ids({
        suites: ["own"],
        registry: [suite(ownDtype)],
        kernelsAvailable: kernels,
        kernels: ["append/halves", "append/wide"],
        axes: axes.map(parseAxis),
      }),
      "cache",
    );
  assertEquals(caches(false), ["bf16"]);
  assertEquals(caches(true), ["bf16", "f32"]);
  assertEquals(caches(true, "cache=f16"), ["f16"]);
});

Deno.test("given lengths cut the flow of an mla, its first tokens first, and a case without new tokens is left out", () => {
  assertEquals(values(operatorIds("mla/m", "kv=25"), "q"), ["20,3>5,0>0,1"]);
  assertEquals(values(operatorIds("mla/m", "kv=3"), "q"), ["3"]);
  assertEquals(values(operatorIds("mla/m", "kv=0,1"), "q"), ["1"]);
  assertThrows(() => operatorIds("mla/m", "kv=0"), RangeError, "it has none for kernel");
  assertEquals(values(operatorIds("mla/m", "q=50>1x2"), "kv"), ["52"]);
  assertEquals(values(operatorIds("mla/m", "q=1+2+3>1"), "kv"), ["40,9,40"]);
  assertEquals(values(operatorIds("mla/m", "B=3"), "q"), ["20,3,20>7,0,7>1"]);
  assertEquals(values(operatorIds("prefill/p", "kv=boundary"), "q"), [
    "1",
    "20",
    "20",
    "20",
    "20",
    "20",
    "20",
    "20",
    "20",
    "20",
  ]);
});

Deno.test("values that an operation lacks leave its cases as they are", () => {
  assertEquals(operatorIds("prefill/p", "q=9>1", "input=peak", "form=expanded"), operatorIds("prefill/p"));
  assertEquals(values(operatorIds("prefill/p", "input=peak,large"), "input"), ["large"]);
});

Deno.test("padding is left to the projection that has it, splits to the form that has them", () => {
  assertEquals(values(operatorIds("project/p", "padding=4"), "padding"), [undefined, "4"]);
  assertEquals(values(operatorIds("mla/m", "splits=3", "form=absorbed,expanded"), "splits"), ["3", undefined]);
});

Deno.test("groups of an overlapping suite may hold the same case, which runs once", () => {
  const twice: Suite = { ...tiny, groups: [...tiny.groups, tiny.groups[1]], overlapping: true };
  assertEquals(ids({ registry: [twice] }), ids({}));
});
