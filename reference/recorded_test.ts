import { assert, assertEquals, assertLess, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { checkCache, checkRecorded } from "./acceptance.ts";
import { appendReference } from "./cache.ts";
import { decode, type Dtype, DTYPES, encode } from "./dtypes.ts";
import { emulateAttend } from "./testdata/attend_faults.ts";
import { attendAbsorbed, attendExpanded } from "./mla.ts";
import { HOSTILE_ENTRIES } from "./paging.ts";
import type { KernelPrecision } from "./precision.ts";
import { fillNormal, streamKey } from "./random.ts";
import { readRecorded, recordedAppendInputs, recordedInputs, type RecordedTensors } from "./recorded.ts";
import { F16_ALL, F16_VALUES, f16Attend, type F16Fault } from "./testdata/f16_kernels.ts";

type Tensors = Record<string, { shape: number[]; data: ArrayLike<number> }>;

/** A safetensors file of F32 tensors. */
function file(tensors: Tensors, metadata?: Record<string, string>): Uint8Array {
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  let end = 0;
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype: "F32", shape, data_offsets: [end, end += 4 * data.length] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  let at = 8 + text.length;
  for (const { data } of Object.values(tensors)) {
    bytes.set(encode(data, "f32"), at);
    at += 4 * data.length;
  }
  return bytes;
}

/** A small recording with dimensions that no golden has, its output by the expanded formulation. */
function tensors({ T = 21, H = 3, R = 48, Dn = 24, Dr = 16, Dv = 40 } = {}): Tensors {
  const normal = (shape: number[], stream: number, scale = 1) => {
    const data = new Float32Array(shape.reduce((a, b) => a * b));
    fillNormal(data, streamKey(1, stream), { scale });
    return { shape, data };
  };
  const made = {
    q_nope: normal([T, H, Dn], 1),
    q_pe: normal([T, H, Dr], 2),
    compressed_kv: normal([1, T, R], 3),
    kpe: normal([T, 1, Dr], 4),
    kv_b_proj: normal([H * (Dn + Dv), R], 5, 1 / Math.sqrt(R)),
  };
  const { out } = attendExpanded({
    ...{ H, R, Dn, Dr, Dv, causal: true, scale: 1 / Math.sqrt(Dn + Dr) },
    ...{ qNope: made.q_nope.data, qPe: made.q_pe.data, kvB: made.kv_b_proj.data },
    ...{ compressedKv: made.compressed_kv.data, kpe: made.kpe.data },
  });
  return { ...made, out: { shape: [T, H, Dv], data: out } };
}

async function golden(name: string): Promise<RecordedTensors> {
  return readRecorded(
    await Deno.readFile(new URL(`goldens/${name}.safetensors`, import.meta.url)),
    `${name}.safetensors`,
  );
}

Deno.test("readRecorded() reads sizes, scale and the hash of a golden", async () => {
  const { name, hash8, T, H, R, Dn, Dr, Dv, scale } = await golden("minicpm3-h5-r256");
  assertEquals({ T, H, R, Dn, Dr, Dv }, { T: 97, H: 5, R: 256, Dn: 64, Dr: 32, Dv: 64 });
  assertEquals([name, hash8, scale], ["minicpm3-h5-r256", "3dc98d1e", 0.10206207261596575]);
});

Deno.test("readRecorded() takes any sizes within the rules, with and without a scale", () => {
  const recorded = readRecorded(file(tensors()), "folder/some.file.safetensors");
  assertEquals([recorded.name, recorded.T, recorded.R, recorded.scale], ["some.file", 21, 48, 1 / Math.sqrt(40)]);
  assertEquals(readRecorded(file(tensors(), { softmax_scale: "0.25" }), "x").scale, 0.25);
  assertEquals(readRecorded(file(tensors({ Dr: 0 })), "x").kpe.length, 0);
});

const wrong = (change: (made: Tensors) => void, sizes = {}) => {
  const made = tensors(sizes);
  change(made);
  return file(made);
};
const reshape = (name: string, shape: number[]) =>
  wrong((made) => made[name] = { shape, data: new Float32Array(shape.reduce((a, b) => a * b)) });

const BROKEN: readonly [what: string, bytes: () => Uint8Array, message: string][] = [
  ["no safetensors", () => new Uint8Array(3), "Cannot replay x.safetensors: Cannot read safetensors: 3 bytes"],
  ["a missing tensor", () => wrong((made) => delete made.kpe), 'tensor kpe is missing, there are "q_nope", "q_pe"'],
  [
    "queries of two dimensions",
    () => reshape("q_nope", [21, 72]),
    "tensor q_nope has shape [21,72], needed is [T, H, Dn]",
  ],
  ["a vector", () => reshape("out", [21]), "tensor out has shape [21], needed is [T, H, Dv]"],
  [
    "another number of tokens",
    () => reshape("q_pe", [20, 3, 16]),
    "tensor q_pe has shape [20,3,16], needed is [21,3,16]",
  ],
  ["a short latent", () => reshape("compressed_kv", [20, 48]), "needed is [21,48] or [1,21,48]"],
  ["rope keys per head", () => reshape("kpe", [21, 3, 16]), "needed is [21,16] or [21,1,16] or [1,21,16]"],
  [
    "a transposed weight",
    () => reshape("kv_b_proj", [48, 192]),
    "tensor kv_b_proj has shape [48,192], needed is [192,48]",
  ],
  ["an odd latent width", () => file(tensors({ R: 40 })), "R is 40, needed is a positive multiple of 16"],
  ["an odd rope width", () => file(tensors({ Dr: 8 })), "Dr is 8, needed is 0, 16, 32 or 64"],
  ["an odd head width", () => file(tensors({ Dv: 12 })), "Dv is 12, needed is a positive multiple of 8"],
  [
    "a NaN",
    () => wrong((made) => (made.q_pe.data as Float32Array)[5] = NaN),
    "tensor q_pe holds NaN at element 5, all values must be finite",
  ],
  [
    "a scale of zero",
    () => file(tensors(), { softmax_scale: "0" }),
    'softmax_scale is "0", needed is a positive number',
  ],
  ["a scale that is no number", () => file(tensors(), { softmax_scale: "auto" }), 'softmax_scale is "auto"'],
];

for (const [what, bytes, message] of BROKEN) {
  Deno.test(`readRecorded() refuses ${what} in one line`, () => {
    const error = assertThrows(() => readRecorded(bytes(), "x.safetensors"), SyntaxError);
    assertStringIncludes(error.message, message);
    assertMatch(error.message, /^Cannot replay x\.safetensors: .*$/);
  });
}

Deno.test("recordedInputs() shares permuted pages between sequences of every length", () => {
  const recorded = readRecorded(file(tensors()), "x");
  const { shape, pages, pageTable, tableWidth, cache } = recordedInputs(recorded, { page: 8, cache: "f32" });
  assertEquals([shape.B, shape.kv.join(), tableWidth], [21, Array.from({ length: 21 }, (_, b) => b + 1).join(), 4]);
  const last = [...pageTable.subarray(20 * 4, 20 * 4 + 3)];
  assert(new Set(last).size === 3 && last.every((page) => page >= 0 && page < pages));
  for (let b = 0; b < 21; b++) {
    const owned = Math.ceil((b + 1) / 8);
    const row = [...pageTable.subarray(b * 4, (b + 1) * 4)];
    assertEquals(row.slice(0, owned), last.slice(0, owned));
    assert(row.slice(owned).every((entry) => HOSTILE_ENTRIES.includes(entry)));
  }
  const values = decode(cache, "f32");
  const token = (last[2] * 8 + 4) * 64;
  assertEquals(values.slice(token, token + 48), recorded.compressedKv.slice(20 * 48));
  assertEquals(values.slice(token + 48, token + 64), recorded.kpe.slice(20 * 16));
  assertEquals(values[token + 64], NaN);
});

Deno.test("recordedInputs() refuses values beyond the range of f16", () => {
  const recorded = readRecorded(wrong((made) => (made.compressed_kv.data as Float32Array)[7] = 7e4), "x");
  recordedInputs(recorded, { page: 8, cache: "bf16" });
  const error = assertThrows(() => recordedInputs(recorded, { page: 8, cache: "f16" }), RangeError);
  assertStringIncludes(error.message, "compressed_kv holds 70000 at element 7, the largest f16 is 65504");
});

Deno.test("recordedAppendInputs() and the append reference build the cache that recordedInputs() has", () => {
  const recorded = readRecorded(file(tensors()), "x");
  for (const cache of DTYPES) {
    const inputs = recordedAppendInputs(recorded, { page: 8, cache });
    const expected = recordedInputs(recorded, { page: 8, cache }).cache;
    assertEquals(checkCache(inputs, expected, appendReference(inputs)).passed, true);
    assertEquals(checkCache(inputs, expected, inputs.cache).passed, false);
  }
});

/** What `checkRecorded` says of the reference itself, rounded to f32. */
function checkReference(recorded: RecordedTensors, cache: Dtype) {
  const inputs = recordedInputs(recorded, { page: 16, cache });
  return checkRecorded(recorded, inputs, Float32Array.from(attendAbsorbed(inputs).out));
}

for (const name of ["glm47flash-h2-r512", "minicpm3-h5-r256", "mistral4-h8-r256", "sharp-h3-r256", "v2lite-h4-r512"]) {
  Deno.test(`checkRecorded() passes ${name} in every dtype, and fails when one value of out moves by 0.5`, async () => {
    const recorded = await golden(name);
    for (const cache of DTYPES) {
      const honest = checkReference(recorded, cache);
      assertEquals([honest.passed, honest.message], [true, undefined]);
      assert(honest.budgetUsed! < 0.5, `${cache}: ${honest.budgetUsed}`);
      for (const sign of [-1, 1]) {
        const out = recorded.out.slice();
        const element = Math.floor(out.length / 3);
        out[element] += 0.5 * sign;
        const check = checkReference({ ...recorded, out }, cache);
        assertEquals([check.passed, check.mismatches], [false, 1]);
        const { sequence, head, dim } = check.worst!;
        assertEquals((sequence * recorded.H + head!) * recorded.Dv + dim!, element);
      }
    }
  });
}

Deno.test("checkRecorded() passes an honest f32 kernel on small recordings and fails faulty ones", () => {
  for (const Dr of [0, 16]) {
    const recorded = readRecorded(file(tensors({ Dr })), "x");
    for (const cache of DTYPES) {
      const inputs = recordedInputs(recorded, { page: 4, cache });
      const check = (options: Parameters<typeof emulateAttend>[1]) =>
        checkRecorded(recorded, inputs, emulateAttend(inputs, options).out).passed;
      assert(check({ order: "serial" }) && check({ order: "tiled" }));
      for (const fault of ["last_token_dropped", "one_key_skipped", "zeros", "mean_of_values"] as const) {
        assertEquals(check({ order: "tiled", fault }), false, `${cache} ${fault}`);
      }
      assertEquals(check({ order: "tiled", fault: "scale_off_by_1_percent" }), cache === "bf16");
    }
  }
});

Deno.test("checkRecorded() allows for products in f16 where they are declared, and finds a token that is missing all the same", () => {
  const recorded = readRecorded(file(tensors({})), "x");
  const inputs = recordedInputs(recorded, { page: 4, cache: "f16" });
  const check = (precision: KernelPrecision, fault?: F16Fault) => {
    const { out } = f16Attend(inputs, { scores: precision.scores !== "f32", seed: 3, fault });
    return checkRecorded(recorded, inputs, out, precision);
  };
  for (const precision of [F16_VALUES, F16_ALL]) {
    assertLess(check(precision).budgetUsed!, 0.6);
    assertEquals(check(precision, "token_dropped").passed, false);
  }
});
