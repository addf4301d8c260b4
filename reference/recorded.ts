/**
 * Recorded tensors of an MLA layer: one causal prefill of T tokens with its output, as `goldens/README.md` describes.
 *
 * @module
 */
import { type Dtype, DTYPE_BYTES } from "./dtypes.ts";
import { absorb } from "./expanded.ts";
import type { AppendInputs, AttendInputs } from "./inputs.ts";
import { allocatePages, HOSTILE_ENTRIES, poisonedCache, SPARE_ENTRIES } from "./paging.ts";
import { encodeFinite, PAGE_KEY } from "./recorded_encoding.ts";
import { queryStarts } from "./rows.ts";
import { readSafetensors, type Tensor } from "./safetensors.ts";
import { sha256 } from "./sha256.ts";
import { type AttendShape, type CacheShape, pagesOf } from "./shapes.ts";

/** A recording: sizes, scale and tensors. */
export interface RecordedTensors {
  /** Name of the file, without folder and extension. */
  readonly name: string;
  /** First eight hexadecimal digits of the file's SHA-256. */
  readonly hash8: string;
  /** Tokens. */
  readonly T: number;
  /** Heads. */
  readonly H: number;
  /** `kv_lora_rank`. */
  readonly R: number;
  /** `qk_nope_head_dim`. */
  readonly Dn: number;
  /** `qk_rope_head_dim`. */
  readonly Dr: number;
  /** `v_head_dim`. */
  readonly Dv: number;
  /** Softmax scale. */
  readonly scale: number;
  /** Queries without position `[T, H, Dn]`. */
  readonly qNope: Float32Array;
  /** Rope part of the queries `[T, H, Dr]`. */
  readonly qPe: Float32Array;
  /** Latents `[T, R]`. */
  readonly compressedKv: Float32Array;
  /** Rope keys `[T, Dr]`. */
  readonly kpe: Float32Array;
  /** `kv_b_proj` `[H·(Dn+Dv), R]`: per head Dn rows W_k, then Dv rows W_v. */
  readonly kvB: Float32Array;
  /** Recorded output `[T, H, Dv]`, before the output projection. */
  readonly out: Float32Array;
}

/** What the operations take of each size (`AttendShape`). */
const SIZE_RULES: readonly (readonly [size: "T" | "H" | "R" | "Dn" | "Dr" | "Dv", (n: number) => boolean, string])[] = [
  ["T", (n) => n >= 1, "at least 1"],
  ["H", (n) => n >= 1, "at least 1"],
  ["R", (n) => n >= 16 && n % 16 === 0, "a positive multiple of 16"],
  ["Dn", (n) => n >= 8 && n % 8 === 0, "a positive multiple of 8"],
  ["Dr", (n) => [0, 16, 32, 64].includes(n), "0, 16, 32 or 64"],
  ["Dv", (n) => n >= 8 && n % 8 === 0, "a positive multiple of 8"],
];

/**
 * Reads a recording: tensors `q_nope` `[T, H, Dn]`, `q_pe` `[T, H, Dr]`, `compressed_kv` `[T, R]` or `[1, T, R]`, `kpe`
 * `[T, Dr]`, `[T, 1, Dr]` or `[1, T, Dr]`, `kv_b_proj` `[H·(Dn+Dv), R]` and `out` `[T, H, Dv]`, all finite; metadata
 * `softmax_scale`, by default 1/√(Dn+Dr). Other tensors and metadata are ignored.
 *
 * @param file Name or path of the file, for the name of the recording and for messages.
 * @throws {SyntaxError} If the file is not valid safetensors, a tensor is missing or has the wrong shape, or a value
 * does not fit; the message is one line.
 */
export function readRecorded(bytes: Uint8Array, file: string): RecordedTensors {
  const fail = (reason: string): never => {
    throw new SyntaxError(`Cannot replay ${file}: ${reason}`);
  };
  const { metadata, tensors } = read(bytes, file);
  const find = (name: string): Tensor =>
    tensors.get(name) ?? fail(`tensor ${name} is missing, there are ${list(tensors)}`);
  const last = (name: string, symbols: string): number => {
    const { shape } = find(name);
    return shape.length < 2 ? fail(`tensor ${name} has shape [${shape}], needed is [${symbols}]`) : shape.at(-1)!;
  };
  const queries = find("q_nope").shape;
  if (queries.length !== 3) fail(`tensor q_nope has shape [${queries}], needed is [T, H, Dn]`);
  const [T, H, Dn] = queries;
  const Dr = last("q_pe", "T, H, Dr");
  const R = last("compressed_kv", "T, R");
  const Dv = last("out", "T, H, Dv");
  const dims = { T, H, R, Dn, Dr, Dv };
  for (const [size, holds, rule] of SIZE_RULES) {
    if (!holds(dims[size])) fail(`${size} is ${dims[size]}, needed is ${rule}`);
  }
  const values = (name: string, ...shapes: readonly (readonly number[])[]): Float32Array => {
    const { shape, data } = find(name);
    if (!shapes.some((needed) => needed.join() === shape.join())) {
      fail(`tensor ${name} has shape [${shape}], needed is ${shapes.map((needed) => `[${needed}]`).join(" or ")}`);
    }
    const bad = data.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) fail(`tensor ${name} holds ${data[bad]} at element ${bad}, all values must be finite`);
    return data;
  };
  const scaleText = metadata.softmax_scale;
  const scale = scaleText === undefined ? 1 / Math.sqrt(Dn + Dr) : Number(scaleText);
  if (!(scale > 0 && Number.isFinite(scale))) {
    fail(`softmax_scale is ${JSON.stringify(scaleText)}, needed is a positive number`);
  }
  return {
    name: file.replace(/^.*[\\/]/, "").replace(/\.safetensors$/, ""),
    hash8: sha256(bytes).slice(0, 8),
    ...dims,
    scale,
    qNope: values("q_nope", [T, H, Dn]),
    qPe: values("q_pe", [T, H, Dr]),
    compressedKv: values("compressed_kv", [T, R], [1, T, R]),
    kpe: values("kpe", [T, Dr], [T, 1, Dr], [1, T, Dr]),
    kvB: values("kv_b_proj", [H * (Dn + Dv), R]),
    out: values("out", [T, H, Dv]),
  };
}

function read(bytes: Uint8Array, file: string): ReturnType<typeof readSafetensors> {
  try {
    return readSafetensors(bytes);
  } catch (error) {
    throw new SyntaxError(`Cannot replay ${file}: ${(error as Error).message}`);
  }
}

function list(tensors: ReadonlyMap<string, Tensor>): string {
  return tensors.size === 0 ? "none" : [...tensors.keys()].map((name) => JSON.stringify(name)).join(", ");
}

/** How a recording is put into a cache. */
export interface ReplayOptions {
  /** Tokens per page. */
  readonly page: number;
  /** Element type of the cache. */
  readonly cache: Dtype;
}

/**
 * All decode steps of a recording as one batch: sequence `b` has b+1 tokens in the cache and query token b. The
 * sequences share their pages: every row of the page table is a prefix of one permuted list, then hostile. Absorbed
 * queries are computed in f64 and rounded once to f32.
 *
 * @throws {RangeError} If a latent or rope key is beyond the range of the cache's dtype.
 */
export function recordedInputs(recorded: RecordedTensors, { page, cache: dtype }: ReplayOptions): AttendInputs {
  const { T, H, R, Dn, Dr, Dv, scale } = recorded;
  const kv = Array.from({ length: T }, (_, b) => b + 1);
  const q = kv.map(() => 1);
  const shape: AttendShape = { B: T, H, R, Dr, Dn, Dv, q, kv, page, cache: dtype, scale, causal: true };
  const { pages, owned } = allocatePages([T], page, PAGE_KEY);
  const tableWidth = owned.length + SPARE_ENTRIES;
  const pageTable = Int32Array.from({ length: T * tableWidth }, (_, i) => HOSTILE_ENTRIES[i % HOSTILE_ENTRIES.length]);
  for (let b = 0; b < T; b++) pageTable.set(owned.subarray(0, pagesOf(kv[b], page)), b * tableWidth);
  const cache = poisonedCache(shape, pages);
  const size = DTYPE_BYTES[dtype];
  const latents = encodeFinite(recorded.compressedKv, "compressed_kv", recorded, dtype);
  const ropes = encodeFinite(recorded.kpe, "kpe", recorded, dtype);
  for (let t = 0; t < T; t++) {
    const at = (owned[Math.floor(t / page)] * page + t % page) * (R + Dr) * size;
    cache.set(latents.subarray(t * R * size, (t + 1) * R * size), at);
    cache.set(ropes.subarray(t * Dr * size, (t + 1) * Dr * size), at + R * size);
  }
  return {
    shape,
    qLatent: Float32Array.from(absorb(recorded.qNope, recorded.kvB, recorded)),
    qPe: recorded.qPe,
    cache,
    pages,
    pageTable,
    tableWidth,
    kvLen: Int32Array.from(kv),
    cuSeqlen: queryStarts(shape),
  };
}

/** All tokens of a recording as one `append` into an empty cache. */
export function recordedAppendInputs(recorded: RecordedTensors, { page, cache }: ReplayOptions): AppendInputs {
  const { T, R, Dr } = recorded;
  const shape: CacheShape & { B: number; q: number[]; kv: number[] } = { R, Dr, page, cache, B: 1, q: [T], kv: [T] };
  const { pages, starts, owned } = allocatePages([T], page, PAGE_KEY);
  return {
    shape,
    compressedKv: recorded.compressedKv,
    kpe: recorded.kpe,
    cuSeqlen: Int32Array.of(0, T),
    cuNumPages: starts,
    cacheLoc: owned,
    inputPos: Int32Array.of(0),
    cache: poisonedCache(shape, pages),
    pages,
  };
}
