/**
 * What all wrong elements of a check have in common, and not all elements have: `head 15 (last head)`, `dims 256–511`,
 * `last token of a page`.
 *
 * @module
 */
import type { MapAxis } from "./check.ts";
import type { EdgeWords } from "./edges.ts";
import type { Coordinates } from "./error_map.ts";

/** Values of a direction that are listed one by one where nothing shorter describes them. */
const MAX_LISTED = 4;

/**
 * What wrong elements have in common, one entry for each direction that says something; `[]` where none is wrong or all
 * are.
 */
export function errorPattern({ of, wrongRows, wrongDims }: Coordinates, edges: EdgeWords): string[] {
  if (!wrongRows.includes(1)) return [];
  const rows = (name: MapAxis["name"]) => of.get(name) ?? new Int32Array(0);
  const isWrongRow = (row: number) => wrongRows[row] === 1;
  const tokens = rows("token"), sequences = rows("sequence");
  const dims = Int32Array.from(wrongDims, (_, dim) => dim);
  return [
    describe("sequence", sequences, isWrongRow, (row) => edges.sequence?.(sequences[row]) ?? []),
    describe("head", rows("head"), isWrongRow, (row) => edges.head?.(rows("head")[row]) ?? []),
    describe("token", tokens, isWrongRow, (row) => edges.token?.(sequences[row], tokens[row]) ?? []),
    // Pages are dealt in no order: a range of them says nothing.
    describe("page", rows("page"), isWrongRow, (row) => edges.page?.(rows("page")[row]) ?? [], 1),
    describe("slot", rows("slot"), isWrongRow, () => []),
    describe("dim", dims, (dim) => wrongDims[dim] === 1, (dim) => edges.dim?.(dim) ?? []),
  ].filter((text) => text !== "");
}

/**
 * One direction: the values of the wrong entries, with the edges that they share and the right ones do not all have.
 */
function describe(
  name: MapAxis["name"],
  values: Int32Array,
  isWrong: (entry: number) => boolean,
  wordsOf: (entry: number) => string[],
  maxValues = Infinity,
): string {
  const all = distinct(values).sort((a, b) => a - b);
  const wrong = new Set(distinct(values.filter((_, entry) => isWrong(entry))));
  const everywhere = commonWords(values.length, () => true, wordsOf);
  const shared = [...commonWords(values.length, isWrong, wordsOf)].filter((word) => !everywhere.has(word));
  const range = isTelling(wrong.size, all.length) && wrong.size <= maxValues ? rangeOf(name, all, wrong) : "";
  return range !== "" && shared.length > 0 ? `${range} (${shared.join(", ")})` : range || shared.join(", ");
}

/** The values of a direction, without −1, which stands for none. */
export function distinct(values: Int32Array): number[] {
  return [...new Set(values)].filter((value) => value >= 0);
}

/**
 * Whether it says something that `wrong` of `all` values of a direction have wrong elements. Where all but one in fifty
 * have, the others are right by chance: an element of 256 is close to any value.
 */
export function isTelling(wrong: number, all: number): boolean {
  return wrong > 0 && all - wrong >= Math.ceil(all / 50);
}

/** Edges that all chosen entries have, without details. */
function commonWords(
  entries: number,
  isChosen: (entry: number) => boolean,
  wordsOf: (entry: number) => string[],
): ReadonlySet<string> {
  let common: Set<string> | undefined;
  for (let entry = 0; entry < entries && common?.size !== 0; entry++) {
    if (!isChosen(entry)) continue;
    const words = new Set(wordsOf(entry).map((word) => word.replace(/ \(.*\)$/, "")));
    common = common === undefined ? words : common.intersection(words);
  }
  return common ?? new Set();
}

/** `head 5`, `heads 4–7`, `heads 7, 15, … (every 8th)`, `heads 1, 2, 9`, or nothing for values without order. */
function rangeOf(name: string, all: readonly number[], wrong: ReadonlySet<number>): string {
  const at = all.flatMap((value, i) => wrong.has(value) ? [i] : []);
  const value = (i: number) => String(all[at[i]]);
  const last = at.length - 1;
  if (at.length === 1) return `${name} ${value(0)}`;
  if (at[last] - at[0] === last) return `${name}s ${value(0)}–${value(last)}`;
  // Of sampled values those between may be wrong as well: the stride is one of values, not of places in the list.
  const stride = all[at[1]] - all[at[0]];
  if (at.length > 2 && at.every((place, i) => all[place] === all[at[0]] + i * stride)) {
    return `${name}s ${value(0)}, ${value(1)}, … (every ${ordinal(stride)})`;
  }
  return at.length <= MAX_LISTED ? `${name}s ${at.map((i) => all[i]).join(", ")}` : "";
}

function ordinal(n: number): string {
  const suffix = n % 100 >= 11 && n % 100 <= 13 ? "th" : ["th", "st", "nd", "rd"][n % 10] ?? "th";
  return `${n}${suffix}`;
}
