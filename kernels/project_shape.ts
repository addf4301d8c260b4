/**
 * What the `project` kernels have in common: which shapes they take, the product that a part is, and its buffers.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import type { ProjectShape } from "../reference/shapes.ts";
import { MAX_HEADS } from "./attend.ts";
import type { BufferSpec, Param, Tuning } from "./kernel.ts";

/** 16-byte pieces of the padding rows that a thread sets to zero. */
const ZERO_PIECES = 4;

/** Why no `project` kernel runs `shape`, undefined when they do. */
export function refuseProject(shape: ProjectShape, { splits, form }: Tuning): string | undefined {
  const { part, tokens, padding, H, R, Dn, Dv, weight } = shape;
  if (part !== "q" && part !== "v") return `part=${part}: only q, v`;
  if (!(Number.isInteger(tokens) && tokens >= 0 && tokens < 2 ** 31)) return `tokens=${tokens}: only 0 to 2147483647`;
  if (!(Number.isInteger(padding) && padding >= 0 && padding < 2 ** 31)) {
    return `padding=${padding}: only 0 to 2147483647`;
  }
  if (!(Number.isInteger(H) && H >= 1 && H <= MAX_HEADS)) return `H=${H}: only 1 to ${MAX_HEADS}`;
  if (!(Number.isInteger(R) && R >= 16 && R % 16 === 0)) return `R=${R}: only positive multiples of 16`;
  if (!(Number.isInteger(Dn) && Dn >= 8 && Dn % 8 === 0)) return `Dn=${Dn}: only positive multiples of 8`;
  if (!(Number.isInteger(Dv) && Dv >= 8 && Dv % 8 === 0)) return `Dv=${Dv}: only positive multiples of 8`;
  if (!(weight in DTYPE_BYTES)) return `weight=${weight}: only ${Object.keys(DTYPE_BYTES).join(", ")}`;
  if (splits !== undefined) return `splits=${splits}: project has no splits`;
  if (form !== undefined) return `form=${form}: project has no forms`;
  return undefined;
}

/**
 * The product of a head: `out[t, n] = Σ_k x[t, k]·W`, W `[K, N]` rows of `kv_b_proj` (part q), or `[N, K]` rows of it
 * and so transposed (part v). Names are those of the constants that are appended.
 */
export interface HeadProduct extends Readonly<Record<string, number>> {
  /** Length of the sums: Dn, or R. */
  readonly K: number;
  /** Outputs of a token: R, or Dv. */
  readonly N: number;
  /** Length of a row of `kv_b_proj`. */
  readonly R: number;
  /** Rows of `kv_b_proj` of a head. */
  readonly HEAD_ROWS: number;
  /** The first of them that takes part. */
  readonly FIRST_ROW: number;
  /** 1 where its rows are along N, 0 where they are along K. */
  readonly TRANSPOSED: number;
}

/** The product that a part of `project` is. */
export function headProduct({ part, R, Dn, Dv }: ProjectShape): HeadProduct {
  const weight = { R, HEAD_ROWS: Dn + Dv };
  return part === "q"
    ? { K: Dn, N: R, ...weight, FIRST_ROW: 0, TRANSPOSED: 0 }
    : { K: R, N: Dv, ...weight, FIRST_ROW: Dn, TRANSPOSED: 1 };
}

/** Rows of the output that must be zero: part q has none. */
function paddingRows({ part, padding }: ProjectShape): number {
  return part === "v" ? padding : 0;
}

/** The buffers of `project`, in the order of the bindings: activations, weight, output. */
export function projectBuffers(shape: ProjectShape): BufferSpec[] {
  const { part, tokens, H, R, Dn, Dv, weight } = shape;
  const { K, N } = headProduct(shape);
  return [
    { name: part === "q" ? "q_nope" : "latent", bytes: Math.max(16, 4 * tokens * H * K), role: "input" },
    { name: "kv_b_proj", bytes: H * (Dn + Dv) * R * DTYPE_BYTES[weight], role: "input" },
    {
      name: part === "q" ? "q_latent" : "out",
      bytes: Math.max(16, 4 * (tokens + paddingRows(shape)) * H * N),
      role: "output",
    },
  ];
}

/** Workgroups of a launch and the fields of its uniform that all `project` kernels share. */
export interface ProjectGrid {
  /** Workgroups: those of the product, then those that write the zeros of the padding rows. */
  readonly workgroups: number;
  /** Fields. */
  readonly params: readonly Param[];
}

/** The grid of a kernel whose product takes `items` workgroups of `threads` each. */
export function projectGrid(shape: ProjectShape, items: number, threads: number): ProjectGrid {
  const { tokens, H } = shape;
  const quads = H * headProduct(shape).N / 4;
  const zeros = paddingRows(shape) * quads;
  return {
    workgroups: items + Math.ceil(zeros / (ZERO_PIECES * threads)),
    params: [
      ["tokens", "u32", tokens],
      ["heads", "u32", H],
      ["items", "u32", items],
      ["zero_begin", "u32", tokens * quads],
      ["zero_end", "u32", tokens * quads + zeros],
    ],
  };
}
