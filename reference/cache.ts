/**
 * What `append` does: new latents and rope keys of a ragged batch written into the paged cache; and the two layouts of
 * the cache.
 *
 * @module
 */
import { DTYPE_BYTES, encode } from "./dtypes.ts";
import type { AppendInputs } from "./inputs.ts";
import type { CacheShape } from "./shapes.ts";

/**
 * The cache after the call. New token `j` of sequence `b` becomes its token `inputPos[b] + j`; that one lies in page
 * `cacheLoc[cuNumPages[b] + ⌊token/page⌋]` at slot `token mod page`, latent first, rounded to the cache's dtype
 * (nearest, ties to even). Every other byte stays as it was. It is in shared memory where the cache is.
 *
 * @throws {RangeError} If a token's page lies outside those of its sequence, or outside the cache.
 */
export function appendReference(inputs: AppendInputs): Uint8Array {
  const { shape, compressedKv, kpe, cuSeqlen, cuNumPages, cacheLoc, inputPos, pages } = inputs;
  const { B, R, Dr, page } = shape;
  const size = DTYPE_BYTES[shape.cache];
  const latents = encode(compressedKv, shape.cache);
  const ropes = encode(kpe, shape.cache);
  const isShared = inputs.cache.buffer instanceof SharedArrayBuffer;
  const cache = new Uint8Array(new (isShared ? SharedArrayBuffer : ArrayBuffer)(inputs.cache.length));
  cache.set(inputs.cache);
  for (let b = 0; b < B; b++) {
    for (let i = cuSeqlen[b]; i < cuSeqlen[b + 1]; i++) {
      const token = inputPos[b] + i - cuSeqlen[b];
      const entry = cuNumPages[b] + Math.floor(token / page);
      const physical = cacheLoc[entry];
      if (!(entry < cuNumPages[b + 1] && physical >= 0 && physical < pages)) {
        throw new RangeError(
          `Cannot append token ${token} of sequence ${b}: it needs page entry ${entry} of ` +
            `${cuNumPages[b]}…${cuNumPages[b + 1] - 1}, physical page ${physical} of 0…${pages - 1}`,
        );
      }
      const at = (physical * page + token % page) * (R + Dr) * size;
      cache.set(latents.subarray(i * R * size, (i + 1) * R * size), at);
      cache.set(ropes.subarray(i * Dr * size, (i + 1) * Dr * size), at + R * size);
    }
  }
  return cache;
}

/** The paged cache in the separate layout. */
export interface SeparateCache {
  /** Latents `[pages, page, R]`. */
  readonly ckv: Uint8Array<ArrayBuffer>;
  /** Rope keys `[pages, page, Dr]`; empty where Dr is 0. */
  readonly kpe: Uint8Array<ArrayBuffer>;
}

/**
 * A combined cache `[pages, page, R+Dr]` in the separate layout, bit for bit.
 *
 * @throws {RangeError} If `cache` holds no whole number of tokens.
 */
export function splitCache(cache: Uint8Array, shape: CacheShape): SeparateCache {
  const { latent, rope } = tokenBytes(shape);
  const slots = wholeSlots(cache, latent + rope);
  const ckv = new Uint8Array(slots * latent);
  const kpe = new Uint8Array(slots * rope);
  for (let slot = 0, at = 0; slot < slots; slot++, at += latent + rope) {
    ckv.set(cache.subarray(at, at + latent), slot * latent);
    kpe.set(cache.subarray(at + latent, at + latent + rope), slot * rope);
  }
  return { ckv, kpe };
}

/**
 * The inverse of {@linkcode splitCache}. Of `kpe` only what the latents need is read: empty tensors are bound as a few
 * bytes.
 *
 * @throws {RangeError} If `ckv` holds no whole number of latents, or `kpe` is too short for them.
 */
export function joinCache(
  { ckv, kpe }: { readonly ckv: Uint8Array; readonly kpe: Uint8Array },
  shape: CacheShape,
): Uint8Array<ArrayBuffer> {
  const { latent, rope } = tokenBytes(shape);
  const slots = wholeSlots(ckv, latent);
  if (kpe.length < slots * rope) {
    throw new RangeError(`Cannot join ${slots} latents with ${kpe.length} bytes of rope keys: ${rope} each are needed`);
  }
  const cache = new Uint8Array(slots * (latent + rope));
  for (let slot = 0, at = 0; slot < slots; slot++, at += latent + rope) {
    cache.set(ckv.subarray(slot * latent, (slot + 1) * latent), at);
    cache.set(kpe.subarray(slot * rope, (slot + 1) * rope), at + latent);
  }
  return cache;
}

/** Bytes of one token in each of the two parts. */
function tokenBytes({ R, Dr, cache }: CacheShape): { latent: number; rope: number } {
  return { latent: R * DTYPE_BYTES[cache], rope: Dr * DTYPE_BYTES[cache] };
}

function wholeSlots(bytes: Uint8Array, each: number): number {
  if (bytes.length % each !== 0) {
    throw new RangeError(`Cannot take ${bytes.length} bytes as cache slots: each has ${each}`);
  }
  return bytes.length / each;
}
