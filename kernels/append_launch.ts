/**
 * What the `append` kernels have in common: which shapes they take, their buffers and their launch. They differ in the
 * layout of the cache alone.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import { type AppendShape, type Layout, total } from "../reference/shapes.ts";
import text from "./append_tokens.wgsl" with { type: "text" };
import { cacheBuffers, refuseCache } from "./attend.ts";
import type { AppendKernel, BufferSpec, CacheLayout, DeviceTraits, Launch, Tuning } from "./kernel.ts";
import { composeWgsl, foldWorkgroups } from "./wgsl.ts";

const THREADS = 64;

/** Bytes that a thread writes at once: every row of a latent or rope key is a whole number of them. */
const PIECE_BYTES = 16;

/** Pieces of a workgroup: four for each thread, so that enough loads are in flight. */
const SPAN = 256;

/** Tokens that the pieces of a workgroup can belong to: a row is at least two pieces. */
const MOST_TOKENS = SPAN / 2 + 2;

/** How one layout is written. */
export interface AppendVariant {
  /** The layout, and name of the variant. */
  readonly layout: Layout;
  /** One line for `list` and the report. */
  readonly summary: string;
  /** WGSL that declares the cache, writable, as `@group(1)`, and defines `store_latent(slot, piece, value)` and
   * `store_rope(slot, piece, value)`. */
  readonly store: string;
}

function refuses(shape: AppendShape, tuning: Tuning, layout: Layout): string | undefined {
  const { B, q, kv } = shape;
  const reason = refuseCache(shape);
  if (reason) return reason;
  const asked = shape.layout ?? "combined";
  if (asked !== layout) return `layout=${asked}: only ${layout}`;
  if (q.length !== B || kv.length !== B) return `q and kv have ${q.length} and ${kv.length} entries, B is ${B}`;
  const b = q.findIndex((n, i) => !(Number.isInteger(n) && Number.isInteger(kv[i]) && n >= 0 && kv[i] >= n));
  if (b >= 0) return `q=${q[b]} with kv=${kv[b]}: only integers with 0 <= q <= kv`;
  const longest = kv.reduce((a, n) => Math.max(a, n), 0);
  if (!(longest < 2 ** 31)) return `kv=${longest}: only 0 to 2147483647`;
  if (tuning.splits !== undefined) return `splits=${tuning.splits}: append has no splits`;
  return undefined;
}

/** The kernel that writes one layout. */
export function appendKernel({ layout, summary, store }: AppendVariant): AppendKernel {
  return {
    operation: "append",
    variant: layout,
    summary,
    requires: [],
    layouts: [layout],
    refuses: (shape, tuning) => refuses(shape, tuning, layout),
    launch(shape: AppendShape, { pages, tableWidth }: CacheLayout, tuning: Tuning, device: DeviceTraits): Launch {
      const reason = refuses(shape, tuning, layout);
      if (reason) throw new RangeError(`Cannot launch append/${layout}: ${reason}`);
      const { B, R, Dr, q, page, cache } = shape;
      const tokens = total(q);
      const [latents, ropes] = [R, Dr].map((width) =>
        Math.ceil(tokens * width * DTYPE_BYTES[cache] / (PIECE_BYTES * SPAN))
      );
      const inputs: readonly BufferSpec[] = [
        { name: "compressed_kv", bytes: Math.max(16, 4 * tokens * R), role: "input" },
        { name: "kpe", bytes: Math.max(16, 4 * tokens * Dr), role: "input" },
        { name: "cu_seqlen", bytes: 4 * (B + 1), role: "input" },
        { name: "cu_num_pages", bytes: 4 * (B + 1), role: "input" },
        { name: "cache_loc", bytes: Math.max(16, 4 * tableWidth), role: "input" },
        { name: "input_pos", bytes: 4 * B, role: "input" },
      ];
      const written = cacheBuffers(shape, { pages }, "inout");
      return {
        buffers: [...inputs, ...written],
        dispatches: tokens === 0 ? [] : [{
          label: "append",
          shader: composeWgsl(text + store, { narrow: cache, constants: { R, DR: Dr } }),
          params: [
            ["B", "u32", B],
            ["tokens", "u32", tokens],
            ["page", "u32", page],
            ["pages", "u32", pages],
            ["entries", "u32", tableWidth],
            ["latents", "u32", latents],
          ],
          bindings: inputs.map(({ name }) => name),
          cacheBindings: written.map(({ name }) => name),
          workgroups: foldWorkgroups(latents + ropes, device.limits.maxComputeWorkgroupsPerDimension),
          workgroupSize: THREADS,
          workgroupBytes: 4 * MOST_TOKENS,
          loopIterations: Math.ceil(MOST_TOKENS / THREADS) * (1 + Math.ceil(Math.log2(B)) + 1) + 1,
        }],
        chosen: {},
      };
    },
  };
}
