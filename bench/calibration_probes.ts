/**
 * What is run to learn what a device does at best: launches whose work is known, straight-line code around which a
 * loop's counter costs nothing, with operands that the compiler cannot know and results that it cannot leave out.
 *
 * @module
 */
import type { DeviceTraits, DispatchSpec, Launch, Param, SubgroupMatrix } from "../kernels/kernel.ts";
import type { Calibration } from "./result.ts";

/** A rate among the figures of a calibration. */
export type RateName = Extract<keyof Calibration, `${string}PerS`>;

/** Launches that tell a rate. */
export interface RateProbe {
  /** The figure. */
  readonly name: RateName;
  /** Ways of doing the work, of which the fastest one counts: which that is differs by device. */
  readonly launches: readonly Launch[];
  /** Bytes or flops of each of them. */
  readonly work: number;
}

/** How much a probe does. */
export interface ProbeSizes {
  /** Bytes that are read, and copied, a multiple of 64 KiB. */
  readonly memoryBytes: number;
  /** Workgroups of the other probes: many more than a device runs at once, so that the last ones do not show. */
  readonly groups: number;
  /** Rounds of their loops, to {@linkcode MAX_ROUNDS}. */
  readonly rounds: number;
}

/** Rounds after which sums of the arithmetic probes would no longer be exact in f16. */
export const MAX_ROUNDS = 256;

/**
 * A GiB is four times the largest cache known (256 MB of an MI300X); a pass takes a third of a millisecond on an H200,
 * 30 on a laptop.
 */
export const HARDWARE_SIZES: ProbeSizes = { memoryBytes: 2 ** 30, groups: 16384, rounds: 64 };

/** Some milliseconds a pass on two cores. */
export const SOFTWARE_SIZES: ProbeSizes = { memoryBytes: 32 << 20, groups: 64, rounds: 4 };

const THREADS = 256;
/** `vec4<u32>` that a thread reads, and copies: enough in flight to hide memory behind, and few enough registers. */
const [READS, COPIES] = [16, 8];
/** FMAs of a round, in a straight line: what a loop costs beside them is one in a hundred. */
const FMAS = 256;
/** Factors on each side of an outer product, which has an accumulator for each pair of them. */
const SIDE = 8;
/** Accumulators of a recurrence, and the pairs of a factor and a summand that they take by turns: 48 registers. */
const [ACCUMULATORS, PAIRS] = [32, 8];
/**
 * Rows of the tile in workgroup memory; a row is one `vec4<u32>` for each of 32 threads in a row: no bank conflicts.
 */
const TILE_ROWS = 32;
/** Reads of each row in a round, each at another column. */
const TILE_READS = 4;
const TILE_BYTES = TILE_ROWS * 32 * 16;

const HEAD = `@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
`;
const SOURCE = "@group(0) @binding(1) var<storage, read> source: array<vec4<u32>>;\n";
const SINK = "@group(0) @binding(1) var<storage, read_write> sink: array<u32>;\n";

/** Fills `source` with words that no memory could store in less space. */
export function fillLaunch({ memoryBytes }: ProbeSizes): Launch {
  const shader = `@group(0) @binding(1) var<storage, read_write> source: array<vec4<u32>>;
${HEAD}  let first = group.x * ${READS * THREADS}u + thread;
${
    unroll(READS, (i) =>
      `{ let word = (first + ${i * THREADS}u) * 0x9e3779b1u;
  source[first + ${i * THREADS}u] = vec4<u32>(word, word ^ 0x85ebca6bu, word * 0xc2b2ae35u, ~word); }`)
  }}`;
  return launchOf({ label: "fill", shader, bindings: ["source"], groups: groupsOver(memoryBytes, READS) }, {
    source: memoryBytes,
  });
}

/** A dispatch that does next to nothing, and must wait for the one before it. */
export function idleLaunch(): Launch {
  const shader = `${SINK}@compute @workgroup_size(1) fn main() { sink[0] += 1u; }`;
  return launchOf({ label: "idle", shader, bindings: ["sink"], groups: 1, threads: 1 }, { sink: 4 });
}

/** A probe for every rate that a device has. `source` is what {@linkcode fillLaunch} left. */
export function rateProbes(
  sizes: ProbeSizes,
  { features, subgroupMatrices = [], subgroupMaxSize }: Pick<
    DeviceTraits,
    "features" | "subgroupMatrices" | "subgroupMaxSize"
  >,
): RateProbe[] {
  const matrix = subgroupMatrices.find(({ factors, sums }) => factors === "f16" && sums === "f32");
  return [
    readProbe(sizes),
    copyProbe(sizes),
    workgroupProbe(sizes),
    fmaProbe(sizes, F32),
    ...features.has("shader-f16") ? [fmaProbe(sizes, F16)] : [],
    ...matrix ? [matrixProbe(sizes, matrix, subgroupMaxSize)] : [],
  ];
}

/** Each thread reads {@linkcode READS} vectors and writes only if they sum up to what they do not. */
function readProbe({ memoryBytes }: ProbeSizes): RateProbe {
  const shader = `${SOURCE}@group(0) @binding(2) var<storage, read_write> sink: array<u32>;
${HEAD}  let first = group.x * ${READS * THREADS}u + thread;
${unroll(READS, (i) => `let x${i} = source[first + ${i * THREADS}u];`)}
  let sum = ${join(READS, " ^ ")};
  if (all(sum == vec4<u32>(0x12345678u))) { sink[0] = thread; }
}`;
  const dispatch = {
    label: "read",
    shader,
    bindings: ["source", "sink"],
    groups: groupsOver(memoryBytes, READS),
  };
  const launch = launchOf(dispatch, { source: memoryBytes, sink: 4 });
  return { name: "readBytesPerS", launches: [launch], work: memoryBytes };
}

function copyProbe({ memoryBytes }: ProbeSizes): RateProbe {
  const shader = `${SOURCE}@group(0) @binding(2) var<storage, read_write> copied: array<vec4<u32>>;
${HEAD}  let first = group.x * ${COPIES * THREADS}u + thread;
${unroll(COPIES, (i) => `let x${i} = source[first + ${i * THREADS}u];`)}
${unroll(COPIES, (i) => `copied[first + ${i * THREADS}u] = x${i};`)}
}`;
  const dispatch = {
    label: "copy",
    shader,
    bindings: ["source", "copied"],
    groups: groupsOver(memoryBytes, COPIES),
  };
  const launch = launchOf(dispatch, { source: memoryBytes, copied: memoryBytes });
  return { name: "copyBytesPerS", launches: [launch], work: 2 * memoryBytes };
}

/**
 * Rows are named by constants, which naga need not clamp; the column changes with the round, or one reading would do
 * for all of them.
 */
function workgroupProbe({ groups, rounds }: ProbeSizes): RateProbe {
  const shader = `struct Params { rounds: u32, seed: u32 }
@group(0) @binding(0) var<uniform> P: Params;
${SINK}var<workgroup> tile: array<array<vec4<u32>, 32>, ${TILE_ROWS}>;
${HEAD}  let column = thread & 31u;
${
    unroll(TILE_ROWS * 32 / THREADS, (i) =>
      `tile[(thread >> 5u) + ${i * THREADS / 32}u][column] = ` +
      `P.seed * (thread + ${i * THREADS}u) * vec4<u32>(1u, 3u, 5u, 7u);`)
  }
  workgroupBarrier();
  var sum = vec4<u32>(thread);
  for (var round = 0u; round < P.rounds; round++) {
${unroll(TILE_READS, (i) => `let x${i} = (thread + round + ${i * 32 / TILE_READS}u) & 31u;`)}
${unroll(TILE_ROWS * TILE_READS, (i) => `sum ^= tile[${i % TILE_ROWS}][x${Math.floor(i / TILE_ROWS)}];`)}
  }
  sink[thread] = sum.x ^ sum.y ^ sum.z ^ sum.w;
}`;
  // A round takes longer than one of arithmetic: a sixteenth of the rounds takes about as long.
  const [own, turns] = [Math.ceil(groups / 2), Math.ceil(rounds / 8)];
  const dispatch: DispatchOutline = {
    label: "workgroup memory",
    shader,
    params: [["rounds", "u32", turns], ["seed", "u32", 0x9e3779b1]],
    bindings: ["sink"],
    groups: own,
    workgroupBytes: TILE_BYTES,
    loopIterations: turns + 1,
  };
  const work = own * turns * THREADS * TILE_ROWS * TILE_READS * 16;
  return { name: "workgroupBytesPerS", launches: [launchOf(dispatch, { sink: 4 * THREADS })], work };
}

/** Numbers that a probe multiplies: one a register, or two of half the size. */
interface Arithmetic {
  readonly name: RateName;
  readonly type: string;
  readonly lanes: number;
  /** Body of `pair(low, high)`. */
  readonly pair: string;
  /** Body of `word(x)`, the bits of a register: naga has no bitcast of a pair. */
  readonly word: string;
}

const F32: Arithmetic = { name: "f32FlopsPerS", type: "f32", lanes: 1, pair: "low", word: "bitcast<u32>(x)" };
const F16: Arithmetic = {
  name: "f16FlopsPerS",
  type: "vec2<f16>",
  lanes: 2,
  pair: "vec2<f16>(f16(low), f16(high))",
  word: "pack2x16float(vec2<f32>(x))",
};

/**
 * Operands differ by thread, so that they are in registers; and the two halves of an f16 pair differ everywhere, or a
 * compiler does them once (an H200 seems to do 132 TFLOP/s then, of 103). What each accumulator ends at is exact, and
 * all of them are hashed: a test can tell that every FMA was done.
 */
function fmaProbe({ groups, rounds }: ProbeSizes, arithmetic: Arithmetic): RateProbe {
  const { name, lanes } = arithmetic;
  const launches = [outerProduct(), recurrence()].map(({ label, setUp, round, accumulators }) => {
    const { type, pair, word } = arithmetic;
    const shader = `${lanes === 1 ? "" : "enable f16;\n"}alias T = ${type};
struct Params { rounds: u32, unit: f32 }
@group(0) @binding(0) var<uniform> P: Params;
${SINK}fn pair(low: f32, high: f32) -> T { return ${pair}; }
fn word(x: T) -> u32 { return ${word}; }
${HEAD}  let one = pair(P.unit, 2 * P.unit);
  let two = pair(2 * P.unit, P.unit);
${setUp}
  for (var round = 0u; round < P.rounds; round++) {
${round}
  }
  var hash = 0u;
${unroll(accumulators, (i) => `hash = 31u * hash + word(x${i});`)}
  sink[thread] = hash;
}`;
    const dispatch: DispatchOutline = {
      label: `fma ${type}, ${label}`,
      shader,
      params: [["rounds", "u32", rounds], ["unit", "f32", PROBE_UNIT]],
      bindings: ["sink"],
      groups,
      loopIterations: rounds + 1,
    };
    return launchOf(dispatch, { sink: 4 * THREADS });
  });
  return { name, launches, work: 2 * lanes * groups * rounds * THREADS * FMAS };
}

/** What arithmetic probes make their operands of. A sum of a thousand products of it and its double is exact in f16. */
export const PROBE_UNIT = 1 / 32;

/** What a thread does with `one` and `two`, whose halves are ({@linkcode PROBE_UNIT}, its double) and the reverse. */
interface FmaBody {
  readonly label: string;
  readonly setUp: string;
  /** {@linkcode FMAS} of them. */
  readonly round: string;
  /** The accumulators are `x0`, `x1`, … */
  readonly accumulators: number;
}

/** `x += a·b`, as a matrix product does it: neighbours share a factor. */
function outerProduct(): FmaBody {
  const accumulators = SIDE * SIDE;
  const row = (i: number) => Math.floor(i % accumulators / SIDE);
  return {
    label: "outer product",
    setUp: `  let bits = thread * 0x9e3779b1u;
${unroll(SIDE, (i) => `let a${i} = select(one, two, ((thread >> ${i}u) & 1u) != 0u);`)}
${unroll(SIDE, (i) => `let b${i} = select(one, two, ((bits >> ${24 + i}u) & 1u) != 0u);`)}
${unroll(accumulators, (i) => `var x${i} = a${row(i)};`)}`,
    round: unroll(FMAS, (i) => {
      const x = i % accumulators;
      return `x${x} = fma(a${row(i)}, b${x % SIDE}, x${x});`;
    }),
    accumulators,
  };
}

/** `x = x·m + n`, whose fixed point is 1 whatever the pair: every accumulator is drawn there, and meets every pair. */
function recurrence(): FmaBody {
  const turn = (i: number) => (Math.floor(i / (ACCUMULATORS / PAIRS)) + Math.floor(i / ACCUMULATORS)) % PAIRS;
  return {
    label: "recurrence",
    setUp: `  let m0 = select(one, two, (thread & 1u) != 0u);
${unroll(PAIRS - 1, (i) => `let m${i + 1} = m${i} + one;`)}
  let whole = one * pair(1 / P.unit, 0.5 / P.unit);
${unroll(PAIRS, (i) => `let n${i} = whole - m${i};`)}
${unroll(ACCUMULATORS, (i) => `var x${i} = m${i % PAIRS} * n${Math.floor(i / PAIRS)};`)}`,
    round: unroll(FMAS, (i) => {
      const x = i % ACCUMULATORS;
      return `x${x} = fma(x${x}, m${turn(i)}, n${turn(i)});`;
    }),
    accumulators: ACCUMULATORS,
  };
}

/** Left and right factors of a subgroup: their products are summed each in matrices of their own. */
const [LEFTS, RIGHTS] = [4, 2];
/** Products of a round. */
const PRODUCTS = 64;

/** Products of matrices whose factors are in registers; each sum is stored, so that none can be left out. */
function matrixProbe({ groups, rounds }: ProbeSizes, { M, N, K }: SubgroupMatrix, lanes: number): RateProbe {
  const [left, right, sums] = [M * K, K * N, M * N];
  const subgroups = THREADS / lanes;
  const chunks = (LEFTS * left + RIGHTS * right) / 8; // of 16 bytes
  const accumulators = LEFTS * RIGHTS;
  const load = (type: string, at: number, width: number) =>
    `subgroupMatrixLoad<subgroup_matrix_${type}, row_major>(&tile, ${at / 8}u, ${width / 8}u)`;
  const shader = `enable f16;
struct Params { rounds: u32, seed: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read_write> sink: array<f32>;
var<workgroup> tile: array<vec4<u32>, ${chunks}>;
${HEAD}  for (var i = thread; i < ${chunks}u; i += ${THREADS}u) {
    let half = 0x2c00u + ((i * P.seed) >> 24u); // near 1/16
    tile[i] = vec4<u32>(half | (half << 16u)) ^ vec4<u32>(1u, 2u << 16u, 3u, 4u << 16u);
  }
  workgroupBarrier();
${unroll(LEFTS, (i) => `let a${i} = ${load(`left<f16, ${K}, ${M}>`, i * left, K)};`)}
${unroll(RIGHTS, (i) => `let b${i} = ${load(`right<f16, ${N}, ${K}>`, LEFTS * left + i * right, N)};`)}
${unroll(accumulators, (i) => `var x${i} = subgroup_matrix_result<f32, ${N}, ${M}>();`)}
  for (var round = 0u; round < P.rounds; round++) {
${
    unroll(PRODUCTS, (i) => {
      const x = i % accumulators;
      return `x${x} = subgroupMatrixMultiplyAccumulate(a${x % LEFTS}, b${Math.floor(x / LEFTS)}, x${x});`;
    })
  }
  }
  let first = thread / ${lanes}u * ${accumulators * sums}u;
${unroll(accumulators, (i) => `subgroupMatrixStore<row_major>(&sink, first + ${i * sums}u, x${i}, ${N}u);`)}
}`;
  // A product is 16 times the work of an FMA of every lane: a quarter of the workgroups takes about as long.
  const own = Math.ceil(groups / 4);
  const dispatch: DispatchOutline = {
    label: "matrices",
    shader,
    params: [["rounds", "u32", rounds], ["seed", "u32", 0x9e3779b1]],
    bindings: ["sink"],
    groups: own,
    workgroupBytes: 16 * chunks,
    loopIterations: rounds + 1 + chunks / THREADS + 1,
  };
  const launch = launchOf(dispatch, { sink: 4 * subgroups * accumulators * sums });
  return { name: "matrixFlopsPerS", launches: [launch], work: 2 * own * rounds * subgroups * PRODUCTS * M * N * K };
}

/** What the dispatch of a probe does not share with the others. */
interface DispatchOutline extends Pick<DispatchSpec, "label" | "shader" | "bindings" | "loopIterations"> {
  readonly params?: readonly Param[];
  readonly groups: number;
  readonly threads?: number;
  readonly workgroupBytes?: number;
}

/** A launch of one dispatch; nothing that it writes is looked at. */
function launchOf(
  { groups, threads = THREADS, params = [], workgroupBytes = 0, ...outline }: DispatchOutline,
  buffers: Readonly<Record<string, number>>,
): Launch {
  return {
    buffers: Object.entries(buffers).map(([name, bytes]) => ({ name, bytes, role: "scratch" })),
    dispatches: [{ ...outline, params, workgroups: [groups, 1, 1], workgroupSize: threads, workgroupBytes }],
    chosen: {},
  };
}

function groupsOver(bytes: number, vectors: number): number {
  return bytes / (16 * THREADS * vectors);
}

function unroll(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => `  ${line(i)}`).join("\n");
}

/** `x0 + x1 + …` */
function join(count: number, operator: string): string {
  return Array.from({ length: count }, (_, i) => `x${i}`).join(operator);
}
