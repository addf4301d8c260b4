/**
 * Inputs on the device: shared by cases that run on the same bytes, at once or one after another.
 *
 * @module
 */
import { type BufferRange, createGuarded, writeStorage } from "./buffers.ts";
import type { CaseCall, CaseInputs } from "./case_inputs.ts";
import type { Gpu } from "./device.ts";
import { guarded } from "./guard.ts";

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
      own = await upload(gpu, isFlow ? flowContents(inputs) : [...inputs.state]);
      return {
        ranges: new Map([...await shared?.ranges ?? [], ...own]),
        write: ({ buffers }) => {
          for (const [name, data] of buffers) writeStorage(gpu, own.get(name)!, data);
        },
        restore: () => {
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

  #find(gpu: Gpu, key: string, { calls: [call] }: CaseInputs): Shared {
    let shared = this.#shared.get(key);
    if (!shared || shared.gpu !== gpu) {
      this.#evict();
      shared = { gpu, ranges: upload(gpu, [...call.buffers]), users: 0 };
      // Where the device is lost, the first that waits may fail before it gets here, and then nobody waits.
      shared.ranges.catch(() => {});
      this.#shared.set(key, shared);
    }
    shared.users++;
    return shared;
  }

  /** Frees what nobody uses. */
  #evict(): void {
    for (const [key, { ranges, users }] of this.#shared) {
      if (users > 0) continue;
      this.#shared.delete(key);
      ranges.then((own) => own.forEach(({ buffer }) => buffer.destroy()), () => {});
    }
  }
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
