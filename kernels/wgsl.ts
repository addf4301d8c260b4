/**
 * Puts a kernel's WGSL together: the file first, unchanged, so that the line numbers of compiler messages are those of
 * the file; then functions that it shares with other kernels, those that decode or encode the cache, and one `const`
 * per size. Loops and arrays that are marked for it are written out on their lines (`unroll.ts`).
 *
 * @module
 */
import type { Dtype } from "../reference/dtypes.ts";
import type { Layout } from "../reference/shapes.ts";
import bf16 from "./cache_bf16.wgsl" with { type: "text" };
import f16 from "./cache_f16.wgsl" with { type: "text" };
import f32 from "./cache_f32.wgsl" with { type: "text" };
import words16 from "./cache_words_16.wgsl" with { type: "text" };
import wordsF32 from "./cache_words_f32.wgsl" with { type: "text" };
import combined from "./cache_combined.wgsl" with { type: "text" };
import separate from "./cache_separate.wgsl" with { type: "text" };
import narrowBf16 from "./narrow_bf16.wgsl" with { type: "text" };
import narrowF16 from "./narrow_f16.wgsl" with { type: "text" };
import narrowF32 from "./narrow_f32.wgsl" with { type: "text" };
import { unroll } from "./unroll.ts";

const CACHE_TEXT: Readonly<Record<Dtype, string>> = { f32, f16, bf16 };
const LAYOUT_TEXT: Readonly<Record<Layout, string>> = { combined, separate };
const WORDS_TEXT: Readonly<Record<Dtype, string>> = { f32: wordsF32, f16: words16, bf16: words16 };
const NARROW_TEXT: Readonly<Record<Dtype, string>> = { f32: narrowF32, f16: narrowF16, bf16: narrowBf16 };

/** Elements of one `Chunk`, the unit in which kernels address the cache: 16 bytes of f16 or bf16, 32 bytes of f32. */
export const CHUNK = 8;

/** What is appended to a WGSL file. */
export interface WgslParts {
  /** Element type whose `Chunk`, `low` and `high` are appended; absent for kernels that read no cache and no weight. */
  readonly cache?: Dtype;
  /**
   * Layout whose `@group(1)` and `cache_chunk(slot, i)` are appended; absent for kernels that do not read the cache.
   */
  readonly layout?: Layout;
  /** Whether the layout's buffers are declared `read_write` (`DispatchSpec.cacheIsWritable`). @default {false} */
  readonly cacheIsWritable?: boolean;
  /**
   * Whether `rope_pair`, `wide_pair` and `touch` are appended, which read parts of chunks; with `cache` and `layout`.
   * @default false
   */
  readonly words?: boolean;
  /** Texts of functions that several kernels share. */
  readonly shared?: readonly string[];
  /** Cache type to which the appended `narrow` rounds; absent for kernels that do not write the cache. */
  readonly narrow?: Dtype;
  /** Appended as `const NAME = VALUEu;`. Module-scope WGSL is order-free, so the file may use them. */
  readonly constants?: Readonly<Record<string, number>>;
  /** Appended as `const NAME = array<u32, n>(…);`. */
  readonly tables?: Readonly<Record<string, readonly number[]>>;
}

/**
 * The final text of a kernel.
 *
 * @example A size
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(composeWgsl("fn f() -> u32 { return R; }\n", { constants: { R: 512 } }),
 *   "fn f() -> u32 { return R; }\nconst R = 512u;\n");
 * ```
 * @param file Text of a `.wgsl` file, ending in a newline.
 * @throws {RangeError} If a constant is not an unsigned 32-bit integer.
 */
export function composeWgsl(file: string, parts: WgslParts): string {
  const { cache, layout, narrow, words = false, shared = [], constants = {}, tables = {} } = parts;
  const access = parts.cacheIsWritable ? "read_write" : "read";
  const lines = Object.entries(constants).map(([name, value]) => `const ${name} = ${u32(name, value)};\n`);
  const arrays = Object.entries(tables).map(([name, values]) =>
    `const ${name} = array<u32, ${values.length}>(${values.map((value) => u32(name, value)).join(", ")});\n`
  );
  return [file, ...shared].map((text) => unroll(text, constants)).join("") + (cache ? CACHE_TEXT[cache] : "") +
    (layout ? LAYOUT_TEXT[layout].replaceAll("var<storage, read>", `var<storage, ${access}>`) : "") +
    (cache && words ? WORDS_TEXT[cache] : "") +
    (narrow ? NARROW_TEXT[narrow] : "") + lines.join("") + arrays.join("");
}

function u32(name: string, value: number): string {
  if (Number.isInteger(value) && value >= 0 && value < 2 ** 32) return `${value}u`;
  throw new RangeError(`Cannot append ${name} = ${value}: only unsigned 32-bit integers`);
}

/**
 * Workgroups of a dispatch of `items` workgroups, folded over x and y below `limit` per dimension. The kernel reads
 * `x + y·width` and returns where that is past the last item. Past `limit²` items y exceeds the limit, for
 * `checkLimits` to refuse.
 */
export function foldWorkgroups(items: number, limit: number): [number, number, number] {
  const y = Math.max(1, Math.ceil(items / limit));
  return [Math.ceil(items / y), y, 1];
}
