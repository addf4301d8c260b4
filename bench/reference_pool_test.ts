import { assert, assertEquals, assertRejects } from "@std/assert";
import { splitCache } from "../reference/cache.ts";
import { attendEmulation } from "../reference/emulate_attend.ts";
import { projectedEmulation } from "../reference/emulate_projected.ts";
import type { Emulation } from "../reference/emulation.ts";
import { makeAttendInputs } from "../reference/inputs.ts";
import { attendAbsorbed } from "../reference/mla.ts";
import { makeMlaInputs } from "../reference/mla_inputs.ts";
import { makePrefillInputs } from "../reference/model_inputs.ts";
import { F32 } from "../reference/precision.ts";
import { attendProjected } from "../reference/projected.ts";
import { allRows } from "../reference/rows.ts";
import type { AttendShape, MlaShape, PrefillShape } from "../reference/shapes.ts";
import { F16_ALL } from "../reference/testdata/f16_kernels.ts";
import { answerAppend, answerProject } from "./reference_worker.ts";
import { ReferencePool } from "./reference_pool.ts";

const LARGE: AttendShape = {
  B: 3,
  H: 32,
  R: 512,
  Dr: 64,
  Dn: 128,
  Dv: 128,
  page: 16,
  cache: "bf16",
  q: [1, 1, 1],
  kv: [700, 0, 300],
  scale: 0.07,
  causal: true,
};

Deno.test("ReferencePool computes in parts what one thread computes at once", async () => {
  const pool = new ReferencePool(2);
  try {
    const inputs = await pool.inputs(LARGE, "normal", 7);
    const rows = allRows(LARGE);
    assertEquals(await pool.attend(inputs, rows), attendAbsorbed(inputs, rows));
  } finally {
    pool.close();
  }
});

Deno.test("ReferencePool emulates in parts what one thread emulates at once", async () => {
  const pool = new ReferencePool(2);
  try {
    // Few rows of many tokens: each is drawn several times, and the draws are shared out.
    const shape = { ...LARGE, H: 2, kv: [3000, 0, 300] };
    const inputs = await pool.inputs(shape, "normal", 7);
    const reference = attendAbsorbed(inputs);
    const emulation = await pool.emulateAttend(inputs, reference);
    assertEquals(sorted(emulation), sorted(attendEmulation(inputs, reference)));
    assert(emulation.out.length >= 4 && emulation.out.every((error) => error > 0));
    const coarse = await pool.emulateAttend(inputs, reference, F16_ALL);
    assertEquals(sorted(coarse), sorted(attendEmulation(inputs, reference, F16_ALL)));
    assertEquals([emulation.precision, coarse.precision], [F32, F16_ALL]);
    const model: PrefillShape = { ...shape, q: [3, 0, 9], kv: [300, 0, 30], weight: "f16", padding: 1 };
    const prefill = makePrefillInputs(model, "normal", 7);
    const projected = attendProjected(prefill);
    const both = await pool.emulateProjected(prefill, projected);
    assertEquals(sorted(both), sorted(projectedEmulation(prefill, projected)));
    assertEquals(new Set(both.shape).size, 6);
    const coarser = await pool.emulateProjected(prefill, projected, F16_ALL);
    assertEquals(sorted(coarser), sorted(projectedEmulation(prefill, projected, F16_ALL)));
  } finally {
    pool.close();
  }
});

/** Draws in an order of their own. */
function sorted({ shape, out, lse }: Emulation): number[][] {
  return Array.from(shape, (pool, i) => [pool, out[i], lse[i]]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
}

/**
 * Over the size from which inputs are made in parts, with empty sequences, partial pages and a page size no part
 * divides.
 */
const PARTS: AttendShape = { ...LARGE, H: 2, page: 7, q: [2, 1, 0, 3], kv: [4001, 0, 3, 5003], B: 4 };

const MODEL: MlaShape = { ...PARTS, q: [2, 0, 3, 3], weight: "bf16", padding: 2 };

Deno.test("ReferencePool makes large inputs of attend in parts: the same bytes", async () => {
  const pool = new ReferencePool(3);
  try {
    for (const kind of ["normal", "peak", "seed"] as const) {
      const made = await pool.inputs(PARTS, kind, 7);
      assertEquals(made.cache.buffer instanceof SharedArrayBuffer, true);
      assertSameInputs(made, makeAttendInputs(PARTS, kind, 7));
    }
  } finally {
    pool.close();
  }
});

Deno.test("ReferencePool makes large inputs of prefill and mla in parts: the same bytes", async () => {
  const pool = new ReferencePool(3);
  try {
    assertSameInputs(await pool.prefillInputs(MODEL, "seed", 8), makePrefillInputs(MODEL, "seed", 8));
    assertSameInputs(await pool.mlaInputs(MODEL, "normal", 9), makeMlaInputs(MODEL, "normal", 9));
    const flow = { ...MODEL, steps: [[1, 0, 3, 1], [1, 0, 0, 2]] };
    assertSameInputs(await pool.mlaInputs(flow, "normal", 9), makeMlaInputs(flow, "normal", 9));
  } finally {
    pool.close();
  }
});

Deno.test("ReferencePool splits a large cache in parts: the same bytes", async () => {
  const pool = new ReferencePool(2);
  try {
    for (const shape of [PARTS, { ...PARTS, Dr: 0 }, { ...PARTS, cache: "f32" as const }]) {
      const { cache } = makeAttendInputs(shape, "normal", 7);
      assertSameInputs(await pool.split(cache, shape), splitCache(cache, shape));
    }
  } finally {
    pool.close();
  }
});

Deno.test("ReferencePool computes rows of prefill in parts: the same values", async () => {
  const pool = new ReferencePool(2);
  try {
    const shape: PrefillShape = { ...LARGE, H: 8, q: [1, 0, 9], weight: "f16", padding: 1 };
    const inputs = await pool.prefillInputs(shape, "normal", 7);
    const rows = allRows(shape);
    const parts = await pool.projected(inputs, rows), whole = attendProjected(inputs, rows);
    // What bounds are made of is taken over the tokens that a part reads, so it may be a little tighter.
    for (const key of ["rows", "out", "lse", "rescalings", "seen"] as const) assertEquals(parts[key], whole[key], key);
  } finally {
    pool.close();
  }
});

Deno.test("ReferencePool answers a large append and project on a Worker as one thread does", async () => {
  const pool = new ReferencePool(1);
  try {
    const { B, R, Dr, page, cache } = LARGE;
    const append = { B, R, Dr, page, cache, q: [5, 0, 1], kv: [700, 0, 300] };
    const appended = await pool.append(append, 7);
    assertEquals(appended.inputs.cache.buffer instanceof SharedArrayBuffer, true);
    assertEquals(appended.expected.buffer instanceof SharedArrayBuffer, true);
    assertSameInputs(appended, answerAppend(append, 7));
    for (const part of ["q", "v"] as const) {
      const shape = { part, tokens: 8, H: 32, R, Dn: 128, Dv: 128, weight: "bf16", padding: 1 } as const;
      const request = { shape, input: "normal", seed: 7, rows: Int32Array.of(0, 17, 255) } as const;
      const answered = await pool.project(shape, request.input, request.seed, request.rows);
      assertEquals(answered.inputs.kvB.buffer instanceof SharedArrayBuffer, true);
      assertSameInputs(answered, answerProject(request));
    }
  } finally {
    pool.close();
  }
});

Deno.test("ReferencePool passes on what a Worker throws, and goes on", async () => {
  const pool = new ReferencePool(1);
  try {
    await assertRejects(() => pool.prefillInputs(MODEL, "onehot", 7), Error, "onehot");
    assertEquals((await pool.inputs({ ...LARGE, kv: [8000, 0, 0] }, "normal", 7)).kvLen.length, 3);
  } finally {
    pool.close();
  }
});

/** Compares by bytes: NaN bits count, and comparing elements one by one takes seconds. */
function assertSameInputs(actual: object, expected: object, path = "inputs"): void {
  for (const [key, wanted] of Object.entries(expected)) {
    const got = (actual as Record<string, unknown>)[key];
    if (ArrayBuffer.isView(wanted)) {
      assert(ArrayBuffer.isView(got) && got.byteLength === wanted.byteLength, `${path}.${key} has another size`);
      const [a, b] = [got, wanted].map((view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
      const at = a.findIndex((byte, i) => byte !== b[i]);
      assert(at < 0, `${path}.${key} differs at byte ${at}`);
    } else if (typeof wanted === "object" && wanted !== null) assertSameInputs(got as object, wanted, `${path}.${key}`);
    else assertEquals(got, wanted, `${path}.${key}`);
  }
}
