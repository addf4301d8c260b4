/**
 * Compares the caches that a case left in another guise with those that it left at first. A token is rounded for
 * itself, so they are equal bit by bit, wherever its page is.
 *
 * @module
 */
import type { Work } from "../kernels/work.ts";
import type { WorstElement } from "../reference/check.ts";
import { bitsView, decode, type Dtype, DTYPE_BYTES } from "../reference/dtypes.ts";
import type { Batch } from "../reference/variations.ts";
import { type BatchResults, differs, figures, type GuiseOutcome } from "./guise_outcome.ts";

/**
 * What a varied batch must leave in the caches, by name, where the operation writes some: pages of its sequences hold
 * what they held after the first run, all others what they held before.
 */
export function expectedCaches({ operation }: Work, first: BatchResults, batch: Batch): Map<string, Uint8Array> {
  if (operation !== "append" && operation !== "mla") return new Map();
  const caches = [...batch.caches].filter(([, before]) => before.length > 0);
  return new Map(caches.map(([name, before]) => [name, expectedCache(name, before, first, batch)]));
}

/** The caches that a varied batch left beside those that it must leave. */
export function compareCaches(
  work: Work,
  caches: ReadonlyMap<string, Uint8Array>,
  other: BatchResults,
): GuiseOutcome[] {
  if (work.operation !== "append" && work.operation !== "mla") return [];
  const { page, cache: dtype } = work.shape;
  return [...caches].map(([name, expected]) => {
    const left = other.results.get(name)!;
    const actual = left.subarray(0, expected.length);
    const { mismatches, at } = left === expected
      ? { mismatches: 0, at: -1 }
      : firstDifference(bitsView(actual, dtype), bitsView(expected, dtype));
    const elements = expected.length / DTYPE_BYTES[dtype];
    const outcome = { elements, exact: elements, mismatches };
    if (at < 0) return outcome;
    const values = figures(elementAt(actual, at, dtype), elementAt(expected, at, dtype));
    const wrong = { ...placeOf(at, elements / other.batch.pages, page, other.batch), ...values };
    const where = wrong.sequence < 0
      ? `page ${wrong.page}, which is nobody's`
      : `sequence ${wrong.sequence}, token ${wrong.token}, dim ${wrong.dim}`;
    return { ...outcome, ...differs(name, wrong, where) };
  });
}

function expectedCache(name: string, before: Uint8Array, first: BatchResults, batch: Batch): Uint8Array {
  const pageBytes = before.length / batch.pages;
  const expected = before.slice();
  const left = first.results.get(name)!;
  const original = lastPages(first.batch);
  for (const [sequence, pages] of lastPages(batch)) {
    pages.forEach((page, i) => {
      const from = original.get(sequence)![i] * pageBytes;
      expected.set(left.subarray(from, from + pageBytes), page * pageBytes);
    });
  }
  return expected;
}

/** Pages of each sequence at the end, by its number; those of sequences that were added hold nothing. */
function lastPages({ calls }: Batch): Map<number, Int32Array> {
  const pages = new Map<number, Int32Array>();
  for (const { sequences, owned } of calls) {
    sequences.forEach((sequence, i) => sequence >= 0 && pages.set(sequence, owned[i]));
  }
  return pages;
}

function firstDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): { mismatches: number; at: number } {
  let mismatches = 0, at = -1;
  for (let i = 0; i < expected.length; i++) {
    if (actual[i] !== expected[i] && mismatches++ === 0) at = i;
  }
  return { mismatches, at };
}

function elementAt(bytes: Uint8Array, at: number, dtype: Dtype): number {
  return decode(bytes.slice(at * DTYPE_BYTES[dtype], (at + 1) * DTYPE_BYTES[dtype]), dtype)[0];
}

/** Place of element `at`: its page is that of the guise, its sequence and token are those of the case. */
function placeOf(
  at: number,
  pageElements: number,
  tokens: number,
  batch: Batch,
): Pick<WorstElement, "sequence" | "token" | "dim" | "page"> {
  const page = Math.floor(at / pageElements);
  const width = pageElements / tokens;
  const dim = at % width;
  const [sequence, pages] = [...lastPages(batch)].find(([, pages]) => pages.includes(page)) ?? [-1];
  const slot = Math.floor(at % pageElements / width);
  return { sequence, token: pages ? pages.indexOf(page) * tokens + slot : -1, dim, page };
}
