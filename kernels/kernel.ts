/**
 * What a kernel is: data that says how to launch WGSL, never a GPU call. `bench/` compiles and dispatches it.
 *
 * @module
 */
import type { AppendShape, AttendShape } from "../reference/shapes.ts";

/** Operations that kernels implement. */
export type Operation = "attend" | "append";

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
  /**
   * Loop iterations that an invocation gets in all its loops together, where the driver stops there without an error.
   *
   * llvmpipe gives 65,535 and then leaves every loop: one that adds 1 a hundred thousand times ends with 65,535, two of
   * 50,000 end with 65,534 together, and 1,000 × 100 with 64,251. So a loop of n iterations counts n + 1, and one inside
   * another counts each time. Absent: no such limit is known.
   */
  readonly maxLoopIterations?: number;
}

/** Launch parameters that change speed but not the result; part of the case id when they are given. */
export interface Tuning {
  /** KV splits per sequence; absent lets the kernel choose. */
  readonly splits?: number;
}

/** How a buffer of a launch is used. `input` is never written; `scratch` and `output` are poisoned before each run. */
export type BufferRole = "input" | "inout" | "output" | "scratch";

/**
 * A buffer of a launch. Names of inputs and outputs are a contract:
 * attend — `q_latent` f32 `[B·q, H, R]`, `q_pe` f32 `[B·q, H, Dr]`, `cache` `[pages, page, R+Dr]`, `page_table` i32
 * `[B, width]`, `kv_len` i32 `[B]` → `out` f32 `[B·q, H, R]`, `lse` f32 `[B·q, H]` (natural log; −1e30 for an empty row).
 * The lengths that count are those of `kv_len`; the launch knows `shape.kv`, whose longest is an upper bound: a longer
 * `kv_len` counts as that, a negative one as 0;
 * append — `compressed_kv` f32 `[tokens, R]`, `kpe` f32 `[tokens, Dr]`, `cu_seqlen` i32 `[B+1]`, `cu_num_pages` i32
 * `[B+1]`, `cache_loc` i32 `[Σpages]`, `input_pos` i32 `[B]` → `cache` (in place). Tokens at a negative position or past the
 * pages of their sequence are not written.
 */
export interface BufferSpec {
  /** Name, unique in the launch. */
  readonly name: string;
  /** Size in bytes, a multiple of 4 and at least 4 (an empty tensor is bound as 16 bytes nobody reads). */
  readonly bytes: number;
  /** Use. */
  readonly role: BufferRole;
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
  /** Entries per row of `page_table` (attend), or of `cache_loc` in all (append). */
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
/** Any kernel; `operation` tells which. */
export type Kernel = AttendKernel | AppendKernel;

/** `operation/variant`, the name under which a kernel is asked for and reported. */
export function kernelName(kernel: { readonly operation: Operation; readonly variant: string }): string {
  return `${kernel.operation}/${kernel.variant}`;
}
