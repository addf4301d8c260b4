import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { attendFused } from "./attend_fused.ts";
import { attendFusedSubgroup } from "./attend_fused_subgroup.ts";
import { attendUnfused } from "./attend_unfused.ts";
import { appendCombined } from "./append_combined.ts";
import { KERNELS } from "./registry.ts";
import { appendShape, decodeShape, deviceTraits } from "./testing.ts";

const ATTEND = [attendUnfused, attendFused, attendFusedSubgroup];

const REFUSED: readonly [Parameters<typeof decodeShape>[0], number | undefined, RegExp][] = [
  [{ R: 24 }, undefined, /^R=24: only positive multiples of 16$/],
  [{ R: 0 }, undefined, /^R=0/],
  [{ R: NaN }, undefined, /^R=NaN/],
  [{ Dr: 48 }, undefined, /^Dr=48: only 0, 16, 32, 64$/],
  [{ page: 0 }, undefined, /^page=0: only positive integers$/],
  [{ H: 0 }, undefined, /^H=0/],
  [{ H: 1.5 }, undefined, /^H=1.5/],
  [{ kv: [] }, undefined, /^B=0/],
  [{ kv: [-1] }, undefined, /^kv=-1/],
  [{ kv: [2 ** 30] }, undefined, /^kv=1073741824: only 0 to 1073741823$/],
  [{ kv: [1, 2], q: [1, -1] }, undefined, /^q=-1: only integers from 0 on$/],
  [{ kv: [1, 2], q: [0.5, 1] }, undefined, /^q=0.5/],
  [{ kv: [1, 2], q: [0, 0] }, undefined, /^q=0: at least one query token in the batch is needed$/],
  [{ kv: [1], q: [2 ** 26] }, undefined, /^q and H make 1073741824 rows: only up to 1073741823$/],
  [{ layout: "paged" as "combined" }, undefined, /^layout=paged: only combined, separate$/],
  [{ kv: [1, 2], q: [1] }, undefined, /^q and kv have 1 and 2 entries, B is 2$/],
  [{ scale: NaN }, undefined, /^scale=NaN/],
  [{ scale: 0 }, undefined, /^scale=0: only normal f32 numbers, not 0$/],
  [{ scale: 1e39 }, undefined, /^scale=1e\+39: only normal f32 numbers, not 0$/],
  [{ scale: -1e39 }, undefined, /^scale=-1e\+39/],
  [{ scale: 1e-46 }, undefined, /^scale=1e-46/],
  [{ scale: 1e-40 }, undefined, /^scale=1e-40/],
  [{}, 0, /^splits=0: only 1 to 1024$/],
  [{}, 1.5, /^splits=1.5/],
];

Deno.test("attend kernels refuse what they cannot run, naming value and choices", () => {
  for (const kernel of ATTEND) {
    for (const [values, splits, reason] of REFUSED) {
      const shape = decodeShape(values);
      assertMatch(kernel.refuses(shape, { splits }) ?? "nothing", reason);
      assertThrows(() => kernel.launch(shape, { pages: 9, tableWidth: 9 }, { splits }, deviceTraits()), RangeError);
    }
  }
});

Deno.test("attend kernels take every head count, rank, rope width, page size and length of the specification", () => {
  const device = deviceTraits(8);
  for (const kernel of ATTEND) {
    for (const H of [1, 3, 9, 63, 128, 192]) assertEquals(kernel.refuses(decodeShape({ H }), {}, device), undefined);
    for (const cache of ["f32", "f16", "bf16"] as const) {
      for (const R of [16, 48, 128, 256, 384, 512]) {
        for (const Dr of [0, 16, 32, 64]) {
          assertEquals(kernel.refuses(decodeShape({ R, Dr, cache }), {}, device), undefined, `${R} ${Dr} ${cache}`);
        }
      }
    }
    for (const page of [1, 3, 61, 4096]) assertEquals(kernel.refuses(decodeShape({ page }), {}, device), undefined);
    assertEquals(kernel.refuses(decodeShape({ kv: [0, 1, 1e6] }), {}, device), undefined);
    // Prefill, a chunk, speculative decoding, a sequence that asks nothing, and rows that precede every token.
    for (const causal of [true, false]) {
      const ragged = decodeShape({
        q: [9, 9, 4, 0, 5],
        kv: [9, 70, 65, 3, 2],
        causal,
        layout: "separate",
        lseBase: "2",
      });
      assertEquals(kernel.refuses(ragged, {}, device), undefined);
    }
  }
});

Deno.test("a rank too wide for workgroup memory is refused with both sizes, and left to kernels without a tile there", () => {
  const wide = decodeShape({ R: 2048, cache: "f32" });
  const reason = /^R \+ Dr = 2112 in f32 needs \d+ bytes of workgroup memory, the limit is 16384$/;
  assertMatch(attendFused.refuses(wide, {}) ?? "", reason);
  for (const kernel of [attendUnfused, attendFusedSubgroup]) {
    assertEquals(kernel.refuses(wide, {}, deviceTraits()), undefined);
  }
});

Deno.test("fused_subgroup needs the feature and four lanes, and adapts to subgroups up to 128", () => {
  const shape = decodeShape({ H: 4 });
  assertEquals(attendFusedSubgroup.refuses(shape, {}, deviceTraits(0)), "needs the device feature subgroups");
  const few = { ...deviceTraits(4), subgroupMinSize: 2 };
  assertMatch(attendFusedSubgroup.refuses(shape, {}, few) ?? "", /^subgroups of 2 to 4 lanes: at least 4 are needed$/);
  for (const lanes of [4, 8, 16, 32, 64, 128]) {
    const device = deviceTraits(lanes);
    assertEquals(attendFusedSubgroup.refuses(shape, {}, device), undefined);
    const { dispatches } = attendFusedSubgroup.launch(shape, { pages: 9, tableWidth: 2 }, {}, device);
    assertEquals(dispatches[0].workgroupSize % lanes, 0);
    assert(dispatches[0].shader.includes(`const LANES = ${Math.min(32, lanes)}u;`));
  }
  assertMatch(
    attendFusedSubgroup.refuses(shape, {}, deviceTraits(128, { maxComputeInvocationsPerWorkgroup: 64 })) ?? "",
    /^threads=128: the limit is 64$/,
  );
});

Deno.test("append refuses lengths that contradict each other, and splits", () => {
  assertMatch(appendCombined.refuses(appendShape({ q: [66] }), {}) ?? "", /^q=66 with kv=65: only integers with/);
  assertMatch(appendCombined.refuses(appendShape({ q: [1, 1] }), {}) ?? "", /^q and kv have 2 and 1 entries, B is 1$/);
  assertMatch(appendCombined.refuses(appendShape({ R: 8 }), {}) ?? "", /^R=8/);
  assertMatch(appendCombined.refuses(appendShape(), { splits: 2 }) ?? "", /^splits=2: append has no splits$/);
  assertEquals(appendCombined.refuses(appendShape({ q: [0] }), {}), undefined);
});

Deno.test("every kernel has a summary and a distinct name", () => {
  assertEquals(new Set(KERNELS.map(({ operation, variant }) => operation + variant)).size, KERNELS.length);
  for (const { summary } of KERNELS) assert(summary.length > 20);
});
