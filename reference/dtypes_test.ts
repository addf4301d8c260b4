import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  bf16BitsToF32,
  bitsView,
  decode,
  decodeInto,
  type Dtype,
  DTYPE_BYTES,
  DTYPES,
  encode,
  encodeInto,
  f16BitsToF32,
  f32ToBf16Bits,
  f32ToF16Bits,
  largestFinite,
  nanBits,
} from "./dtypes.ts";

/** Value of a 16-bit float by the definition of IEEE 754, in plain arithmetic. */
function valueOf(bits: number, exponentBits: number): number {
  const fractionBits = 15 - exponentBits;
  const sign = bits >= 0x8000 ? -1 : 1;
  const exponent = Math.floor(bits / 2 ** fractionBits) % 2 ** exponentBits;
  const fraction = bits % 2 ** fractionBits / 2 ** fractionBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
}

const HALVES = {
  f16: { exponentBits: 5, toBits: f32ToF16Bits, toValue: f16BitsToF32 },
  bf16: { exponentBits: 8, toBits: f32ToBf16Bits, toValue: bf16BitsToF32 },
} as const;

for (const dtype of ["f16", "bf16"] as const) {
  const { exponentBits, toBits, toValue } = HALVES[dtype];
  const patterns = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
  const bytes = new Uint8Array(patterns.buffer);

  Deno.test(`decode() gives all 65,536 ${dtype} patterns the value that IEEE 754 defines`, () => {
    const single = decode(bytes, dtype);
    const double = new Float64Array(65536);
    decodeInto(bytes, dtype, double);
    for (let bits = 0; bits < 65536; bits++) {
      const expected = valueOf(bits, exponentBits);
      assert(Object.is(single[bits], expected), `0x${bits.toString(16)}: ${single[bits]} instead of ${expected}`);
      assert(Object.is(double[bits], expected) && Object.is(toValue(bits), expected));
    }
  });

  Deno.test(`encode() returns every ${dtype} pattern that decode() took, and a NaN for a NaN`, () => {
    const values = decode(bytes, dtype);
    const again = bitsView(encode(values, dtype), dtype);
    for (let bits = 0; bits < 65536; bits++) {
      if (Number.isNaN(values[bits])) {
        assert(Number.isNaN(valueOf(again[bits], exponentBits)) && Number.isNaN(valueOf(toBits(NaN), exponentBits)));
      } else {
        assertEquals(again[bits], bits);
        assertEquals(toBits(values[bits]), bits);
      }
    }
  });

  Deno.test(`encode() rounds to the nearest ${dtype}, ties to even, between all neighbours`, () => {
    const largest = largestBits(dtype);
    for (let bits = 0; bits < largest; bits++) {
      const low = valueOf(bits, exponentBits);
      const high = valueOf(bits + 1, exponentBits);
      const middle = (low + high) / 2;
      const even = bits % 2 === 0 ? bits : bits + 1;
      const below = neighbour(middle, -1);
      const above = neighbour(middle, 1);
      for (const [value, expected] of [[middle, even], [below, bits], [above, bits + 1]]) {
        assertEquals(toBits(value), expected);
        assertEquals(toBits(-value), expected + 0x8000);
        assertEquals(bitsView(encode([value], dtype), dtype)[0], expected);
      }
    }
  });

  Deno.test(`encode() overflows to infinity from halfway beyond the largest ${dtype}`, () => {
    const largest = largestBits(dtype);
    const step = valueOf(largest, exponentBits) - valueOf(largest - 1, exponentBits);
    const limit = valueOf(largest, exponentBits) + step / 2;
    assertEquals(toBits(limit), largest + 1);
    assertEquals(toBits(neighbour(limit, -1)), largest);
    assertEquals(toValue(toBits(Infinity)), Infinity);
    assertEquals(toValue(toBits(-Infinity)), -Infinity);
    assert(Object.is(toValue(toBits(-0)), -0));
  });
}

function largestBits(dtype: "f16" | "bf16"): number {
  return dtype === "f16" ? 0x7bff : 0x7f7f;
}

/** The f32 next to a positive one. */
function neighbour(value: number, step: number): number {
  const words = new Uint32Array(Float32Array.of(value).buffer);
  words[0] += step;
  return new Float32Array(words.buffer)[0];
}

Deno.test("encode() keeps f32 bits, NaN payloads included", () => {
  const words = Uint32Array.of(0x7fc12345, 0x80000000, 1, 0xff800000, 0x3f800001);
  const bytes = encode(new Float32Array(words.buffer), "f32");
  assertEquals(bitsView(bytes, "f32"), words);
});

Deno.test("f32ToBf16Bits() keeps a NaN whose payload lies in the dropped half", () => {
  const nan = new Float32Array(Uint32Array.of(0x7f800001).buffer);
  assertEquals(bitsView(encode(nan, "bf16"), "bf16")[0], 0x7fc0);
});

Deno.test("nanBits() is a NaN of every dtype", () => {
  for (const dtype of DTYPES) {
    const bytes = new Uint8Array(DTYPE_BYTES[dtype]);
    bitsView(bytes, dtype)[0] = nanBits(dtype);
    assertEquals(decode(bytes, dtype)[0], NaN);
  }
});

Deno.test("largestFinite() leaves out NaN and ∞, and takes magnitudes", () => {
  for (const dtype of DTYPES) {
    assertEquals(largestFinite(encode([1, NaN, -3.5, Infinity, -Infinity, 2], dtype), dtype), 3.5, dtype);
    assertEquals(largestFinite(encode([NaN, -Infinity, -0], dtype), dtype), 0, dtype);
  }
  assertEquals(largestFinite(encode([65504], "f16"), "f16"), 65504);
});

Deno.test("encodeInto(), decodeInto() and bitsView() refuse sizes that do not fit", () => {
  for (const dtype of DTYPES satisfies readonly Dtype[]) {
    assertThrows(() => encodeInto(new Float32Array(2), new Uint8Array(3), dtype), RangeError, "2 values");
    assertThrows(() => decodeInto(new Uint8Array(8), dtype, new Float32Array(1)), RangeError, "array of 1");
    assertThrows(() => bitsView(new Uint8Array(9).subarray(1), dtype), RangeError, "at offset 1");
  }
});
