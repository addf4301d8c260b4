/**
 * Several calls of `mla` on one cache. After the last one the cache must equal the reference's bit for bit.
 *
 * @module
 */
import type { Suite } from "./suite.ts";

const mla = { operation: "mla", variants: "all", onSoftware: "all" } as const;

/** Both ranks, pages that divide the prompts and one that does not, both layouts. */
const caches = { R: [256, 512], page: [16, 61, 64], layout: ["combined", "separate"] } as const;

/** Flows of a server: prompts, chunks, decode steps, and sequences that join and leave. */
export const FLOWS: Suite = {
  name: "flows",
  summary: "calls on one cache: generation, steps across a page, chunked prompts, sequences that join and leave",
  groups: [
    // A prompt read back by the token after it: a slot written elsewhere than it is read.
    { ...mla, axes: { ...caches, H: [4], B: [2] }, rows: [{ q: "32>1", kv: 33 }] },
    // A prompt that ends with its page: the next token begins a new one.
    {
      ...mla,
      axes: { H: [4], layout: ["combined", "separate"], cache: ["f32", "f16"] },
      rows: [{ q: "64>1", kv: 65 }],
    },
    // Five steps across a page boundary: three before it, two after.
    {
      ...mla,
      axes: { H: [4], B: [3], R: [256, 512] },
      rows: [16, 61, 64].map((page) => ({ page, q: "1x5", kv: page + 2 })),
    },
    // Prompts in chunks of different sizes, none a whole page, then decode: a chunk that sees only itself, or the
    // future.
    { ...mla, axes: { ...caches, H: [4] }, rows: [{ B: 2, q: "33,7>18,20>1x3", kv: "54,30" }] },
    // The same behind tokens that were there before.
    { ...mla, axes: { H: [4], page: [16, 64] }, rows: [{ B: 3, q: "17,1,5>9,1,30>1x2", kv: "60,4,37" }] },
    // The session of the seed: a prompt, a step, another prompt beside a step, both decode.
    { ...mla, axes: { ...caches, H: [4] }, rows: [{ B: 2, q: "32,0>1,0>1,16>1,1", kv: "35,17" }] },
    // Sequences that join, wait and leave: metadata of those that are not there, or another sequence's pages.
    { ...mla, axes: { ...caches, H: [4] }, rows: [{ B: 3, q: "20,0,5>1,9,0>0,1,1>0,1,1", kv: "21,11,9" }] },
    // Each form for every call: their outputs and caches are the same.
    {
      ...mla,
      axes: { H: [4], form: ["absorbed", "expanded"], R: [256, 512] },
      rows: [{ B: 2, q: "20,3>7,30>1,1", kv: "28,40" }],
    },
    // Rows of padding in every call, in all dtypes of cache and weight.
    {
      ...mla,
      axes: { H: [4], padding: [3], cache: ["bf16", "f16", "f32"], weight: ["bf16", "f16", "f32"] },
      rows: [{ B: 2, q: "5,9>1,1", kv: "6,10" }],
    },
    // A long session: two prompts in four chunks, then forty steps.
    { ...mla, axes: { R: [512, 256], H: [16] }, rows: [{ B: 2, q: "512x4>1x40", kv: 2088 }], onSoftware: "nothing" },
  ],
};
