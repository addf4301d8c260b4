import { assertEquals, assertRejects } from "@std/assert";
import { WorkerPool } from "./worker_pool.ts";

interface Request {
  readonly text: string;
  readonly answered?: Int32Array;
}

/** Answers a request with how many came before it and with its own text; one that says `throw` or `end` does that. */
const MODULE = new URL(
  "data:text/javascript," + encodeURIComponent(`
let count = 0;
self.onmessage = ({ data: { id, text, answered } }) => {
  if (answered) Atomics.add(answered, 0, 1);
  if (text === "end") { setTimeout(() => { throw new Error("gone"); }); return; }
  self.postMessage(text === "throw" ? { id, error: "no answer" } : { id, value: [count++, text] });
};`),
);

async function withPool(size: number, work: (pool: WorkerPool<Request>) => Promise<void>): Promise<void> {
  const pool = new WorkerPool<Request>(MODULE, size);
  try {
    await work(pool);
  } finally {
    pool.close();
  }
}

Deno.test("WorkerPool answers each request with its own answer, more than its Workers take at once", () =>
  withPool(2, async (pool) => {
    const texts = Array.from({ length: 50 }, (_, i) => `request ${i}`);
    const answers = await Promise.all(texts.map((text) => pool.run({ text }))) as [number, string][];
    assertEquals(answers.map(([, text]) => text), texts);
    // Both of them had some.
    assertEquals(answers.filter(([count]) => count === 0).length, 2);
  }));

Deno.test("WorkerPool keeps a Worker busy while the thread that asks is blocked, up to four requests", () =>
  withPool(1, async (pool) => {
    await pool.run({ text: "started" });
    const answered = new Int32Array(new SharedArrayBuffer(8));
    const answers = Array.from({ length: 6 }, () => pool.run({ text: "counted", answered }));
    // Nobody wakes it: for that time no message arrives here.
    Atomics.wait(answered, 1, 0, 200);
    assertEquals(answered[0], 4);
    await Promise.all(answers);
    assertEquals(answered[0], 6);
  }));

Deno.test("WorkerPool passes on what a Worker throws, and the others are answered", () =>
  withPool(1, async (pool) => {
    const [first, thrown, last] = ["a", "throw", "b"].map((text) => pool.run({ text }));
    await assertRejects(() => thrown, Error, "no answer");
    assertEquals([await first, await last], [[0, "a"], [1, "b"]]);
  }));

Deno.test("WorkerPool replaces a Worker that ends, whose requests fail with it", () =>
  withPool(1, async (pool) => {
    await assertRejects(() => pool.run({ text: "end" }), Error, "a Worker of the reference ended");
    assertEquals(await pool.run({ text: "again" }), [0, "again"]);
  }));
