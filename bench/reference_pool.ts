/**
 * Spreads the reference over cores: Workers make the large inputs and compute rows in parts.
 *
 * @module
 */
import { type AttendInputs, makeAttendInputs } from "../reference/inputs.ts";
import { attendAbsorbed, attendFlops, type AttendReference } from "../reference/mla.ts";
import type { AttendShape, InputKind } from "../reference/shapes.ts";
import { type ReferenceRequest, type ReferenceResponse, shareInputs } from "./reference_worker.ts";

/** Below this a message to a Worker costs more than the work, flops. */
const INLINE_FLOPS = 30e6;
/** Cache elements below which inputs are made on the main thread. */
const INLINE_ELEMENTS = 4e6;

type WithoutId<T> = T extends unknown ? Omit<T, "id"> : never;

/** A pool of Workers; they start when first needed. */
export class ReferencePool {
  readonly #size: number;
  readonly #idle: Worker[] = [];
  readonly #all: Worker[] = [];
  readonly #waiting: ((worker: Worker) => void)[] = [];
  #nextId = 0;

  /** @param size Workers at most; one core is left to the thread that drives the GPU. */
  constructor(size: number = Math.max(1, navigator.hardwareConcurrency - 1)) {
    this.#size = size;
  }

  /** Seeded inputs of `shape`; large ones are made in a Worker and live in shared memory. */
  async inputs(shape: AttendShape, input: InputKind, seed: number): Promise<AttendInputs> {
    const elements = shape.kv.reduce((a, b) => a + b, 0) * (shape.R + shape.Dr);
    if (elements < INLINE_ELEMENTS) return makeAttendInputs(shape, input, seed);
    return await this.#run({ kind: "inputs", shape, input, seed }) as AttendInputs;
  }

  /** The reference for `rows` of `inputs`, in the order of `rows`. */
  async attend(inputs: AttendInputs, rows: Int32Array): Promise<AttendReference> {
    const flops = attendFlops(inputs.shape, rows);
    if (flops < INLINE_FLOPS) return attendAbsorbed(inputs, rows);
    const shared = inputs.cache.buffer instanceof SharedArrayBuffer ? inputs : shareInputs(inputs);
    const parts = Math.max(1, Math.min(rows.length, 4 * this.#size, Math.ceil(flops / INLINE_FLOPS)));
    const bounds = Array.from({ length: parts + 1 }, (_, i) => Math.round(i * rows.length / parts));
    const references = await Promise.all(
      bounds.slice(1).map((end, i) =>
        this.#run({ kind: "attend", inputs: shared, rows: rows.slice(bounds[i], end) }) as Promise<AttendReference>
      ),
    );
    return joinReferences(rows, references);
  }

  /** Ends the Workers. */
  close(): void {
    for (const worker of this.#all) worker.terminate();
    this.#all.length = this.#idle.length = 0;
  }

  async #run(request: WithoutId<ReferenceRequest>): Promise<unknown> {
    const worker = await this.#take();
    const id = this.#nextId++;
    let alive = true;
    try {
      return await new Promise((resolve, reject) => {
        worker.onmessage = ({ data }: MessageEvent<ReferenceResponse>) => {
          if (data.id !== id) return;
          if (data.error !== undefined) reject(new Error(data.error));
          else resolve(data.value);
        };
        worker.onerror = (event) => {
          event.preventDefault();
          alive = false;
          reject(new Error(`a Worker of the reference ended: ${event.message}`));
        };
        worker.postMessage({ ...request, id });
      });
    } finally {
      this.#giveBack(alive ? worker : this.#replace(worker));
    }
  }

  #giveBack(worker: Worker): void {
    const next = this.#waiting.shift();
    if (next) next(worker);
    else this.#idle.push(worker);
  }

  #replace(dead: Worker): Worker {
    dead.terminate();
    const worker = start();
    this.#all.splice(this.#all.indexOf(dead), 1, worker);
    return worker;
  }

  async #take(): Promise<Worker> {
    const idle = this.#idle.pop();
    if (idle) return idle;
    if (this.#all.length < this.#size) {
      const worker = start();
      this.#all.push(worker);
      return worker;
    }
    return await new Promise((resolve) => this.#waiting.push(resolve));
  }
}

function start(): Worker {
  return new Worker(new URL("./reference_worker.ts", import.meta.url), { type: "module" });
}

/** Concatenates references of consecutive parts of `rows`: every array of a reference is laid out by row. */
function joinReferences(rows: Int32Array, parts: readonly AttendReference[]): AttendReference {
  const joined: Record<string, unknown> = {};
  for (const key of Object.keys(parts[0]) as (keyof AttendReference)[]) {
    const arrays = parts.map((part) => part[key] as Float64Array);
    const ArrayType = arrays[0].constructor as Float64ArrayConstructor;
    const whole = new ArrayType(arrays.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const array of arrays) {
      whole.set(array, at);
      at += array.length;
    }
    joined[key] = whole;
  }
  return { ...joined, rows } as unknown as AttendReference;
}
