/**
 * Comparison of the rows of an attention, whatever their width.
 *
 * @module
 */
import type { Check } from "./check.ts";
import { compare, type ElementPlace } from "./compare.ts";
import { attendEdges } from "./edges.ts";
import type { AttendLimits } from "./limits.ts";
import { placeOf, queryStarts, type RowPlace } from "./rows.ts";
import type { CachedBatch } from "./sequence_rows.ts";

/** What a kernel wrote; an LSE that was converted from base 2 is f64. */
export interface AttendActual<Lse extends Float32Array | Float64Array = Float32Array | Float64Array> {
  /** Output of every row: latent `[Σq, H, R]`, or projected `[Σq + padding, H, Dv]`. */
  readonly out: Float32Array;
  /** Natural log-sum-exp of every row `[Σq, H]`; kernels write −1e30 where a row sees no token. */
  readonly lse: Lse;
}

/** LSE at or below this stands for −∞: WGSL may assume that there are no infinities, so kernels store −1e30. */
export const EMPTY_LSE: number = -0.99e30;

/** What {@linkcode checkRows} compares. */
export interface RowsToCheck {
  /** The batch. */
  readonly batch: Pick<CachedBatch, "shape" | "pageTable" | "tableWidth">;
  /** Elements of a row of `out`. */
  readonly width: number;
  /** The rows that have a reference. */
  readonly reference: { readonly rows: Int32Array; readonly out: Float64Array; readonly lse: Float64Array };
  /** How far they may be from it. */
  readonly limits: AttendLimits;
  /** What the kernel wrote for all rows, without padding. */
  readonly actual: AttendActual;
}

/**
 * Compares `out` and `lse` of the reference's rows by their limits, and of all other rows that they are finite
 * (`unsampled`, where there are any).
 *
 * @throws {RangeError} If `actual` has not one element for each of the batch.
 */
export function checkRows({ batch, width, reference, limits, actual }: RowsToCheck): Check[] {
  const { shape } = batch;
  const { rows } = reference;
  const starts = queryStarts(shape);
  const batchRows = starts[shape.B] * shape.H;
  if (actual.out.length !== batchRows * width || actual.lse.length !== batchRows) {
    throw new RangeError(
      `Cannot check ${actual.out.length} elements of out and ${actual.lse.length} of lse: ` +
        `the batch has ${batchRows} rows of ${width}`,
    );
  }
  const { out, lse } = rowsOf(actual, rows, width);
  const rowPlace = (i: number): ElementPlace => elementPlace(batch, placeOf(shape, starts, rows[i]));
  const edges = attendEdges(shape, width);
  const checks = [
    compare({
      name: "out",
      actual: out,
      expected: reference.out,
      ...limits.out,
      width,
      place: (i) => ({ ...rowPlace(Math.floor(i / width)), dim: i % width }),
      edges,
    }),
    compare({
      name: "lse",
      actual: lse,
      expected: reference.lse,
      ...limits.lse,
      place: rowPlace,
      edges,
    }),
  ];
  if (rows.length < batchRows) checks.push(checkUnsampled({ batch, width, reference, limits, actual }));
  return checks;
}

/** `out` `[rows, width]` and `lse` `[rows]` of the rows that are wanted; an LSE of −1e30 becomes −Infinity. */
export function rowsOf(actual: AttendActual, rows: Int32Array, width: number): AttendActual {
  const out = new Float32Array(rows.length * width);
  rows.forEach((row, i) => out.set(actual.out.subarray(row * width, (row + 1) * width), i * width));
  return { out, lse: Float64Array.from(rows, (row) => emptyAsInfinity(actual.lse[row])) };
}

/** The natural LSE of one of base 2, as `lse2` buffers hold it: without another rounding to f32, −1e30 as −Infinity. */
export function naturalLse(lse2: Float32Array): Float64Array<ArrayBuffer> {
  return Float64Array.from(lse2, (value) => emptyAsInfinity(value) * Math.LN2);
}

function emptyAsInfinity(lse: number): number {
  return lse <= EMPTY_LSE ? -Infinity : lse;
}

/** Rows without a reference must at least be written: finite, and zero with an LSE of −∞ where no token is seen. */
function checkUnsampled({ batch: { shape }, width, reference, actual }: RowsToCheck): Check {
  const isSampled = new Uint8Array(actual.lse.length);
  for (const row of reference.rows) isSampled[row] = 1;
  const starts = queryStarts(shape);
  let elements = 0, mismatches = 0;
  for (let row = 0; row < isSampled.length; row++) {
    if (isSampled[row]) continue;
    elements += width + 1;
    const empty = placeOf(shape, starts, row).seen === 0;
    const lse = emptyAsInfinity(actual.lse[row]);
    if (!(empty ? lse === -Infinity : Number.isFinite(lse))) mismatches++;
    for (let d = row * width; d < (row + 1) * width; d++) {
      if (!(empty ? actual.out[d] === 0 : Number.isFinite(actual.out[d]))) mismatches++;
    }
  }
  const passed = mismatches === 0;
  const message = `${mismatches} of ${elements} elements of rows that were not sampled are not finite`;
  return { name: "unsampled", passed, ...(passed ? {} : { message }), elements, mismatches };
}

/** Place of a row's elements; the page is that of the last token it sees. */
export function elementPlace(
  { shape, pageTable, tableWidth }: RowsToCheck["batch"],
  { sequence, token, head, seen }: RowPlace,
): ElementPlace {
  const entry = Math.floor((seen - 1) / shape.page);
  return { sequence, head, token, page: seen > 0 ? pageTable[sequence * tableWidth + entry] : -1 };
}
