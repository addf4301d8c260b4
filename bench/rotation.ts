/**
 * Binds a launch so that it finds its inputs in the device's cache, or does not.
 *
 * @module
 */
import type { Gpu } from "./device.ts";
import { type BufferRange, createStorage } from "./buffers.ts";
import type { BoundLaunch, PreparedLaunch } from "./execute.ts";
import { guarded } from "./guard.ts";

/** A launch bound to one or more copies of its inputs, to be used in turn. */
export interface Rotation {
  /** The launch, bound to each copy. */
  readonly bound: readonly BoundLaunch[];
  /** Frees the copies. */
  destroy(): void;
}

/** What a rotation is made of. */
export interface RotationOptions {
  /** Bytes that one launch touches. */
  readonly touchedBytes: number;
  /** Bytes that the largest cache of the device is assumed to hold. */
  readonly cacheBytes: number;
}

const MAX_COPIES = 256;
const MAX_COPIED_BYTES = 4 * 2 ** 30;

/** Hot: the inputs as they are, again and again. */
export async function bindHot(gpu: Gpu, prepared: PreparedLaunch): Promise<Rotation> {
  return { bound: [await guarded(gpu, "run", () => prepared.bind())], destroy() {} };
}

/**
 * Cold: as many copies of the inputs, and of what is changed in place, that launches touch more than twice the device's
 * cache in turn. Outputs are shared, so that launches that write them stay serialized. Copies are taken after a run: a
 * launch that works in place must leave the same when it runs again.
 *
 * @returns Undefined where a cold figure cannot be had: the copies would be too many or too large, or the launch has no
 * output, so that nothing would order launches on different copies.
 */
export async function bindCold(
  gpu: Gpu,
  prepared: PreparedLaunch,
  { touchedBytes, cacheBytes }: RotationOptions,
): Promise<Rotation | undefined> {
  const { buffers } = prepared.launch;
  if (!buffers.some(({ role }) => role === "output")) return undefined;
  const inputs = buffers.filter(({ role }) => role === "input" || role === "inout");
  const bytes = inputs.reduce((sum, spec) => sum + spec.bytes, 0);
  const copies = Math.max(2, Math.ceil(2 * cacheBytes / touchedBytes) + 1);
  if (copies > MAX_COPIES || (copies - 1) * bytes > MAX_COPIED_BYTES) return undefined;
  const own: GPUBuffer[] = [];
  const destroy = () => own.forEach((buffer) => buffer.destroy());
  try {
    const bound = await guarded(gpu, "run", () => {
      const encoder = gpu.device.createCommandEncoder();
      const bound = [prepared.bind()];
      for (let copy = 1; copy < copies; copy++) {
        const replaced = new Map<string, BufferRange>();
        for (const { name } of inputs) {
          const source = prepared.buffers.get(name)!;
          const target = createStorage(gpu, `${name} ${copy}`, source.size);
          own.push(target.buffer);
          encoder.copyBufferToBuffer(source.buffer, source.offset, target.buffer, target.offset, source.size);
          replaced.set(name, target);
        }
        bound.push(prepared.bind(replaced));
      }
      gpu.device.queue.submit([encoder.finish()]);
      return bound;
    });
    return { bound, destroy };
  } catch (error) {
    destroy();
    if ((error as { outOfMemory?: boolean }).outOfMemory) return undefined;
    throw error;
  }
}
