/**
 * `attend/unfused`: scores, softmax and product as separate kernels through scratch memory.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import type { AttendShape } from "../reference/shapes.ts";
import { assertLayout, attendBuffers, planMerge, refuseAttend } from "./attend.ts";
import productText from "./attend_unfused_product.wgsl" with { type: "text" };
import scoresText from "./attend_unfused_scores.wgsl" with { type: "text" };
import softmaxText from "./attend_unfused_softmax.wgsl" with { type: "text" };
import type { AttendKernel, CacheLayout, DeviceTraits, Launch, Param, Tuning } from "./kernel.ts";
import { chooseSplits } from "./splits.ts";
import { composeWgsl, foldWorkgroups } from "./wgsl.ts";

/** Threads of each of the kernels. */
const THREADS = 64;
/** Heads, and tokens, of a tile of scores; heads of a tile of the product. */
const SIDE = 32;
/** Elements of R in a tile of the product. */
const STRIP = 64;
/** Tokens in a step of the product, and by which splits are rounded up. */
const T = 16;
/** A staged row of 16 f32 and its padding, in bytes. */
const LINE_BYTES = 80;

/** Bytes of workgroup memory: two staged tiles of 32 rows and the slots of 32 tokens. */
const SCORES_BYTES = 2 * SIDE * LINE_BYTES + 4 * SIDE;

/**
 * Attention over a paged latent cache in three kernels (decode): the baseline of every fused speed-up, and the fallback.
 *
 * - **Shapes** those of {@linkcode AttendKernel}; any H, R, page size and kv. Scratch: `4·B·H·max(kv)` bytes of scores.
 * - **Mapping** scores and product tiled as matrix products, 32 heads × 32 tokens and 32 heads × 64 of R.
 * - **Precision** scores, softmax and sums in f32.
 */
export const attendUnfused: AttendKernel = {
  operation: "attend",
  variant: "unfused",
  summary: "scores, softmax and product as separate tiled kernels through scratch memory; the baseline",
  requires: [],
  refuses: (shape, tuning) => refuseAttend(shape, tuning),
  launch(shape: AttendShape, layout: CacheLayout, tuning: Tuning, device: DeviceTraits): Launch {
    const reason = refuseAttend(shape, tuning);
    if (reason) throw new RangeError(`Cannot launch attend/unfused: ${reason}`);
    assertLayout(shape, layout);
    const { B, H, R, Dr, page, cache, kv, scale } = shape;
    const limit = device.limits.maxComputeWorkgroupsPerDimension;
    const maxKv = Math.max(...kv);
    const blocks = Math.ceil(H / SIDE);
    const strips = Math.ceil(R / STRIP);
    const splits = tuning.splits ?? chooseSplits({ blocks: B * blocks * strips, maxKv });
    const stride = Math.max(T, Math.ceil(maxKv / T) * T);
    const tiles = Math.max(1, Math.ceil(maxKv / SIDE));
    const merge = planMerge(shape, splits, device);
    const sizes: readonly Param[] = [["B", "u32", B], ["H", "u32", H]];
    const paging: readonly Param[] = [
      ["page", "u32", page],
      ["pages", "u32", layout.pages],
      ["width", "u32", layout.tableWidth],
      ["stride", "u32", stride],
    ];
    return {
      buffers: [
        ...attendBuffers(shape, layout),
        { name: "scores", bytes: 4 * B * H * stride, role: "scratch" },
        ...merge.buffers,
      ],
      dispatches: [
        {
          label: "scores",
          shader: composeWgsl(scoresText, { cache, constants: { R, DR: Dr } }),
          params: [...sizes, ...paging, ["blocks", "u32", blocks], ["tiles", "u32", tiles], ["scale", "f32", scale]],
          bindings: ["q_latent", "q_pe", "cache", "page_table", "kv_len", "scores"],
          workgroups: foldWorkgroups(B * tiles * blocks, limit),
          workgroupSize: THREADS,
          workgroupBytes: SCORES_BYTES,
        },
        {
          label: "softmax",
          shader: composeWgsl(softmaxText, { constants: { T } }),
          params: [...sizes, ["stride", "u32", stride], ["splits", "u32", splits]],
          bindings: ["kv_len", "scores", merge.lse],
          workgroups: foldWorkgroups(B * splits * H, limit),
          workgroupSize: THREADS,
          workgroupBytes: 4 * THREADS,
        },
        {
          label: "product",
          shader: composeWgsl(productText, { cache, constants: { R, DR: Dr, T } }),
          params: [...sizes, ...paging, ["splits", "u32", splits], ["blocks", "u32", blocks]],
          bindings: ["cache", "page_table", "kv_len", "scores", merge.out],
          workgroups: foldWorkgroups(B * splits * blocks * strips, limit),
          workgroupSize: THREADS,
          workgroupBytes: T * STRIP * DTYPE_BYTES[cache] + SIDE * LINE_BYTES + 4 * T,
        },
        ...merge.dispatches,
      ],
      chosen: { splits },
    };
  },
};
