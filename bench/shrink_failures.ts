/**
 * Makes the failing cases of a sweep smaller while its device is open.
 *
 * @module
 */
import { kernelName } from "../kernels/kernel.ts";
import type { Case } from "../suites/case.ts";
import { isAlive } from "./execute.ts";
import type { Result } from "./result.ts";
import { runCase } from "./run_case.ts";
import type { Session } from "./session.ts";
import { failsLike, isShrinkable, shrinkCase, SHRUNK_PER_KERNEL } from "./shrink.ts";

/** Adds the case in small to the first failures of each kernel. */
export class FailureShrinker {
  readonly #session: Session;
  readonly #done = new Map<string, number>();

  /** @param session The sweep's, whose options say whether failures are made smaller at all. */
  constructor(session: Session) {
    this.#session = session;
  }

  /** `result` of `c`, with the case in small where it is one of the first failures of its kernel. */
  async add(c: Case, result: Result): Promise<Result> {
    const session = this.#session;
    const kernel = kernelName(c);
    const done = this.#done.get(kernel) ?? 0;
    if (!session.options.shrink || !isShrinkable(result) || c.tensors !== undefined || done >= SHRUNK_PER_KERNEL) {
      return result;
    }
    this.#done.set(kernel, done + 1);
    session.options.onShrink?.(result);
    const shrunk = await shrinkCase(c, async (smaller) => {
      const found = await runCase(session, smaller, { checksOnly: true });
      // Where a smaller case took the device down there is nothing left to search with.
      if (found.status !== "failed" || await isAlive(session.gpu)) return failsLike(found, result);
      session.gpu.lost ??= "it stopped working";
      return undefined;
    });
    return { ...result, shrunk };
  }
}
