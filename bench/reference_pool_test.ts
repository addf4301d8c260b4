import { assertEquals, assertRejects } from "@std/assert";
import { attendAbsorbed } from "../reference/mla.ts";
import { allRows } from "../reference/rows.ts";
import type { AttendShape } from "../reference/shapes.ts";
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

Deno.test("ReferencePool makes large inputs in a Worker: the same bytes", async () => {
  const pool = new ReferencePool(1);
  const shape = { ...LARGE, kv: [9000, 0, 0] };
  try {
    const made = await pool.inputs(shape, "normal", 7);
    const here = await new ReferencePool(1).inputs({ ...shape, kv: [1, 0, 0] }, "normal", 7);
    assertEquals(made.cache.buffer instanceof SharedArrayBuffer, true);
    assertEquals(made.qLatent, here.qLatent);
  } finally {
    pool.close();
  }
});

Deno.test("ReferencePool passes on what a Worker throws, and goes on", async () => {
  const pool = new ReferencePool(1);
  try {
    await assertRejects(() => pool.inputs({ ...LARGE, kv: [2 ** 50, 0, 0] }, "normal", 7), Error);
    assertEquals((await pool.inputs({ ...LARGE, kv: [8000, 0, 0] }, "normal", 7)).kvLen, Int32Array.of(8000, 0, 0));
  } finally {
    pool.close();
  }
});
