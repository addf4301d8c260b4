/**
 * What `append` does: new latents and rope keys of a ragged batch written into the paged cache.
 *
 * @module
 */
import { DTYPE_BYTES, encode } from "./dtypes.ts";
import type { AppendInputs } from "./inputs.ts";

/**
 * The cache after the call. New token `j` of sequence `b` becomes its token `inputPos[b] + j`; that one lies in page
 * `cacheLoc[cuNumPages[b] + ⌊token/page⌋]` at slot `token mod page`, latent first, rounded to the cache's dtype (nearest,
 * ties to even). Every other byte stays as it was.
 *
 * @throws {RangeError} If a token's page lies outside those of its sequence, or outside the cache.
 */
export function appendReference(inputs: AppendInputs): Uint8Array<ArrayBuffer> {
  const { shape, compressedKv, kpe, cuSeqlen, cuNumPages, cacheLoc, inputPos, pages } = inputs;
  const { B, R, Dr, page } = shape;
  const size = DTYPE_BYTES[shape.cache];
  const latents = encode(compressedKv, shape.cache);
  const ropes = encode(kpe, shape.cache);
  const cache = new Uint8Array(inputs.cache);
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
