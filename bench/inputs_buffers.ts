/**
 * Tensors as the bytes of buffers, under the names of the contract (`kernels/kernel.ts`).
 *
 * @module
 */
import { type AttendActual, naturalLse as naturalFromBase2 } from "../reference/acceptance.ts";
import { joinCache, splitCache } from "../reference/cache.ts";
import type { Check } from "../reference/check.ts";
import { type AttendShape, type CacheShape, total } from "../reference/shapes.ts";
import type { ReferencePool } from "./reference_pool.ts";
import type { CacheParts } from "./reference_worker.ts";
import { checkTolerance, type ExpectedRows, TOLERANCES } from "../reference/tolerances.ts";

/** Bytes of a tensor, not copied. */
export function bytesOf(array: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** The cache's buffers by its layout, from the combined form in which the reference keeps it. */
export function cacheBuffers(cache: Uint8Array, shape: CacheShape): [name: string, data: Uint8Array][] {
  return shape.layout === "separate" ? separateBuffers(splitCache(cache, shape)) : [["cache", cache]];
}

/** The same, where a large cache is split by the Workers of `pool`. */
export async function cacheBuffersBy(
  pool: ReferencePool,
  cache: Uint8Array,
  shape: CacheShape,
): Promise<[name: string, data: Uint8Array][]> {
  return shape.layout === "separate" ? separateBuffers(await pool.split(cache, shape)) : [["cache", cache]];
}

function separateBuffers({ ckv, kpe }: CacheParts): [name: string, data: Uint8Array][] {
  return [["ckv_cache", ckv], ["kpe_cache", kpe]];
}

/** What a launch left, by buffer name. */
export type Results = ReadonlyMap<string, Uint8Array>;

/** The cache that a launch left, in the combined form. */
export function cacheResult(results: Results, shape: CacheShape): Uint8Array {
  if (shape.layout !== "separate") return result(results, "cache");
  return joinCache({ ckv: result(results, "ckv_cache"), kpe: result(results, "kpe_cache") }, shape);
}

/**
 * The floats that a launch left in the buffer `name`.
 *
 * @param count How many belong to the tensor: a small one is bound with a few bytes more that nobody reads.
 * @default {all}
 */
export function floats(results: Results, name: string, count?: number): Float32Array {
  const bytes = result(results, name);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4).subarray(0, count);
}

/** The log-sum-exp in natural logarithms, from `lse` or, where base 2 was asked for, from `lse2`. */
export function lseResult(
  results: Results,
  { lseBase }: { readonly lseBase?: "e" | "2" },
  count?: number,
): Float32Array | Float64Array {
  return lseBase === "2" ? naturalFromBase2(floats(results, "lse2", count)) : floats(results, "lse", count);
}

/**
 * What an attention left for the tokens of the batch, without padding: `out` in rows of `width`, and the log-sum-exp in
 * the base of the shape, as it was written.
 */
export function attentionResult(
  results: Results,
  { q, H, lseBase }: Pick<AttendShape, "q" | "H" | "lseBase">,
  width: number,
): AttendActual<Float32Array> {
  const rows = total(q) * H;
  return {
    out: floats(results, "out", rows * width),
    lse: floats(results, lseBase === "2" ? "lse2" : "lse", rows),
  };
}

/** Checks of another system's tolerance, where a case has one. */
export function toleranceChecks(
  name: string | undefined,
  actual: Parameters<typeof checkTolerance>[2],
  expected: ExpectedRows,
): Check[] {
  if (name === undefined) return [];
  const tolerance = TOLERANCES[name];
  if (!tolerance) {
    throw new RangeError(`Cannot check tolerance "${name}": there are ${Object.keys(TOLERANCES).join(", ")}`);
  }
  return checkTolerance(name, tolerance, actual, expected);
}

function result(results: Results, name: string): Uint8Array {
  const bytes = results.get(name);
  if (!bytes) {
    const names = [...results.keys()].join(", ") || "none";
    throw new TypeError(`Cannot verify "${name}": the launch has no such output; it has ${names}`);
  }
  return bytes;
}
