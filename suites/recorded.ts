/**
 * Cases that replay recorded tensors.
 *
 * @module
 */
import type { Dtype } from "../reference/dtypes.ts";
import type { AxisValue } from "./axes.ts";
import type { Case } from "./case.ts";
import { defaultScale, makeCase } from "./case_id.ts";
import { joinSteps } from "./steps.ts";

/** Sizes that a file of recorded tensors holds. */
export interface RecordedDims {
  /** Tokens of the recorded prefill. */
  readonly T: number;
  /** Query heads. */
  readonly H: number;
  /** `kv_lora_rank`. */
  readonly R: number;
  /** `qk_rope_head_dim`. */
  readonly Dr: number;
  /** `qk_nope_head_dim`. */
  readonly Dn: number;
  /** `v_head_dim`. */
  readonly Dv: number;
  /** Softmax scale. */
  readonly scale: number;
}

/** A file of recorded tensors and what it is replayed through. */
export interface RecordedOptions {
  /** Name of the file, without folder and extension. */
  readonly name: string;
  /** First eight hexadecimal digits of its hash. */
  readonly hash8: string;
  /** Its sizes. */
  readonly dims: RecordedDims;
  /** Variants of `attend`. */
  readonly variants: readonly string[];
  /** Variants of `append`, which write all recorded tokens into an empty cache; default none. */
  readonly appendVariants?: readonly string[];
  /** Variants of `mla`, which run the recorded prefill as flows of calls; default none. */
  readonly mlaVariants?: readonly string[];
  /** Page sizes. */
  readonly pages: readonly number[];
  /** Element types of the cache. */
  readonly dtypes: readonly Dtype[];
}

/** Under which case ids name a recording. Characters that an id cannot hold become `_`. */
export function recordedKey({ name, hash8 }: Pick<RecordedOptions, "name" | "hash8">): string {
  return `${name.replace(/[^\w.-]/g, "_")}@${hash8}`;
}

/**
 * Every kernel × page size × dtype on one file. `attend`: all its decode steps as one batch of T sequences of lengths
 * 1…T, which share their pages. `mla`: the prefill at once, in chunks of 64 and of 17 tokens, and with its end token by
 * token. A scale that is not `1/√(Dn+Dr)` is written into the id. Characters that an id cannot hold become `_` in
 * `name`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const dims = { T: 140, H: 8, R: 256, Dr: 64, Dn: 64, Dv: 128, scale: 128 ** -0.5 };
 * const file = { name: "mistral4-h8-r256", hash8: "1a2b3c4d", dims };
 * const [replay] = recordedCases({ ...file, variants: ["fused"], pages: [64], dtypes: ["f32"] });
 * assertEquals(
 *   replay.id,
 *   "attend/fused:B=140;H=8;R=256;Dr=64;Dn=64;q=1;kv=ramp(1..140);page=64;cache=f32;tensors=mistral4-h8-r256@1a2b3c4d",
 * );
 * ```
 * @throws {RangeError} If a size is outside the contract.
 */
export function recordedCases(options: RecordedOptions): Case[] {
  const { dims, variants, appendVariants = [], mlaVariants = [], pages, dtypes } = options;
  const { T, H, R, Dr, Dn, Dv } = dims;
  // The file's scale went through decimal text: a difference of rounding is none.
  const isDefault = Math.abs(dims.scale / defaultScale(dims.Dn, dims.Dr) - 1) <= 1e-9;
  const scale = isDefault ? "auto" : dims.scale;
  const tensors = recordedKey(options);
  const flows = mlaVariants.length > 0 ? recordedFlows(T) : [];
  return pages.flatMap((page) =>
    dtypes.flatMap((cache) => {
      const common = { R, Dr, page, cache, tensors };
      return [
        ...appendVariants.map((variant) => makeCase({ ...common, operation: "append", variant, B: 1, q: T, kv: T })),
        ...variants.map((variant) =>
          makeCase({ ...common, operation: "attend", variant, B: T, H, Dn, Dv, q: 1, kv: `ramp(1..${T})`, scale })
        ),
        // The recorded weight is f32: a rounded one would not give the recorded output.
        ...flows.flatMap((q) =>
          mlaVariants.map((variant) =>
            makeCase({ ...common, operation: "mla", variant, H, Dn, Dv, q, kv: T, scale, weight: "f32" })
          )
        ),
      ];
    })
  );
}

/** Sizes of the chunks of a prefill: whole pages of 64, and one that is no multiple of anything. */
const CHUNKS: readonly number[] = [64, 17];

/** Tokens at the end of a recorded prefill that are replayed one by one; half of a short one. */
const DECODE_STEPS = 24;

/** The flows over which `T` tokens are replayed, each once. */
function recordedFlows(T: number): AxisValue[] {
  const chunked = CHUNKS.map((chunk) => joinSteps(chunksOf(T, chunk)));
  const decoded = Math.min(DECODE_STEPS, Math.floor(T / 2));
  const tokenByToken = joinSteps([T - decoded, ...new Array<number>(decoded).fill(1)]);
  return [...new Set([T, ...chunked, tokenByToken])];
}

function chunksOf(T: number, chunk: number): number[] {
  const chunks = new Array<number>(Math.ceil(T / chunk)).fill(chunk);
  chunks[chunks.length - 1] -= chunks.length * chunk - T;
  return chunks;
}
