/**
 * The axes of a sweep: names, defaults and allowed values. How values are written is in `axis_values.ts`.
 *
 * @module
 */
import { type Operation, OPERATIONS } from "../kernels/kernel.ts";
import { DTYPES } from "../reference/dtypes.ts";
import { INPUT_KINDS, LAYOUTS, PROJECTED_KINDS } from "../reference/shapes.ts";
import { TOLERANCES } from "../reference/tolerances.ts";

/** Name of an axis: the key of a case id and the name `--axis` takes. */
export type AxisName =
  | "B"
  | "H"
  | "R"
  | "Dr"
  | "Dn"
  | "Dv"
  | "q"
  | "kv"
  | "page"
  | "cache"
  | "layout"
  | "input"
  | "seed"
  | "causal"
  | "scale"
  | "splits"
  | "rows"
  | "tile"
  | "threads"
  | "part"
  | "weight"
  | "padding"
  | "lse"
  | "form"
  | "tol";

/** Value of an axis: a number, a word (`bf16`, `auto`), or lengths as a case id writes them (`1,63,64`). */
export type AxisValue = number | string;

/** Values of some axes. */
export type AxisValues = { readonly [K in AxisName]?: AxisValue };

/** What every axis has. */
export interface AxisBase {
  /** Name. */
  readonly name: AxisName;
  /** Value of a case that does not say. */
  readonly default: AxisValue;
  /** What it means, in one line. */
  readonly summary: string;
  /** Operations that have it. */
  readonly operations: readonly Operation[];
  /** Whether a case id writes it even when it is the default. */
  readonly always: boolean;
}

/** An axis of integers. */
export interface IntegerAxis extends AxisBase {
  /** Tag. */
  readonly kind: "integer";
  /** Smallest value. */
  readonly min: number;
  /** Largest value. */
  readonly max: number;
  /** What every value is a multiple of. */
  readonly multipleOf: number;
  /** A word that is allowed beside the integers. */
  readonly word?: string;
}

/** An axis of decimal numbers of either sign, none of them 0. */
export interface DecimalAxis extends AxisBase {
  /** Tag. */
  readonly kind: "decimal";
  /** Smallest magnitude. */
  readonly min: number;
  /** Largest magnitude. */
  readonly max: number;
  /** A word that is allowed beside the numbers. */
  readonly word: string;
}

/** An axis with a few named values. */
export interface ChoiceAxis extends AxisBase {
  /** Tag. */
  readonly kind: "choice";
  /** The values. */
  readonly choices: readonly AxisValue[];
  /** The values of operations that have fewer of them. */
  readonly choicesOf?: { readonly [O in Operation]?: readonly AxisValue[] };
}

/** An axis of sequence lengths: one for all sequences of the batch, a list, or a generator. */
export interface LengthsAxis extends AxisBase {
  /** Tag. */
  readonly kind: "lengths";
  /** Whether `boundary` is a value. */
  readonly boundary: boolean;
  /** Operations of which it may name several calls, in steps joined by `>`. */
  readonly steps: readonly Operation[];
}

/** Any axis; `kind` tells which. */
export type Axis = IntegerAxis | DecimalAxis | ChoiceAxis | LengthsAxis;

/** Largest value of an integer that a kernel holds in an i32. */
export const MAX_INT32 = 2 ** 31 - 1;

/** Most sequences in a batch: more would only exhaust the host's memory. */
export const MAX_BATCH = 65_536;

/** Value of `tol` that asks for no tolerance but this project's own bounds. */
export const NO_TOLERANCE = "none";

type Common = Omit<AxisBase, "name" | "always"> & Partial<Pick<AxisBase, "always">>;

const always = true;

/** Operations with a paged cache, and so with lengths of it. */
const CACHED: readonly Operation[] = ["attend", "append", "prefill", "mla"];
/** Operations with heads. */
const HEADED: readonly Operation[] = ["attend", "project", "prefill", "mla"];
/** Operations with a softmax. */
const ATTENDING: readonly Operation[] = ["attend", "prefill", "mla"];
/** Operations with the weight of a projection. */
const WEIGHTED: readonly Operation[] = ["project", "prefill", "mla"];

function integers(name: AxisName, options: Common & Partial<IntegerAxis>): IntegerAxis {
  return { kind: "integer", min: 1, max: MAX_INT32, multipleOf: 1, name, always: false, ...options };
}

function decimals(name: AxisName, options: Common & Pick<DecimalAxis, "word" | "min" | "max">): DecimalAxis {
  return { kind: "decimal", name, always: false, ...options };
}

function choice(name: AxisName, options: Common & Pick<ChoiceAxis, "choices" | "choicesOf">): ChoiceAxis {
  return { kind: "choice", name, always: false, ...options };
}

function lengths(name: AxisName, options: Common & Pick<LengthsAxis, "boundary" | "steps">): LengthsAxis {
  return { kind: "lengths", name, always: false, ...options };
}

const word = "auto";

/** What may be asked of a kernel that declares values of it; those of `mla` are of the kernel by which it attends. */
const TUNABLE_AXES: readonly Axis[] = [
  ["rows", "rows (query token, head) that are computed together; auto is the kernel's choice"] as const,
  ["tile", "tokens that are scored together; auto is the kernel's choice"] as const,
  ["threads", "invocations of a workgroup; auto is the kernel's choice"] as const,
].map(([name, summary]) => integers(name, { default: word, summary, word, operations: ["attend", "mla"] }));

/**
 * Every axis, in the order of the keys of a case id. A new axis has a default that is what cases meant before and is
 * left out of ids, and those that there are keep their order, so that stored ids stay valid.
 */
export const AXES: readonly Axis[] = [
  integers("B", { default: 1, summary: "sequences in the batch", max: MAX_BATCH, operations: OPERATIONS, always }),
  integers("H", { default: 16, summary: "query heads", operations: HEADED, always }),
  integers("R", { default: 256, summary: "kv_lora_rank", min: 16, multipleOf: 16, operations: OPERATIONS, always }),
  choice("Dr", { default: 64, summary: "qk_rope_head_dim", choices: [0, 16, 32, 64], operations: CACHED, always }),
  integers("Dn", { default: 128, summary: "qk_nope_head_dim", min: 8, multipleOf: 8, operations: HEADED }),
  integers("Dv", { default: 128, summary: "v_head_dim", min: 8, multipleOf: 8, operations: HEADED }),
  lengths("q", {
    default: 1,
    summary: "new tokens of each sequence; decode is 1",
    boundary: false,
    steps: ["mla"],
    operations: OPERATIONS,
    always,
  }),
  lengths("kv", {
    default: 65,
    summary: "cached tokens of each sequence, new ones included",
    boundary: true,
    steps: [],
    operations: CACHED,
    always,
  }),
  integers("page", { default: 64, summary: "tokens per page", operations: CACHED, always }),
  choice("cache", {
    default: "bf16",
    summary: "element type of the cache",
    choices: DTYPES,
    operations: CACHED,
    always,
  }),
  choice("layout", {
    default: "combined",
    summary: "latent and rope part in one cache or in two",
    choices: LAYOUTS,
    operations: CACHED,
  }),
  choice("input", {
    default: "normal",
    summary: "kind of the seeded inputs",
    choices: INPUT_KINDS,
    choicesOf: {
      // What is appended is only copied and rounded: one kind has every bit pattern that matters, ties among them.
      append: ["normal"],
      project: PROJECTED_KINDS,
      prefill: PROJECTED_KINDS,
      mla: PROJECTED_KINDS,
    },
    operations: OPERATIONS,
  }),
  integers("seed", {
    default: 0,
    summary: "seed of inputs and random lengths",
    min: 0,
    max: 2 ** 32 - 1,
    operations: OPERATIONS,
  }),
  choice("causal", {
    default: 1,
    summary: "causal rule; decode is the same without",
    choices: [0, 1],
    operations: ATTENDING,
  }),
  decimals("scale", {
    default: word,
    summary: "softmax scale; auto is 1/√(Dn+Dr)",
    word,
    // Generated queries are divided by the scale and must stay f32 numbers.
    min: 1e-30,
    max: 1e30,
    operations: ATTENDING,
  }),
  integers("splits", {
    default: word,
    summary: "KV splits; auto is the kernel's choice",
    word,
    operations: ["attend", "mla"],
  }),
  ...TUNABLE_AXES,
  choice("part", {
    default: "q",
    summary: "which projection: queries into the latent space, or latents to values",
    choices: ["q", "v"],
    operations: ["project"],
    always,
  }),
  choice("weight", { default: "bf16", summary: "element type of kv_b_proj", choices: DTYPES, operations: WEIGHTED }),
  integers("padding", {
    default: 0,
    summary: "output rows past the last token",
    min: 0,
    max: MAX_BATCH,
    operations: WEIGHTED,
  }),
  choice("lse", {
    default: "e",
    summary: "base of the log-sum-exp",
    choices: ["e", "2"],
    operations: ATTENDING,
  }),
  choice("form", {
    default: word,
    summary: "how mla attends; auto is the choice by the shape",
    choices: [word, "absorbed", "expanded"],
    operations: ["mla"],
  }),
  choice("tol", {
    default: NO_TOLERANCE,
    summary: "tolerance of another system's test to meet as well",
    choices: [NO_TOLERANCE, ...Object.keys(TOLERANCES)],
    operations: HEADED,
  }),
];

/** Value of the axis `name` in a case that does not say. */
export function axisDefault(name: AxisName): AxisValue {
  return AXES.find((axis) => axis.name === name)!.default;
}

/** The values that `axis` has for `operation`; all of them without one. */
export function choicesOf(axis: ChoiceAxis, operation?: Operation): readonly AxisValue[] {
  return (operation && axis.choicesOf?.[operation]) ?? axis.choices;
}
