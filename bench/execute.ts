/**
 * Compiles a `Launch`, binds its buffers and runs it. Every buffer that a kernel writes holds NaN bits before a run.
 *
 * @module
 */
import type { BufferSpec, DispatchSpec, Launch } from "../kernels/kernel.ts";
import type { Gpu } from "./device.ts";

/** Pattern that outputs and scratch hold before each run: an f32 quiet NaN (and an f16 NaN in each half). */
export const POISON_WORD = 0x7fc0_7e01;

/** A case could not be run; `stage` says where, `skip` that the device lacks room for it. */
export class ExecutionError extends Error {
  /** For messages. */
  override name = "ExecutionError";
  /** Where it happened. */
  readonly stage: "compile" | "run";
  /** Whether the device is merely too small: a skip, not a failure. */
  readonly outOfMemory: boolean;
  /** Makes the error. */
  constructor(stage: "compile" | "run", message: string, outOfMemory = false) {
    super(message);
    this.stage = stage;
    this.outOfMemory = outOfMemory;
  }
}

/** A buffer, or a part of one that starts at a multiple of the binding alignment. */
export interface BufferRange {
  /** The buffer. */
  readonly buffer: GPUBuffer;
  /** First byte. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/** A launch whose pipelines and buffers exist. */
export interface PreparedLaunch {
  /** What was prepared. */
  readonly launch: Launch;
  /** Wall time spent creating pipelines, ms; undefined when all were cached. */
  readonly compileMs?: number;
  /** Buffers by name. */
  readonly buffers: ReadonlyMap<string, BufferRange>;
  /** Binds the launch to its buffers, with `replaced` ones in place of those of the same name. */
  bind(replaced?: ReadonlyMap<string, BufferRange>): BoundLaunch;
  /** Frees what was created here; inputs handed in stay. */
  destroy(): void;
}

/** A launch ready to be encoded. */
export interface BoundLaunch {
  /** Encodes all dispatches, in order, into `pass`. */
  encode(pass: GPUComputePassEncoder): void;
}

const STORAGE_USAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

/** Runs `work` inside error scopes; throws what they caught. */
export async function guarded<T>(gpu: Gpu, stage: "compile" | "run", work: () => T | Promise<T>): Promise<T> {
  gpu.device.pushErrorScope("internal");
  gpu.device.pushErrorScope("out-of-memory");
  gpu.device.pushErrorScope("validation");
  let value: T | undefined;
  let thrown: unknown;
  try {
    value = await work();
  } catch (error) {
    thrown = error;
  }
  const validation = await gpu.device.popErrorScope();
  const memory = await gpu.device.popErrorScope();
  const internal = await gpu.device.popErrorScope();
  if (gpu.lost) throw new ExecutionError("run", `device lost (${gpu.lost})`);
  if (memory) throw new ExecutionError(stage, firstLines(memory.message) || "out of memory", true);
  if (validation) throw new ExecutionError(stage, firstLines(validation.message));
  if (internal) throw new ExecutionError(stage, firstLines(internal.message));
  if (thrown !== undefined) throw thrown;
  return value as T;
}

function firstLines(message: string): string {
  return message.trim().split("\n").slice(0, 12).join("\n");
}

/** Allocates one storage buffer; `size` is rounded up to 16 so that an empty tensor can be bound. */
export function createStorage(gpu: Gpu, label: string, size: number): BufferRange {
  const bytes = Math.max(16, Math.ceil(size / 4) * 4);
  return { buffer: gpu.device.createBuffer({ label, size: bytes, usage: STORAGE_USAGE }), offset: 0, size: bytes };
}

/** Allocates a storage buffer that holds `data`. */
export function uploadStorage(gpu: Gpu, label: string, data: Uint8Array): BufferRange {
  const range = createStorage(gpu, label, data.byteLength);
  writeStorage(gpu, range, data);
  return range;
}

/** Writes `data` to the beginning of `range`. */
export function writeStorage(gpu: Gpu, range: BufferRange, data: Uint8Array): void {
  const whole = data.byteLength - data.byteLength % 4;
  // One write copies the data into a staging buffer of the same size: in slices the peak stays small.
  const slice = 64 << 20;
  for (let at = 0; at < whole; at += slice) {
    const end = Math.min(at + slice, whole);
    gpu.device.queue.writeBuffer(range.buffer, range.offset + at, data as Uint8Array<ArrayBuffer>, at, end - at);
    if (end < whole) gpu.device.queue.submit([]);
  }
  if (whole < data.byteLength) {
    const tail = new Uint8Array(4);
    tail.set(data.subarray(whole));
    gpu.device.queue.writeBuffer(range.buffer, range.offset + whole, tail);
  }
}

/**
 * Creates pipelines and buffers of `launch`. `inputs` gives the buffers whose role is `input` or `inout`; the others
 * are created and poisoned.
 *
 * @throws {ExecutionError} If a shader does not compile or the device has no room.
 */
export async function prepare(
  gpu: Gpu,
  launch: Launch,
  inputs: ReadonlyMap<string, BufferRange>,
): Promise<PreparedLaunch> {
  const before = performance.now();
  let created = 0;
  const pipelines: GPUComputePipeline[] = [];
  for (const dispatch of launch.dispatches) {
    const cached = gpu.pipelines.get(dispatch.shader);
    if (!cached) created++;
    pipelines.push(cached ?? await compile(gpu, dispatch, launch.buffers));
  }
  const compileMs = created > 0 ? performance.now() - before : undefined;
  const own: GPUBuffer[] = [];
  const buffers = new Map(inputs);
  const uniforms = await guarded(gpu, "run", () => {
    for (const spec of launch.buffers) {
      if (buffers.has(spec.name)) continue;
      if (spec.role === "input" || spec.role === "inout") {
        throw new TypeError(`Cannot bind "${spec.name}": no data was given for this ${spec.role} buffer`);
      }
      const range = createStorage(gpu, spec.name, spec.bytes);
      own.push(range.buffer);
      buffers.set(spec.name, range);
    }
    return launch.dispatches.map((dispatch) => {
      const buffer = createUniform(gpu, dispatch);
      if (buffer) own.push(buffer);
      return buffer;
    });
  });
  return {
    launch,
    compileMs,
    buffers,
    bind(replaced = new Map()) {
      const groups = launch.dispatches.map((dispatch, i) =>
        gpu.device.createBindGroup({
          label: dispatch.label,
          layout: pipelines[i].getBindGroupLayout(0),
          entries: bindEntries(dispatch, uniforms[i], (name) => replaced.get(name) ?? buffers.get(name)),
        })
      );
      return {
        encode(pass) {
          launch.dispatches.forEach((dispatch, i) => {
            pass.setPipeline(pipelines[i]);
            pass.setBindGroup(0, groups[i]);
            pass.dispatchWorkgroups(...dispatch.workgroups);
          });
        },
      };
    },
    destroy() {
      for (const buffer of own) buffer.destroy();
    },
  };
}

function bindEntries(
  dispatch: DispatchSpec,
  uniform: GPUBuffer | undefined,
  find: (name: string) => BufferRange | undefined,
): GPUBindGroupEntry[] {
  const entries: GPUBindGroupEntry[] = uniform ? [{ binding: 0, resource: { buffer: uniform } }] : [];
  dispatch.bindings.forEach((name, i) => {
    const range = find(name);
    if (!range) {
      throw new TypeError(`Cannot bind "${name}" of dispatch "${dispatch.label}": the launch has no such buffer`);
    }
    entries.push({ binding: i + 1, resource: { buffer: range.buffer, offset: range.offset, size: range.size } });
  });
  return entries;
}

function createUniform(gpu: Gpu, { label, params }: DispatchSpec): GPUBuffer | undefined {
  if (params.length === 0) return undefined;
  const bytes = new DataView(new ArrayBuffer(Math.ceil(params.length / 4) * 16));
  params.forEach(([, type, value], i) =>
    type === "f32" ? bytes.setFloat32(4 * i, value, true) : bytes.setUint32(4 * i, value, true)
  );
  const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
  const buffer = gpu.device.createBuffer({ label: `${label} params`, size: bytes.byteLength, usage });
  gpu.device.queue.writeBuffer(buffer, 0, bytes.buffer as ArrayBuffer);
  return buffer;
}

/**
 * Compiles one dispatch with an explicit layout (an automatic one drops bindings that the shader does not touch for a
 * given constant, such as `q_pe` when Dr is 0) and caches the pipeline by its text.
 */
async function compile(
  gpu: Gpu,
  dispatch: DispatchSpec,
  buffers: readonly BufferSpec[],
): Promise<GPUComputePipeline> {
  const { device } = gpu;
  let module: GPUShaderModule | undefined;
  try {
    const pipeline = await guarded(gpu, "compile", () => {
      module = device.createShaderModule({ label: dispatch.label, code: dispatch.shader });
      const layout = device.createPipelineLayout({ bindGroupLayouts: [createLayout(device, dispatch, buffers)] });
      return device.createComputePipeline({ label: dispatch.label, layout, compute: { module, entryPoint: "main" } });
    });
    gpu.pipelines.set(dispatch.shader, pipeline);
    return pipeline;
  } catch (error) {
    const messages = (await module?.getCompilationInfo())?.messages.filter(({ type }) => type === "error") ?? [];
    const lines = messages.map(({ lineNum, linePos, message }) => `${lineNum}:${linePos} ${message.trim()}`);
    if (lines.length === 0) throw error;
    throw new ExecutionError("compile", `${dispatch.label} does not compile: ${lines.join("; ")}`);
  }
}

/**
 * Reads the access of each storage binding off the shader text, the only place that declares it.
 *
 * @throws {ExecutionError} If the shader may write an input: the kernels after it would be fed what it left.
 */
function createLayout(
  device: GPUDevice,
  dispatch: DispatchSpec,
  buffers: readonly BufferSpec[],
): GPUBindGroupLayout {
  const text = dispatch.shader.replaceAll(/\/\/.*$/gm, "");
  const declared = text.matchAll(
    /@binding\(\s*(\d+)u?\s*\)\s*var\s*<\s*(uniform|storage)\s*(?:,\s*(read_write|read))?\s*>/g,
  );
  const entries = [...declared].map(([, binding, space, access]): GPUBindGroupLayoutEntry => {
    const name = dispatch.bindings[Number(binding) - 1];
    const writes = access === "read_write";
    if (writes && buffers.some((spec) => spec.name === name && spec.role === "input")) {
      throw new ExecutionError(
        "compile",
        `${dispatch.label} declares the input "${name}" read_write: inputs are read only`,
      );
    }
    return {
      binding: Number(binding),
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: space === "uniform" ? "uniform" : writes ? "storage" : "read-only-storage" },
    };
  });
  return device.createBindGroupLayout({ label: dispatch.label, entries });
}

const FILL_SHADER = `
@group(0) @binding(0) var<storage, read_write> words: array<u32>;
const PATTERN = ${POISON_WORD}u;
@compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>) {
  for (var i = id.x; i < arrayLength(&words); i += n.x * 256u) { words[i] = PATTERN; }
}`;

/** Encodes a pass that fills every buffer the launch may write (not `inout`) with {@linkcode POISON_WORD}. */
export function encodePoison(gpu: Gpu, encoder: GPUCommandEncoder, prepared: PreparedLaunch): void {
  let pipeline = gpu.pipelines.get(FILL_SHADER);
  if (!pipeline) {
    const module = gpu.device.createShaderModule({ label: "poison", code: FILL_SHADER });
    pipeline = gpu.device.createComputePipeline({
      label: "poison",
      layout: "auto",
      compute: { module, entryPoint: "main" },
    });
    gpu.pipelines.set(FILL_SHADER, pipeline);
  }
  const pass = encoder.beginComputePass({ label: "poison" });
  pass.setPipeline(pipeline);
  for (const { name, role, bytes } of prepared.launch.buffers) {
    if (role !== "output" && role !== "scratch") continue;
    const { buffer, offset, size } = prepared.buffers.get(name)!;
    pass.setBindGroup(
      0,
      gpu.device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: [{ binding: 0, resource: { buffer, offset, size } }],
      }),
    );
    pass.dispatchWorkgroups(Math.max(1, Math.min(4096, Math.ceil(bytes / 1024))));
  }
  pass.end();
}

/** Buffers of a launch whose content is the result. */
export function resultBuffers(launch: Launch): readonly BufferSpec[] {
  return launch.buffers.filter(({ role }) => role === "output" || role === "inout");
}

/**
 * Copies `ranges` back to the host through one staging buffer, so that the fixed cost of mapping (10 ms in Deno) is
 * paid once. `encode` may put work in front of the copy in the same submission.
 */
export async function readBack(
  gpu: Gpu,
  ranges: readonly BufferRange[],
  encode?: (encoder: GPUCommandEncoder) => void,
): Promise<Uint8Array<ArrayBuffer>[]> {
  const bytes = ranges.reduce((sum, { size }) => sum + size, 0);
  return await guarded(gpu, "run", async () => {
    const staging = gpu.device.createBuffer({
      label: "read back",
      size: Math.max(4, bytes),
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    try {
      const encoder = gpu.device.createCommandEncoder();
      encode?.(encoder);
      let at = 0;
      for (const { buffer, offset, size } of ranges) {
        encoder.copyBufferToBuffer(buffer, offset, staging, at, size);
        at += size;
      }
      gpu.device.queue.submit([encoder.finish()]);
      await staging.mapAsync(GPUMapMode.READ);
      const mapped = staging.getMappedRange();
      at = 0;
      return ranges.map(({ size }) => {
        const copy = new Uint8Array(mapped.slice(at, at + size));
        at += size;
        return copy;
      });
    } finally {
      staging.destroy();
    }
  });
}

/**
 * Whether the device still does what it is asked: after an error it may be lost without saying so, and every case after
 * it would fail.
 */
export async function isAlive(gpu: Gpu): Promise<boolean> {
  if (gpu.lost) return false;
  try {
    const written = crypto.getRandomValues(new Uint8Array(16));
    const range = uploadStorage(gpu, "alive", written);
    const [read] = await readBack(gpu, [range]);
    range.buffer.destroy();
    return written.every((byte, i) => byte === read[i]);
  } catch {
    return false;
  }
}

/** Runs a prepared launch once into poisoned memory and returns its result buffers by name. */
export async function runOnce(gpu: Gpu, prepared: PreparedLaunch): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const specs = resultBuffers(prepared.launch);
  const bound = await guarded(gpu, "run", () => prepared.bind());
  const contents = await readBack(gpu, specs.map(({ name }) => prepared.buffers.get(name)!), (encoder) => {
    encodePoison(gpu, encoder, prepared);
    const pass = encoder.beginComputePass();
    bound.encode(pass);
    pass.end();
  });
  return new Map(specs.map(({ name, bytes }, i) => [name, contents[i].subarray(0, bytes)]));
}
