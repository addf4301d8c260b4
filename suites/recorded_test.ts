import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseCaseId } from "./case_id.ts";
import { recordedCases, type RecordedOptions } from "./recorded.ts";

const file: RecordedOptions = {
  name: "mistral4-h8-r256",
  hash8: "1a2b3c4d",
  dims: { T: 140, H: 8, R: 256, Dr: 64, Dn: 64, Dv: 128, scale: 128 ** -0.5 },
  variants: ["unfused", "fused"],
  pages: [1, 64],
  dtypes: ["f32", "bf16"],
};

Deno.test("recordedCases() makes all decode steps one batch for every kernel, page size and dtype", () => {
  const cases = recordedCases(file);
  assertEquals(cases.length, 8);
  assertEquals(new Set(cases.map(({ id }) => id)).size, 8);
  for (const { operation, shape, tensors, axes } of cases) {
    assert(operation === "attend");
    assertEquals(shape.kv, Array.from({ length: 140 }, (_, t) => t + 1));
    assertEquals([shape.B, shape.q.length, shape.Dn, shape.Dv], [140, 140, 64, 128]);
    assertEquals([tensors, axes.tensors], ["mistral4-h8-r256@1a2b3c4d", "mistral4-h8-r256@1a2b3c4d"]);
  }
});

Deno.test("recordedCases() appends all tokens where a kernel does", () => {
  const cases = recordedCases({ ...file, appendVariants: ["paged"], pages: [64], dtypes: ["f32"] });
  assertEquals(
    cases[0].id,
    "append/paged:B=1;R=256;Dr=64;q=140;kv=140;page=64;cache=f32;tensors=mistral4-h8-r256@1a2b3c4d",
  );
});

Deno.test("a scale of the file that is not the default is part of the id", () => {
  const dims = { ...file.dims, scale: 0.195 };
  for (const testCase of [...recordedCases({ ...file, dims }), ...recordedCases(file)]) {
    assertEquals(parseCaseId(testCase.id), testCase);
  }
  const [replay] = recordedCases({ ...file, dims });
  assert(replay.operation === "attend");
  assertEquals([replay.shape.scale, replay.axes.scale], [0.195, 0.195]);
  const [rounded] = recordedCases({ ...file, dims: { ...dims, scale: 0.08838834764832 } });
  assertEquals(rounded.axes.scale, "auto");
});

Deno.test("a file may have one token, and any name", () => {
  const dims = { ...file.dims, T: 1 };
  const [replay] = recordedCases({ ...file, name: "my run;v=2 (*)", dims });
  assertEquals(replay.tensors, "my_run_v_2____@1a2b3c4d");
  assertEquals(parseCaseId(replay.id), replay);
});

Deno.test("sizes that no kernel could mean are refused", () => {
  const refuse = (dims: Partial<RecordedOptions["dims"]>, reason: string) =>
    assertThrows(() => recordedCases({ ...file, dims: { ...file.dims, ...dims } }), RangeError, reason);
  refuse({ R: 100 }, "R is a multiple of 16");
  refuse({ Dr: 48 }, "Dr is 0, 16, 32 or 64");
  refuse({ T: 1e9 }, "B is an integer from 1 to 65536");
  refuse({ T: 0 }, "B is an integer from 1 to 65536");
  refuse({ scale: NaN }, "scale is auto or a decimal number from 1e-30 to 1e+30");
  refuse({ scale: 0 }, "scale is auto or a decimal number from 1e-30 to 1e+30");
});

Deno.test("recordedCases() replays the prefill through mla at once, in chunks and token by token", () => {
  const flowsOf = (T: number) => {
    const dims = { ...file.dims, T };
    const cases = recordedCases({ ...file, dims, variants: [], mlaVariants: ["paged"], pages: [61], dtypes: ["f16"] });
    for (const testCase of cases) assertEquals(parseCaseId(testCase.id), testCase);
    return cases.map(({ operation, shape, axes }) => {
      assert(operation === "mla");
      assertEquals([shape.q, shape.kv, shape.weight], [[T], [T], "f32"]);
      return [axes.q, shape.steps?.length];
    });
  };
  assertEquals(flowsOf(140), [[140, undefined], ["64x2>12", 3], ["17x8>4", 9], ["116>1x24", 25]]);
  assertEquals(flowsOf(128), [[128, undefined], ["64x2", 2], ["17x7>9", 8], ["104>1x24", 25]]);
  assertEquals(flowsOf(20), [[20, undefined], ["17>3", 2], ["10>1x10", 11]]);
  assertEquals(flowsOf(2), [[2, undefined], ["1x2", 2]]);
  assertEquals(flowsOf(1), [[1, undefined]]);
  const [id] = recordedCases({ ...file, variants: [], mlaVariants: ["paged"], pages: [61], dtypes: ["f16"] });
  assertEquals(
    id.id,
    "mla/paged:B=1;H=8;R=256;Dr=64;Dn=64;q=140;kv=140;page=61;cache=f16;weight=f32;tensors=mistral4-h8-r256@1a2b3c4d",
  );
});
