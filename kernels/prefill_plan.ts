/**
 * What follows from the lengths of a `prefill`: where the unfolded tokens of each sequence lie, and the work list of
 * (block of query tokens) items, each done once for every head.
 *
 * @module
 */
import { type PrefillShape, total } from "../reference/shapes.ts";

/** Words of an item: first query token, rows, queries' place, tokens' place, end, limit. */
export const PREFILL_ITEM_WORDS = 6;

/** Limit of an item whose rows see all tokens: above every length, and no row carries it past an i32. */
const UNMASKED = 2 ** 30;

/** The plan of a launch; places are counted in groups of four query tokens or four tokens. */
export interface PrefillPlan {
  /**
   * Items, longest first: the query token of the batch it starts at, its rows, the places of its queries and of its
   * sequence's tokens, the tokens that its last row sees, and the limit (i32): row r sees the tokens below
   * `min(end, r + limit)`.
   */
  readonly work: Int32Array;
  /** Items in `work`; rows past the last query token among them, as rows that see no token. */
  readonly items: number;
  /**
   * First token, a multiple of four, and tokens to unfold of each sequence `[B, 2]`: none where no query asks for them.
   */
  readonly sequences: Uint32Array;
  /** Groups of four tokens of all sequences. */
  readonly tokenQuads: number;
  /** Groups of four query tokens of all items that see any token. */
  readonly queryQuads: number;
  /** Most tokens of an item. */
  readonly longest: number;
}

interface Item {
  readonly first: number;
  readonly rows: number;
  readonly tokenQuad: number;
  readonly end: number;
  readonly limit: number;
}

/** Cuts a batch into blocks of at most `rows` query tokens of one sequence. */
export function planPrefill({ B, q, kv, causal, padding }: PrefillShape, rows: number): PrefillPlan {
  const sequences = new Uint32Array(2 * B);
  const items: Item[] = [];
  let query = 0;
  let tokenQuad = 0;
  for (let b = 0; b < B; b++) {
    const tokens = q[b] > 0 ? kv[b] : 0;
    sequences.set([4 * tokenQuad, tokens], 2 * b);
    for (let i = 0; i < q[b]; i += rows) {
      const own = Math.min(rows, q[b] - i);
      const limit = causal ? i + kv[b] - q[b] + 1 : UNMASKED;
      const end = Math.max(0, Math.min(kv[b], own - 1 + limit));
      items.push({ first: query + i, rows: own, tokenQuad, end, limit });
    }
    query += q[b];
    tokenQuad += Math.ceil(tokens / 4);
  }
  for (let i = 0; i < padding; i += rows) {
    items.push({ first: query + i, rows: Math.min(rows, padding - i), tokenQuad: 0, end: 0, limit: 0 });
  }
  return { ...ordered(items), sequences, tokenQuads: tokenQuad };
}

/** Long items first, so that no long one runs alone at last. */
function ordered(items: readonly Item[]): Pick<PrefillPlan, "work" | "items" | "queryQuads" | "longest"> {
  const work = new Int32Array(PREFILL_ITEM_WORDS * items.length);
  let queryQuad = 0;
  items.toSorted((a, b) => b.end - a.end).forEach(({ first, rows, tokenQuad, end, limit }, i) => {
    work.set([first, rows, queryQuad, tokenQuad, end, limit], PREFILL_ITEM_WORDS * i);
    if (end > 0) queryQuad += Math.ceil(rows / 4);
  });
  return {
    work,
    items: items.length,
    queryQuads: queryQuad,
    longest: items.reduce((n, { end }) => Math.max(n, end), 0),
  };
}

/** How the heads are divided where the unfolded keys and values of all of them do not fit. */
export interface HeadRounds {
  /** Heads of a round; the last may have fewer. */
  readonly heads: number;
  /** Rounds. */
  readonly rounds: number;
}

/**
 * As few rounds as keep `headBytes`, the bytes that a head takes of the largest buffer, below `bytes`, of like size.
 */
export function planRounds(H: number, headBytes: number, bytes: number): HeadRounds {
  const most = Math.max(1, Math.min(H, Math.floor(bytes / headBytes)));
  const rounds = Math.ceil(H / most);
  return { heads: Math.ceil(H / rounds), rounds: Math.ceil(H / Math.ceil(H / rounds)) };
}

/**
 * Query tokens, cached tokens of sequences that have any, and attended (query token, token) pairs of one head, of a
 * shape.
 */
export function prefillCounts(shape: PrefillShape): { queries: number; tokens: number; pairs: number } {
  const { q, kv, causal } = shape;
  const pairs = total(q.map((n, b) => {
    if (!causal) return n * kv[b];
    // Query i sees kv − n + 1 + i tokens, none where that is not positive.
    const last = kv[b];
    const first = Math.max(0, kv[b] - n + 1);
    return n === 0 ? 0 : (first + last) * (last - first + 1) / 2;
  }));
  return { queries: total(q), tokens: total(kv.filter((_, b) => q[b] > 0)), pairs };
}
