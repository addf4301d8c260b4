import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { encode } from "./dtypes.ts";
import { readSafetensors } from "./safetensors.ts";

/** A file with this header (an object, or raw text) and `dataBytes` bytes of data counting up. */
function file(header: unknown, dataBytes = 0): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  for (let i = 0; i < dataBytes; i++) bytes[8 + text.length + i] = i;
  return bytes;
}

function tensor(dtype: unknown, shape: unknown, data_offsets: unknown): Record<string, unknown> {
  return { dtype, shape, data_offsets };
}

Deno.test("readSafetensors() reads every dtype, scalars, empty tensors and metadata", () => {
  const header = {
    __metadata__: { softmax_scale: "0.5", "naïve": "é" },
    double: tensor("F64", [1], [0, 8]),
    single: tensor("F32", [2], [8, 16]),
    half: tensor("F16", [1, 2], [16, 20]),
    brain: tensor("BF16", [], [20, 22]),
    empty: tensor("F32", [3, 0], [22, 22]),
  };
  const bytes = file(header, 22);
  const data = bytes.subarray(bytes.length - 22);
  data.set(new Uint8Array(Float64Array.of(-1.1).buffer));
  data.set(encode([1e-40, -2.5], "f32"), 8);
  data.set(encode([65504, 2 ** -24], "f16"), 16);
  data.set(encode([1.5], "bf16"), 20);
  const { metadata, tensors } = readSafetensors(bytes);
  assertEquals(metadata, { softmax_scale: "0.5", "naïve": "é" });
  assertEquals([...tensors.keys()], ["double", "single", "half", "brain", "empty"]);
  assertEquals(tensors.get("double")!.data, Float32Array.of(-1.1));
  assertEquals(tensors.get("single")!.data, Float32Array.of(1e-40, -2.5));
  assertEquals(tensors.get("half"), { dtype: "F16", shape: [1, 2], data: Float32Array.of(65504, 2 ** -24) });
  assertEquals(tensors.get("brain"), { dtype: "BF16", shape: [], data: Float32Array.of(1.5) });
  assertEquals(tensors.get("empty")!.data.length, 0);
});

Deno.test("readSafetensors() takes a header padded with spaces, data at odd offsets and a view into a larger buffer", () => {
  const bytes = file(JSON.stringify({ x: tensor("F32", [1], [0, 4]) }) + "   ", 4);
  const larger = new Uint8Array(bytes.length + 1);
  larger.set(bytes, 1);
  assertEquals(readSafetensors(larger.subarray(1)).tensors.get("x")!.data.length, 1);
});

const BROKEN: readonly [what: string, bytes: Uint8Array, message: string][] = [
  ["an empty file", new Uint8Array(0), "0 bytes are too few"],
  ["a file shorter than the header length", new Uint8Array(7), "7 bytes are too few"],
  ["an absurd header length", new Uint8Array(16).fill(0xff), "header length 18446744073709551615 is above"],
  ["a header past the end", file("{}").subarray(0, 9), "header length 2 reaches past the end of the file of 9 bytes"],
  ["a header that is no JSON", file("{x}"), "not JSON"],
  ["an empty header", file(""), "not JSON"],
  ["a header that is no UTF-8", file("{}").with(8, 0xff), "not JSON"],
  ["a header that is a list", file([1]), "the header is [1], not a JSON object"],
  ["a header that is null", file("null"), "the header is null"],
  ["a name twice", file(`{"a":${JSON.stringify(tensor("F32", [0], [0, 0]))},"\\u0061":1}`), 'the key "a" twice'],
  [
    "a key twice in a tensor",
    file('{"a":{"dtype":"F32","dtype":"F16","shape":[],"data_offsets":[0,4]}}'),
    '"dtype" twice',
  ],
  ["metadata that is a list", file({ __metadata__: [] }), "__metadata__ is []"],
  ["metadata that is no string", file({ __metadata__: { scale: 1 } }), '__metadata__ has "scale" = 1, not a string'],
  ["a tensor that is a number", file({ a: 7 }), 'tensor "a" is 7, not an object'],
  ["an unknown dtype", file({ a: tensor("I64", [1], [0, 8]) }, 8), 'tensor "a" has dtype "I64", read are F64, F32'],
  ["an inherited dtype", file({ a: tensor("toString", [1], [0, 8]) }, 8), 'dtype "toString"'],
  ["no dtype", file({ a: { shape: [1], data_offsets: [0, 4] } }, 4), 'tensor "a" has dtype undefined'],
  ["an unknown key", file({ a: { ...tensor("F32", [1], [0, 4]), order: "C" } }, 4), 'unknown key "order"'],
  ["a negative size", file({ a: tensor("F32", [-1], [0, 4]) }, 4), 'tensor "a" has shape [-1]'],
  ["a fractional size", file({ a: tensor("F32", [0.5], [0, 2]) }, 2), "shape [0.5]"],
  ["a shape that is a number", file({ a: tensor("F32", 1, [0, 4]) }, 4), "shape 1,"],
  ["offsets in the wrong order", file({ a: tensor("F32", [1], [4, 0]) }, 4), 'tensor "a" has data_offsets [4,0]'],
  ["three offsets", file({ a: tensor("F32", [1], [0, 4, 8]) }, 4), "data_offsets [0,4,8]"],
  [
    "a shape that does not fit the data",
    file({ a: tensor("F32", [2], [0, 4]) }, 4),
    "has 4 bytes of data, but shape [2] of F32 takes 8",
  ],
  ["a shape whose product overflows", file({ a: tensor("F32", [2 ** 50, 2 ** 50], [0, 4]) }, 4), "has 4 bytes of data"],
  [
    "data past the end",
    file({ a: tensor("F32", [2], [0, 8]) }, 4),
    'tensor "a" ends at byte 8 of the data, which has only 4',
  ],
  [
    "tensors that overlap",
    file({ a: tensor("F32", [2], [0, 8]), b: tensor("F32", [1], [4, 8]) }, 8),
    'tensor "b" starts at byte 4 of the data, inside the tensor before it',
  ],
  [
    "a hole between tensors",
    file({ b: tensor("F32", [1], [8, 12]), a: tensor("F32", [1], [0, 4]) }, 12),
    'tensor "b" starts at byte 8 of the data and leaves a hole from byte 4',
  ],
  [
    "data that no tensor covers",
    file({ a: tensor("F32", [1], [0, 4]) }, 5),
    "the data has 5 bytes, the tensors cover 4",
  ],
  ["a name with a line break", file({ "a\nb": 7 }), 'tensor "a\\nb"'],
];

for (const [what, bytes, message] of BROKEN) {
  Deno.test(`readSafetensors() refuses ${what} in one line`, () => {
    const error = assertThrows(() => readSafetensors(bytes), SyntaxError);
    assertStringIncludes(error.message, message);
    assertMatch(error.message, /^Cannot read safetensors: .*$/);
  });
}

Deno.test("readSafetensors() refuses every truncation of a valid file", () => {
  const bytes = file({ a: tensor("F32", [3], [0, 12]) }, 12);
  for (let length = 0; length < bytes.length; length++) {
    assertThrows(() => readSafetensors(bytes.subarray(0, length)), SyntaxError);
  }
  assert(readSafetensors(bytes).tensors.has("a"));
});
