/**
 * What a kernel is: data that says how to launch WGSL, never a GPU call. `bench/` compiles and dispatches it.
 *
 * @module
 */
import type { Dtype } from "../reference/dtypes.ts";
import type { KernelPrecision } from "../reference/precision.ts";
import type { AppendShape, AttendShape, Layout, MlaShape, PrefillShape, ProjectShape } from "../reference/shapes.ts";

/** Operations that kernels implement. */
export type Operation = "attend" | "append" | "project" | "prefill" | "mla";

/** Every {@linkcode Operation}, in the order in which reports list them. */
export const OPERATIONS: readonly Operation[] = ["attend", "append", "project", "prefill", "mla"];

/** The part of `GPUSupportedLimits` that a launch is checked against. */
export interface Limits {
  /** Bytes of one storage binding. */
  readonly maxStorageBufferBindingSize: number;
  /** Bytes of one buffer. */
  readonly maxBufferSize: number;
  /** Bytes of workgroup memory. */
  readonly maxComputeWorkgroupStorageSize: number;
  /** Invocations of one workgroup. */
  readonly maxComputeInvocationsPerWorkgroup: number;
  /** Workgroup size along x. */
  readonly maxComputeWorkgroupSizeX: number;
  /** Workgroups per dimension of a dispatch. */
  readonly maxComputeWorkgroupsPerDimension: number;
  /** Storage buffers of one shader stage. */
  readonly maxStorageBuffersPerShaderStage: number;
}

/** What a kernel may know of the device it will run on. */
export interface DeviceTraits {
  /** Features a device can be created with (`shader-f16`, `subgroups`, `timestamp-query`, …). */
  readonly features: ReadonlySet<string>;
  /** Limits of that device. */
  readonly limits: Limits;
  /** Smallest subgroup size; 0 where subgroups are missing. lavapipe 8, SwiftShader 4, NVIDIA 32. */
  readonly subgroupMinSize: number;
  /** Largest subgroup size; 0 where subgroups are missing. */
  readonly subgroupMaxSize: number;
  /** Matrices that a subgroup multiplies. @default {none} */
  readonly subgroupMatrices?: readonly SubgroupMatrix[];
  /**
   * Loop iterations that an invocation gets in all its loops together, where the driver stops there without an error.
   *
   * llvmpipe gives 65,535 and then leaves every loop: one that adds 1 a hundred thousand times ends with 65,535, two of
   * 50,000 end with 65,534 together, and 1,000 × 100 with 64,251. So a loop of n iterations counts n + 1, and one
   * inside another counts each time. Absent: no such limit is known.
   */
  readonly maxLoopIterations?: number;
  /** What names the hardware, as WebGPU tells it: by it measured tunings are found. Absent: none is. */
  readonly adapter?: AdapterIdentity;
}

/** Device feature of {@linkcode SubgroupMatrix}: Dawn's, so far. */
export const SUBGROUP_MATRIX = "chromium-experimental-subgroup-matrix";

/** Matrices `[M, K]` and `[K, N]` that a subgroup multiplies into one `[M, N]`. */
export interface SubgroupMatrix {
  /** Element type of the factors: `f16`. */
  readonly factors: string;
  /** Element type of the product: `f32`. */
  readonly sums: string;
  /** Rows of the product. */
  readonly M: number;
  /** Columns of the product. */
  readonly N: number;
  /** Products of a sum. */
  readonly K: number;
}

/** The members of `GPUAdapterInfo` that name the hardware; empty where the driver does not tell. */
export interface AdapterIdentity {
  /** Maker: `4318` (NVIDIA's PCI id), `apple`. */
  readonly vendor: string;
  /** Family: `hopper`, `metal-3`. */
  readonly architecture: string;
  /** Name: `NVIDIA H200`. */
  readonly description: string;
}

/** Launch parameters that change speed but not the result; part of the case id when they are given. */
export interface Tuning {
  /** KV splits per sequence; absent lets the kernel choose. */
  readonly splits?: number;
  /** Rows (query token, head) that are computed together; absent lets the kernel choose, as for those below. */
  readonly rows?: number;
  /** Tokens that are scored together. */
  readonly tile?: number;
  /** Invocations of a workgroup. */
  readonly threads?: number;
  /** How `mla` attends; absent lets the resolver choose by the shape. */
  readonly form?: "absorbed" | "expanded";
}

/** Parameters of {@linkcode Tuning} of which a kernel declares the values that it takes, in the order of a case id. */
export const TUNABLES = ["rows", "tile", "threads"] as const;

/** One of {@linkcode TUNABLES}. */
export type Tunable = (typeof TUNABLES)[number];

/** Values that a kernel takes of each parameter; of one that is absent it takes none. */
export type Tunings = { readonly [T in Tunable]?: readonly number[] };

/**
 * How a buffer of a launch is used. `input` is never written; `scratch` and `output` are poisoned before each run.
 * `plan` is an input whose content the launch itself gives: what follows from the lengths, such as a work list.
 */
export type BufferRole = "input" | "inout" | "output" | "scratch" | "plan";

/**
 * A buffer of a launch. Names of inputs and outputs are a contract. T is the sum of q, P the padding:
 *
 * | operation | inputs | outputs |
 * |---|---|---|
 * | attend | `q_latent` f32 `[T, H, R]`, `q_pe` f32 `[T, H, Dr]`, the cache, `page_table` i32 `[B, width]`, `kv_len` i32 `[B]`, `cu_seqlen` i32 `[B+1]` | `out` f32 `[T, H, R]`, `lse` or `lse2` f32 `[T, H]` |
 * | append | `compressed_kv` f32 `[T, R]`, `kpe` f32 `[T, Dr]`, `cu_seqlen` i32 `[B+1]`, `cu_num_pages` i32 `[B+1]`, `cache_loc` i32 `[Σpages]`, `input_pos` i32 `[B]` | the cache, in place |
 * | project q | `q_nope` f32 `[T, H, Dn]`, `kv_b_proj` | `q_latent` f32 `[T, H, R]` |
 * | project v | `latent` f32 `[T, H, R]`, `kv_b_proj` | `out` f32 `[T+P, H, Dv]` |
 * | prefill | `q_nope` f32 `[T+P, H, Dn]`, `q_pe` f32 `[T+P, H, Dr]`, `kv_b_proj`, the cache, `page_table`, `kv_len`, `cu_seqlen` | `out` f32 `[T+P, H, Dv]`, `lse` or `lse2` `[T, H]` |
 * | mla | `q_nope`, `q_pe`, `compressed_kv` `[T+P, R]`, `kpe` `[T+P, Dr]`, `kv_b_proj`, `cu_num_pages` i32 `[B+1]`, `cache_loc` i32 `[Σpages]` | the cache, in place; `out` f32 `[T+P, H, Dv]`, `lse` f32 `[T, H]` |
 *
 * The cache is `cache` `[pages, page, R+Dr]`, or in the separate layout `ckv_cache` `[pages, page, R]` and `kpe_cache`
 * `[pages, page, Dr]`; `kv_b_proj` is `[H·(Dn+Dv), R]` in the dtype `weight`. `lse` is the natural log-sum-exp, `lse2`
 * that of base 2; both are −1e30 for a row that sees no token, so scores must stay within ±1e30: below, a row becomes
 * NaN and makes the rows that it is merged with NaN. A kernel binds the inputs it needs. The lengths that count are
 * those of the shape: what follows from them (work lists) is a `plan` buffer, made anew by launching another shape.
 * Tokens that `append` is given at a negative position or past the pages of their sequence are not written.
 */
export interface BufferSpec {
  /** Name, unique in the launch. */
  readonly name: string;
  /** Size in bytes, a multiple of 4 and at least 4 (an empty tensor is bound as 16 bytes nobody reads). */
  readonly bytes: number;
  /** Use. */
  readonly role: BufferRole;
  /** Content of a `plan` buffer, at most `bytes` long; no other role has one. */
  readonly contents?: Uint32Array | Int32Array;
  /**
   * Which work list `contents` is, that of `work_list.ts` or that of `prefill_plan.ts`: from it `reduction.ts` tells
   * which results must not depend on the rest of the batch, bit by bit. Absent: they may, within their bounds.
   */
  readonly list?: "attend" | "prefill";
}

/** A field of the uniform `Params` struct: scalars of 4 bytes only, so the layout is the order. */
export type Param = readonly [name: string, type: "u32" | "f32", value: number];

/** One compute dispatch. Dispatches of a launch run in order, each seeing the writes of those before it. */
export interface DispatchSpec {
  /** Short name, for errors and labels: `scores`, `attend`, `merge`. */
  readonly label: string;
  /** Final WGSL, entry point `main`. Sizes that only change data live in `params`, so equal text means one pipeline. */
  readonly shader: string;
  /** Fields of the uniform at `@binding(0)`, in order; empty when the shader has none. */
  readonly params: readonly Param[];
  /** Names of the storage buffers at `@binding(1)`, `@binding(2)`, … of `@group(0)`. */
  readonly bindings: readonly string[];
  /**
   * Names of the storage buffers at `@binding(0)`, `@binding(1)`, … of `@group(1)`: the paged cache, one buffer or two
   * by its layout (`wgsl.ts` appends the declarations). Absent: the shader has no group 1.
   */
  readonly cacheBindings?: readonly string[];
  /**
   * Whether the shader declares the cache `read_write` though it only reads it. NVIDIA's driver moves loads of what is
   * read only to where they are used, and then nothing can be fetched ahead. What the cache holds is compared all the
   * same. @default {false}
   */
  readonly cacheIsWritable?: boolean;
  /** Workgroups; the bench refuses what exceeds the device's limit. */
  readonly workgroups: readonly [number, number, number];
  /** Invocations per workgroup (the product of `@workgroup_size`). */
  readonly workgroupSize: number;
  /** Bytes of `var<workgroup>` the shader declares: checked against the limit because wgpu does not. */
  readonly workgroupBytes: number;
  /** Upper bound of the iterations of an invocation, as {@linkcode DeviceTraits.maxLoopIterations} counts them. */
  readonly loopIterations?: number;
}

/** How a kernel walks the tokens of a split. */
export interface TokenLoop {
  /** Tokens of an iteration; splits are whole numbers of them. */
  readonly tile: number;
  /** Upper bound of the iterations that one of them costs an invocation, itself and the loops inside it. */
  readonly tileIterations: number;
}

/** How one kernel runs one shape: a description; nothing is compiled or allocated. */
export interface Launch {
  /** Every buffer, inputs, outputs and scratch. */
  readonly buffers: readonly BufferSpec[];
  /** Dispatches in order. */
  readonly dispatches: readonly DispatchSpec[];
  /** What the kernel chose, for the record: `{ splits: 4, rows: 16 }`. */
  readonly chosen: Readonly<Record<string, number>>;
}

/** The sizes that a launch needs beyond the shape: how the cache is allocated. */
export interface CacheLayout {
  /** Physical pages of the cache. */
  readonly pages: number;
  /** Entries per row of `page_table` (attend, prefill), or of `cache_loc` in all (append, mla). */
  readonly tableWidth: number;
}

/** What kernels of every operation `O` on shapes `S` have in common. */
export interface KernelBase<O extends Operation, S> {
  /** What it computes. */
  readonly operation: O;
  /** What distinguishes it from other kernels of the operation: `fused`, `fused_subgroup`. */
  readonly variant: string;
  /** One line for `list` and the report. */
  readonly summary: string;
  /** Device features without which it is skipped. */
  readonly requires: readonly string[];
  /** Layouts of the cache that it takes; suites make no case of another. @default all */
  readonly layouts?: readonly Layout[];
  /** Element types of the cache that it takes; suites make no case of another. @default all */
  readonly dtypes?: readonly Dtype[];
  /**
   * Largest magnitude that the values of a cache may have, by its element type; a case whose cache holds a larger one,
   * but ∞, is skipped. @default any
   */
  readonly largest?: Readonly<Partial<Record<Dtype, number>>>;
  /**
   * Whether it leaves the same bits each time that it runs on the same inputs. Not so is also a `project` that sums in
   * an order which depends on the number of tokens by data alone, without showing in its shaders or in what it chose: a
   * token alone would otherwise have to give the bits that it gives among others. @default {true}
   */
  readonly deterministic?: boolean;
  /**
   * What it computes in. It is held against what honest kernels of that precision err by; only `attend` and `mla`, that
   * of the `attend` in it, may declare less than f32. @default all f32
   */
  readonly precision?: KernelPrecision;
  /**
   * Values of `rows`, `tile` and `threads` that can be asked for; others are refused for it. A combination of them it
   * may still refuse. @default none
   */
  readonly tunings?: Tunings;
  /**
   * Why this kernel cannot run `shape` on `device`, in words that name the value and the choices; undefined when it
   * can. Checked before anything is compiled. Without `device` only the shape is judged.
   */
  refuses(shape: S, tuning: Tuning, device?: DeviceTraits): string | undefined;
  /**
   * Describes the launch. `device` may steer choices (splits), never correctness.
   * @throws {RangeError} If {@linkcode KernelBase.refuses} has a reason.
   */
  launch(shape: S, layout: CacheLayout, tuning: Tuning, device: DeviceTraits): Launch;
}

/** A kernel of the `attend` operation. */
export type AttendKernel = KernelBase<"attend", AttendShape>;
/** A kernel of the `append` operation. */
export type AppendKernel = KernelBase<"append", AppendShape>;
/** A kernel of the `project` operation. It has no cache: the layout it is given is 0 pages. */
export type ProjectKernel = KernelBase<"project", ProjectShape>;
/** A kernel of the `prefill` operation. */
export type PrefillKernel = KernelBase<"prefill", PrefillShape>;
/** A kernel of the `mla` operation: one call, never a flow (`MlaShape.steps` is absent). */
export type MlaKernel = KernelBase<"mla", MlaShape>;
/** Any kernel; `operation` tells which. */
export type Kernel = AttendKernel | AppendKernel | ProjectKernel | PrefillKernel | MlaKernel;

/** `operation/variant`, the name under which a kernel is asked for and reported. */
export function kernelName(kernel: { readonly operation: Operation; readonly variant: string }): string {
  return `${kernel.operation}/${kernel.variant}`;
}
