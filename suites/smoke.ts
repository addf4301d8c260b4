/**
 * `smoke`: what every change is checked with, on two CPU cores in well under 90 seconds.
 *
 * Small shapes, and few combinations of rank, rope width and dtype, because each is a pipeline to compile. Each group
 * says which mistake makes its cases fail.
 *
 * @module
 */
import type { Group, Suite } from "./suite.ts";

const attend = { operation: "attend", variants: "all", onSoftware: "all", ownDtype: true } as const;
/** Groups that are about an element type. */
const typed = { ...attend, ownDtype: false } as const;
/** Inputs that show nothing of the scores of a kernel that rounds what it multiplies. */
const exact = { ...attend, exact: true } as const;
/** Kernels in which teams of lanes share rows: `rows` and `tile` are theirs. */
const teams = { ...attend, variants: ["fused_subgroup", "fused_f16"] } as const;
const append = { operation: "append", variants: "all", onSoftware: "all" } as const;
const project = { operation: "project", variants: "all", onSoftware: "all" } as const;
const prefill = { operation: "prefill", variants: "all", onSoftware: "all" } as const;
const mla = { operation: "mla", variants: "all", onSoftware: "all" } as const;
const anyMla = { ...mla, ownDtype: true } as const;

const attendGroups: readonly Group[] = [
  // A dropped last partial tile, tokens read past the end, an empty sequence left unwritten.
  { ...attend, axes: { kv: ["boundary"] } },
  // The same at rank 512 and over small pages; from two tokens on a dropped scale or rope term shows as well.
  { ...attend, axes: { B: [2], R: [512], page: [16], kv: [1, 2, 15, 17, 33, 100] } },
  // Page arithmetic: one token a page, sizes that are no power of two, a page larger than the sequence.
  { ...attend, axes: { B: [3], H: [8], kv: [130], page: [1, 3, 61, 256] } },
  // Decoding of each element type at both ranks.
  { ...typed, axes: { B: [2], H: [8], cache: ["f32", "f16"] }, rows: [{ kv: 65 }, { kv: 128 }, { R: 512, kv: 65 }] },
  // A running maximum that is not carried, an overflow without it; one split and the merge of three.
  {
    ...attend,
    axes: { splits: [1, 3], kv: [129] },
    rows: [{ input: "peak" }, { input: "large" }, { input: "jump" }, { input: "equal" }],
  },
  { ...exact, axes: { splits: [1, 3], kv: [129], input: ["monotone"] } },
  { ...attend, axes: { H: [8], page: [16], kv: [100], input: ["alternating", "onehot"] } },
  // A chain of f16 that goes on over thousands of tokens.
  { ...teams, variants: ["fused_f16"], axes: { H: [2], kv: [4097], cache: ["f16"], input: ["equal"], splits: [1] } },
  // Fewer tokens than splits, splits of unequal length, a merge without rescale.
  { ...attend, axes: { splits: [3], kv: [2, 64, 193] } },
  { ...exact, axes: { splits: [3], R: [512], kv: [160], input: ["monotone"] } },
  // Splits that 4 threads merge, that 16 do, and those in several steps: a barrier, a share or a rescale left out.
  { ...attend, axes: { H: [2] }, rows: [{ kv: 577, splits: 17 }, { kv: 300, splits: 40 }] },
  { ...attend, axes: { H: [2], splits: [140], kv: [4200], input: ["peak"] } },
  // Lengths of one sequence used for another; empty sequences first, in the middle and last.
  {
    ...attend,
    axes: {},
    rows: [
      { B: 4, kv: "0,1,64,129" },
      { B: 4, kv: "0,1,64,129", splits: 1 },
      { B: 4, kv: "193,0,63,0", splits: 3 },
      { B: 5, H: 8, R: 512, kv: "1,65,0,128,200", page: 16 },
      { B: 8, H: 8, kv: "rand(0..150)", page: 61 },
      { B: 17, H: 8, kv: "rand(1..96)", page: 16, cache: "f16" },
    ],
  },
  // Head counts that fill no block of heads, alone and in front of another sequence's.
  { ...attend, axes: { H: [1, 3, 9, 63], kv: [66] } },
  { ...attend, axes: { B: [3], H: [3], kv: ["1,66,40"] } },
  // Rows of a team and tokens of a tile as GPUs have them: tiles across pages and past the end, fewer scores than
  // lanes.
  {
    ...teams,
    axes: { R: [256, 512], H: [8], q: [2], kv: [67] },
    rows: [
      { rows: 4, tile: 2, page: 61 },
      { rows: 2, tile: 4, page: 16 },
      { rows: 1, tile: 8, page: 61 },
    ],
  },
  { ...teams, axes: { H: [8], kv: [66], page: [61], rows: [1], tile: [2] } },
  // No rope part, the narrow one of MiniCPM3, and a scale that is not the default.
  { ...attend, axes: { H: [8], kv: [65] }, rows: [{ Dr: 0, cache: "f32" }, { Dr: 32 }, { scale: 0.5, splits: 1 }] },
  // The causal rule aligned to the wrong end, a tile masked that is seen, or seen that is masked; rows that see
  // nothing.
  {
    ...attend,
    axes: { H: [8] },
    rows: [{ q: 2, kv: 65 }, { q: 4, kv: 33, causal: 0 }, { q: 3, kv: 2 }, { q: 9, kv: 64 }],
  },
  // A prompt, a decode step, a prompt of one token, a chunk and a sequence without new tokens: rows of another's
  // sequence.
  {
    ...attend,
    axes: { B: [5], H: [8], q: ["5,1,1,17,0"], kv: ["5,65,1,40,9"] },
    rows: [{ page: 16 }, { page: 16, splits: 1 }, { layout: "separate", page: 3 }],
  },
  // A chunk of 33 behind 97 cached tokens, in one split and in three.
  { ...attend, axes: { H: [4], q: [33], kv: [130], page: [16], splits: [1, 3] } },
  // Rope keys read from the latent cache, or with its row length.
  {
    ...attend,
    axes: { B: [2], H: [8], layout: ["separate"], kv: [65] },
    rows: [{}, { R: 512, cache: "f16" }, { Dr: 0 }],
  },
  // A log-sum-exp in the wrong base, before and after a merge, and of no token.
  { ...attend, axes: { lse: ["2"] }, rows: [{ kv: 65 }, { kv: 193, splits: 3 }, { kv: 0 }] },
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
      { B: 6, q: "0,4,0,0,7,0", kv: "0,4,5,0,70,64", layout: "separate" },
    ],
  },
  { ...append, axes: { q: [20], kv: [70] }, rows: [{ Dr: 0, cache: "f32" }, { Dr: 32 }] },
  // Two caches: rope keys behind the latents of their row, or in the wrong slot.
  {
    ...append,
    axes: { layout: ["separate"] },
    rows: [{ q: 65, kv: 130 }, { R: 512, q: 20, kv: 70, cache: "f16" }, { Dr: 0 }],
  },
];

/** Dimensions of Mistral Small 4, DeepSeek-V3 and GLM-4.7-Flash with few heads. */
const mistral = { H: 4, R: 256, Dn: 64 };
const deepseek = { H: 4, R: 512 };
const glm = { H: 2, R: 512, Dn: 192, Dv: 256 };

const projectGroups: readonly Group[] = [
  // W_k taken for W_v, a weight not transposed, the rows of another head; few tokens and many.
  { ...project, axes: { part: ["q", "v"], B: [3] }, rows: [mistral, deepseek, { ...glm, q: 20 }] },
  // Each element type of the weight, and rows of padding that are not zero.
  { ...project, axes: { part: ["v"], H: [3], weight: ["f32", "f16"], padding: [0, 5], q: [17] } },
];

const prefillGroups: readonly Group[] = [
  // Ragged prompts, one of a single token, at the three heads: a query width taken for a value width, keys of another
  // head.
  { ...prefill, axes: { B: [3], q: ["33,1,17"], kv: ["33,1,17"] }, rows: [mistral, deepseek, glm] },
  // Chunks behind cached tokens, no causal rule, two caches, padding, base 2.
  {
    ...prefill,
    axes: { H: [3] },
    rows: [
      { B: 2, q: "9,5", kv: "70,5", page: 16 },
      { q: 20, kv: 20, causal: 0, lse: "2" },
      { q: 65, kv: 65, layout: "separate", padding: 4 },
      { B: 3, q: "5,0,1", kv: "5,9,64", padding: 1 },
    ],
  },
  // A maximum that is not carried from tile to tile, an overflow; element types of cache and weight.
  { ...prefill, axes: { H: [2], q: [40], kv: [140] }, rows: [{ input: "large" }, { input: "equal" }] },
  {
    ...prefill,
    axes: { H: [2], q: [17], kv: [17] },
    rows: [{ weight: "f32", cache: "f32" }, { weight: "f16", cache: "f16" }],
  },
];

const mlaGroups: readonly Group[] = [
  // A decode step that does not see its own token, at both ranks and at the first slot of a page.
  { ...mla, axes: { B: [2], H: [4], R: [256, 512], kv: [64] } },
  { ...anyMla, axes: { B: [2], H: [4], R: [256, 512], kv: [65] } },
  // A prompt in each form, the rows past its last token not zero.
  { ...anyMla, axes: { H: [4], q: [70], kv: [70], padding: [3], form: ["absorbed"] } },
  { ...mla, axes: { H: [4], q: [70], kv: [70], padding: [3], form: ["expanded"] } },
  // Prompts, steps, a prompt of one token and a sequence without new tokens in one call; two caches.
  {
    ...anyMla,
    axes: { B: [5], q: ["5,1,1,17,0"], kv: ["5,65,1,40,9"] },
    rows: [mistral, { ...mistral, layout: "separate", page: 16 }],
  },
  // A context and its first tokens; chunks; sequences that join and leave: a cache that is not what was written.
  {
    ...anyMla,
    axes: { H: [4] },
    rows: [
      { q: "32>1", kv: 33, page: 16 },
      { B: 2, q: "9,20>8,3>1x2", kv: "60,25", page: 16, layout: "separate" },
      { B: 2, q: "20,0>1,7>0,1", kv: "21,9", form: "expanded" },
      { B: 2, q: "40,0>1,7>0,1", kv: "41,9", form: "absorbed", splits: 2 },
    ],
  },
  // Element types, and inputs in the scale of the seed's tests.
  {
    ...mla,
    axes: { H: [2], q: [5], kv: [20] },
    rows: [{ cache: "f32", weight: "f32" }, { cache: "f16", weight: "f16" }, { input: "seed", tol: "seed-decode" }],
  },
];

/** The suite that a software adapter runs by default. */
export const SMOKE: Suite = {
  name: "smoke",
  summary: "every operation, dtype, input kind and kind of edge on small shapes; the default without a GPU",
  groups: [...attendGroups, ...appendGroups, ...projectGroups, ...prefillGroups, ...mlaGroups],
};
