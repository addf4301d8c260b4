/**
 * Suites of serving sizes: `default` for a GPU, and `full`.
 *
 * @module
 */
import { makeCase } from "./case_id.ts";
import { type Cost, estimateCost } from "./cost.ts";
import type { ShapeFields } from "./overrides.ts";
import type { Group, Suite } from "./suite.ts";

const attend = { operation: "attend", variants: "all" } as const;
const append = { operation: "append", variants: "all" } as const;
const project = { operation: "project", variants: "all" } as const;
const prefill = { operation: "prefill", variants: "all" } as const;
const mla = { operation: "mla", variants: "all" } as const;

/** Most bytes that a case of `default` moves, so that its inputs are made and rotated within a second. */
const DEFAULT_BYTES = 400e6;

/** Most work of a case of `default`: 80 ms at 1 TFLOP/s. */
const DEFAULT_FLOPS = 80e9;

/** The work of one launch, the same whichever kernel does it. */
function workOf(fields: ShapeFields): Cost {
  return estimateCost(makeCase({ ...fields, variant: "any" }));
}

function fitsDefault(fields: ShapeFields): boolean {
  const { flops, bytes } = workOf(fields);
  return flops <= DEFAULT_FLOPS && bytes <= DEFAULT_BYTES;
}

const serving = { ...attend, where: fitsDefault };

/** Decode and append at serving sizes. */
const throughput: readonly Group[] = [
  { ...serving, axes: { R: [512, 256], H: [16, 128], B: [1, 16, 64], kv: [1024, 4096, 8192] } },
  { ...serving, axes: { R: [256], H: [8, 32], B: [1, 16, 64], kv: [4096] } },
  { ...serving, axes: { R: [512, 256], cache: ["f16"], B: [16, 64], H: [16], kv: [1024, 4096] } },
  { ...serving, axes: { R: [512, 256], page: [16], B: [1, 64], H: [16], kv: [4096] } },
  { ...serving, axes: { R: [512, 256], kv: [32768] } },
  { ...serving, axes: { R: [512, 256], B: [64], kv: ["rand(1..4096)"] } },
  {
    ...append,
    axes: { R: [512, 256] },
    rows: [{ B: 64, kv: 4096 }, { B: 1, q: 8192, kv: 8192 }, { B: 16, q: 1024, kv: 4096 }],
  },
  { ...append, axes: { cache: ["f16", "f32"], B: [16], q: [1024], kv: [4096] } },
];

/** Four prompts of 256 tokens among sixteen decode steps. */
const mixed = {
  B: 20,
  q: [...new Array(4).fill(256), ...new Array(16).fill(1)].join(),
  kv: [...new Array(4).fill(256), ...new Array(16).fill(4096)].join(),
};

/** Prompts, chunks, mixed batches and the whole operator beside its parts, at serving sizes. */
const operators: readonly Group[] = [
  // Expanded prompts, and 512 new tokens on 8,192 cached ones with the heads of DeepSeek-V3.
  { ...prefill, axes: { R: [512] }, rows: [{ q: 8192, kv: 8192 }, { q: 2048, kv: 2048 }] },
  { ...prefill, axes: { R: [512], H: [128], q: [512], kv: [8704] } },
  { ...attend, axes: { R: [512], H: [128], q: [512], kv: [8704] } },
  { ...attend, axes: { R: [512, 256] }, rows: [mixed] },
  { ...append, axes: { R: [512], q: [4096], kv: [4096], layout: ["combined", "separate"] } },
  // What mla costs beside append, the two projections and attend of the same decode step.
  { ...mla, axes: { R: [512], H: [16, 128], B: [64], kv: [4096] } },
  { ...project, axes: { R: [512], H: [16, 128], B: [64], part: ["q", "v"] } },
  { ...append, axes: { R: [512], layout: ["separate"] }, rows: [{ B: 64, kv: 4096 }] },
  { ...mla, axes: { R: [512, 256] }, rows: [mixed] },
  // From which prompt on the expanded form is the faster one.
  {
    ...mla,
    axes: { R: [512, 256], form: ["absorbed", "expanded"] },
    rows: [128, 512, 2048].map((tokens) => ({ q: tokens, kv: tokens })),
  },
];

/** Correctness in breadth on small shapes: what `smoke` does in less time. */
const correctness: readonly Group[] = [
  { ...attend, axes: { kv: ["boundary"] } },
  { ...attend, axes: { B: [3], H: [8], page: [1, 16, 61], kv: [130] } },
  { ...attend, axes: { B: [2], R: [256, 512], cache: ["f32", "f16"], kv: [129] } },
  {
    ...attend,
    axes: { splits: [3], kv: [193], input: ["peak", "large", "equal", "monotone", "jump", "alternating", "onehot"] },
  },
  {
    ...attend,
    axes: {},
    rows: [
      { B: 4, kv: "0,1,64,129" },
      { B: 5, R: 512, kv: "1,65,0,128,200", page: 16 },
      { B: 157, kv: "rand(0..300)" },
      { H: 3, kv: 66, Dr: 0 },
      { H: 40, kv: 66, Dr: 32 },
    ],
  },
  { ...attend, axes: {}, rows: [{ B: 5, q: "5,1,1,17,0", kv: "5,65,1,40,9" }, { q: 33, kv: 130, layout: "separate" }] },
  { ...prefill, axes: {}, rows: [{ B: 3, q: "33,1,17", kv: "33,1,17" }] },
  { ...mla, axes: {}, rows: [{ B: 5, q: "5,1,1,17,0", kv: "5,65,1,40,9" }, { B: 2, q: "9,20>8,3>1x2", kv: "60,25" }] },
  { ...append, axes: { kv: [1, 64, 65] } },
  { ...append, axes: {}, rows: [{ B: 6, q: "0,4,0,0,7,0", kv: "0,4,5,0,70,64" }, { B: 2, q: 0, kv: 5 }] },
];

/** The suite that a GPU runs by default: about five minutes on a large one. */
export const DEFAULT: Suite = {
  name: "default",
  summary: "serving sizes at ranks 512 and 256 after correctness on small shapes; the default on a GPU",
  groups: [...correctness, ...throughput, ...operators],
};

/** Names that `full` includes beside the presets. */
const SWEEPS = "smoke boundary page batch rank256 flows seed flashinfer flashmla default h200".split(" ");

/**
 * Everything.
 *
 * @param presets Names of the model suites.
 */
export function fullSuite(presets: readonly string[]): Suite {
  return {
    name: "full",
    summary: "every suite together, and the sizes that default leaves out for time",
    includes: [...SWEEPS, ...presets],
    groups: [
      {
        operation: "attend",
        variants: "all",
        axes: {
          R: [512, 256],
          H: [16, 128],
          B: [1, 16, 64, 128],
          kv: [1024, 4096, 8192, 32768],
          cache: ["bf16", "f16", "f32"],
          page: [64, 16],
        },
        where: (fields) => workOf(fields).bytes <= 2e9,
      },
    ],
  };
}
