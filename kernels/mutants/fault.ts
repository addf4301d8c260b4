/**
 * What a planted fault is: a small named edit of kernels, the real bug that it stands for, and the cases that must see
 * it.
 *
 * @module
 */
import type { CacheLayout, Launch, Operation } from "../kernel.ts";

/** What goes wrong in the faults of each class, in the order in which they are listed. */
export const BUG_CLASSES = {
  variant: "what another version of the operator does differently",
  paging: "pages and slots",
  tail: "the last tile",
  causal: "the causal rule",
  batch: "rows of a mixed batch",
  heads: "heads",
  rope: "the rope term",
  scale: "the softmax scale",
  softmax: "the online softmax",
  merge: "the merge of splits",
  lse: "the log-sum-exp",
  empty: "empty sequences and division by zero",
  race: "missing barriers",
  lanes: "lanes of a team",
  matrices: "tiles of matrices",
  overflow: "integer overflow",
  precision: "precision",
  trivial: "outputs that are no answer",
  append: "tokens written to the cache",
  project: "the products with kv_b_proj",
  prefill: "the expanded form",
  mla: "metadata and order of the whole operator",
  plan: "plan buffers",
} as const;

/** A class of faults. */
export type BugClass = keyof typeof BUG_CLASSES;

/** Sizes of a shape, as far as edits read them; which there are depends on the operation. */
export type Sizes = Readonly<Record<string, unknown>> & {
  readonly H: number;
  readonly R: number;
  readonly Dn: number;
  readonly Dr: number;
  readonly q: readonly number[];
  readonly kv: readonly number[];
};

/** What an edit of a launch may look at. */
export interface LaunchContext {
  /** The shape that is launched. */
  readonly shape: Sizes;
  /** How its cache is allocated. */
  readonly layout: CacheLayout;
}

/** Replaces every occurrence of a text in the shaders of a launch. */
export interface TextEdit {
  /** What must be there: a text, or a global pattern where numbers of elements are part of it. */
  readonly find: string | RegExp;
  /** What takes its place; `$1` is the first group of a pattern. */
  readonly replace: string;
  /**
   * Last part of the label of the dispatches that it is for, `product` for `product_split` as well. A launch without
   * one keeps what it is.
   * @default all, and one of them must have the text
   */
  readonly dispatch?: string;
  /** Values of the shape without which the text is not part of the kernel: `{ cache: "bf16" }`. @default any */
  readonly when?: Readonly<Record<string, unknown>>;
}

/** Changes what a launch says: workgroups, uniforms, bindings, order of dispatches, contents of plan buffers. */
export interface LaunchEdit {
  /** The changed launch; the same object where there is nothing to change. */
  readonly launch: (launch: Launch, context: LaunchContext) => Launch;
}

/** Launches as if the shape were another one. */
export interface ShapeEdit {
  /** The other shape; its buffers must not be larger. */
  readonly shape: (shape: Sizes) => object;
}

/** One edit of a kernel. */
export type Edit = TextEdit | LaunchEdit | ShapeEdit;

/**
 * In place of edits of an `mla` kernel: those of the `attend` kernel of the same variant, planted in the one that it is
 * made of.
 */
export const IN_ITS_ATTEND = "in its attend";

/** A fault. */
export interface Fault {
  /** Name, appended to the variant: `fused-no_scale`. */
  readonly name: string;
  /** Kind of mistake. */
  readonly bugClass: BugClass;
  /** What is wrong, in one line. */
  readonly what: string;
  /** The real bug that it stands for, in one line; `project#number` is an issue of that project. */
  readonly like: string;
  /** Edits by kernel: `attend/fused`. */
  readonly edits: Readonly<Record<string, readonly Edit[] | typeof IN_ITS_ATTEND>>;
  /**
   * Cases that were chosen to see it, by operation, as the part of their id that follows the kernel; tried in this
   * order.
   */
  readonly cases: Readonly<Partial<Record<Operation, readonly string[]>>>;
}

/** The `attend` kernels. */
export const ATTEND: readonly string[] = [
  "attend/unfused",
  "attend/fused",
  "attend/fused_subgroup",
  "attend/fused_f16",
];
/** Those of them in which teams of lanes keep rows in registers. */
export const TEAM: readonly string[] = ["attend/fused_subgroup", "attend/fused_f16"];
/** Those of them with one pass. */
export const FUSED: readonly string[] = ["attend/fused", ...TEAM];
/** The `append` kernels. */
export const APPEND: readonly string[] = ["append/combined", "append/separate"];
/** The `project` kernels. */
export const PROJECT: readonly string[] = ["project/tiled", "project/vector"];
/** The `prefill` kernel. */
export const PREFILL: readonly string[] = ["prefill/fused"];
/** The `mla` kernels. */
export const MLA: readonly string[] = ["mla/unfused", "mla/fused", "mla/fused_subgroup", "mla/fused_f16"];

/** The same edits for several kernels. */
export function inAll(kernels: readonly string[], ...edits: readonly Edit[]): Fault["edits"] {
  return Object.fromEntries(kernels.map((kernel) => [kernel, edits]));
}

/** What stands in `mla` kernels for a fault of the `attend` kernels that they are made of. */
export function inAttendOf(kernels: readonly string[]): Fault["edits"] {
  return Object.fromEntries(kernels.map((kernel) => [kernel, IN_ITS_ATTEND]));
}

/** The same for all of them. */
export const IN_MLA: Fault["edits"] = inAttendOf(MLA);
