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

/**
 * Requests that a Worker has at most, the one that it answers among them. While the GPU works the thread that hands
 * them out is blocked for a quarter of a second at a time: a Worker that had to wait for it would be idle.
 */
const MOST_REQUESTS = 4;

/** A Worker with the requests that it has not answered, by id. */
interface Busy {
  readonly worker: Worker;
  readonly requests: Map<number, PromiseWithResolvers<unknown>>;
}

/** A request that no Worker has yet. */
interface Waiting {
  readonly message: object;
  readonly id: number;
  readonly answer: PromiseWithResolvers<unknown>;
}

/** A pool of Workers of one module; they start when first needed. */
export class WorkerPool<Request extends object> {
  /** Workers at most. */
  readonly size: number;
  readonly #module: URL;
  readonly #workers: Busy[] = [];
  readonly #waiting: Waiting[] = [];
  #nextId = 0;

  /**
   * @param module A module that answers `{ ...request, id }` with `{ id, value }` or `{ id, error }`, in their order.
   */
  constructor(module: URL, size: number) {
    this.#module = module;
    this.size = size;
  }

  /**
   * Has a Worker answer `request`, the one that has the fewest; it waits where each has {@linkcode MOST_REQUESTS}.
   *
   * @throws {Error} What the Worker threw, or that it ended with its requests; another takes its place.
   */
  run(request: Request): Promise<unknown> {
    const id = this.#nextId++;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.push({ message: { ...request, id }, id, answer });
    this.#handOut();
    return answer.promise;
  }

  /** Ends the Workers. */
  close(): void {
    for (const { worker } of this.#workers) worker.terminate();
    this.#workers.length = 0;
  }

  /** Hands out what waits, in order, as far as Workers take it. */
  #handOut(): void {
    while (this.#waiting.length > 0) {
      const busy = this.#freest();
      if (!busy) return;
      const { message, id, answer } = this.#waiting.shift()!;
      busy.requests.set(id, answer);
      busy.worker.postMessage(message);
    }
  }

  /** The Worker that has the fewest requests, a new one where all have some; undefined where none takes any more. */
  #freest(): Busy | undefined {
    const [least] = this.#workers.toSorted((a, b) => a.requests.size - b.requests.size);
    if (this.#workers.length < this.size && least?.requests.size !== 0) return this.#start();
    return least.requests.size < MOST_REQUESTS ? least : undefined;
  }

  #start(): Busy {
    const worker = new Worker(this.#module, { type: "module" });
    const busy: Busy = { worker, requests: new Map() };
    worker.onmessage = ({ data: { id, value, error } }: MessageEvent<Response>) => {
      const answer = busy.requests.get(id);
      busy.requests.delete(id);
      if (error !== undefined) answer?.reject(new Error(error));
      else answer?.resolve(value);
      this.#handOut();
    };
    worker.onerror = (event) => {
      event.preventDefault();
      worker.terminate();
      this.#workers.splice(this.#workers.indexOf(busy), 1);
      const ended = new Error(`a Worker of the reference ended: ${event.message}`);
      for (const answer of busy.requests.values()) answer.reject(ended);
      this.#handOut();
    };
    this.#workers.push(busy);
    return busy;
  }
}
