/**
 * Brings cases together that are to be timed together: each is verified for itself, and waits here for the others.
 *
 * @module
 */
import type { Case } from "../suites/case.ts";
import { measureCases, type TimedCase, type VerifiedCase } from "./measure_case.ts";
import type { Session } from "./session.ts";

/** A case that waits. */
interface Waiting {
  readonly verified: VerifiedCase;
  readonly sinceMs: number;
  readonly end: PromiseWithResolvers<TimedCase & { readonly foreignMs: number }>;
}

/** Cases that share their inputs and are in flight together. */
export class TimingGroup {
  readonly #session: Session;
  readonly #pending: Set<Case>;
  readonly #waiting: Waiting[] = [];

  /** @param cases Those in flight: each must {@linkcode TimingGroup.join} or {@linkcode TimingGroup.leave}. */
  constructor(session: Session, cases: Iterable<Case>) {
    this.#session = session;
    this.#pending = new Set(cases);
  }

  /**
   * Times a case once every other one has joined or left.
   *
   * @returns What became of it, with the time that it spent on waiting for the others and their samples, ms.
   */
  join(verified: VerifiedCase): Promise<TimedCase & { readonly foreignMs: number }> {
    const end = Promise.withResolvers<TimedCase & { readonly foreignMs: number }>();
    this.#waiting.push({ verified, sinceMs: performance.now(), end });
    this.leave(verified.c);
    return end.promise;
  }

  /** Waits for `c` no longer: it has joined, or ended before. */
  leave(c: Case): void {
    if (!this.#pending.delete(c) || this.#pending.size > 0) return;
    void this.#time();
  }

  async #time(): Promise<void> {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    const before = performance.now();
    const timed = await this.#measure();
    const after = performance.now();
    const ownMs = (after - before) / waiting.length;
    timed.forEach((result, i) => {
      const { sinceMs, end } = waiting[i];
      if (result.status === "rejected") end.reject(result.reason);
      else end.resolve({ ...result.value, foreignMs: after - sinceMs - ownMs });
    });
  }

  /** Where they cannot be timed together, each is timed alone: what fails then is its own. */
  async #measure(): Promise<PromiseSettledResult<TimedCase>[]> {
    const verified = this.#waiting.map((each) => each.verified);
    try {
      return (await measureCases(this.#session, verified)).map((value) => ({ status: "fulfilled", value }));
    } catch (reason) {
      if (verified.length === 1) return [{ status: "rejected", reason }];
    }
    const alone: PromiseSettledResult<TimedCase>[] = [];
    for (const each of verified) {
      alone.push(...await Promise.allSettled([measureCases(this.#session, [each]).then(([timed]) => timed)]));
    }
    return alone;
  }
}
