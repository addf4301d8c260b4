/**
 * `prefill/fused`: keys and values of every head unfolded by a matrix product, then one pass over them with an online
 * softmax. No optional feature.
 *
 * @module
 */
import type { PrefillShape } from "../reference/shapes.ts";
import { assertLayout, cacheBuffers, lseName } from "./attend.ts";
import type {
  BufferSpec,
  CacheLayout,
  DeviceTraits,
  DispatchSpec,
  Launch,
  Limits,
  PrefillKernel,
  Tuning,
} from "./kernel.ts";
import { prefillBuffers, refusePrefill, weightDecoder } from "./prefill.ts";
import expandText from "./prefill_expand.wgsl" with { type: "text" };
import attendText from "./prefill_fused.wgsl" with { type: "text" };
import { planPrefill, planRounds, type PrefillPlan } from "./prefill_plan.ts";
import queriesText from "./prefill_queries.wgsl" with { type: "text" };
import { composeWgsl, foldWorkgroups } from "./wgsl.ts";

const THREADS = 128;

/** Tokens and rows of `kv_b_proj` of a workgroup of `expand`, and elements of the latent at a time. */
const EXPAND = { tokens: 64, rows: 128, step: 16 };

/**
 * Most bytes of a scratch buffer: enough for tens of thousands of workgroups, and three of them leave room for a model.
 */
const SCRATCH_BYTES = 2 ** 29;

/** Tile sizes of the attention, appended to its text. */
export interface PrefillTiles {
  /** Query tokens of a workgroup. */
  readonly ROWS: number;
  /** Tokens of a tile. */
  readonly TILE: number;
  /** Elements of a key, or tokens of values, at a time. */
  readonly STEP: number;
  /** Vectors of a step in workgroup memory. */
  readonly WIDTH: number;
}

/**
 * Tile sizes for values of width `Dv`: a thread has 8 rows × 8 elements of the output, and 8 rows × 4 tokens of a tile.
 */
export function prefillTiles(Dv: number): PrefillTiles {
  const groups = Dv <= 64 ? 8 : Dv <= 128 ? 16 : 32;
  const ROWS = 8 * THREADS / groups;
  return { ROWS, TILE: 4 * groups, STEP: groups === 32 ? 8 : 16, WIDTH: ROWS / 4 + 2 * groups };
}

/** Upper bounds of the loop iterations of an invocation, a loop of n counted as n + 1. */
export function prefillIterations(
  { B, R, Dn, Dr }: PrefillShape,
  { ROWS, TILE, STEP }: PrefillTiles,
  longest: number,
): { queries: number; expand: number; attend: number } {
  const queries = Math.ceil(ROWS / 4 * Math.ceil((Dn + Dr) / 16) * 4 / THREADS) + 1;
  const expand = Math.ceil(Math.log2(B)) + 1 + Math.ceil(Dr / 16) + 1 + R / EXPAND.step + 1;
  const partials = TILE / 16 + 1;
  const tile = 1 + Math.ceil((Dn + Dr) / STEP) + 1 + partials + TILE / STEP + 1;
  return { queries, expand, attend: Math.ceil(longest / TILE) * tile + 1 + partials };
}

/** A launch in the making: what the dispatches of every round share. */
interface Round {
  readonly shape: PrefillShape;
  readonly layout: CacheLayout;
  readonly tiles: PrefillTiles;
  readonly plan: PrefillPlan;
  readonly iterations: ReturnType<typeof prefillIterations>;
  readonly limit: number;
  readonly firstHead: number;
  readonly heads: number;
}

function expandDispatch({ shape, layout, plan, iterations, limit, firstHead, heads }: Round): DispatchSpec {
  const { B, R, Dn, Dr, Dv, page, cache, weight } = shape;
  const rows = heads * (Dn + Dv);
  const blocks = Math.ceil(4 * plan.tokenQuads / EXPAND.tokens) * Math.ceil(rows / EXPAND.rows);
  const constants = { R, DN: Dn, DR: Dr, DV: Dv };
  return {
    label: "expand",
    shader: composeWgsl(expandText, { cache, layout: shape.layout ?? "combined", constants }) + weightDecoder(weight),
    params: [
      ["B", "u32", B],
      ["page", "u32", page],
      ["pages", "u32", layout.pages],
      ["width", "u32", layout.tableWidth],
      ["token_quads", "u32", plan.tokenQuads],
      ["first_row", "u32", firstHead * (Dn + Dv)],
      ["rows", "u32", rows],
    ],
    bindings: ["sequences", "page_table", "kv_b_proj", "keys", "values", "rope"],
    cacheBindings: cacheBuffers(shape, layout, "input").map(({ name }) => name),
    workgroups: foldWorkgroups(blocks, limit),
    workgroupSize: THREADS,
    workgroupBytes: 4 * EXPAND.step * (EXPAND.tokens + EXPAND.rows),
    loopIterations: iterations.expand,
  };
}

function queriesDispatch({ shape, plan, iterations, limit, firstHead, heads }: Round): DispatchSpec {
  const { H, Dn, Dr, scale } = shape;
  return {
    label: "queries",
    shader: composeWgsl(queriesText, { constants: { DN: Dn, DR: Dr } }),
    params: [
      ["items", "u32", plan.items],
      ["heads", "u32", heads],
      ["first_head", "u32", firstHead],
      ["H", "u32", H],
      ["query_quads", "u32", plan.queryQuads],
      ["factor", "f32", scale * Math.LOG2E],
    ],
    bindings: ["work", "q_nope", "q_pe", "queries"],
    workgroups: foldWorkgroups(plan.items * heads, limit),
    workgroupSize: THREADS,
    workgroupBytes: 0,
    loopIterations: iterations.queries,
  };
}

function attendDispatch({ shape, tiles, plan, iterations, limit, firstHead, heads }: Round): DispatchSpec {
  const { H, Dn, Dr, Dv, q } = shape;
  const LSE2 = shape.lseBase === "2" ? 1 : 0;
  return {
    label: "attend",
    shader: composeWgsl(attendText, { constants: { DN: Dn, DR: Dr, DV: Dv, ...tiles, LSE2 } }),
    params: [
      ["items", "u32", plan.items],
      ["heads", "u32", heads],
      ["first_head", "u32", firstHead],
      ["H", "u32", H],
      ["queries", "u32", q.reduce((a, b) => a + b, 0)],
      ["query_quads", "u32", plan.queryQuads],
      ["token_quads", "u32", plan.tokenQuads],
    ],
    bindings: [
      "work",
      "queries",
      "keys",
      "rope",
      "values",
      "out",
      lseName(shape),
    ],
    workgroups: foldWorkgroups(plan.items * heads, limit),
    workgroupSize: THREADS,
    workgroupBytes: 16 * tiles.STEP * tiles.WIDTH,
    loopIterations: iterations.attend,
  };
}

/** Buffers of what is made on the way, for rounds of `heads` heads. */
function scratchBuffers({ Dn, Dr, Dv }: PrefillShape, plan: PrefillPlan, heads: number): BufferSpec[] {
  const spec = (name: string, quads: number): BufferSpec => (
    { name, bytes: Math.max(16, 16 * quads), role: "scratch" }
  );
  return [
    spec("queries", heads * (Dn + Dr) * plan.queryQuads),
    spec("keys", heads * Dn * plan.tokenQuads),
    spec("values", heads * Dv * plan.tokenQuads),
    spec("rope", Dr * plan.tokenQuads),
  ];
}

function planBuffers({ work, sequences }: PrefillPlan): BufferSpec[] {
  return [
    { name: "work", bytes: Math.max(24, work.byteLength), role: "plan", contents: work, list: "prefill" },
    { name: "sequences", bytes: sequences.byteLength, role: "plan", contents: sequences },
  ];
}

/** Most bytes that `limits` leave a scratch buffer. */
function scratchLimit({ maxStorageBufferBindingSize, maxBufferSize }: Limits): number {
  return Math.min(maxStorageBufferBindingSize, maxBufferSize);
}

function refuses(shape: PrefillShape, tuning: Tuning, device?: DeviceTraits): string | undefined {
  const reason = refusePrefill(shape, tuning);
  if (reason || !device) return reason;
  return refuseScratch(shape, planPrefill(shape, prefillTiles(shape.Dv).ROWS), device.limits);
}

/** Why what is made on the way does not fit even for one head. */
function refuseScratch(shape: PrefillShape, plan: PrefillPlan, limits: Limits): string | undefined {
  const limit = scratchLimit(limits);
  const large = scratchBuffers(shape, plan, 1).find(({ bytes }) => bytes > limit);
  return large && `the ${large.name} of one head need ${large.bytes} bytes, the device binds ${limit}`;
}

function launch(shape: PrefillShape, layout: CacheLayout, tuning: Tuning, device: DeviceTraits): Launch {
  const fail = (reason: string): never => {
    throw new RangeError(`Cannot launch prefill/fused: ${reason}`);
  };
  const refused = refusePrefill(shape, tuning);
  if (refused) fail(refused);
  const { H, Dv } = shape;
  const { limits } = device;
  const tiles = prefillTiles(Dv);
  const plan = planPrefill(shape, tiles.ROWS);
  const tooLarge = refuseScratch(shape, plan, limits);
  if (tooLarge) fail(tooLarge);
  assertLayout(shape, layout);
  const iterations = prefillIterations(shape, tiles, plan.longest);
  const bytes = Math.min(scratchLimit(limits), SCRATCH_BYTES);
  const headBytes = Math.max(...scratchBuffers(shape, plan, 1).slice(0, 3).map((b) => b.bytes));
  const { heads, rounds } = planRounds(H, headBytes, bytes);
  const dispatches: DispatchSpec[] = [];
  for (let firstHead = 0; firstHead < H; firstHead += heads) {
    const limit = limits.maxComputeWorkgroupsPerDimension;
    const own = Math.min(heads, H - firstHead);
    const round = { shape, layout, tiles, plan, iterations, limit, firstHead, heads: own };
    if (plan.queryQuads > 0) dispatches.push(queriesDispatch(round), expandDispatch(round));
    if (plan.items > 0) dispatches.push(attendDispatch(round));
  }
  return {
    buffers: [...prefillBuffers(shape, layout), ...planBuffers(plan), ...scratchBuffers(shape, plan, heads)],
    dispatches,
    chosen: { rows: tiles.ROWS, tile: tiles.TILE, heads, rounds },
  };
}

/**
 * Attention in the expanded form over a paged latent cache.
 *
 * - **Shapes** those of {@linkcode PrefillKernel}; any H, page size, lengths; Dn any multiple of 8, Dv one up to 256.
 * - **Mapping** `queries` transposes the queries block by block; `expand` is a matrix product of the cached latents
 *   with `kv_b_proj`, 64 tokens × 128 rows a workgroup; `attend` walks the unfolded tokens, workgroup ↔ (block of 32,
 *   64 or 128 query tokens, head). Heads are done in rounds where their keys and values exceed a buffer.
 * - **Precision** f32 throughout.
 * - **Source** Milakov & Gimelshein, arXiv:1805.02867 (online softmax); Dao et al., arXiv:2205.14135 (tiles).
 */
export const prefillFused: PrefillKernel = {
  operation: "prefill",
  variant: "fused",
  summary: "keys and values unfolded by a matrix product, then one pass with an online softmax; no optional feature",
  requires: [],
  refuses,
  launch,
};
