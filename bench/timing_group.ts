/**
 * Brings cases together that are to be timed together: each is verified for itself, and waits here for the others.
 *
 * @module
 */
import type { Case } from "../suites/case.ts";
import type { TimedCase, VerifiedCase } from "./measure_case.ts";

/** What became of a case, with the time that it spent on waiting for the others and on their samples, ms. */
export type TimedInGroup = TimedCase & { readonly foreignMs: number };

/** A case that waits. */
interface Waiting {
  readonly verified: VerifiedCase;
  readonly sinceMs: number;
  readonly end: PromiseWithResolvers<TimedInGroup>;
}

/** Cases that share their inputs and are in flight together. */
export class TimingGroup {
  readonly #measure: (cases: readonly VerifiedCase[]) => Promise<TimedCase[]>;
  readonly #pending: Map<Case, PromiseWithResolvers<void>>;
  readonly #arrivals: ReadonlyMap<Case, Promise<void>>;
  readonly #cases: readonly Case[];
  readonly #waiting: Waiting[] = [];

  /**
   * @param cases Those in flight: each must {@linkcode TimingGroup.join} or {@linkcode TimingGroup.leave}.
   * @param measure Times cases together.
   */
  constructor(cases: Iterable<Case>, measure: (cases: readonly VerifiedCase[]) => Promise<TimedCase[]>) {
    this.#measure = measure;
    this.#cases = [...cases];
    this.#pending = new Map(this.#cases.map((c) => [c, Promise.withResolvers<void>()]));
    this.#arrivals = new Map([...this.#pending].map(([c, { promise }]) => [c, promise]));
  }

  /** Times a case once every other one has joined or left. */
  join(verified: VerifiedCase): Promise<TimedInGroup> {
    const end = Promise.withResolvers<TimedInGroup>();
    this.#waiting.push({ verified, sinceMs: performance.now(), end });
    this.leave(verified.c);
    return end.promise;
  }

  /** Waits for `c` no longer: it has joined, or ended before. */
  leave(c: Case): void {
    this.#pending.get(c)?.resolve();
    if (this.#pending.delete(c) && this.#pending.size === 0) void this.#time();
  }

  /** Resolves once `c` has joined or left. */
  async arrived(c: Case): Promise<void> {
    await this.#arrivals.get(c);
  }

  async #time(): Promise<void> {
    // In the order of the cases, so that the seed alone draws that of the samples.
    const place = ({ verified }: Waiting) => this.#cases.indexOf(verified.c);
    const waiting = this.#waiting.toSorted((a, b) => place(a) - place(b));
    if (waiting.length === 0) return;
    const before = performance.now();
    const timed = await this.#measureAll(waiting.map((each) => each.verified));
    const after = performance.now();
    const ownMs = (after - before) / waiting.length;
    timed.forEach((result, i) => {
      const { sinceMs, end } = waiting[i];
      if (result.status === "rejected") end.reject(result.reason);
      else end.resolve({ ...result.value, foreignMs: after - sinceMs - ownMs });
    });
  }

  /** Where they cannot be timed together, each is timed alone: what fails then is its own. */
  async #measureAll(verified: readonly VerifiedCase[]): Promise<PromiseSettledResult<TimedCase>[]> {
    try {
      return (await this.#measure(verified)).map((value) => ({ status: "fulfilled", value }));
    } catch (reason) {
      if (verified.length === 1) return [{ status: "rejected", reason }];
    }
    const alone: PromiseSettledResult<TimedCase>[] = [];
    for (const each of verified) {
      alone.push(...await Promise.allSettled([this.#measure([each]).then(([timed]) => timed)]));
    }
    return alone;
  }
}
