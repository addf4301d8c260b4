/**
 * What is run to learn what a device does at best: launches whose work is known, straight-line code around which a loop's
 * counter costs nothing, with operands that the compiler cannot know and results that it cannot leave out.
 *
 * @module
 */
import type { DispatchSpec, Launch, Param } from "../kernels/kernel.ts";
import type { Calibration } from "./result.ts";

/** A rate among the figures of a calibration. */
export type RateName = Extract<keyof Calibration, `${string}PerS`>;

/** A launch that tells a rate. */
export interface RateProbe {
  /** The figure. */
  readonly name: RateName;
  /** What it does. */
  readonly launch: Launch;
  /** Bytes or flops of the launch. */
  readonly work: number;
}

/** How much a probe does. */
export interface ProbeSizes {
  /** Bytes that are read, and copied, a multiple of 64 KiB. */
  readonly memoryBytes: number;
  /** Workgroups of the other probes: many more than a device runs at once, so that the last ones do not show. */
  readonly groups: number;
  /** Rounds of their loops. */
  readonly rounds: number;
}

/** A GiB is 17 times the largest cache known (60 MB); a pass takes a third of a millisecond on an H200, 30 on a laptop. */
export const HARDWARE_SIZES: ProbeSizes = { memoryBytes: 2 ** 30, groups: 16384, rounds: 32 };

/** Some milliseconds a pass on two cores. */
export const SOFTWARE_SIZES: ProbeSizes = { memoryBytes: 32 << 20, groups: 64, rounds: 4 };

const THREADS = 256;
/** `vec4<u32>` that a thread reads, and copies: enough in flight to hide memory behind, and few enough registers. */
const [READS, COPIES] = [16, 8];
/** FMAs of a round; over so many accumulators that none waits for itself. */
const [FMAS, ACCUMULATORS] = [256, 16];
/** Rows of the tile in workgroup memory; a row is one `vec4<u32>` for each of 32 threads in a row: no bank conflicts. */
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

/** A probe for every rate that a device with `features` has. `source` is what {@linkcode fillLaunch} left. */
export function rateProbes(sizes: ProbeSizes, features: ReadonlySet<string>): RateProbe[] {
  return [
    readProbe(sizes),
    copyProbe(sizes),
    workgroupProbe(sizes),
    fmaProbe(sizes, "f32FlopsPerS", { type: "f32", lanes: 1 }),
    ...features.has("shader-f16") ? [fmaProbe(sizes, "f16FlopsPerS", { type: "vec2<f16>", lanes: 2 })] : [],
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
  return { name: "readBytesPerS", launch, work: memoryBytes };
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
  return { name: "copyBytesPerS", launch, work: 2 * memoryBytes };
}

/**
 * Rows are named by constants, which naga need not clamp; the column changes with the round, or one reading would do for
 * all of them.
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
  // A round takes longer than one of arithmetic: an eighth of the rounds takes about as long.
  const [own, turns] = [Math.ceil(groups / 2), Math.ceil(rounds / 4)];
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
  return { name: "workgroupBytesPerS", launch: launchOf(dispatch, { sink: 4 * THREADS }), work };
}

/** Accumulators differ, and so do the operands of two in a row. All of them end at a half, far from what is denormal. */
function fmaProbe(
  { groups, rounds }: ProbeSizes,
  name: RateName,
  { type, lanes }: { type: "f32" | "vec2<f16>"; lanes: number },
): RateProbe {
  const shader = `${lanes === 1 ? "" : "enable f16;\n"}alias T = ${type};
struct Params { rounds: u32, a: f32, b: f32, c: f32, d: f32 }
@group(0) @binding(0) var<uniform> P: Params;
${SINK}fn spread(x: f32) -> T { return T(${lanes === 1 ? "x" : "f16(x)"}); }
fn gathered(x: T) -> f32 { return ${lanes === 1 ? "x" : "f32(x.x) + f32(x.y)"}; }
${HEAD}  let m0 = spread(P.a);
  let n0 = spread(P.b);
  let m1 = spread(P.c);
  let n1 = spread(P.d);
${unroll(ACCUMULATORS, (i) => `var x${i} = spread(f32(thread + ${i}u) * P.a);`)}
  for (var round = 0u; round < P.rounds; round++) {
${unroll(FMAS, (i) => `x${i % ACCUMULATORS} = fma(x${i % ACCUMULATORS}, m${i & 1}, n${i & 1});`)}
  }
  let sum = ${join(ACCUMULATORS, " + ")};
  sink[thread] = bitcast<u32>(gathered(sum));
}`;
  const dispatch: DispatchOutline = {
    label: `fma ${type}`,
    shader,
    params: [["rounds", "u32", rounds], ["a", "f32", 0.5], ["b", "f32", 0.25], ["c", "f32", 0.25], ["d", "f32", 0.375]],
    bindings: ["sink"],
    groups,
    loopIterations: rounds + 1,
  };
  return {
    name,
    launch: launchOf(dispatch, { sink: 4 * THREADS }),
    work: 2 * lanes * groups * rounds * THREADS * FMAS,
  };
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
