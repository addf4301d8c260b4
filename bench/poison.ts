/**
 * Poison: what fills memory that a kernel may not depend on. There are two, NaN and large finite values, because a
 * kernel may lose the one (`max` drops a NaN, and WGSL lets an implementation assume that there are none) and drown the
 * other (a weight of 1e-30). What is right is the same under both, bit for bit.
 *
 * Everything here works on words of 32 bits, never on floats, so that no NaN is lost on the way.
 *
 * @module
 */
import { bitsView, type Dtype, encode, nanBits } from "../reference/dtypes.ts";
import { HOSTILE_ENTRIES } from "../reference/paging.ts";
import type { BufferRange } from "./buffers.ts";
import type { Gpu } from "./device.ts";

/** The two poisons, in the order in which a case meets them first. */
export type Poison = "nan" | "finite";

/** Magnitude of the finite poison: the cache's dtypes all hold it, and f16 hardly more. */
export const FINITE_POISON = 3e4;

/** Pattern that outputs and scratch hold before each run: an f32 quiet NaN (and an f16 NaN in each half). */
export const POISON_WORD = 0x7fc0_7e01;

/** What lies where nobody may look: elements of a dtype, entries of a page table, or what a launch makes itself. */
export type PoisonedKind = Dtype | "entry" | "own";

/** Words that repeat from the beginning of a buffer on, at most four. */
export type Pattern = readonly number[];

/** Words by which `kind` is poisoned. The hostile entries are two arrangements of the same ones. */
export function patternOf(kind: PoisonedKind, poison: Poison): Pattern {
  const [first, ...rest] = HOSTILE_ENTRIES.map((entry) => entry >>> 0);
  switch (kind) {
    case "entry":
      return poison === "nan" ? [first, ...rest] : [...rest, first];
    case "own":
      return poison === "nan" ? [POISON_WORD] : finiteWords("f32");
    default:
      return poison === "nan" ? nanWords(kind) : finiteWords(kind);
  }
}

function nanWords(dtype: Dtype): Pattern {
  const words = new Uint32Array(1);
  bitsView(new Uint8Array(words.buffer), dtype).fill(nanBits(dtype));
  return [...words];
}

/** ±{@linkcode FINITE_POISON} in turn. */
function finiteWords(dtype: Dtype): Pattern {
  const bytes = encode(Float32Array.of(FINITE_POISON, -FINITE_POISON), dtype);
  return [...new Uint32Array(bytes.slice().buffer)];
}

const CHANGE = `
struct Change { before: vec4<u32>, after: vec4<u32>, before_period: u32, after_period: u32 }
@group(0) @binding(0) var<uniform> C: Change;`;

const FILL_SHADER = `${CHANGE}
@group(0) @binding(1) var<storage, read_write> words: array<u32>;
@compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>) {
  for (var i = id.x; i < arrayLength(&words); i += n.x * 256u) { words[i] = C.after[i % C.after_period]; }
}`;

// Mapping: workgroup ↔ one span of words. \`found\`: how many were not as before, and the complement of the first such
// word.
const EXCHANGE_SHADER = `${CHANGE}
@group(0) @binding(1) var<storage, read_write> words: array<u32>;
@group(0) @binding(2) var<storage, read> spans: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> found: array<atomic<u32>>;
@compute @workgroup_size(64) fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let index = workgroup.x + workgroup.y * grid.x;
  if (index >= arrayLength(&spans)) { return; }
  let span = spans[index];
  for (var i = span.x + t; i < span.y; i += 64u) {
    if (C.before_period > 0u && words[i] != C.before[i % C.before_period]) {
      atomicAdd(&found[0], 1u);
      atomicMax(&found[1], ~i);
    }
    words[i] = C.after[i % C.after_period];
  }
}`;

/**
 * Most words of a span: an invocation takes 1/64 of it in one loop, and llvmpipe ends loops after 65,535 iterations.
 */
export const MOST_SPAN_WORDS = 1 << 16;

/** Uniforms that say which pattern becomes which, made once a device. */
const changes = new WeakMap<GPUDevice, Map<string, GPUBuffer>>();

function changeOf({ device }: Gpu, after: Pattern, before: Pattern = []): GPUBuffer {
  let known = changes.get(device);
  if (!known) changes.set(device, known = new Map());
  const key = `${before}>${after}`;
  let buffer = known.get(key);
  if (!buffer) {
    const words = new Uint32Array(12);
    words.set(before);
    words.set(after, 4);
    words.set([before.length, after.length], 8);
    buffer = device.createBuffer({
      label: "change",
      size: 48,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    device.queue.writeBuffer(buffer, 0, words);
    known.set(key, buffer);
  }
  return buffer;
}

/** The pipeline of a shader of the bench itself; layouts are automatic. */
export function toolPipeline({ device, pipelines }: Gpu, label: string, code: string): GPUComputePipeline {
  let pipeline = pipelines.get(code);
  if (!pipeline) {
    const module = device.createShaderModule({ label, code });
    pipeline = device.createComputePipeline({ label, layout: "auto", compute: { module, entryPoint: "main" } });
    pipelines.set(code, pipeline);
  }
  return pipeline;
}

/** Encodes one dispatch of a shader of the bench, whose bindings are `ranges` in their order. */
export function encodeTool(
  gpu: Gpu,
  pass: GPUComputePassEncoder,
  pipeline: GPUComputePipeline,
  { ranges, workgroups }: {
    readonly ranges: readonly (BufferRange | GPUBuffer)[];
    readonly workgroups: readonly [number, number?];
  },
): void {
  const entries = ranges.map((range, binding) => ({
    binding,
    resource: "offset" in range ? { buffer: range.buffer, offset: range.offset, size: range.size } : { buffer: range },
  }));
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, gpu.device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(...workgroups);
}

/** Workgroups for shaders whose invocations stride over `bytes`, a few words each. */
export function stridedWorkgroups(bytes: number): number {
  return Math.max(1, Math.min(4096, Math.ceil(bytes / 4096)));
}

/** Encodes the filling of all of `range`. */
export function encodeFill(gpu: Gpu, pass: GPUComputePassEncoder, range: BufferRange, pattern: Pattern): void {
  encodeTool(gpu, pass, toolPipeline(gpu, "fill", FILL_SHADER), {
    ranges: [changeOf(gpu, pattern), range],
    workgroups: [stridedWorkgroups(range.size)],
  });
}

/** An exchange of poison in parts of a buffer. */
export interface Exchange {
  /** The buffer. */
  readonly range: BufferRange;
  /**
   * First word and word after the last one of each part, pair by pair, none longer than {@linkcode MOST_SPAN_WORDS}.
   */
  readonly spans: BufferRange;
  /** What the parts should hold; what does not is counted. @default {anything} */
  readonly before?: Pattern;
  /** What they hold then. */
  readonly after: Pattern;
  /** Two zeros: to them is added how many words were not as before, and the complement of the first one's number. */
  readonly found: BufferRange;
}

/** Encodes an exchange. */
export function encodeExchange(
  gpu: Gpu,
  pass: GPUComputePassEncoder,
  { range, spans, before, after, found }: Exchange,
): void {
  const most = gpu.traits.limits.maxComputeWorkgroupsPerDimension;
  const parts = spans.size / 8;
  const y = Math.ceil(parts / most);
  encodeTool(gpu, pass, toolPipeline(gpu, "exchange", EXCHANGE_SHADER), {
    ranges: [changeOf(gpu, after, before), range, spans, found],
    workgroups: [Math.ceil(parts / y), y],
  });
}
