/**
 * The decision whether a result is right.
 *
 * @module
 */
import { attendBounds } from "./bounds.ts";
import type { Check } from "./check.ts";
import { compare, type ElementPlace } from "./compare.ts";
import type { AttendInputs } from "./inputs.ts";
import type { AttendReference } from "./mla.ts";
import { placeOf, queryStarts, type RowPlace } from "./rows.ts";

export { checkCache, checkUnchanged } from "./acceptance_bits.ts";
export { checkRecorded } from "./acceptance_recorded.ts";

/** What a kernel of `attend` wrote. */
export interface AttendActual {
  /** Latent output of every row `[Σq, H, R]`. */
  readonly out: Float32Array;
  /** Natural log-sum-exp of every row `[Σq, H]`; kernels write −1e30 where a row sees no token. */
  readonly lse: Float32Array;
}

/** LSE at or below this stands for −∞: WGSL may assume that there are no infinities, so kernels store −1e30. */
export const EMPTY_LSE: number = -0.99e30;

/**
 * Compares `out` and `lse` of the reference's rows, by the bounds of `bounds.ts`, and of all other rows that they are
 * finite (`unsampled`, where there are any).
 *
 * @throws {RangeError} If `actual` has not one element for each of the batch.
 */
export function checkAttend(inputs: AttendInputs, reference: AttendReference, actual: AttendActual): Check[] {
  const { shape } = inputs;
  const { R } = shape;
  const { rows } = reference;
  const starts = queryStarts(shape);
  const batchRows = starts[shape.B] * shape.H;
  if (actual.out.length !== batchRows * R || actual.lse.length !== batchRows) {
    throw new RangeError(
      `Cannot check ${actual.out.length} elements of out and ${actual.lse.length} of lse: ` +
        `the batch has ${batchRows} rows of ${R}`,
    );
  }
  const out = new Float32Array(rows.length * R);
  const lse = new Float64Array(rows.length);
  for (let i = 0; i < rows.length; i++) {
    out.set(actual.out.subarray(rows[i] * R, (rows[i] + 1) * R), i * R);
    lse[i] = emptyAsInfinity(actual.lse[rows[i]]);
  }
  const bounds = attendBounds(shape, reference);
  const rowPlace = (i: number): ElementPlace => elementPlace(inputs, placeOf(shape, starts, rows[i]));
  const checks = [
    compare({
      name: "out",
      actual: out,
      expected: reference.out,
      bound: bounds.out,
      place: (i) => ({ ...rowPlace(Math.floor(i / R)), dim: i % R }),
    }),
    compare({ name: "lse", actual: lse, expected: reference.lse, bound: bounds.lse, place: rowPlace }),
  ];
  if (rows.length < batchRows) checks.push(checkUnsampled(inputs, rows, actual));
  return checks;
}

function emptyAsInfinity(lse: number): number {
  return lse <= EMPTY_LSE ? -Infinity : lse;
}

/** Rows without a reference must at least be written: finite, and zero with an LSE of −∞ where no token is seen. */
function checkUnsampled(inputs: AttendInputs, sampled: Int32Array, actual: AttendActual): Check {
  const { shape } = inputs;
  const { R } = shape;
  const isSampled = new Uint8Array(actual.lse.length);
  for (const row of sampled) isSampled[row] = 1;
  const starts = queryStarts(shape);
  let elements = 0, mismatches = 0;
  for (let row = 0; row < isSampled.length; row++) {
    if (isSampled[row]) continue;
    elements += R + 1;
    const empty = placeOf(shape, starts, row).seen === 0;
    const lse = emptyAsInfinity(actual.lse[row]);
    if (!(empty ? lse === -Infinity : Number.isFinite(lse))) mismatches++;
    for (let d = row * R; d < (row + 1) * R; d++) {
      if (!(empty ? actual.out[d] === 0 : Number.isFinite(actual.out[d]))) mismatches++;
    }
  }
  const passed = mismatches === 0;
  const message = `${mismatches} of ${elements} elements of rows that were not sampled are not finite`;
  return { name: "unsampled", passed, ...(passed ? {} : { message }), elements, mismatches };
}

/** Place of a row's elements; the page is that of the last token it sees. */
function elementPlace(inputs: AttendInputs, { sequence, token, head, seen }: RowPlace): ElementPlace {
  const entry = Math.floor((seen - 1) / inputs.shape.page);
  const page = seen > 0 ? inputs.pageTable[sequence * inputs.tableWidth + entry] : -1;
  return { sequence, head, token, page };
}
