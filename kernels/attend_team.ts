/**
 * What the `attend` kernels have in common in which a team of lanes shares rows and keeps them in registers: the sizes
 * of a team, what is refused, and the launch.
 *
 * @module
 */
import { type Dtype, DTYPE_BYTES } from "../reference/dtypes.ts";
import type { AttendShape } from "../reference/shapes.ts";
import { refuseAttend } from "./attend.ts";
import teamText from "./attend_team.wgsl" with { type: "text" };
import { launchFused, typicalRows } from "./fused.ts";
import type { CacheLayout, DeviceTraits, Launch, Tuning, Tunings } from "./kernel.ts";
import { missingFeature } from "./limits.ts";
import { refuseTunables } from "./tunings.ts";
import { CHUNK, composeWgsl } from "./wgsl.ts";

/**
 * Values of the tuning parameters that team kernels take: rows of a team, tokens of a tile, invocations of a workgroup.
 */
export const TEAM_TUNINGS: Tunings = { rows: [1, 2, 4, 8], tile: [2, 4, 8], threads: [32, 64, 128, 256] };

/** Most lanes of a team: what NVIDIA's subgroups have, Apple's, and half of AMD's. */
const MOST_LANES = 32;
/** Fewest lanes: those of SwiftShader's subgroups. */
const LEAST_LANES = 4;
/** Most products of a chain of f16 of scores, even and odd ones apart: two chunks and a rope pair of two lanes. */
export const MOST_CHAIN = 18;
/** Most tokens of a tile. */
const MOST_TILE = 8;
/**
 * Most tokens of a tile that lanes have in an order of their own: so eight of 32 lanes read one token, 128 bytes in a
 * row of a 16-bit cache.
 */
const MOST_OWN = 4;
/**
 * Most words of a lane's keys of a tile that are read ahead beside what is touched: more and registers do not suffice
 * for both.
 */
const WORDS_BESIDE_TOUCHES = 24;
/** Most teams of a workgroup: all that an H200 multiprocessor holds when each lane takes 255 registers. */
const MOST_TEAMS = 8;
/** Chunks of queries, and of outputs, that a lane can keep in registers: 8 · 8 f32 of either, of 255 registers. */
const CHUNKS_OF_A_LANE = 8;
/** Most chunks of a token that a lane may read: of more the written-out text grows beyond what compilers digest. */
const MOST_CHUNKS = 32;
/** Multiprocessors of an H200. */
const MULTIPROCESSORS = 132;
/** Lanes that one holds at once where each takes up to 255 registers, and where they take at most 168. */
const LANES_AT_ONCE = 256, SLIM_LANES_AT_ONCE = 384;

/**
 * Fewest tokens worth a split: on an H200 B=1, H=16, kv=1024 takes 191 µs in one split, 31 in 8, 15 in 32, 13 in 64 and
 * 15 in 256.
 */
const LEAST_SPAN = 16;

/** Sizes of a team kernel, appended to its text. */
export interface TeamTiles {
  /** Lanes of a team. */
  readonly LANES: number;
  /** Rows of a team. */
  readonly ROWS: number;
  /** Tokens of a tile: those whose scores are computed before their softmax. */
  readonly TILE: number;
  /** Invocations of a workgroup. */
  readonly THREADS: number;
}

/** A team kernel. */
export interface TeamKernel {
  /** Name, for errors. */
  readonly name: string;
  /** Text of its `.wgsl` file. */
  readonly text: string;
  /** Device features that it requires. */
  readonly requires: readonly string[];
  /** Dtypes of the cache that it takes. */
  readonly dtypes: readonly Dtype[];
  /** Tokens of a tile where that is not asked for and several teams share a workgroup. */
  readonly tile: number;
  /** Chunks of a chain of sums, of which a lane has a whole number. */
  readonly chain: number;
  /**
   * Most teams of a workgroup that each read a tile ahead rather than touch it for each other, where there is no room
   * for both.
   */
  readonly teamsAhead: number;
  /** Most chunks of queries of a lane with which it takes no more than 168 registers. */
  readonly slimChunks: number;
}

/**
 * Sizes for `shape` on `device`: what is asked for, else as many rows as registers hold and a tile that fits the team.
 */
export function teamTiles({ tile }: TeamKernel, shape: AttendShape, tuning: Tuning, device: DeviceTraits): TeamTiles {
  const LANES = Math.min(MOST_LANES, 2 ** Math.floor(Math.log2(device.subgroupMinSize)));
  const slice = sliceOf(shape, LANES);
  const most = Math.max(1, Math.min(8, LANES / 2, 2 ** Math.floor(Math.log2(CHUNKS_OF_A_LANE / slice))));
  const typical = typicalRows(shape, most * MOST_TEAMS);
  const room = Math.max(1, Math.floor(LANES / (tuning.tile ?? 2)));
  const ROWS = tuning.rows ?? Math.min(most, powerFrom(typical), rowsThatSeeAlike(shape), room);
  const teams = Math.min(MOST_TEAMS, powerFrom(Math.ceil(typical / ROWS)));
  // A team that is alone waits for its keys: it asks for more of them at a time.
  const TILE = tuning.tile ?? Math.max(2, Math.min(teams === 1 ? MOST_TILE : tile, LANES / ROWS));
  const THREADS = tuning.threads ?? Math.max(teams * LANES, device.subgroupMaxSize);
  return { LANES, ROWS, TILE, THREADS };
}

/**
 * Most rows of a team, a power of two, such that those of every team see the same tokens: of one query token under the
 * causal rule.
 */
function rowsThatSeeAlike({ H, q, causal }: AttendShape): number {
  const isSplit = causal && q.some((n) => n > 1);
  return isSplit ? H & -H : Infinity;
}

/** Chunks of the latent of a lane. */
function sliceOf({ R }: AttendShape, lanes: number): number {
  return Math.ceil(R / CHUNK / lanes);
}

/** The smallest power of two that is no less. */
function powerFrom(value: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, value)));
}

/** Why `kernel` does not run `shape`; undefined where it does. */
export function refuseTeam(
  kernel: TeamKernel,
  shape: AttendShape,
  tuning: Tuning,
  device?: DeviceTraits,
): string | undefined {
  const reason = refuseTunables({ tunings: TEAM_TUNINGS }, tuning) ?? refuseAttend(shape, tuning);
  if (reason) return reason;
  if (!kernel.dtypes.includes(shape.cache)) return `cache=${shape.cache}: only ${kernel.dtypes.join(", ")}`;
  if (tuning.rows !== undefined && tuning.rows > rowsThatSeeAlike(shape)) {
    return `rows=${tuning.rows}: rows of a team see the same tokens, so H=${shape.H} must be a multiple`;
  }
  if (!device) return undefined;
  const missing = missingFeature(kernel.requires, device.features);
  if (missing) return missing;
  const { subgroupMinSize, subgroupMaxSize, limits } = device;
  if (!(subgroupMinSize >= LEAST_LANES && subgroupMaxSize >= subgroupMinSize)) {
    return `subgroups of ${subgroupMinSize} to ${subgroupMaxSize} lanes: at least ${LEAST_LANES} are needed`;
  }
  const { LANES, ROWS, TILE, THREADS } = teamTiles(kernel, shape, tuning, device);
  const mostR = MOST_CHUNKS * CHUNK * LANES;
  if (shape.R > mostR) return `R=${shape.R}: a team of ${LANES} lanes takes at most ${mostR}`;
  if (!(ROWS * TILE >= 2 && ROWS * TILE <= LANES)) {
    return `rows=${ROWS} and tile=${TILE} make ${ROWS * TILE} scores: a team of ${LANES} lanes takes 2 to ${LANES}`;
  }
  if (THREADS % subgroupMaxSize !== 0) {
    return `threads=${THREADS}: only multiples of ${subgroupMaxSize}, the lanes of the largest subgroup`;
  }
  const most = limits.maxComputeInvocationsPerWorkgroup;
  return THREADS <= most ? undefined : `threads=${THREADS}: the limit is ${most}`;
}

/**
 * The launch of a team kernel.
 *
 * @throws {RangeError} If {@linkcode refuseTeam} has a reason.
 */
export function launchTeam(
  kernel: TeamKernel,
  shape: AttendShape,
  layout: CacheLayout,
  tuning: Tuning,
  device: DeviceTraits,
): Launch {
  const reason = refuseTeam(kernel, shape, tuning, device);
  if (reason) throw new RangeError(`Cannot launch ${kernel.name}: ${reason}`);
  const tiles = teamTiles(kernel, shape, tuning, device);
  const { LANES, ROWS, TILE, THREADS } = tiles;
  const teams = THREADS / LANES;
  const isSlim = ROWS * sliceOf(shape, LANES) <= kernel.slimChunks;
  return launchFused(shape, layout, tuning, device, {
    shader: composeWgsl(kernel.text, {
      shared: [teamText],
      cache: shape.cache,
      layout: shape.layout ?? "combined",
      words: true,
      constants: teamConstants(kernel, shape, tiles, device),
      tables: { LANE_OF: lanesOfValues(tiles) },
    }),
    blockRows: teams * ROWS,
    workgroupBytes: 0,
    // A tile, and once in LANES tokens their block and the end of its tiles.
    loop: { tile: TILE, tileIterations: 2 + Math.floor(2 * TILE / LANES) },
    slots: MULTIPROCESSORS * Math.max(1, Math.floor((isSlim ? SLIM_LANES_AT_ONCE : LANES_AT_ONCE) / THREADS)),
    least: LEAST_SPAN,
    chosen: { rows: ROWS, tile: TILE, threads: THREADS },
  });
}

function teamConstants(
  { chain, teamsAhead }: TeamKernel,
  shape: AttendShape,
  { LANES, ROWS, TILE, THREADS }: TeamTiles,
  { subgroupMinSize, subgroupMaxSize }: DeviceTraits,
): Record<string, number> {
  const { R, Dr, page, cache } = shape;
  const teams = THREADS / LANES;
  const OWN = ownTokens(TILE);
  const chunks = sliceOf(shape, LANES);
  const CHAIN = Math.min(chain, chunks);
  const SLICE = CHAIN * Math.ceil(chunks / CHAIN);
  const PAIRS = Math.ceil(Dr / 2 / LANES);
  // A lane with one chain gives half of its rows to its neighbour before they are widened, if both together are no
  // longer than 18.
  const isFirstInF16 = SLICE === CHAIN && ROWS > 1 && 2 * (SLICE * CHUNK / 2 + PAIRS) <= MOST_CHAIN;
  // Few teams read their next tile ahead. Many share what they read: they touch it for each other. The fewer a
  // workgroup has the more workgroups share a cache, and the later is a token touched, or it is evicted before it is
  // read.
  const tileWords = TILE * (SLICE * CHUNK + PAIRS * 2) * DTYPE_BYTES[cache] / 4;
  const isRoomForBoth = tileWords <= WORDS_BESIDE_TOUCHES;
  const isAhead = teams <= teamsAhead || isRoomForBoth;
  const isTouched = LANES > LEAST_LANES && teams > 1 && (isRoomForBoth || !isAhead);
  const sectors = TILE * Math.floor((R + Dr) * DTYPE_BYTES[cache] / 32);
  const SWEEPS = isTouched ? Math.ceil(sectors / THREADS) : 0;
  return {
    R,
    DR: Dr,
    LANES,
    ROWS,
    TILE,
    THREADS,
    WHOLE: Number(subgroupMinSize === LANES && subgroupMaxSize === LANES),
    LOG_LANES: Math.log2(LANES),
    LOG_ROWS: Math.log2(ROWS),
    LOG_VALUES: Math.log2(ROWS * TILE),
    LOG_OWN: Math.log2(OWN),
    LOG_SPARE: Math.log2(LANES / (ROWS * TILE)),
    SELECTED: TILE / OWN,
    VALUES: ROWS * TILE,
    SLICE,
    CHAIN,
    FIRST_HALF: isFirstInF16 ? ROWS * TILE / 2 : 0,
    WIDE_VALUES: isFirstInF16 ? 0 : ROWS * TILE,
    FIRST_WIDE: Number(isFirstInF16),
    PAIRS,
    PAIR_ROOM: Math.max(1, PAIRS),
    ALIGNED: Number(page % TILE === 0),
    AHEAD: Number(isAhead),
    REACH: Math.max(TILE, Math.min(LANES, 4 * teams)),
    CHAINED: Number(teams >= MOST_TEAMS),
    ALONE: Number(teams === 1),
    SWEEPS,
    TOUCHES: Math.max(1, SWEEPS),
  };
}

/** Tokens of a tile that lanes have in an order of their own: by the upper bits of their number. */
function ownTokens(tile: number): number {
  return Math.min(MOST_OWN, tile);
}

/**
 * Lane of a team that ends with each value, row·TILE + token. Its lowest bits are the row, its highest the upper bits
 * of the token.
 */
function lanesOfValues({ LANES, ROWS, TILE }: TeamTiles): number[] {
  const own = ownTokens(TILE);
  const selected = TILE / own;
  return Array.from({ length: ROWS * TILE }, (_, value) => {
    const token = value % TILE;
    return Math.floor(value / TILE) + ROWS * (token % selected) + LANES / own * Math.floor(token / selected);
  });
}
