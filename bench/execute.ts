/**
 * Compiles a `Launch`, binds its buffers and runs it. Every buffer that a kernel writes holds NaN bits before a run.
 *
 * @module
 */
import type { DispatchSpec, Launch } from "../kernels/kernel.ts";
import { type BufferRange, createStorage, readBack, uploadStorage, writeStorage } from "./buffers.ts";
import type { Gpu } from "./device.ts";
import { guarded } from "./guard.ts";
import { compile, groupsOf } from "./pipelines.ts";

/** Pattern that outputs and scratch hold before each run: an f32 quiet NaN (and an f16 NaN in each half). */
export const POISON_WORD = 0x7fc0_7e01;

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
      if (spec.contents) writeStorage(gpu, range, bytesOf(spec.contents));
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
      const find = (name: string) => replaced.get(name) ?? buffers.get(name);
      const groups = launch.dispatches.map((dispatch, i) =>
        groupsOf(dispatch).map((names, group) =>
          gpu.device.createBindGroup({
            label: dispatch.label,
            layout: pipelines[i].getBindGroupLayout(group),
            entries: bindEntries(dispatch, names, uniforms[i], find),
          })
        )
      );
      return {
        encode(pass) {
          launch.dispatches.forEach((dispatch, i) => {
            pass.setPipeline(pipelines[i]);
            groups[i].forEach((group, index) => pass.setBindGroup(index, group));
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
  names: readonly (string | undefined)[],
  uniform: GPUBuffer | undefined,
  find: (name: string) => BufferRange | undefined,
): GPUBindGroupEntry[] {
  return names.flatMap((name, binding): GPUBindGroupEntry[] => {
    if (name === undefined) return uniform ? [{ binding, resource: { buffer: uniform } }] : [];
    const range = find(name);
    if (!range) {
      throw new TypeError(`Cannot bind "${name}" of dispatch "${dispatch.label}": the launch has no such buffer`);
    }
    return [{ binding, resource: { buffer: range.buffer, offset: range.offset, size: range.size } }];
  });
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
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

/**
 * What the buffers whose content is the result hold, by name. `encode` may put work in front of the copy in the same
 * submission.
 */
export async function readResults(
  gpu: Gpu,
  prepared: PreparedLaunch,
  encode?: (encoder: GPUCommandEncoder) => void,
): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const specs = prepared.launch.buffers.filter(({ role }) => role === "output" || role === "inout");
  const contents = await readBack(gpu, specs.map(({ name }) => prepared.buffers.get(name)!), encode);
  return new Map(specs.map(({ name, bytes }, i) => [name, contents[i].subarray(0, bytes)]));
}

/** Runs a prepared launch once into poisoned memory and returns its result buffers by name. */
export async function runOnce(gpu: Gpu, prepared: PreparedLaunch): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const bound = await guarded(gpu, "run", () => prepared.bind());
  return await readResults(gpu, prepared, (encoder) => {
    encodePoison(gpu, encoder, prepared);
    const pass = encoder.beginComputePass();
    bound.encode(pass);
    pass.end();
  });
}
