/**
 * `--shard i/n`: one part of the cases, for runs on several machines.
 *
 * @module
 */
import type { Case } from "./case.ts";
import { estimateCost } from "./cost.ts";
import { shapeKey } from "./select.ts";
import { quote } from "./words.ts";

/**
 * What a case costs whatever its size (inputs, compilation, warm-up), as work of its kernel, flops or bytes: on a CPU,
 * and on a GPU, where checks and samples of all but the largest take the same. On an H200 a case of `default` takes 0.7
 * s, and the largest, of 1.2e12 flops, 4 to 9.
 */
const FIXED_WORK_SOFTWARE = 1e8, FIXED_WORK_HARDWARE = 1e11;

/** One part of several. */
export interface Shard {
  /** Which part, from 1. */
  readonly index: number;
  /** How many parts. */
  readonly count: number;
}

/**
 * Reads the argument of `--shard`.
 *
 * @param text `i/n`, for instance `2/4`.
 * @throws {SyntaxError} If it is not of that form.
 * @throws {RangeError} If i is not from 1 to n.
 */
export function parseShard(text: string): Shard {
  const match = /^(\d{1,6})\/(\d{1,6})$/.exec(text);
  if (!match) throw new SyntaxError(`Cannot read shard ${quote(text)}: it is i/n with i from 1 to n, for instance 2/4`);
  const [index, count] = [Number(match[1]), Number(match[2])];
  requireShard(index, count);
  return { index, count };
}

function requireShard(index: number, count: number): void {
  if (Number.isInteger(index) && Number.isInteger(count) && index >= 1 && index <= count) return;
  throw new RangeError(`Cannot take shard ${index}/${count}: it is i/n with i from 1 to n, for instance 2/4`);
}

/**
 * Part `index` of `count` of `cases`, in their order. The variants of one shape stay together, so that each reference
 * is computed in one shard only; shapes are dealt out from the costliest down, each to the shard that has least.
 *
 * @param index From 1.
 * @param software Whether a software adapter is to run them.
 * @returns The shard's cases; none where there are fewer shapes than shards.
 * @throws {RangeError} If `index` is not an integer from 1 to `count`.
 */
export function shard(cases: readonly Case[], index: number, count: number, software: boolean): Case[] {
  requireShard(index, count);
  const fixedWork = software ? FIXED_WORK_SOFTWARE : FIXED_WORK_HARDWARE;
  const work = new Map<string, number>();
  for (const testCase of cases) {
    const { flops, bytes } = estimateCost(testCase);
    const key = shapeKey(testCase);
    work.set(key, (work.get(key) ?? 0) + flops + bytes + fixedWork);
  }
  const loads: number[] = new Array(count).fill(0);
  const shardOf = new Map<string, number>();
  // The sort is stable, so equal work is dealt in the order of the cases and every machine agrees.
  for (const [key, shapeWork] of [...work].sort(([, a], [, b]) => b - a)) {
    const least = loads.indexOf(Math.min(...loads));
    loads[least] += shapeWork;
    shardOf.set(key, least);
  }
  return cases.filter((testCase) => shardOf.get(shapeKey(testCase)) === index - 1);
}
