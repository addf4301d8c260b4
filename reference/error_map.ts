/**
 * Where the wrong elements of a failed check lie: maps of the errors over two directions, and what the wrong ones have
 * in common. Passed checks cost none of this.
 *
 * @module
 */
import type { Check, ErrorMap, MapAxis, WorstElement } from "./check.ts";
import type { ElementPlace } from "./compare.ts";
import { edgesAt, type EdgeWords } from "./edges.ts";
import { distinct, errorPattern, isTelling } from "./error_pattern.ts";

/** Bins of a map, down and across. */
const MAX_BINS = { rows: 32, columns: 64 };

/** Shares beyond this are all alike; a wrong bit where nothing may differ has this one. */
export const MAX_SHARE = 1e6;

/** In place of a share: NaN or ∞ where the reference is finite, or the reverse. */
export const OUT_OF_PLACE = -1;

/** In place of a share: nothing was compared. */
const NOT_COMPARED = -2;

/** The elements of a failed check: rows of `width`, which share a place but for the `dim`. */
export interface CheckedElements {
  /** Rows. */
  readonly rows: number;
  /** Elements of each. */
  readonly width: number;
  /** Place of a row; a `slot` of its page for a cache. */
  place(row: number): ElementPlace & { readonly slot?: number };
  /** Share of the bound that element `i` uses, above 1 when wrong, or {@linkcode OUT_OF_PLACE}. */
  share(i: number): number;
  /** Edges of its coordinates. */
  readonly edges?: EdgeWords;
}

/** Coordinates of every row by direction, and which rows and dims hold a wrong element. */
export interface Coordinates {
  /** Values by direction, −1 where a row has none; `dim` is not among them. */
  readonly of: ReadonlyMap<MapAxis["name"], Int32Array>;
  /** 1 for each row with a wrong element. */
  readonly wrongRows: Uint8Array;
  /** 1 for each dim with a wrong element; empty where rows have one element. */
  readonly wrongDims: Uint8Array;
}

/** What {@linkcode locateErrors} finds. */
export interface Located {
  /** For the check: what the wrong elements have in common, and the maps. */
  readonly told: Pick<Check, "pattern" | "maps">;
  /** Edges of one wrong element: where all heads are wrong, it says nothing that it is of the last. */
  edgesOf(place: ElementPlace): Pick<WorstElement, "edges">;
}

/** Tells where the wrong elements of a failed check lie. */
export function locateErrors(elements: CheckedElements): Located {
  const coordinates = coordinatesOf(elements);
  const edges = elements.edges ?? {};
  const pattern = errorPattern(coordinates, edges);
  const maps = mapsOf(elements, coordinates);
  const telling = tellingEdges(coordinates, edges);
  return {
    told: { ...(pattern.length > 0 ? { pattern } : {}), ...(maps.length > 0 ? { maps } : {}) },
    edgesOf: (place) => {
      const words = edgesAt(telling, place);
      return words.length > 0 ? { edges: words } : {};
    },
  };
}

/** The edges of those directions in which wrong elements are not everywhere; those of tokens and pages always. */
function tellingEdges({ of, wrongRows, wrongDims }: Coordinates, edges: EdgeWords): EdgeWords {
  const tells = (name: MapAxis["name"]) => {
    const values = of.get(name) ?? new Int32Array(0);
    return isTelling(distinct(values.filter((_, row) => wrongRows[row] === 1)).length, distinct(values).length);
  };
  const wrong = wrongDims.reduce((count, isWrong) => count + isWrong, 0);
  const { sequence, head, dim, ...always } = edges;
  return {
    ...always,
    ...(tells("sequence") ? { sequence } : {}),
    ...(tells("head") ? { head } : {}),
    ...(isTelling(wrong, wrongDims.length) ? { dim } : {}),
  };
}

/** Share of its bound that an error uses, or {@linkcode OUT_OF_PLACE}. */
export function shareOf(actual: number, expected: number, bound: number): number {
  if (actual === expected) return 0;
  const error = Math.abs(actual - expected);
  if (!Number.isFinite(error)) return OUT_OF_PLACE;
  return error <= MAX_SHARE * bound ? error / bound : MAX_SHARE;
}

/** Whether an element is wrong by itself. */
export function isWrong(share: number): boolean {
  return !(share >= 0 && share <= 1);
}

function coordinatesOf({ rows, width, place, share }: CheckedElements): Coordinates {
  const names = ["sequence", "token", "head", "page", "slot"] as const;
  const found = rows === 0 ? {} : place(0);
  const of = new Map(names.filter((name) => name in found).map((name) => [name, new Int32Array(rows)] as const));
  const wrongRows = new Uint8Array(rows), wrongDims = new Uint8Array(width > 1 ? width : 0);
  for (let row = 0; row < rows; row++) {
    const at = place(row);
    for (const [name, values] of of) values[row] = at[name as keyof WorstElement & typeof name] ?? -1;
    for (let d = 0; d < width; d++) {
      if (!isWrong(share(row * width + d))) continue;
      wrongRows[row] = 1;
      if (width > 1) wrongDims[d] = 1;
    }
  }
  return { of, wrongRows, wrongDims };
}

function mapsOf(elements: CheckedElements, coordinates: Coordinates): ErrorMap[] {
  const axes = (name: MapAxis["name"], most: number): MapAxis | undefined => {
    if (name === "dim") return elements.width > 1 ? axisOf(name, 0, elements.width - 1, most) : undefined;
    const values = coordinates.of.get(name);
    let from = Infinity, to = -Infinity;
    for (const value of values ?? []) {
      if (value < 0) continue;
      from = Math.min(from, value);
      to = Math.max(to, value);
    }
    return from <= to ? axisOf(name, from, to, most) : undefined;
  };
  const pairs = directionsOf((name) => axes(name, 2)?.bins ?? 0);
  return pairs.flatMap(([down, across]) => {
    const rows = axes(down, MAX_BINS.rows), columns = axes(across, MAX_BINS.columns);
    if (rows === undefined || columns === undefined || rows.bins * columns.bins === 1) return [];
    return [{ rows, columns, values: fillMap(elements, coordinates, rows, columns) }];
  });
}

/**
 * The pairs of directions worth a map.
 *
 * @param spread Bins that a direction would have: 0 where elements have no such coordinate, 1 where all have the same.
 */
function directionsOf(spread: (name: MapAxis["name"]) => number): [MapAxis["name"], MapAxis["name"]][] {
  if (spread("slot") > 0) return [["token", "dim"], ["page", "slot"]];
  // Decoding has one query token in each sequence: the sequence then says what the token would.
  const along = spread("token") > 1 ? "token" : "sequence";
  return [
    spread("dim") > 0 ? ["head", "dim"] : [along, "head"],
    ...spread("page") > 0 ? [[along, "page"] as [MapAxis["name"], MapAxis["name"]]] : [],
    ...spread("sequence") > 1 && spread("token") > 1 ? [["sequence", "token"] as ["sequence", "token"]] : [],
    ...spread("dim") > 0 && spread("page") === 0 ? [[along, "head"] as [MapAxis["name"], MapAxis["name"]]] : [],
  ];
}

/** Bins of a power of two, so that they end where tiles do. */
function axisOf(name: MapAxis["name"], least: number, most: number, maxBins: number): MapAxis {
  let step = 1;
  const from = () => Math.floor(least / step) * step;
  const bins = () => Math.floor((most - from()) / step) + 1;
  while (bins() > maxBins) step *= 2;
  return { name, from: from(), step, bins: bins() };
}

function fillMap(elements: CheckedElements, coordinates: Coordinates, rows: MapAxis, columns: MapAxis): number[] {
  const { width, share } = elements;
  const values = new Float64Array(rows.bins * columns.bins).fill(NOT_COMPARED);
  const down = binsOf(rows, coordinates), across = binsOf(columns, coordinates);
  for (let row = 0; row < elements.rows; row++) {
    if (down(row, 0) < 0 || across(row, 0) < 0) continue;
    for (let d = 0; d < width; d++) {
      const at = down(row, d) * columns.bins + across(row, d);
      const used = share(row * width + d);
      if (used === OUT_OF_PLACE || values[at] === OUT_OF_PLACE) values[at] = OUT_OF_PLACE;
      else if (used > values[at]) values[at] = used;
    }
  }
  return Array.from(values, twoDigits);
}

/** Bin of an element of a row; −1 where the row has no such coordinate. */
function binsOf({ name, from, step }: MapAxis, { of }: Coordinates): (row: number, dim: number) => number {
  if (name === "dim") return (_, dim) => Math.floor((dim - from) / step);
  const values = of.get(name)!;
  return (row) => values[row] < 0 ? -1 : Math.floor((values[row] - from) / step);
}

/** Two significant digits, upwards above 1: what is out of bound must not look as if it were not. */
function twoDigits(share: number): number {
  if (share <= 0) return share;
  if (share <= 1) return Number(share.toPrecision(2));
  const unit = 10 ** (Math.floor(Math.log10(share)) - 1);
  return Math.min(MAX_SHARE, Number((Math.ceil(share / unit) * unit).toPrecision(2)));
}
