/**
 * `smoke`: what every change is checked with, on two CPU cores in well under 90 seconds.
 *
 * Small shapes, and few combinations of rank, rope width and dtype, because each is a pipeline to compile. Each group
 * says which mistake makes its cases fail.
 *
 * @module
 */
import type { Group, Suite } from "./suite.ts";

const attend = { operation: "attend", variants: "all", onSoftware: "all" } as const;
const append = { operation: "append", variants: "all", onSoftware: "all" } as const;

const attendGroups: readonly Group[] = [
  // A dropped last partial tile, tokens read past the end, an empty sequence left unwritten.
  { ...attend, axes: { kv: ["boundary"] } },
  // The same at rank 512 and over small pages; from two tokens on a dropped scale or rope term shows as well.
  { ...attend, axes: { B: [2], R: [512], page: [16], kv: [1, 2, 15, 17, 33, 100] } },
  // Page arithmetic: one token a page, sizes that are no power of two, a page larger than the sequence.
  { ...attend, axes: { B: [3], H: [8], kv: [130], page: [1, 3, 61, 256] } },
  // Decoding of each element type at both ranks.
  { ...attend, axes: { B: [2], H: [8], cache: ["f32", "f16"] }, rows: [{ kv: 65 }, { kv: 128 }, { R: 512, kv: 65 }] },
  // A running maximum that is not carried, an overflow without it; one split and the merge of three.
  {
    ...attend,
    axes: { splits: [1, 3], kv: [129] },
    rows: [{ input: "peak" }, { input: "large" }, { input: "equal" }, { input: "monotone" }],
  },
  { ...attend, axes: { H: [8], page: [16], kv: [100], input: ["alternating", "onehot"] } },
  // Fewer tokens than splits, splits of unequal length, a merge without rescale.
  { ...attend, axes: { splits: [3], kv: [2, 64, 193] } },
  { ...attend, axes: { splits: [3], R: [512], cache: ["f16"], kv: [160], input: ["monotone"] } },
  // Lengths of one sequence used for another; empty sequences first, in the middle and last.
  {
    ...attend,
    axes: {},
    rows: [
      { B: 4, kv: "0,1,64,129" },
      { B: 4, kv: "193,0,63,0", splits: 3 },
      { B: 5, H: 8, R: 512, kv: "1,65,0,128,200", page: 16 },
      { B: 8, H: 8, kv: "rand(0..150)", page: 61 },
      { B: 17, H: 8, kv: "rand(1..96)", page: 16, cache: "f16" },
    ],
  },
  // Head counts that fill no block of heads.
  { ...attend, axes: { H: [1, 3, 9, 63], kv: [66] } },
  // No rope part, the narrow one of MiniCPM3, and a scale that is not the default.
  { ...attend, axes: { H: [8], kv: [65] }, rows: [{ Dr: 0, cache: "f32" }, { Dr: 32 }, { scale: 0.5 }] },
];

const appendGroups: readonly Group[] = [
  // Decode: first and last slot of a page, the first of the next.
  { ...append, axes: { kv: [1, 64, 65], cache: ["bf16", "f16", "f32"] } },
  { ...append, axes: { B: [17], kv: ["rand(1..96)"], page: [1, 16, 61] } },
  // Prefill across pages, from an empty cache and behind cached tokens.
  { ...append, axes: { q: [130], kv: [130, 200], page: [1, 16, 61, 64] } },
  { ...append, axes: { R: [512], q: [65], kv: [65], cache: ["bf16", "f16", "f32"] } },
  // Binary search over empty sequences: first, in a row, last, all of them (nothing is written).
  {
    ...append,
    axes: {},
    rows: [
      { B: 6, q: "0,4,0,0,7,0", kv: "0,4,5,0,70,64" },
      { B: 4, q: "0,3,5,1", kv: "9,3,66,64", R: 512, page: 16 },
      { B: 3, q: "2,0,0", kv: "65,64,0", cache: "f16", page: 3 },
      { B: 2, q: 0, kv: 5 },
    ],
  },
  { ...append, axes: { q: [20], kv: [70] }, rows: [{ Dr: 0, cache: "f32" }, { Dr: 32 }] },
];

/** The suite that a software adapter runs by default. */
export const SMOKE: Suite = {
  name: "smoke",
  summary: "every kernel, dtype, input kind and kind of edge on small shapes; the default without a GPU",
  groups: [...attendGroups, ...appendGroups],
};
