/**
 * Runs a prepared launch. Every buffer that a kernel writes holds NaN bits before a run.
 *
 * @module
 */
import { readBack, uploadStorage } from "./buffers.ts";
import type { Gpu } from "./device.ts";
import { guarded } from "./guard.ts";
import type { PreparedLaunch } from "./plan.ts";
import { encodeFill, patternOf, type Poison } from "./poison.ts";

export { type BoundLaunch, prepare, type PreparedLaunch } from "./plan.ts";
export { type Poison, POISON_WORD } from "./poison.ts";

/** Encodes the filling of every buffer that the launch may write (not `inout`) with `poison`, in whole. */
export function encodePoison(
  gpu: Gpu,
  pass: GPUComputePassEncoder,
  { launch, buffers }: PreparedLaunch,
  poison: Poison = "nan",
): void {
  for (const { name, role } of launch.buffers) {
    if (role === "output" || role === "scratch") encodeFill(gpu, pass, buffers.get(name)!, patternOf("own", poison));
  }
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
      const pass = encoder.beginComputePass();
      encodePoison(gpu, pass, prepared);
      bound.encode(pass);
      pass.end();
    },
  });
}
