/**
 * Binds a launch so that it finds its inputs in the device's cache, or does not.
 *
 * @module
 */
import type { Launch } from "../kernels/kernel.ts";
import type { Gpu } from "./device.ts";
import { type BufferRange, createStorage } from "./buffers.ts";
import type { BoundLaunch, PreparedLaunch } from "./execute.ts";
import { ExecutionError, guarded } from "./guard.ts";

/** A launch bound to one copy of its inputs or several, to be used in turn. */
export type Rotation = readonly BoundLaunch[];

/** What a rotation is made of. */
export interface RotationOptions {
  /** Bytes that one launch reads, each once: pages that sequences share are the same bytes. */
  readonly readBytes: number;
  /** Bytes that the largest cache of the device is assumed to hold. */
  readonly cacheBytes: number;
}

const MAX_COPIES = 256;
const MAX_COPIED_BYTES = 4 * 2 ** 30;

/** Copies of inputs, shared by the launches that read them. */
export class InputCopies {
  readonly #gpu: Gpu;
  readonly #copies = new Map<GPUBuffer, BufferRange[]>();

  /** @param gpu The device. */
  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /**
   * Makes as many copies of each of `sources` as are missing.
   *
   * @returns Whether the device has room for them.
   */
  async make(sources: readonly BufferRange[], count: number): Promise<boolean> {
    const missing = sources.filter(({ buffer }) => (this.#copies.get(buffer)?.length ?? 0) < count);
    const made = new Map<GPUBuffer, BufferRange[]>();
    try {
      await guarded(this.#gpu, "run", () => {
        const encoder = this.#gpu.device.createCommandEncoder();
        for (const source of missing) {
          const copies: BufferRange[] = [];
          made.set(source.buffer, copies);
          for (let i = this.#copies.get(source.buffer)?.length ?? 0; i < count; i++) {
            const target = createStorage(this.#gpu, `${source.buffer.label} copy ${i + 1}`, source.size);
            copies.push(target);
            encoder.copyBufferToBuffer(source.buffer, source.offset, target.buffer, target.offset, source.size);
          }
        }
        this.#gpu.device.queue.submit([encoder.finish()]);
      });
    } catch (error) {
      for (const { buffer } of [...made.values()].flat()) buffer.destroy();
      if (error instanceof ExecutionError && error.outOfMemory) return false;
      throw error;
    }
    for (const [source, copies] of made) this.#copies.set(source, [...this.#copies.get(source) ?? [], ...copies]);
    return true;
  }

  /** Copy `i` of `source`, which was made. */
  get({ buffer }: BufferRange, i: number): BufferRange {
    return this.#copies.get(buffer)![i];
  }

  /** Frees them. */
  destroy(): void {
    for (const { buffer } of [...this.#copies.values()].flat()) buffer.destroy();
  }
}

/** Hot: the inputs as they are, again and again. */
export async function bindHot(gpu: Gpu, prepared: PreparedLaunch): Promise<Rotation> {
  return [await guarded(gpu, "run", () => prepared.bind())];
}

/**
 * Cold: so many sets of the inputs, and of what is changed in place, that launches read more than twice the device's
 * cache in turn; the inputs alone where one launch does that: it streams out what the next one begins with. Outputs are
 * shared, so that launches that write them stay serialized. Copies are taken after a run: a launch that works in place
 * must leave the same when it runs again.
 *
 * @returns Undefined where a cold figure cannot be had: the copies would be too many or too large, or the launch has no
 * output, so that nothing would order launches on different copies.
 */
export async function bindCold(
  gpu: Gpu,
  prepared: PreparedLaunch,
  copies: InputCopies,
  { readBytes, cacheBytes }: RotationOptions,
): Promise<Rotation | undefined> {
  const { buffers } = prepared.launch;
  if (!buffers.some(({ role }) => role === "output")) return undefined;
  const inputs = buffers.filter(({ role }) => role === "input" || role === "inout");
  const bytes = inputs.reduce((sum, spec) => sum + spec.bytes, 0);
  const count = copiesFor({ readBytes, cacheBytes });
  if (!(count + 1 <= MAX_COPIES && count * bytes <= MAX_COPIED_BYTES)) return undefined;
  const sources = new Map(inputs.map(({ name }) => [name, prepared.buffers.get(name)!]));
  if (!await copies.make([...sources.values()], count)) return undefined;
  return await guarded(gpu, "run", () => {
    const sets = Array.from(
      { length: count },
      (_, i) => new Map([...sources].map(([name, source]) => [name, copies.get(source, i)])),
    );
    return [prepared.bind(), ...sets.map((set) => prepared.bind(set))];
  });
}

/**
 * Bytes that one launch certainly reads: outputs are written to the same place each time and may stay in a cache, and
 * pages that sequences share, which `minBytes` counts for each of them, are read once.
 */
export function readBytesOf({ buffers }: Pick<Launch, "buffers">, minBytes: number): number {
  const bytesOf = (...roles: string[]) =>
    buffers.reduce((sum, { role, bytes }) => roles.includes(role) ? sum + bytes : sum, 0);
  return Math.min(minBytes - bytesOf("output"), bytesOf("input", "inout"));
}

/** Sets of the inputs, beside the first, over which launches must rotate to find none of theirs in the cache. */
export function copiesFor({ readBytes, cacheBytes }: RotationOptions): number {
  return readBytes > 2 * cacheBytes ? 0 : Math.ceil(2 * cacheBytes / Math.max(0, readBytes));
}
