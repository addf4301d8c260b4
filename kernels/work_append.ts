/**
 * The work that `append` cannot avoid: the same for every kernel of it.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import { type AppendShape, total } from "../reference/shapes.ts";

/**
 * Bytes that `append` must move: the new latents and rope keys in f32, `cu_seqlen`, `cu_num_pages`, `input_pos` and the
 * entries of `cache_loc` that are used, each read once; the cache elements written once.
 */
export function appendMinBytes({ B, R, Dr, q, kv, page, cache }: AppendShape): number {
  const tokens = total(q);
  const entries = q.map((n, b) => n === 0 ? 0 : Math.ceil(kv[b] / page) - Math.floor((kv[b] - n) / page));
  return tokens * (R + Dr) * (4 + DTYPE_BYTES[cache]) + 4 * (3 * B + 2) + 4 * total(entries);
}
