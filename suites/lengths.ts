/**
 * Lengths of the sequences of a batch (`q` and `kv`) as a case id writes them, and the numbers they stand for.
 *
 * | text | lengths of a batch of B |
 * |---|---|
 * | `65` | all 65 |
 * | `1,63,64` | these; B is 3 |
 * | `rand(1..1024)` | random from 1 to 1024 by the seed of the case; the last is 1024, so the longest is always known |
 * | `ramp(1..140)` | 1, 2, …, 140; B is 140 |
 * | `normal(2..140)` | near-normal around 140 with deviation 70, none below 2 (FlashMLA's tests) |
 * | `idle(2..140)` | the same, but about half of them 0 |
 *
 * @module
 */
import { fillNormal, streamKey, uint32At, uniformIntAt } from "../reference/random.ts";
import type { AxisValue } from "./axes.ts";

const MAX_LENGTH = 2 ** 31 - 1;
const INTEGER = /^(0|[1-9]\d*)$/;

/** Streams of random lengths, apart from those of the input tensors: `q` and `kv` in ASCII. */
const STREAMS = { q: 0x71, kv: 0x6b76 };

/** Stream of the sequences that `idle` leaves empty: `idle` in ASCII. */
const IDLE_STREAM = 0x69646c65;

/** Names of generators, as `name(a..b)`. */
export const GENERATORS: readonly string[] = ["rand", "ramp", "normal", "idle"];

const GENERATOR = new RegExp(`^(${GENERATORS.join("|")})\\((0|[1-9]\\d*)\\.\\.(0|[1-9]\\d*)\\)$`);

/**
 * Reads lengths as a case id writes them.
 *
 * @returns A number for one length, the text for a batch, undefined if it is neither.
 */
export function parseLengths(text: string): AxisValue | undefined {
  const generator = GENERATOR.exec(text);
  if (generator) {
    const [start, end] = [Number(generator[2]), Number(generator[3])];
    return start <= end && end <= MAX_LENGTH ? text : undefined;
  }
  const lengths = text.split(",");
  if (!lengths.every((length) => INTEGER.test(length) && Number(length) <= MAX_LENGTH)) return undefined;
  return lengths.length === 1 ? Number(text) : text;
}

/** What lengths depend on beside their text. */
export interface LengthsOptions {
  /** Sequences in the batch. */
  readonly B: number;
  /** Seed of the case, a non-negative 32-bit integer. */
  readonly seed: number;
  /** Name of the axis, so that random `q` and `kv` of one seed differ. */
  readonly axis: "q" | "kv";
}

/**
 * The length of every sequence.
 *
 * @param spec What {@linkcode parseLengths} returned.
 * @returns B lengths; as many as the text names where that is not B, which the caller refuses.
 */
export function expandLengths(spec: AxisValue, { B, seed, axis }: LengthsOptions): number[] {
  if (typeof spec === "number") return new Array(B).fill(spec);
  const generator = GENERATOR.exec(spec);
  if (!generator) return spec.split(",").map(Number);
  const [start, end] = [Number(generator[2]), Number(generator[3])];
  const count = end - start + 1;
  if (generator[1] === "ramp") return Array.from({ length: Math.min(count, MAX_RAMP) }, (_, i) => start + i);
  const key = streamKey(seed, STREAMS[axis]);
  if (generator[1] !== "rand") return normalLengths({ B, least: start, mean: end, key, idle: generator[1] === "idle" });
  return Array.from({ length: B }, (_, b) => b === B - 1 ? end : start + uniformIntAt(key, b, count));
}

interface NormalOptions {
  readonly B: number;
  readonly least: number;
  readonly mean: number;
  readonly key: number;
  readonly idle: boolean;
}

function normalLengths({ B, least, mean, key, idle }: NormalOptions): number[] {
  const normal = new Float32Array(B);
  fillNormal(normal, key);
  const idleKey = streamKey(key, IDLE_STREAM);
  return Array.from(normal, (value, b) => {
    if (idle && uint32At(idleKey, b) % 2 === 0) return 0;
    return Math.min(MAX_LENGTH, Math.max(least, Math.floor(mean + value * mean / 2)));
  });
}

/** One more than the largest batch: enough to see that a ramp has too many lengths, without making them. */
const MAX_RAMP = 65_537;

/** A ragged batch repeated or cut to `B` sequences; anything else as it is. */
export function resizeLengths(spec: AxisValue, B: number): AxisValue {
  const lengths = String(spec).split(",");
  return lengths.length === 1 ? spec : Array.from({ length: B }, (_, i) => lengths[i % lengths.length]).join(",");
}

/** Sequences that `spec` names itself: those of a list or a ramp; undefined where it fits any batch. */
export function batchOf(spec: AxisValue): number | undefined {
  const generator = GENERATOR.exec(String(spec));
  if (generator?.[1] === "ramp") return Number(generator[3]) - Number(generator[2]) + 1;
  const { length } = String(spec).split(",");
  return length === 1 ? undefined : length;
}
