/**
 * `attend/unfused`: scores, softmax and product as separate kernels through scratch memory.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import type { AttendShape } from "../reference/shapes.ts";
import { assertLayout, attendBuffers, planMerge, planSplits, refuseAttend, splitIterations } from "./attend.ts";
import productText from "./attend_unfused_product.wgsl" with { type: "text" };
import scoresText from "./attend_unfused_scores.wgsl" with { type: "text" };
import softmaxText from "./attend_unfused_softmax.wgsl" with { type: "text" };
import type { AttendKernel, CacheLayout, DeviceTraits, Launch, Param, TokenLoop, Tuning } from "./kernel.ts";
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

/** The product's loop over tokens, of which it takes T at a time in four groups; of all loops the one that binds first. */
const PRODUCT_LOOP: TokenLoop = { tile: T, tileIterations: 1 + (T / 4 + 1) };

/** Upper bound of the iterations of an invocation of the scores: steps of 16 of d, each with a loop of 4. */
export function scoresIterations({ R, Dr }: Pick<AttendShape, "R" | "Dr">): number {
  return (R + Dr) / 16 * (1 + 4 + 1) + 1;
}

/** Upper bound of the iterations of an invocation of the softmax: three passes over its tokens and two sums of 64. */
export function softmaxIterations({ kv }: Pick<AttendShape, "kv">, splits: number): number {
  const span = Math.ceil(Math.max(...kv) / (splits * T)) * T;
  return 3 * (Math.ceil(span / THREADS) + 1) + 2 * (Math.log2(THREADS) + 1);
}

/**
 * Attention over a paged latent cache in three kernels (decode): the baseline of every fused speed-up, and the fallback.
 *
 * - **Shapes** those of {@linkcode AttendKernel}; any H, R, page size and kv. Scratch: `4·B·H·max(kv)` bytes of
 *   scores, max(kv) rounded up to 16.
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
    const splits = planSplits(shape, tuning, device, blocks * strips, PRODUCT_LOOP);
    const stride = Math.max(T, Math.ceil(maxKv / T) * T);
    const tiles = Math.max(1, Math.ceil(maxKv / SIDE));
    const merge = planMerge(shape, splits, device);
    const sizes: readonly Param[] = [["B", "u32", B], ["H", "u32", H]];
    const paging: readonly Param[] = [
      ["page", "u32", page],
      ["pages", "u32", layout.pages],
      ["width", "u32", layout.tableWidth],
      ["max_kv", "u32", maxKv],
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
          loopIterations: scoresIterations(shape),
        },
        {
          label: "softmax",
          shader: composeWgsl(softmaxText, { constants: { T } }),
          params: [...sizes, ["max_kv", "u32", maxKv], ["stride", "u32", stride], ["splits", "u32", splits]],
          bindings: ["kv_len", "scores", merge.lse],
          workgroups: foldWorkgroups(B * splits * H, limit),
          workgroupSize: THREADS,
          workgroupBytes: 4 * THREADS,
          loopIterations: softmaxIterations(shape, splits),
        },
        {
          label: "product",
          shader: composeWgsl(productText, { cache, constants: { R, DR: Dr, T } }),
          params: [...sizes, ...paging, ["splits", "u32", splits], ["blocks", "u32", blocks]],
          bindings: ["cache", "page_table", "kv_len", "scores", merge.out],
          workgroups: foldWorkgroups(B * splits * blocks * strips, limit),
          workgroupSize: THREADS,
          workgroupBytes: T * STRIP * DTYPE_BYTES[cache] + SIDE * LINE_BYTES + 4 * T,
          loopIterations: splitIterations(shape, splits, PRODUCT_LOOP),
        },
        ...merge.dispatches,
      ],
      chosen: { splits },
    };
  },
};
