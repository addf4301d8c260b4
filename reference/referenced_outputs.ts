/**
 * Outputs cut down to the rows that have a reference, each with its reference and its place: what two runs are compared
 * by.
 *
 * @module
 */
import { type AttendActual, elementPlace, rowsOf } from "./acceptance_rows.ts";
import { joinCache } from "./cache.ts";
import type { ElementPlace } from "./compare.ts";
import { decode, DTYPE_BYTES, encode } from "./dtypes.ts";
import type { AppendInputs } from "./inputs.ts";
import type { ProjectReference } from "./project.ts";
import { placeOf, queryStarts } from "./rows.ts";
import type { CachedBatch } from "./sequence_rows.ts";
import type { ProjectShape } from "./shapes.ts";

/** Rows of one output that have a reference. */
export interface ReferencedOutput {
  /** `out`, `lse`, `lse2`, `q_latent` or `cache`. */
  readonly name: string;
  /** Elements of a row. */
  readonly width: number;
  /** Numbers of the rows: `(query token of the batch)·H + head`, or of `cache` the new token of the batch. */
  readonly rows: Int32Array;
  /** What the kernel wrote `[rows, width]`; the LSE of a row that sees no token is −Infinity. */
  readonly values: Float32Array;
  /** The reference `[rows, width]`. */
  readonly expected: Float64Array | Float32Array;
  /** Place of element `i` of {@linkcode ReferencedOutput.values}. */
  place(i: number): ElementPlace;
}

/** What {@linkcode attentionOutputs} cuts down. */
export interface AttentionOutputs {
  /** The batch. */
  readonly batch: Pick<CachedBatch, "shape" | "pageTable" | "tableWidth">;
  /** Elements of a row of `out`. */
  readonly width: number;
  /** The rows that have a reference. */
  readonly reference: { readonly rows: Int32Array; readonly out: Float64Array; readonly lse: Float64Array };
  /** What the kernel wrote, as it wrote it: `lse` in the base of the shape. */
  readonly actual: AttendActual<Float32Array>;
}

/** `out` and `lse`, or `lse2` where the shape asks for base 2, of an attention. */
export function attentionOutputs({ batch, width, reference, actual }: AttentionOutputs): ReferencedOutput[] {
  const { shape } = batch;
  const { rows } = reference;
  const { out, lse } = rowsOf(actual, rows, width);
  const starts = queryStarts(shape);
  const rowPlace = (i: number) => elementPlace(batch, placeOf(shape, starts, rows[i]));
  const isBase2 = shape.lseBase === "2";
  return [
    {
      name: "out",
      width,
      rows,
      values: out,
      expected: reference.out,
      place: (i) => ({ ...rowPlace(Math.floor(i / width)), dim: i % width }),
    },
    {
      name: isBase2 ? "lse2" : "lse",
      width: 1,
      rows,
      values: Float32Array.from(lse),
      expected: isBase2 ? reference.lse.map((value) => value / Math.LN2) : reference.lse,
      place: rowPlace,
    },
  ];
}

/**
 * The output of a `project`.
 *
 * @param actual Rows of all tokens and heads, and perhaps padding behind them.
 */
export function projectOutput(
  shape: ProjectShape,
  reference: ProjectReference,
  actual: Float32Array,
): ReferencedOutput {
  const { part, H, R, Dv } = shape;
  const { rows } = reference;
  const width = part === "q" ? R : Dv;
  const values = new Float32Array(rows.length * width);
  rows.forEach((row, i) => values.set(actual.subarray(row * width, (row + 1) * width), i * width));
  const place = (i: number): ElementPlace => {
    const row = rows[Math.floor(i / width)];
    return { sequence: 0, head: row % H, token: Math.floor(row / H), dim: i % width, page: -1 };
  };
  return { name: part === "q" ? "q_latent" : "out", width, rows, values, expected: reference.out, place };
}

/**
 * The tokens that an `append` wrote. Their reference is the input rounded to the dtype of the cache, and so is every
 * right answer: these are compared bit by bit (`checkCache`), and differ between two runs only where their inputs do.
 *
 * @param cache The cache after the call, in the combined layout.
 */
export function appendedTokens(inputs: AppendInputs, cache: Uint8Array): ReferencedOutput {
  const { shape, cuSeqlen, cuNumPages, cacheLoc, inputPos, compressedKv, kpe } = inputs;
  const { B, R, Dr, page } = shape;
  const width = R + Dr, bytes = width * DTYPE_BYTES[shape.cache];
  const tokens = cuSeqlen[B];
  const written = new Uint8Array(tokens * bytes);
  const places: ElementPlace[] = [];
  for (let sequence = 0; sequence < B; sequence++) {
    for (let i = cuSeqlen[sequence]; i < cuSeqlen[sequence + 1]; i++) {
      const token = inputPos[sequence] + i - cuSeqlen[sequence];
      const physical = cacheLoc[cuNumPages[sequence] + Math.floor(token / page)];
      const at = (physical * page + token % page) * bytes;
      written.set(cache.subarray(at, at + bytes), i * bytes);
      places.push({ sequence, token, page: physical });
    }
  }
  const given = joinCache({
    ckv: encode(compressedKv.subarray(0, tokens * R), shape.cache),
    kpe: encode(kpe.subarray(0, tokens * Dr), shape.cache),
  }, shape);
  return {
    name: "cache",
    width,
    rows: Int32Array.from({ length: tokens }, (_, i) => i),
    values: decode(written, shape.cache),
    expected: decode(given, shape.cache),
    place: (i) => ({ ...places[Math.floor(i / width)], dim: i % width }),
  };
}
