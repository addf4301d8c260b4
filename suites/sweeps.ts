/**
 * Suites that vary one thing widely: `boundary`, `page`, `batch`, and `rank256`, which crosses the three.
 *
 * @module
 */
import { boundaryLengths } from "./boundary.ts";
import type { Suite } from "./suite.ts";

const attend = { operation: "attend", variants: "all" } as const;
const append = { operation: "append", variants: "all" } as const;
const project = { operation: "project", variants: "all" } as const;
const prefill = { operation: "prefill", variants: "all" } as const;
const mla = { operation: "mla", variants: "all" } as const;

/** Page sizes of serving stacks, and those their tests use to break page arithmetic (FlashMLA's 61, 69, 576). */
const PAGES = [64, 1, 2, 3, 8, 16, 32, 61, 69, 128, 256, 576] as const;

/** Batch sizes of FlashInfer's and FlashMLA's tests: primes, powers of two and their neighbours. */
const BATCHES = [1, 2, 3, 4, 5, 6, 7, 8, 16, 17, 32, 64, 74, 128, 157, 256] as const;

/** Prompts of every length next to an edge of pages of 64 and of tiles. */
const edgePrompts = boundaryLengths({ page: 64 }).filter((n) => n > 0).map((tokens) => ({ q: tokens, kv: tokens }));

/** Every length next to an edge. */
export const BOUNDARY: Suite = {
  name: "boundary",
  summary: "every length next to an edge of pages, tiles and splits",
  groups: [
    { ...attend, axes: { R: [256, 512], page: [64, 16, 1], splits: [1, 3], kv: ["boundary"] } },
    { ...attend, axes: { B: [3], H: [8], cache: ["f16", "f32"], page: [61, 128], kv: ["boundary"] } },
    { ...append, axes: { R: [256, 512], page: [64, 16, 1], kv: ["boundary"] } },
    { ...append, axes: { layout: ["separate"], page: [64, 1], q: [33], kv: ["boundary"] } },
    { ...prefill, axes: { H: [4], R: [256, 512], page: [64, 16] }, rows: edgePrompts },
    { ...mla, axes: { H: [4], R: [256, 512], page: [64, 16, 1], kv: ["boundary"] } },
    { ...mla, axes: { H: [4], form: ["absorbed", "expanded"] }, rows: edgePrompts },
    // One token lost of thousands, or seen twice: where all have the same weight none hides.
    {
      ...attend,
      axes: { H: [4], input: ["equal"], R: [256, 512], kv: [4096, 700, 4095, 4097, 8191], splits: ["auto", 1, 7] },
    },
    {
      ...attend,
      axes: { H: [4], input: ["equal"], q: [5], page: [61, 64], kv: [2049], layout: ["combined", "separate"] },
    },
    { ...mla, axes: { H: [4], input: ["equal"], q: [1, 3], kv: [4097], form: ["absorbed", "expanded"] } },
  ],
};

/** Every page size. */
export const PAGE: Suite = {
  name: "page",
  summary: `page sizes ${PAGES.toSorted((a, b) => a - b).join(", ")}`,
  groups: [
    { ...attend, axes: { B: [2], page: PAGES, R: [256, 512], kv: [130, 577], cache: ["bf16", "f16", "f32"] } },
    { ...attend, axes: { H: [8], page: PAGES, kv: ["boundary"] } },
    { ...append, axes: { B: [2], page: PAGES, q: [1, 130], kv: [577] } },
    { ...attend, axes: { layout: ["separate"], H: [8], page: PAGES, q: [1, 9], kv: [130] } },
    { ...append, axes: { layout: ["separate"], B: [2], page: PAGES, q: [130], kv: [577] } },
    { ...prefill, axes: { H: [4], page: PAGES, q: [70], kv: [130] } },
    { ...mla, axes: { H: [4], page: PAGES, layout: ["combined", "separate"] }, rows: [{ B: 2, q: "60>9>1", kv: 130 }] },
  ],
};

/** Every batch size. */
export const BATCH: Suite = {
  name: "batch",
  summary: `batch sizes ${BATCHES.join(", ")}, equal and ragged`,
  groups: [
    { ...attend, axes: { B: BATCHES, R: [256, 512], kv: [65, "rand(0..200)", "rand(1..1024)"], page: [64, 16] } },
    { ...attend, axes: { B: BATCHES, H: [8], kv: ["rand(0..200)"], cache: ["f16", "f32"], splits: [3] } },
    { ...append, axes: { B: BATCHES, q: [1, 7], kv: [65, "rand(7..200)"] } },
    { ...attend, axes: { B: BATCHES, H: [4], q: ["rand(0..9)"], kv: ["rand(9..200)"] } },
    { ...prefill, axes: { B: BATCHES, H: [4], q: ["rand(0..40)"], kv: [40] } },
    { ...mla, axes: { B: BATCHES, H: [4], q: ["rand(0..9)", 1], kv: ["rand(9..200)"] } },
  ],
};

const mistral = { R: [256], Dn: [64] } as const;

/** Rank 256 in full: the rank that kernels made for 512 get wrong. */
export const RANK256: Suite = {
  name: "rank256",
  summary: "R=256 with the dimensions of Mistral Small 4: batch × page × boundary crossed, all dtypes",
  groups: [
    // Small enough that a software adapter runs the whole cross product.
    {
      ...attend,
      axes: { ...mistral, H: [4], B: [1, 2, 7], page: [16, 61, 64], kv: ["boundary"] },
      onSoftware: "all",
    },
    {
      ...attend,
      axes: { ...mistral, H: [4], cache: ["f16", "f32"], B: [1, 3], page: [16, 64], kv: ["boundary"] },
      onSoftware: "all",
    },
    {
      ...append,
      axes: { cache: ["bf16", "f16", "f32"], B: [1, 3], page: [16, 64], kv: [1, 64, 65] },
      onSoftware: "all",
    },
    { ...mla, axes: { ...mistral, H: [4], B: [1, 3], page: [16, 64], kv: ["boundary"] } },
    { ...mla, axes: { ...mistral, H: [4], cache: ["f16", "f32"], form: ["absorbed", "expanded"] }, rows: edgePrompts },
    { ...prefill, axes: { ...mistral, H: [4], cache: ["bf16", "f16", "f32"] }, rows: edgePrompts },
    {
      ...project,
      axes: { ...mistral, part: ["q", "v"], H: [4, 32], q: [1, 3, 17, 64, 65], weight: ["bf16", "f16", "f32"] },
    },
    {
      ...attend,
      axes: { ...mistral, H: [32, 8], B: [1, 3, 16, 17, 64], page: [1, 16, 64, 128], kv: ["boundary"] },
      onSoftware: "nothing",
    },
    {
      ...attend,
      axes: {
        ...mistral,
        H: [32, 8, 4],
        B: [1, 16, 64],
        page: [16, 64],
        kv: [1024, 4096, "rand(1..4096)"],
        cache: ["bf16", "f16", "f32"],
      },
      onSoftware: "nothing",
    },
  ],
};
