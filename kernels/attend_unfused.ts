/**
 * `attend/unfused`: scores, softmax and product as separate kernels through scratch memory.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import type { AttendShape } from "../reference/shapes.ts";
import {
  assertLayout,
  attendBuffers,
  cacheBuffers,
  partsOf,
  planMerge,
  refuseAttend,
  type WorkPart,
} from "./attend.ts";
import productText from "./attend_unfused_product.wgsl" with { type: "text" };
import scoresText from "./attend_unfused_scores.wgsl" with { type: "text" };
import softmaxText from "./attend_unfused_softmax.wgsl" with { type: "text" };
import type {
  AttendKernel,
  CacheLayout,
  DeviceTraits,
  DispatchSpec,
  Launch,
  Param,
  TokenLoop,
  Tuning,
} from "./kernel.ts";
import { composeWgsl, foldWorkgroups } from "./wgsl.ts";
import { itemIterations, itemWords, mostSplits, planWork, SCORE_UNIT, type WorkList } from "./work_list.ts";

/** Threads of each of the kernels. */
const THREADS = 64;
/** Rows of an item, and tokens of a tile of scores, of which spans are whole numbers. */
const SIDE = 32;
/** Elements of R in a tile of the product. */
const STRIP = 64;
/** Tokens in a step of the product. */
const T = 16;
/** A staged row of 16 f32 and its padding, in bytes. */
const LINE_BYTES = 80;
/** Most items whose workgroups on the same tokens run side by side. */
const MOST_TOGETHER = 64;

/** Bytes of workgroup memory: two staged tiles of 32 rows and the slots of 32 tokens. */
const SCORES_BYTES = 2 * SIDE * LINE_BYTES + 4 * SIDE;

/**
 * The product's loop over tokens, of which it takes T at a time in four groups; of all loops the one that binds first.
 */
const PRODUCT_LOOP: TokenLoop = { tile: SIDE, tileIterations: SIDE / T * (1 + (T / 4 + 1)) };

/** What the dispatches of one launch are made from. */
interface Plan {
  readonly shape: AttendShape;
  readonly layout: CacheLayout;
  readonly list: WorkList;
  /** Most workgroups of a dimension. */
  readonly limit: number;
}

function strips({ R }: AttendShape): number {
  return Math.ceil(R / STRIP);
}

/** Parameters by which the cache is found, the first of the kernels that read it. */
function paging({ shape: { page }, layout: { pages, tableWidth } }: Plan): Param[] {
  return [["page", "u32", page], ["pages", "u32", pages], ["width", "u32", tableWidth]];
}

function cacheBindings({ shape, layout }: Plan): string[] {
  return cacheBuffers(shape, layout, "input").map(({ name }) => name);
}

/** Scores of every item, direct or not. */
function scoresDispatch(plan: Plan): DispatchSpec {
  const { shape: { H, R, Dr, q, cache, layout = "combined", scale }, list: { items, longest }, limit } = plan;
  const queries = q.reduce((most, n) => Math.max(most, n), 1);
  const together = Math.min(MOST_TOGETHER, Math.ceil(queries * H / SIDE));
  const tiles = Math.max(1, Math.ceil(longest / SIDE));
  return {
    label: "scores",
    shader: composeWgsl(scoresText, { cache, layout, constants: { R, DR: Dr } }),
    params: [
      ...paging(plan),
      ["count", "u32", items.length],
      ["together", "u32", together],
      ["tiles", "u32", tiles],
      ["scale", "f32", scale],
    ],
    bindings: ["work", "q_latent", "q_pe", "page_table", "scores"],
    cacheBindings: cacheBindings(plan),
    workgroups: foldWorkgroups(Math.ceil(items.length / together) * together * tiles, limit),
    workgroupSize: THREADS,
    workgroupBytes: SCORES_BYTES,
    loopIterations: (R + Dr) / 16 * (1 + 4 + 1) + 1, // steps of 16 of d, each with a loop of 4
  };
}

function softmaxDispatch({ shape: { H }, list: { items, longest }, limit }: Plan, part: WorkPart): DispatchSpec {
  const { suffix, first, count, lse, lseFactor } = part;
  const rows = items.reduce((most, { rows }) => Math.max(most, rows), 1);
  return {
    label: `softmax${suffix}`,
    shader: composeWgsl(softmaxText, {}),
    params: [
      ["H", "u32", H],
      ["first", "u32", first],
      ["count", "u32", count],
      ["rows", "u32", rows],
      ["lse_factor", "f32", lseFactor],
    ],
    bindings: ["work", "scores", lse],
    workgroups: foldWorkgroups(count * rows, limit),
    workgroupSize: THREADS,
    workgroupBytes: 4 * THREADS,
    // Two passes over the tokens, four at a time, and two sums of 64.
    loopIterations: 2 * (Math.ceil((longest + SCORE_UNIT) / (4 * THREADS)) + 1) + 2 * (Math.log2(THREADS) + 1),
  };
}

function productDispatch(plan: Plan, { suffix, first, count, out }: WorkPart): DispatchSpec {
  const { shape, list, limit } = plan;
  const { R, Dr, cache, layout = "combined" } = shape;
  return {
    label: `product${suffix}`,
    shader: composeWgsl(productText, { cache, layout, constants: { R, DR: Dr, T } }),
    params: [["H", "u32", shape.H], ...paging(plan), ["first", "u32", first], ["count", "u32", count]],
    bindings: ["work", "page_table", "scores", out],
    cacheBindings: cacheBindings(plan),
    workgroups: foldWorkgroups(count * strips(shape), limit),
    workgroupSize: THREADS,
    workgroupBytes: T * STRIP * DTYPE_BYTES[cache] + SIDE * LINE_BYTES + 4 * T,
    loopIterations: itemIterations(list, PRODUCT_LOOP),
  };
}

/**
 * Attention over a paged latent cache in three kernels: the baseline of every fused speed-up, and the fallback.
 *
 * - **Shapes** those of {@linkcode AttendKernel}; any H, R, page size, q and kv. Scratch: `4·rows·tokens` bytes of
 *   scores for each item of the work list, its tokens rounded up to 16.
 * - **Mapping** scores and product tiled as matrix products, 32 rows × 32 tokens and 32 rows × 64 of R; a row of the
 *   softmax is a workgroup. Tiles that no row of an item sees are not computed.
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
    const request = { rows: SIDE, loop: PRODUCT_LOOP, groups: strips(shape), scores: true };
    const list = planWork(shape, request, tuning, device);
    const merge = planMerge(shape, list, device);
    const plan: Plan = { shape, layout, list, limit: device.limits.maxComputeWorkgroupsPerDimension };
    const parts = partsOf(shape, list);
    const contents = itemWords(list.items);
    return {
      buffers: [
        ...attendBuffers(shape, layout),
        { name: "work", bytes: contents.byteLength, role: "plan", contents, list: "attend" },
        { name: "scores", bytes: Math.max(16, 4 * SCORE_UNIT * list.scoreUnits), role: "scratch" },
        ...merge.buffers,
      ],
      dispatches: [
        scoresDispatch(plan),
        ...parts.map((part) => softmaxDispatch(plan, part)),
        ...parts.map((part) => productDispatch(plan, part)),
        ...merge.dispatches,
      ],
      chosen: { splits: mostSplits(list), items: list.items.length },
    };
  },
};
