/**
 * What a software adapter runs of a sweep that would take it hours.
 *
 * The rule, without chance: of every group the control case (the first value of each axis) and the cases that differ
 * from it in one axis or row; of these, those within {@linkcode SOFTWARE_BUDGET}; and if more shapes than
 * {@linkcode SOFTWARE_SHAPES} are left in a suite, the first one of each group and evenly spread ones of the others.
 * `--full` and `--filter` switch it off.
 *
 * @module
 */
import type { Case } from "./case.ts";
import { estimateCost } from "./cost.ts";

/** Most work of one case that is sampled for a software adapter: about 0.2 s at the 2 GFLOP/s of two cores. */
export const SOFTWARE_BUDGET = { flops: 0.4e9, bytes: 64e6 } as const;

/** Most shapes of a suite that are sampled for a software adapter; each is a case of every variant. */
export const SOFTWARE_SHAPES = 192;

/** Every combination of one element of each dimension, the last dimension fastest. */
export function crossProduct<T>(dimensions: readonly (readonly T[])[]): T[][] {
  return dimensions.reduce<T[][]>(
    (combinations, values) => combinations.flatMap((combination) => values.map((value) => [...combination, value])),
    [[]],
  );
}

/** The combination of all first elements, then those that differ from it in one dimension. */
export function oneAtATime<T>(dimensions: readonly (readonly T[])[]): T[][] {
  if (dimensions.some((values) => values.length === 0)) return [];
  const control = dimensions.map((values) => values[0]);
  return [
    control,
    ...dimensions.flatMap((values, i) => values.slice(1).map((value) => control.with(i, value))),
  ];
}

/** Whether a software adapter can be asked for one launch of `testCase`. */
export function withinSoftwareBudget(testCase: Case): boolean {
  const { flops, bytes } = estimateCost(testCase);
  return flops <= SOFTWARE_BUDGET.flops && bytes <= SOFTWARE_BUDGET.bytes;
}

/** At most `count` of `items`, evenly spread in their order, the first included. */
export function spread<T>(items: readonly T[], count: number): T[] {
  if (items.length <= count) return [...items];
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)]);
}
