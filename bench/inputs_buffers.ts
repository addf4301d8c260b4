/**
 * Tensors as the bytes of buffers, under the names of the contract (`kernels/kernel.ts`).
 *
 * @module
 */
import { joinCache, splitCache } from "../reference/cache.ts";
import type { CacheShape } from "../reference/shapes.ts";

/** Bytes of a tensor, not copied. */
export function bytesOf(array: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** The cache's buffers by its layout, from the combined form in which the reference keeps it. */
export function cacheBuffers(cache: Uint8Array, shape: CacheShape): [name: string, data: Uint8Array][] {
  if (shape.layout !== "separate") return [["cache", cache]];
  const { ckv, kpe } = splitCache(cache, shape);
  return [["ckv_cache", ckv], ["kpe_cache", kpe]];
}

/** What a launch left, by buffer name. */
export type Results = ReadonlyMap<string, Uint8Array>;

/** The cache that a launch left, in the combined form. */
export function cacheResult(results: Results, shape: CacheShape): Uint8Array {
  if (shape.layout !== "separate") return result(results, "cache");
  return joinCache({ ckv: result(results, "ckv_cache"), kpe: result(results, "kpe_cache") }, shape);
}

/** The floats that a launch left in the buffer `name`. */
export function floats(results: Results, name: string): Float32Array {
  const bytes = result(results, name);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** LSE at or below this stands for −∞ whatever the base: it must not be scaled. */
const EMPTY = -0.99e30;

/** The log-sum-exp in natural logarithms, from `lse` or, where base 2 was asked for, from `lse2`. */
export function naturalLse(results: Results, { lseBase }: { readonly lseBase?: "e" | "2" }): Float32Array {
  if (lseBase !== "2") return floats(results, "lse");
  return floats(results, "lse2").map((lse) => lse <= EMPTY ? lse : lse * Math.LN2);
}

function result(results: Results, name: string): Uint8Array {
  const bytes = results.get(name);
  if (!bytes) throw new TypeError(`Cannot verify "${name}": the launch has no output buffer of that name`);
  return bytes;
}
