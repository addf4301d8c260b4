/**
 * Runs a prepared launch. Every buffer that a kernel writes holds NaN bits before a run.
 *
 * @module
 */
import { readBack, uploadStorage } from "./buffers.ts";
import type { Gpu } from "./device.ts";
import { guarded } from "./guard.ts";
import type { PreparedLaunch } from "./plan.ts";

export { type BoundLaunch, prepare, type PreparedLaunch } from "./plan.ts";

/** Pattern that outputs and scratch hold before each run: an f32 quiet NaN (and an f16 NaN in each half). */
export const POISON_WORD = 0x7fc0_7e01;

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
  for (const { name, role } of prepared.launch.buffers) {
    if (role !== "output" && role !== "scratch") continue;
    const { buffer, offset, size } = prepared.buffers.get(name)!;
    pass.setBindGroup(
      0,
      gpu.device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: [{ binding: 0, resource: { buffer, offset, size } }],
      }),
    );
    pass.dispatchWorkgroups(Math.max(1, Math.min(4096, Math.ceil(size / 1024))));
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

/** Which results {@linkcode readResults} reads. */
export interface ReadOptions {
  /** Whether buffers that are changed in place are read, too: a cache may be large. @default {true} */
  readonly inPlace?: boolean;
  /** Puts work in front of the copy in the same submission. */
  readonly encode?: (encoder: GPUCommandEncoder) => void;
}

/** What the buffers whose content is the result hold, by name. */
export async function readResults(
  gpu: Gpu,
  prepared: PreparedLaunch,
  { inPlace = true, encode }: ReadOptions = {},
): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const specs = prepared.launch.buffers.filter(({ role }) => role === "output" || (role === "inout" && inPlace));
  const ranges = specs.map(({ name, bytes }) => ({ ...prepared.buffers.get(name)!, size: bytes }));
  const contents = await readBack(gpu, ranges, encode);
  return new Map(specs.map(({ name }, i) => [name, contents[i]]));
}

/** Runs a prepared launch once into poisoned memory and returns its result buffers by name. */
export async function runOnce(
  gpu: Gpu,
  prepared: PreparedLaunch,
  { inPlace }: Pick<ReadOptions, "inPlace"> = {},
): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const bound = await guarded(gpu, "run", () => prepared.bind());
  return await readResults(gpu, prepared, {
    inPlace,
    encode(encoder) {
      encodePoison(gpu, encoder, prepared);
      const pass = encoder.beginComputePass();
      bound.encode(pass);
      pass.end();
    },
  });
}
