/**
 * Writes tokens into the pages of a cache.
 *
 * @module
 */
import { type Dtype, DTYPE_BYTES, encodeInto } from "./dtypes.ts";
import type { KeyRange } from "./input_kinds.ts";
import type { PageAllocation } from "./paging.ts";
import type { CacheShape, InputKind } from "./shapes.ts";

/** Tokens of each sequence that are in the cache before the call, `kv − q`; 0 where q is larger. */
export function cachedBefore({ q, kv }: { readonly q: readonly number[]; readonly kv: readonly number[] }): number[] {
  return kv.map((tokens, b) => Math.max(0, tokens - q[b]));
}

/** A cache that is filled, whole or in parts. */
export interface CacheFill {
  /** Kind of the inputs. */
  readonly kind: InputKind;
  /** Seed of the inputs. */
  readonly seed: number;
  /** Target: a poisoned cache. */
  readonly cache: Uint8Array<ArrayBufferLike>;
  /** Tokens of the batch to fill: the pages whose first token is among them. @default {all} */
  readonly part?: TokenRange;
}

/** Tokens of a batch, sequence-major. */
export interface TokenRange {
  /** First token. */
  readonly begin: number;
  /** Token after the last one. */
  readonly end: number;
}

/** What {@linkcode fillPages} fills. */
export interface PagesToFill {
  /** Sizes. */
  readonly shape: CacheShape;
  /** Which pages the sequences own. */
  readonly allocation: PageAllocation;
  /** Tokens of each sequence to write, from its first on. */
  readonly counts: readonly number[];
  /** Tokens of each sequence that were cached before the call. */
  readonly cached: readonly number[];
  /** Target. */
  readonly cache: Uint8Array<ArrayBufferLike>;
  /** Tokens of the batch to write: the pages whose first token is among them. @default {all} */
  readonly part?: TokenRange;
}

/** Fills the first `counts[b]` tokens of each sequence, page by page: the tokens of one page lie side by side. */
export function fillPages(
  { shape, allocation: { starts, owned }, counts, cached, cache, part = { begin: 0, end: Infinity } }: PagesToFill,
  fill: (range: KeyRange) => void,
): void {
  const { page } = shape;
  const W = shape.R + shape.Dr;
  const size = DTYPE_BYTES[shape.cache];
  const scratch = new Float32Array(Math.min(page, Math.max(0, ...counts)) * W);
  let batchToken = 0;
  counts.forEach((count, b) => {
    for (let token = 0; token < count; token += page) {
      if (batchToken + token < part.begin || batchToken + token >= part.end) continue;
      const n = Math.min(page, count - token);
      const keys = scratch.subarray(0, n * W);
      fill({ keys, sequence: b, token, batchToken: batchToken + token, cached: cached[b] });
      const at = owned[starts[b] + token / page] * page * W * size;
      encodeInto(keys, cache.subarray(at, at + n * W * size), shape.cache);
    }
    batchToken += count;
  });
}

/** Bits of an f32 that the dtype drops, and the smallest magnitude from which it drops just those. */
const DROPPED: Readonly<Record<Dtype, { readonly bits: number; readonly from: number }>> = {
  f32: { bits: 0, from: 0 },
  f16: { bits: 13, from: 2 ** -14 },
  bf16: { bits: 16, from: 2 ** -126 },
};

/**
 * Bits of f32 values on which conversions differ. A NaN has the one payload that every way of narrowing it drops alike.
 */
const SPECIAL_BITS: readonly number[] = [
  0x8000_0000, // −0
  0x7f80_0001, // a NaN that rounding alone would make ∞
  0x477f_f000, // 65520, the least that f16 has no number for
  0xb5a0_0000, // a subnormal of f16
  0x7f80_0000, // ∞
  0xff80_0000, // −∞
  0x7f7f_ffff, // the largest f32, which bf16 rounds to ∞
  0x0001_8001, // a subnormal of f32 and bf16
];

/** Puts values on which conversions differ in the place of every 29th one, beginning with the sixth. */
export function placeSpecials(values: Float32Array<ArrayBuffer>): void {
  const words = new Uint32Array(values.buffer);
  for (let i = 5, n = 0; i < words.length; i += 29) words[i] = SPECIAL_BITS[n++ % SPECIAL_BITS.length];
}

/** Moves every 61st value to the exact middle between two values of the dtype, where that one drops bits at all. */
export function moveToTies(values: Float32Array<ArrayBuffer>, dtype: Dtype): void {
  const { bits, from } = DROPPED[dtype];
  if (bits === 0) return;
  const words = new Uint32Array(values.buffer);
  for (let i = 0; i < values.length; i += 61) {
    if (Math.abs(values[i]) >= from) words[i] = (words[i] & -(2 ** bits)) | 2 ** (bits - 1);
  }
}
