/**
 * Random choices of a fuzzer: a stream that is the same on every machine.
 *
 * @module
 */
import { streamKey, uniformIntAt } from "../reference/random.ts";

/** A stream of choices. Two with the same path of numbers make the same choices. */
export class Draw {
  /** Key of the stream (`reference/random.ts`). */
  readonly key: number;
  #drawn = 0;

  /** @param seed And each of `path`: a 32-bit integer. */
  constructor(seed: number, ...path: readonly number[]) {
    this.key = path.reduce(streamKey, seed);
  }

  /** A uniform integer in `[0, n)`. */
  below(n: number): number {
    return uniformIntAt(this.key, this.#drawn++, n);
  }

  /** A uniform integer in `[least, most]`. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True in `percent` of 100 draws. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  /** One of `values`, each as likely; one that stands twice twice as likely. */
  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }

  /** The value of one of `weighted`, as likely as its weight, an integer, says. */
  weigh<T>(weighted: readonly (readonly [value: T, weight: number])[]): T {
    let left = this.below(weighted.reduce((sum, [, weight]) => sum + weight, 0));
    for (const [value, weight] of weighted) {
      if (left < weight) return value;
      left -= weight;
    }
    throw new RangeError("Cannot draw: no value has a weight");
  }

  /** An integer in `[least, most]`, each power of two of the range as likely. No logarithm: exact on every machine. */
  scaled(least: number, most: number): number {
    const first = 31 - Math.clz32(Math.max(1, least)), last = 31 - Math.clz32(most);
    const power = this.between(first, Math.max(first, last));
    const low = Math.max(least, 2 ** power), high = Math.min(most, 2 ** (power + 1) - 1);
    return low <= high ? this.between(low, high) : most;
  }
}
