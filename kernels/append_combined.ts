/**
 * `append/combined`: new latents and rope keys written into the paged cache `[pages, page, R+Dr]`.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import { type AppendShape, total } from "../reference/shapes.ts";
import text from "./append_combined.wgsl" with { type: "text" };
import { refuseCache } from "./attend.ts";
import type { AppendKernel, CacheLayout, DeviceTraits, Launch, Tuning } from "./kernel.ts";
import { composeWgsl, foldWorkgroups } from "./wgsl.ts";

const THREADS = 64;

/** Bytes that a thread writes at once. */
const PIECE_BYTES = 16;

function refuses(shape: AppendShape, tuning: Tuning): string | undefined {
  const { B, q, kv } = shape;
  const reason = refuseCache(shape);
  if (reason) return reason;
  if (q.length !== B || kv.length !== B) return `q and kv have ${q.length} and ${kv.length} entries, B is ${B}`;
  const b = q.findIndex((n, i) => !(Number.isInteger(n) && Number.isInteger(kv[i]) && n >= 0 && kv[i] >= n));
  if (b >= 0) return `q=${q[b]} with kv=${kv[b]}: only integers with 0 <= q <= kv`;
  if (!(Math.max(...kv) < 2 ** 31)) return `kv=${Math.max(...kv)}: only 0 to 2147483647`;
  if (tuning.splits !== undefined) return `splits=${tuning.splits}: append has no splits`;
  return undefined;
}

/**
 * Append to the combined latent cache, in place.
 *
 * - **Shapes** those of {@linkcode AppendKernel}. No tokens: no dispatch. A page outside `cache_loc`'s own entries or outside
 *   the cache is not written.
 * - **Mapping** thread ↔ 16 bytes of the cache; the sequence of a token by binary search, so the host need not know it.
 * - **Accuracy** bit-exact: f32 rounded to nearest, ties to even, in integers.
 */
export const appendCombined: AppendKernel = {
  operation: "append",
  variant: "combined",
  summary: "16-byte stores; sequence found on the GPU by binary search over cu_seqlen",
  requires: [],
  refuses,
  launch(shape: AppendShape, layout: CacheLayout, tuning: Tuning, device: DeviceTraits): Launch {
    const reason = refuses(shape, tuning);
    if (reason) throw new RangeError(`Cannot launch append/combined: ${reason}`);
    const { B, R, Dr, q, page, cache } = shape;
    const tokens = total(q);
    const tokenBytes = (R + Dr) * DTYPE_BYTES[cache];
    const workgroups = Math.ceil(tokens * tokenBytes / PIECE_BYTES / THREADS);
    return {
      buffers: [
        { name: "compressed_kv", bytes: Math.max(16, 4 * tokens * R), role: "input" },
        { name: "kpe", bytes: Math.max(16, 4 * tokens * Dr), role: "input" },
        { name: "cu_seqlen", bytes: 4 * (B + 1), role: "input" },
        { name: "cu_num_pages", bytes: 4 * (B + 1), role: "input" },
        { name: "cache_loc", bytes: Math.max(16, 4 * layout.tableWidth), role: "input" },
        { name: "input_pos", bytes: 4 * B, role: "input" },
        { name: "cache", bytes: layout.pages * page * tokenBytes, role: "inout" },
      ],
      dispatches: tokens === 0 ? [] : [{
        label: "append",
        shader: composeWgsl(text, { narrow: cache, constants: { R, DR: Dr } }),
        params: [
          ["B", "u32", B],
          ["tokens", "u32", tokens],
          ["page", "u32", page],
          ["pages", "u32", layout.pages],
          ["entries", "u32", layout.tableWidth],
        ],
        bindings: ["compressed_kv", "kpe", "cu_seqlen", "cu_num_pages", "cache_loc", "input_pos", "cache"],
        workgroups: foldWorkgroups(workgroups, device.limits.maxComputeWorkgroupsPerDimension),
        workgroupSize: THREADS,
        workgroupBytes: 0,
      }],
      chosen: {},
    };
  },
};
