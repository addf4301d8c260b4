/**
 * The work that `prefill` cannot avoid: the same for every kernel of it.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import { type PrefillShape, total } from "../reference/shapes.ts";
import { prefillCounts } from "./prefill_plan.ts";

/**
 * Bytes that `prefill` must move: queries of all tokens, the cached tokens of all sequences that have a query, their
 * page-table entries, `kv_b_proj`, each read once; `out`, padding included, and the log-sum-exp written once.
 */
export function prefillMinBytes(shape: PrefillShape): number {
  const { H, R, Dn, Dr, Dv, q, kv, page, cache, weight, padding } = shape;
  const { queries, tokens } = prefillCounts(shape);
  const entries = total(kv.map((n, b) => q[b] > 0 ? Math.ceil(n / page) : 0));
  const read = 4 * queries * H * (Dn + Dr) + tokens * (R + Dr) * DTYPE_BYTES[cache] + 4 * entries +
    H * (Dn + Dv) * R * DTYPE_BYTES[weight];
  return read + 4 * (queries + padding) * H * Dv + 4 * queries * H;
}

/**
 * Floating-point operations of `prefill`: `2·(Dn+Dr+Dv)` for each attended (row, token) pair, and `2·R·(Dn+Dv)` for
 * each head of a cached token, to unfold its keys and values.
 */
export function prefillFlops(shape: PrefillShape): number {
  const { H, R, Dn, Dr, Dv } = shape;
  const { tokens, pairs } = prefillCounts(shape);
  return 2 * pairs * H * (Dn + Dr + Dv) + 2 * tokens * R * H * (Dn + Dv);
}
