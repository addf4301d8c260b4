/**
 * What a failed comparison tells beside its figures.
 *
 * @module
 */
import type { Check, WorstElement } from "./check.ts";
import type { Comparison } from "./compare.ts";
import { elementFigures } from "./element.ts";
import { isWrong, locateErrors, shareOf } from "./error_map.ts";

/**
 * The first wrong element in the order of the tensor, the worst one with its edges, what the wrong ones have in common,
 * and maps of the errors.
 *
 * @param worst Index of the worst element, −1 where there is none.
 */
export function tellFailure(
  comparison: Comparison,
  worst: number,
): Pick<Check, "first" | "worst" | "pattern" | "maps"> {
  const { actual, expected, bound, place, edges, width = 1 } = comparison;
  const share = (i: number) => shareOf(actual[i], expected[i], bound[i]);
  const rows = Math.floor(expected.length / width);
  const { told, edgesOf } = locateErrors({ rows, width, place: (row) => place(row * width), share, edges });
  const element = (i: number): WorstElement => {
    const at = place(i);
    return { ...at, ...elementFigures(actual[i], expected[i], bound[i]), ...edgesOf(at) };
  };
  let first = 0;
  // What fails as a whole only has no element that is wrong by itself.
  while (first < expected.length && !isWrong(share(first))) first++;
  return {
    ...(first < expected.length ? { first: element(first) } : {}),
    ...(worst < 0 ? {} : { worst: element(worst) }),
    ...told,
  };
}
