/**
 * How many launches a pass must hold to be timed.
 *
 * @module
 */
import type { Span, TimerTraits } from "./clock.ts";

/** Times a pass is longer than the quantum: a span is off by q/√6, which is 0.4 % of a hundred quanta. */
const QUANTA_PER_PASS = 100;
/** Times it is longer than an empty one, whose span is taken off: an error of a tenth there is 0.5 % here. */
const OVERHEADS_PER_PASS = 20;
/** Enough for launches of 2 µs where the quantum is 65,536 ns. */
const MAX_LAUNCHES = 4096;
/** Growth of a pass that shows little or nothing: more would let one wrong reading of a slow launch choose minutes. */
const MAX_GROWTH = 16;
/** No launch is shorter, ns: a timer that shows nothing of many of them is not coarse but wrong. */
const LEAST_LAUNCH_NS = 1000;
/** A pass covers whole rotations, or its time would depend on the copy, unless that takes longer than this, ns. */
const MAX_ROTATION_NS = 50e6;
/**
 * Share of what a pass was meant to take, or a rotation may take, that is enough: times of a pilot are no better known.
 */
const ENOUGH = 0.9;

/** What launches of a pass must take together on a timer, ns. */
export function leastPassNs({ quantumNs, passOverheadNs }: TimerTraits, minPassNs: number): number {
  return Math.max(QUANTA_PER_PASS * quantumNs, OVERHEADS_PER_PASS * passOverheadNs, minPassNs);
}

/** Passes as they turned out to be. */
export interface PassShape {
  /** Launches of each. */
  readonly launches: number;
  /** What a launch takes, ns. */
  readonly launchNs: number;
  /** Copies of the inputs that launches use in turn. */
  readonly rotation: number;
  /** What a pass was meant to take at least, ns. */
  readonly leastNs: number;
}

/** What passes lack: they are shorter than they were meant to be, or could cover whole rotations and do not. */
export function lackOf({ launches, launchNs, rotation, leastNs }: PassShape): "time" | "rotation" | undefined {
  if (!(launches * launchNs >= ENOUGH * leastNs)) return "time";
  const isPartial = launches % rotation !== 0;
  return isPartial && inWholeRotations(launches, rotation) * launchNs <= ENOUGH * MAX_ROTATION_NS
    ? "rotation"
    : undefined;
}

function inWholeRotations(launches: number, rotation: number): number {
  return Math.ceil(launches / rotation) * rotation;
}

/** Finds it from passes that are too short. */
export class PassLength {
  /** Launches of the next pass. */
  launches = 1;
  /** Whether they are enough; then a pass holds as few as are, in whole rotations. */
  isFound = false;
  #launchNs = 0;
  readonly #traits: TimerTraits;
  /** What launches of a pass are to take together at least, ns. */
  readonly leastNs: number;
  readonly #rotation: number;

  /**
   * @param minPassNs Least time of a pass whatever the timer, ns.
   * @param rotation Copies of the inputs that launches use in turn.
   */
  constructor(traits: TimerTraits, { minPassNs, rotation }: { minPassNs: number; rotation: number }) {
    this.#traits = traits;
    this.leastNs = leastPassNs(traits, minPassNs);
    this.#rotation = rotation;
  }

  /** What a pass takes, as far as is known, ns. */
  get passNs(): number {
    return Math.max(1, this.launches * this.#launchNs);
  }

  /** Takes the spans of passes of so many launches; the first ones warm what the last one finds. */
  take(spans: readonly Span[]): void {
    const { quantumNs, passOverheadNs } = this.#traits;
    const spanNs = spans.map(({ ns }) => ns).findLast((ns) => ns > 0);
    if (spanNs === undefined) {
      this.isFound = this.launches === MAX_LAUNCHES || this.launches * LEAST_LAUNCH_NS >= 4 * quantumNs;
      if (!this.isFound) this.launches = Math.min(MAX_LAUNCHES, MAX_GROWTH * this.launches);
      return;
    }
    this.#launchNs = Math.max(spanNs - passOverheadNs, spanNs / MAX_GROWTH) / this.launches;
    const needed = Math.ceil(this.leastNs / this.#launchNs);
    if (needed > this.launches && this.launches < MAX_LAUNCHES) {
      // A quarter more, so that a pass is not measured again because it is a little short.
      this.launches = Math.min(MAX_LAUNCHES, Math.ceil(1.25 * needed));
      return;
    }
    this.#choose(Math.max(1, Math.min(needed, this.launches)));
    this.isFound = true;
  }

  /**
   * Lengthens passes whose launches were found to take only `launchNs`: the device woke after the first ones, or the
   * kernel became faster.
   *
   * @returns Whether it did.
   */
  lengthen(launchNs: number): boolean {
    const { launches, leastNs } = this;
    if (lackOf({ launches, launchNs, rotation: this.#rotation, leastNs }) === undefined) return false;
    this.#launchNs = launchNs;
    this.#choose(Math.max(launches, Math.min(MAX_LAUNCHES, Math.ceil(leastNs / launchNs))));
    return this.launches > launches;
  }

  #choose(least: number): void {
    const whole = inWholeRotations(least, this.#rotation);
    this.launches = whole * this.#launchNs <= MAX_ROTATION_NS ? whole : least;
  }
}
