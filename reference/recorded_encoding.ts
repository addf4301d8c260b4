/**
 * What all replays of a recording share.
 *
 * @module
 */
import { type Dtype, encode } from "./dtypes.ts";
import { streamKey } from "./random.ts";

/** Pages are permuted by this key, the same for every recording. */
export const PAGE_KEY: number = streamKey(0, 4);

/**
 * Encodes a tensor of a recording.
 *
 * @throws {RangeError} If a value is beyond the range of the dtype.
 */
export function encodeFinite(
  values: Float32Array,
  tensor: string,
  { name }: { readonly name: string },
  dtype: Dtype,
): Uint8Array {
  // Halfway between the largest f16 and what would follow it.
  const limit = dtype === "f16" ? 65520 : Infinity;
  const bad = values.findIndex((value) => !(Math.abs(value) < limit));
  if (bad >= 0) {
    throw new RangeError(
      `Cannot replay ${name} in ${dtype}: ${tensor} holds ${
        values[bad]
      } at element ${bad}, the largest ${dtype} is 65504`,
    );
  }
  return encode(values, dtype);
}
