/**
 * Codecs of the cache's element types.
 *
 * Every conversion to f16 and bf16 rounds to nearest, ties to even, keeps subnormals and the sign of zero, overflows to
 * infinity and keeps NaN a NaN (IEEE 754-2019, 4.3.1 and 6.2). Conversions from them are exact. Multi-byte values lie
 * little-endian, as WebGPU buffers do.
 *
 * @module
 */

/** Element types of the cache. */
export type Dtype = "f32" | "f16" | "bf16";

/** Every {@linkcode Dtype}. */
export const DTYPES: readonly Dtype[] = ["f32", "f16", "bf16"];

/** Bytes of one element. */
export const DTYPE_BYTES: Readonly<Record<Dtype, number>> = { f32: 4, f16: 2, bf16: 2 };

// Typed arrays have the machine's byte order; every platform that Deno runs on is little-endian, and WebGPU demands it.
const word = new Uint32Array(1);
const single = new Float32Array(word.buffer);
const half = new Float16Array(1);
const halfBits = new Uint16Array(half.buffer);

/** The f16 bits of `value`, which is first rounded to f32. */
export function f32ToF16Bits(value: number): number {
  half[0] = Math.fround(value);
  return halfBits[0];
}

/** The value of f16 `bits`. */
export function f16BitsToF32(bits: number): number {
  halfBits[0] = bits;
  return half[0];
}

/** The bf16 bits of `value`, which is first rounded to f32. */
export function f32ToBf16Bits(value: number): number {
  single[0] = value;
  return roundToBf16(word[0]);
}

/** The value of bf16 `bits`. */
export function bf16BitsToF32(bits: number): number {
  word[0] = bits << 16;
  return single[0];
}

/** bf16 is the upper half of f32: adding just under half a unit, and the last kept bit, rounds ties to even. */
function roundToBf16(bits: number): number {
  const isNan = (bits & 0x7fffffff) > 0x7f800000;
  // The quiet bit keeps a NaN whose payload lies in the dropped half from becoming infinity.
  return isNan ? (bits >>> 16) | 0x40 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** The quiet NaN that poisons memory nobody may read, as an unsigned integer of the element's width. */
export function nanBits(dtype: Dtype): number {
  switch (dtype) {
    case "f32":
      return 0x7fc00000;
    case "f16":
      return 0x7e00;
    case "bf16":
      return 0x7fc0;
    default:
      return dtype satisfies never;
  }
}

/**
 * Unsigned integers of the element's width over the memory of `bytes`: to move, compare and poison elements bit by bit.
 *
 * @throws {RangeError} If `bytes` does not start at, or hold, a whole number of elements.
 */
export function bitsView(bytes: Uint8Array, dtype: Dtype): Uint16Array | Uint32Array {
  const size = DTYPE_BYTES[dtype];
  if (bytes.byteOffset % size !== 0 || bytes.byteLength % size !== 0) {
    throw new RangeError(
      `Cannot view ${bytes.byteLength} bytes at offset ${bytes.byteOffset} as ${dtype}: both must be multiples of ${size}`,
    );
  }
  return size === 2
    ? new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2)
    : new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** Bits of ∞; NaN is above them. */
const INFINITY_BITS: Readonly<Record<Dtype, number>> = { f32: 0x7f800000, f16: 0x7c00, bf16: 0x7f80 };

/** The largest magnitude among the finite elements of `bytes`; 0 where there is none. */
export function largestFinite(bytes: Uint8Array, dtype: Dtype): number {
  const withoutSign = dtype === "f32" ? 0x7fffffff : 0x7fff;
  const infinity = INFINITY_BITS[dtype];
  let largest = 0;
  const elements = bitsView(bytes, dtype);
  for (let i = 0; i < elements.length; i++) {
    const magnitude = elements[i] & withoutSign;
    if (magnitude > largest && magnitude < infinity) largest = magnitude;
  }
  return decode(new Uint8Array(Uint32Array.of(largest).buffer, 0, DTYPE_BYTES[dtype]), dtype)[0];
}

/**
 * Encodes f32 values into `target`, which is as long as `values`. Several hundred million elements per second.
 *
 * @throws {RangeError} If the lengths differ.
 */
export function encodeInto(values: Float32Array, target: Uint8Array, dtype: Dtype): void {
  if (target.byteLength !== values.length * DTYPE_BYTES[dtype]) {
    throw new RangeError(
      `Cannot encode ${values.length} values as ${dtype} into ${target.byteLength} bytes: ` +
        `${values.length * DTYPE_BYTES[dtype]} bytes are needed`,
    );
  }
  const bits = bitsView(target, dtype);
  switch (dtype) {
    case "f32":
      bits.set(new Uint32Array(values.buffer, values.byteOffset, values.length));
      return;
    case "f16":
      new Float16Array(bits.buffer, bits.byteOffset, bits.length).set(values);
      return;
    case "bf16": {
      const source = new Uint32Array(values.buffer, values.byteOffset, values.length);
      for (let i = 0; i < source.length; i++) bits[i] = roundToBf16(source[i]);
      return;
    }
    default:
      return dtype satisfies never;
  }
}

/** Encodes `values` (rounded to f32 first, where they are not f32) as `dtype`. */
export function encode(values: ArrayLike<number>, dtype: Dtype): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(values.length * DTYPE_BYTES[dtype]);
  encodeInto(values instanceof Float32Array ? values : Float32Array.from(values), bytes, dtype);
  return bytes;
}

/**
 * Decodes `bytes` into `target`, exactly, whatever the target's precision.
 *
 * @throws {RangeError} If the lengths differ.
 */
export function decodeInto(bytes: Uint8Array, dtype: Dtype, target: Float32Array | Float64Array): void {
  const bits = bitsView(bytes, dtype);
  if (bits.length !== target.length) {
    throw new RangeError(`Cannot decode ${bits.length} ${dtype} elements into an array of ${target.length}`);
  }
  switch (dtype) {
    case "f32":
      target.set(new Float32Array(bits.buffer, bits.byteOffset, bits.length));
      return;
    case "f16":
      target.set(new Float16Array(bits.buffer, bits.byteOffset, bits.length));
      return;
    case "bf16":
      if (target instanceof Float32Array) {
        const words = new Uint32Array(target.buffer, target.byteOffset, target.length);
        for (let i = 0; i < bits.length; i++) words[i] = bits[i] << 16;
      } else {
        for (let i = 0; i < bits.length; i++) target[i] = bf16BitsToF32(bits[i]);
      }
      return;
    default:
      return dtype satisfies never;
  }
}

/** Decodes `bytes` to f32, exactly. */
export function decode(bytes: Uint8Array, dtype: Dtype): Float32Array<ArrayBuffer> {
  const values = new Float32Array(bytes.byteLength / DTYPE_BYTES[dtype]);
  decodeInto(bytes, dtype, values);
  return values;
}
