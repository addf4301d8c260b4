/**
 * Inputs on the device: shared by cases that run on the same bytes, at once or one after another.
 *
 * @module
 */
import { type BufferRange, createGuarded, writeStorage } from "./buffers.ts";
import type { CaseCall, CaseInputs } from "./case_inputs.ts";
import type { Gpu } from "./device.ts";
import { ExecutionError, guarded } from "./guard.ts";

/** Input buffers of one case. */
export interface Upload {
  /** Buffers by name. Those that a launch changes in place are the case's own. */
  readonly ranges: ReadonlyMap<string, BufferRange>;
  /** Writes the inputs of another call of the flow. */
  write(call: CaseCall): void;
  /** Gives changed buffers their first content again. */
  restore(): void;
  /** Hands the buffers back. */
  release(): void;
}

interface Shared {
  readonly gpu: Gpu;
  readonly ranges: Promise<ReadonlyMap<string, BufferRange>>;
  /**
   * What buffers that are changed in place hold at first, from which each case gets its own: copying a large cache
   * takes the device less than a millisecond, uploading it again a tenth of a second. Undefined where there is no room
   * for it.
   */
  readonly originals: Promise<ReadonlyMap<string, BufferRange> | undefined>;
  users: number;
}

/** Inputs on the device, by key. */
export class Uploads {
  readonly #shared = new Map<string, Shared>();

  /**
   * Uploads `inputs`, or finds them there.
   *
   * @throws {ExecutionError} If the device has no room.
   */
  async acquire(gpu: Gpu, key: string, inputs: CaseInputs): Promise<Upload> {
    // The calls of a flow write their inputs over each other, so nobody else may use them.
    const isFlow = inputs.calls.length > 1;
    const shared = isFlow ? undefined : this.#find(gpu, key, inputs);
    let own: ReadonlyMap<string, BufferRange> = new Map();
    const release = () => {
      for (const { buffer } of own.values()) buffer.destroy();
      if (shared) shared.users--;
    };
    try {
      const originals = await shared?.originals;
      own = originals
        ? await duplicate(gpu, originals)
        : await upload(gpu, isFlow ? flowContents(inputs) : [...inputs.state]);
      return {
        ranges: new Map([...await shared?.ranges ?? [], ...own]),
        write: ({ buffers }) => {
          for (const [name, data] of buffers) writeStorage(gpu, own.get(name)!, data);
        },
        restore: () => {
          if (originals) return copyAll(gpu, originals, own);
          for (const [name, data] of inputs.state) writeStorage(gpu, own.get(name)!, data);
        },
        release,
      };
    } catch (error) {
      release();
      this.#shared.delete(key);
      throw error;
    }
  }

  #find(gpu: Gpu, key: string, { calls: [call], state }: CaseInputs): Shared {
    let shared = this.#shared.get(key);
    if (!shared || shared.gpu !== gpu) {
      this.#evict();
      const ranges = upload(gpu, [...call.buffers]);
      const originals = upload(gpu, [...state]).catch((error) => {
        if (error instanceof ExecutionError && error.outOfMemory) return undefined;
        throw error;
      });
      shared = { gpu, ranges, originals, users: 0 };
      // Where the device is lost, the first that waits may fail before it gets here, and then nobody waits.
      for (const made of [ranges, originals]) made.catch(() => {});
      this.#shared.set(key, shared);
    }
    shared.users++;
    return shared;
  }

  /** Frees what nobody uses. */
  #evict(): void {
    for (const [key, { ranges, originals, users }] of this.#shared) {
      if (users > 0) continue;
      this.#shared.delete(key);
      for (const made of [ranges, originals]) {
        made.then((own) => own?.forEach(({ buffer }) => buffer.destroy()), () => {});
      }
    }
  }
}

/** Buffers with the contents of `originals`. */
async function duplicate(
  gpu: Gpu,
  originals: ReadonlyMap<string, BufferRange>,
): Promise<Map<string, BufferRange>> {
  const copies = new Map<string, BufferRange>();
  try {
    await guarded(gpu, "run", () => {
      for (const [name, { size }] of originals) copies.set(name, createGuarded(gpu, name, size));
      copyAll(gpu, originals, copies);
    });
    return copies;
  } catch (error) {
    for (const { buffer } of copies.values()) buffer.destroy();
    throw error;
  }
}

/** Copies each of `originals` to its namesake, on the device. */
function copyAll(
  gpu: Gpu,
  originals: ReadonlyMap<string, BufferRange>,
  copies: ReadonlyMap<string, BufferRange>,
): void {
  const encoder = gpu.device.createCommandEncoder();
  for (const [name, { buffer, offset, size }] of originals) {
    const copy = copies.get(name)!;
    encoder.copyBufferToBuffer(buffer, offset, copy.buffer, copy.offset, size);
  }
  gpu.device.queue.submit([encoder.finish()]);
}

/** Data of a buffer, and the bytes it may grow to. */
type Content = readonly [name: string, data: Uint8Array, capacity?: number];

async function upload(gpu: Gpu, contents: readonly Content[]): Promise<Map<string, BufferRange>> {
  const ranges = new Map<string, BufferRange>();
  try {
    await guarded(gpu, "run", () => {
      for (const [name, data, capacity = 0] of contents) {
        const range = createGuarded(gpu, name, Math.max(capacity, data.byteLength));
        ranges.set(name, range);
        writeStorage(gpu, range, data);
      }
    });
    return ranges;
  } catch (error) {
    for (const { buffer } of ranges.values()) buffer.destroy();
    throw error;
  }
}

/** State and first inputs of a flow, in buffers that hold the inputs of every call. */
function flowContents({ calls, state }: CaseInputs): Content[] {
  const inputs = [...calls[0].buffers].map(([name, data]): Content => {
    return [name, data, Math.max(...calls.map(({ buffers }) => buffers.get(name)!.byteLength))];
  });
  return [...state, ...inputs];
}
