/**
 * Workers that answer requests.
 *
 * @module
 */

/** Answer to a request: the value, or why there is none. */
interface Response {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** A pool of Workers of one module; they start when first needed. */
export class WorkerPool<Request extends object> {
  /** Workers at most. */
  readonly size: number;
  readonly #module: URL;
  readonly #idle: Worker[] = [];
  readonly #all: Worker[] = [];
  readonly #waiting: ((worker: Worker) => void)[] = [];
  #nextId = 0;

  /** @param module A module that answers `{ ...request, id }` with `{ id, value }` or `{ id, error }`. */
  constructor(module: URL, size: number) {
    this.#module = module;
    this.size = size;
  }

  /**
   * Has a Worker answer `request`, the first that is free.
   *
   * @throws {Error} What the Worker threw, or that it ended; another takes its place.
   */
  async run(request: Request): Promise<unknown> {
    const worker = await this.#take();
    const id = this.#nextId++;
    let alive = true;
    try {
      return await new Promise((resolve, reject) => {
        worker.onmessage = ({ data }: MessageEvent<Response>) => {
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

  /** Ends the Workers. */
  close(): void {
    for (const worker of this.#all) worker.terminate();
    this.#all.length = this.#idle.length = 0;
  }

  #giveBack(worker: Worker): void {
    const next = this.#waiting.shift();
    if (next) next(worker);
    else this.#idle.push(worker);
  }

  #replace(dead: Worker): Worker {
    dead.terminate();
    const worker = this.#start();
    this.#all.splice(this.#all.indexOf(dead), 1, worker);
    return worker;
  }

  async #take(): Promise<Worker> {
    const idle = this.#idle.pop();
    if (idle) return idle;
    if (this.#all.length < this.size) {
      const worker = this.#start();
      this.#all.push(worker);
      return worker;
    }
    return await new Promise((resolve) => this.#waiting.push(resolve));
  }

  #start(): Worker {
    return new Worker(this.#module, { type: "module" });
  }
}
