/**
 * FlashMLA's tests of dense decoding (`tests/test_flash_mla_dense_decoding.py`), with their values.
 *
 * Its caches hold `h_kv` heads, each with `h_q/h_kv` query heads: a batch of b is here one of b·h_kv sequences with
 * that many heads, which is the same mathematics. Combinations that thereby coincide are left out, and so is the causal
 * rule where there is one query token, which FlashMLA drops itself. Its scale is that of 576 dimensions, its
 * log-sum-exp natural; that of an empty sequence is +∞ there and −∞ here.
 *
 * Not here: sparse attention and fp8 caches.
 *
 * @module
 */
import type { AxisValues } from "./axes.ts";
import type { Group, Suite } from "./suite.ts";

/** Heads of queries × heads of keys, where these divide those. */
const HEADS: readonly (readonly [queries: number, keys: number])[] = [1, 3, 9, 63, 64, 126, 128].flatMap((queries) =>
  [1, 2, 3, 8].filter((keys) => queries % keys === 0).map((keys) => [queries, keys] as const)
);

const QUERIES: readonly number[] = [1, 2, 4];

const shared = {
  operation: "attend",
  variants: "all",
} as const;
const axes = { R: [512], scale: [1 / Math.sqrt(576)], input: ["flashmla"], tol: ["flashmla"] } as const;

function causalOf(q: number): readonly number[] {
  return q === 1 ? [1] : [1, 0];
}

/** Every b × h_q × h_kv as sequences and heads, each once. */
function sequencesAndHeads(batches: readonly number[]): AxisValues[] {
  const rows = new Map<string, AxisValues>();
  for (const b of batches) {
    for (const [queries, keys] of HEADS) {
      const row = { B: b * keys, H: queries / keys };
      rows.set(`${row.B},${row.H}`, row);
    }
  }
  return [...rows.values()];
}

/** The matrix: fixed lengths, and lengths around them. */
const correctness: readonly Group[] = QUERIES.map((q) => ({
  ...shared,
  source: "correctness cases",
  axes: { ...axes, q: [q], kv: [20, 140, 4096].flatMap((kv) => [kv, `normal(${q}..${kv})`]), causal: causalOf(q) },
  rows: sequencesAndHeads([2, 1, 6, 64]),
}));

const idle = { ...shared, axes: { ...axes, q: [2], kv: ["idle(2..4096)"], causal: [1, 0] } } as const;

/** About half of the sequences are empty. */
const zeroLength: readonly Group[] = [
  {
    ...idle,
    source: "zero-length cases",
    rows: HEADS.map(([queries, keys]) => ({ B: 128 * keys, H: queries / keys })),
  },
  // Theirs need more memory than a software adapter binds.
  {
    ...idle,
    source: "empty sequences among short ones",
    axes: { ...idle.axes, kv: ["idle(2..140)"] },
    rows: [{ B: 128, H: 1 }, { B: 6, H: 63 }],
    onSoftware: "all",
  },
];

const performance: readonly Group[] = [1, 2].map((q) => ({
  ...shared,
  source: "performance cases",
  axes: {
    ...axes,
    B: [128],
    H: [128],
    q: [q],
    kv: [4096, 8192, 16384, 32768].map((kv) => `normal(${q}..${kv})`),
    causal: causalOf(q),
  },
}));

/** FlashMLA's matrix of dense decoding. */
export const FLASHMLA: Suite = {
  name: "flashmla",
  summary: "FlashMLA's dense decoding: 2304 cases, 32 with empty sequences, 16 of its benchmark; its tolerances",
  groups: [...correctness, ...zeroLength, ...performance],
};
