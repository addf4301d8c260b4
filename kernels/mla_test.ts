import { assertEquals, assertThrows } from "@std/assert";
import type { MlaShape } from "../reference/shapes.ts";
import type { MlaKernel, Tuning } from "./kernel.ts";
import { checkLimits } from "./limits.ts";
import { mlaFused, mlaFusedSubgroup, mlaUnfused } from "./mla.ts";
import { deviceTraits, mlaShape } from "./testing.ts";

const KERNELS: readonly MlaKernel[] = [mlaUnfused, mlaFused, mlaFusedSubgroup];
const DEVICE = deviceTraits(32);
const LAYOUT = { pages: 9, tableWidth: 7 };

/** A prompt, a chunk, a sequence that waits and a decode step. */
const MIXED = mlaShape({ q: [3, 2, 0, 1], kv: [3, 20, 5, 17], padding: 2 });

const REFUSED: readonly [values: Partial<MlaShape>, tuning: Tuning, reason: string][] = [
  [{ steps: [[3, 2, 0, 1]] }, {}, "steps=1: one call at a time, a flow is launched call by call"],
  [{ B: 3 }, {}, "q and kv have 4 and 4 entries, B is 3"],
  [{ kv: [3, 1, 5, 17] }, {}, "q=2 with kv=1: only integers with 0 <= q <= kv"],
  [{ q: [3, 2, -1, 1] }, {}, "q=-1 with kv=5: only integers with 0 <= q <= kv"],
  [{ padding: -1 }, {}, "padding=-1: only 0 to 2147483647"],
  [{}, { form: "both" as "expanded" }, "form=both: only absorbed, expanded"],
  [{ R: 24 }, {}, "append/combined: R=24: only positive multiples of 16"],
  [{ R: 24, layout: "separate" }, {}, "append/separate: R=24: only positive multiples of 16"],
  [{ Dn: 20 }, {}, "project/vector: Dn=20: only positive multiples of 8"],
  [{ Dv: 264 }, { form: "expanded" }, "prefill/fused: Dv=264: only multiples of 8 up to 256"],
  [{}, { form: "expanded", splits: 2 }, "prefill/fused: splits=2: prefill has no splits"],
];

Deno.test("mla refuses what it and each of its parts cannot run, naming the part", () => {
  for (const kernel of KERNELS) {
    assertEquals(kernel.refuses(MIXED, {}, DEVICE), undefined);
    for (const [values, tuning, reason] of REFUSED) {
      const shape = { ...MIXED, ...values };
      assertEquals(kernel.refuses(shape, tuning, DEVICE), reason);
      assertThrows(() => kernel.launch(shape, LAYOUT, tuning, DEVICE), RangeError, reason);
    }
    const splits = kernel.refuses(MIXED, { splits: 0 }, DEVICE);
    assertEquals(splits, `attend/${kernel.variant}: splits=0: only 1 to 1024`);
  }
  const idle = mlaShape({ q: [0], kv: [9], R: 24 });
  assertEquals(mlaFused.refuses(idle, {}, DEVICE), "append/combined: R=24: only positive multiples of 16");
  const missing = mlaFusedSubgroup.refuses(MIXED, {}, deviceTraits(0));
  assertEquals(missing, "attend/fused_subgroup: needs the device feature subgroups");
});

Deno.test("the buffers of mla are those of the contract, its parts' own under their names", () => {
  for (const layout of ["combined", "separate"] as const) {
    const launch = mlaFused.launch({ ...MIXED, layout }, LAYOUT, { splits: 2 }, DEVICE);
    assertEquals(checkLimits(launch, DEVICE), undefined);
    const callers = launch.buffers.filter(({ role }) => role !== "scratch" && role !== "plan");
    assertEquals(Object.fromEntries(callers.map(({ name, bytes, role }) => [name, `${role} ${bytes}`])), {
      q_nope: `input ${4 * 8 * 4 * 24}`,
      q_pe: `input ${4 * 8 * 4 * 16}`,
      compressed_kv: `input ${4 * 8 * 48}`,
      kpe: `input ${4 * 8 * 16}`,
      kv_b_proj: `input ${2 * 4 * 64 * 48}`,
      cu_num_pages: `input ${4 * 5}`,
      cache_loc: `input ${4 * 7}`,
      ...(layout === "separate"
        ? { ckv_cache: `inout ${2 * 9 * 16 * 48}`, kpe_cache: `inout ${2 * 9 * 16 * 16}` }
        : { cache: `inout ${2 * 9 * 16 * 64}` }),
      out: `output ${4 * 8 * 4 * 40}`,
      lse: `output ${4 * 6 * 4}`,
    });
    const own = launch.buffers.filter(({ role, name }) => role === "scratch" && !name.includes("/"));
    assertEquals(own.map(({ name }) => name).sort(), ["latent", "page_table", "q_latent"]);
  }
});

Deno.test("what follows from the lengths is in plans", () => {
  const { buffers } = mlaFused.launch(MIXED, LAYOUT, {}, DEVICE);
  const contents = (name: string) => [...buffers.find((spec) => spec.name === name)!.contents!];
  assertEquals(contents("cu_seqlen"), [0, 3, 5, 5, 6]);
  assertEquals(contents("input_pos"), [0, 18, 5, 16]);
  const plans = buffers.filter(({ role }) => role === "plan").map(({ name }) => name);
  assertEquals(plans.filter((name) => !["cu_seqlen", "input_pos"].includes(name)).length > 0, true);
});

Deno.test("the parts run in order: page table, append, then either form", () => {
  const labels = (form: "absorbed" | "expanded", shape = MIXED) =>
    mlaFused.launch(shape, LAYOUT, { form }, DEVICE).dispatches.map(({ label }) => label);
  assertEquals(labels("absorbed"), ["block_table", "append", "project q", "attend", "project v"]);
  assertEquals(labels("expanded"), [
    "block_table",
    "append",
    "prefill/queries",
    "prefill/expand",
    "prefill/attend",
  ]);
  assertEquals(labels("expanded", mlaShape({ q: [0], kv: [9], padding: 1 })), ["project v"]);
});

Deno.test("base 2 of the log-sum-exp is named, in both forms", () => {
  for (const form of ["absorbed", "expanded"] as const) {
    const { buffers } = mlaFused.launch({ ...MIXED, lseBase: "2" }, LAYOUT, { form }, DEVICE);
    const outputs = buffers.filter(({ role }) => role === "output").map(({ name }) => name);
    assertEquals(outputs, ["out", "lse2"]);
  }
});
