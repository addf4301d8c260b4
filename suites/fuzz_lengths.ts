/**
 * Lengths of the sequences of a fuzzed case: mostly those next to an edge of pages, tiles and powers of two.
 *
 * @module
 */
import { total } from "../reference/shapes.ts";
import type { AxisValue } from "./axes.ts";
import type { Draw } from "./draw.ts";
import { joinSteps } from "./steps.ts";

/** Most of everything that decides the work of a case; lowered until it fits its budget. */
export interface FuzzCaps {
  /** Sequences. */
  readonly B: number;
  /** Heads. */
  readonly H: number;
  /** Cached tokens of a sequence. */
  readonly kv: number;
  /** New tokens of a sequence. */
  readonly q: number;
  /** Tokens per page. */
  readonly page: number;
}

/** Values of the axes `B`, `q` and `kv`. */
export interface FuzzLengths {
  /** Sequences. */
  readonly B: number;
  /** New tokens. */
  readonly q: AxisValue;
  /** Cached tokens. */
  readonly kv: AxisValue;
}

/** What an operation asks of its lengths. */
export interface LengthsRule {
  /** Whether every sequence has at least its new tokens in the cache. */
  readonly fitted: boolean;
  /** Whether a batch without any new token is allowed. */
  readonly idle: boolean;
  /** Whether it may be a flow of several calls. */
  readonly flows: boolean;
}

/** Widths of tiles, blocks and steps of the kernels, and twice the largest. */
const TILES = [4, 8, 16, 32, 64, 128, 256] as const;
const PRIMES = [3, 5, 7, 11, 13, 17, 19, 23, 31, 37, 53, 61, 71, 97, 127, 131, 151, 197, 257, 509, 1021] as const;
/** Batches of other systems' tests: 1 and 2, primes, powers of two and their neighbours. */
const BATCHES = [1, 1, 1, 2, 2, 3, 3, 4, 5, 7, 8, 9, 16, 17, 31, 32, 33, 64, 157] as const;
const PAGES = [
  ...[1, 1, 2, 3, 4, 7, 8, 15, 16, 16, 17, 31, 32, 33, 60, 61, 63, 64, 64, 64, 65, 69, 127, 128, 129],
  ...[256, 576],
] as const;
/** Most tokens before the call and calls of a flow: each call is a launch. */
const MOST_STEPS = 6;
const MOST_IN_FLOW = 4;

/** One of `values` that is at most `cap`, or now and then any number up to it. */
export function drawUpTo(draw: Draw, values: readonly number[], cap: number): number {
  const fitting = values.filter((value) => value <= cap);
  return fitting.length === 0 || draw.chance(15) ? draw.scaled(1, cap) : draw.pick(fitting);
}

/** Tokens per page, at most `cap`. */
export function drawPage(draw: Draw, cap: number): number {
  return drawUpTo(draw, PAGES, cap);
}

/** A length in `[1, cap]`: most often next to an edge. */
export function drawLength(draw: Draw, page: number, cap: number): number {
  const near = (unit: number) => unit * draw.between(1, Math.min(4, Math.max(1, Math.floor(cap / unit))));
  const around = (edge: number) => edge + draw.pick([-1, 0, 1]);
  const length = draw.weigh<() => number>([
    [() => around(near(page)), 4],
    [() => around(near(draw.pick(TILES))), 4],
    [() => around(2 ** draw.between(0, 31 - Math.clz32(cap))), 2],
    [() => draw.pick([1, 1, 2, 3]), 2],
    [() => draw.pick(PRIMES), 2],
    [() => draw.scaled(1, cap), 3],
  ])();
  return length >= 1 && length <= cap ? length : draw.scaled(1, cap);
}

/** New and cached tokens of one sequence. */
type Sequence = readonly [q: number, kv: number];
type Role = "decode" | "few" | "prompt" | "chunk" | "empty" | "blind";

/** Draws batch and lengths. */
export function drawLengths(draw: Draw, page: number, caps: FuzzCaps, rule: LengthsRule): FuzzLengths {
  if (rule.flows && draw.chance(35)) return drawFlow(draw, page, caps);
  const B = drawUpTo(draw, BATCHES, caps.B);
  const generated = draw.chance(8) ? drawGenerated(draw, caps) : undefined;
  if (generated) return { B, ...generated };
  const sequences = drawBatch(draw, page, caps, rule, B);
  if (!rule.idle && total(sequences.map(([q]) => q)) === 0) {
    sequences[draw.below(B)] = drawSequence(draw, page, caps, "decode");
  }
  return { B, q: sequences.map(([q]) => q).join(), kv: sequences.map(([, kv]) => kv).join() };
}

/** Lengths that the case's seed makes. */
function drawGenerated(draw: Draw, { q, kv }: FuzzCaps): Pick<FuzzLengths, "q" | "kv"> | undefined {
  const most = draw.scaled(1, Math.min(q, kv));
  if (kv < 2 * most) return undefined;
  const lengths = draw.pick(["rand", "rand", "normal"]);
  return {
    q: draw.pick([1, most, `rand(0..${most})`]),
    // A normal deviate is up to 2.7 times the mean.
    kv: lengths === "rand" ? `rand(${most}..${kv})` : `normal(${most}..${Math.max(most, Math.floor(kv / 3))})`,
  };
}

/** A batch whose sequences are all alike, all of one role, or each of its own. */
function drawBatch(draw: Draw, page: number, caps: FuzzCaps, rule: LengthsRule, B: number): Sequence[] {
  const drawRole = () =>
    draw.weigh<Role>([
      ["decode", 5],
      ["few", 2],
      ["prompt", 3],
      ["chunk", 4],
      ["empty", 1],
      ["blind", rule.fitted ? 0 : 1],
    ]);
  const role = drawRole();
  const each = (roleOf: () => Role) => Array.from({ length: B }, () => drawSequence(draw, page, caps, roleOf()));
  return draw.weigh<() => Sequence[]>([
    [() => new Array(B).fill(drawSequence(draw, page, caps, role)), 3],
    [() => each(() => role), 3],
    [() => each(() => draw.chance(20) ? "empty" : role), 1],
    [() => each(drawRole), 3],
  ])();
}

function drawSequence(draw: Draw, page: number, caps: FuzzCaps, role: Role): Sequence {
  const most = Math.min(caps.q, caps.kv);
  const length = (cap: number) => drawLength(draw, page, cap);
  switch (role) {
    case "decode":
      return [1, length(caps.kv)];
    case "few": {
      const q = draw.between(1, Math.min(9, most));
      return [q, Math.max(q, length(caps.kv))];
    }
    case "prompt": {
      const q = length(most);
      return [q, q];
    }
    case "chunk": {
      const kv = length(caps.kv);
      return [length(Math.min(kv, most)), kv];
    }
    case "empty":
      return [0, draw.chance(40) ? 0 : length(caps.kv)];
    case "blind": {
      // More new tokens than cached ones: rows that see nothing.
      const q = length(most);
      return [q, draw.below(q)];
    }
    default:
      return role satisfies never;
  }
}

/** Several calls: in each a sequence waits, has one new token, or a chunk. */
function drawFlow(draw: Draw, page: number, caps: FuzzCaps): FuzzLengths {
  const B = draw.between(1, Math.min(MOST_IN_FLOW, caps.B));
  const calls = draw.between(2, MOST_STEPS);
  const cap = Math.max(1, Math.floor(Math.min(caps.q, caps.kv) / 2));
  const steps = Array.from({ length: calls }, () => {
    const alike = draw.chance(40);
    const one = drawStep(draw, page, cap);
    const step = Array.from({ length: B }, () => alike ? one : drawStep(draw, page, cap));
    return total(step) > 0 ? step : step.with(draw.below(B), 1);
  });
  const kv = Array.from({ length: B }, (_, b) => {
    const added = total(steps.map((step) => step[b]));
    return added + (draw.chance(60) ? 0 : drawLength(draw, page, caps.kv));
  });
  const text = steps.map((step) => new Set(step).size === 1 ? step[0] : step.join());
  return { B, q: joinSteps(text), kv: kv.join() };
}

function drawStep(draw: Draw, page: number, cap: number): number {
  return draw.weigh<() => number>([[() => 1, 4], [() => 0, 2], [() => drawLength(draw, page, cap), 4]])();
}
