/**
 * Small batches on which the expanded form is emulated. Unfolding keys and values costs Dn+Dv sums of R for each token
 * and head, a hundred times an absorbed row, so a probe has one head and the first tokens of one sequence, asked by
 * many of the batch's queries: what an error is of its scale depends little on the number of tokens.
 *
 * @module
 */
import { REDUCTION_SHAPES } from "./arithmetic.ts";
import { DTYPE_BYTES } from "./dtypes.ts";
import type { PrefillInputs } from "./model_inputs.ts";
import type { ProjectedReference } from "./projected.ts";
import type { PrefillShape } from "./shapes.ts";

/** Queries of a probe. */
const PROBE_QUERIES = 16;
/** Tokens of a probe. */
const PROBE_TOKENS = 16;
/** Variants in which probes are emulated: each unfolds keys and values anew. */
export const PROBE_VARIANTS: readonly number[] = Array.from({ length: REDUCTION_SHAPES }, (_, variant) => variant);
/** Mean `weightNorm` from which rows have nearly all their weight on one token. */
const ONE_TOKEN = 0.9;
/** Size of scores at which several tokens have weight. */
const MODERATE_SCORE = 8;

/** What is looked at of the reference of a batch. */
export type ProbedRows = Pick<ProjectedReference, "weightNorm" | "lse">;

/**
 * Queries so large that one token takes the weight leave single weights unseen. How often a query is halved then, so
 * that its scores are moderate; else 0.
 */
export function halvingsOf({ weightNorm, lse }: ProbedRows): number {
  if (weightNorm.reduce((a, b) => a + b, 0) < ONE_TOKEN * weightNorm.length) return 0;
  const sizes = [...lse].filter(Number.isFinite).map(Math.abs).sort((a, b) => a - b);
  return Math.max(0, Math.round(Math.log2((sizes[sizes.length >> 1] ?? 0) / MODERATE_SCORE)));
}

/**
 * Probes of a batch: the first tokens of its longest sequence with the first head, and of the shortest that has any
 * with the last.
 *
 * @param halvings How often queries are halved ({@linkcode halvingsOf}).
 */
export function expandedProbes(inputs: PrefillInputs, halvings: number): PrefillInputs[] {
  const { B, H, kv, q } = inputs.shape;
  const sequences = Array.from({ length: B }, (_, b) => b).filter((b) => kv[b] > 0 && q[b] > 0)
    .sort((a, b) => kv[b] - kv[a]);
  if (sequences.length === 0) return [];
  const pairs = [[sequences[0], 0], [sequences.at(-1)!, H - 1]];
  return pairs.filter(([b, h], i) => i === 0 || b !== pairs[0][0] || h !== 0)
    .map(([sequence, head]) => probeOf(inputs, sequence, head, halvings));
}

/** One head and the first tokens of one sequence, asked by queries of the whole batch. */
function probeOf(inputs: PrefillInputs, sequence: number, head: number, halvings: number): PrefillInputs {
  const { shape, qNope, qPe, kvB, pageTable, tableWidth, cuSeqlen } = inputs;
  const { H, R, Dr, Dn, Dv } = shape;
  const tokens = Math.min(PROBE_TOKENS, shape.kv[sequence]);
  const rows = cuSeqlen[shape.B] * H;
  const pickRow = (query: number) => rows < PROBE_QUERIES ? query % rows : Math.floor(query * rows / PROBE_QUERIES);
  const pick = (from: Float32Array, width: number) =>
    Float32Array.from({ length: PROBE_QUERIES * width }, (_, i) => {
      const query = Math.floor(i / width);
      // A second round of few rows takes halves, so that no query is there twice.
      const halved = halvings > 0 ? Math.max(0, halvings - 2 + query % 4) : Math.floor(query / rows);
      return from[pickRow(query) * width + i % width] / 2 ** halved;
    });
  const headBytes = (Dn + Dv) * R * DTYPE_BYTES[shape.weight];
  const own: PrefillShape = {
    ...shape,
    B: 1,
    H: 1,
    q: [PROBE_QUERIES],
    kv: [tokens],
    padding: 0,
    causal: shape.causal && tokens >= PROBE_QUERIES,
  };
  return {
    ...inputs,
    shape: own,
    qNope: pick(qNope, Dn),
    qPe: pick(qPe, Dr),
    kvB: kvB.subarray(head * headBytes, (head + 1) * headBytes),
    pageTable: pageTable.subarray(sequence * tableWidth, (sequence + 1) * tableWidth),
    kvLen: Int32Array.of(tokens),
    cuSeqlen: Int32Array.of(0, PROBE_QUERIES),
  };
}
