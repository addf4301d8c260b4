/**
 * The axes of a sweep: names, defaults, allowed values, and the grammar in which values are written.
 *
 * A value list on the command line (`--axis NAME=VALUES`) is separated by commas; each item is one of
 *
 * | item | means | on |
 * |---|---|---|
 * | `64`, `bf16`, `auto` | one value | every axis |
 * | `0..256:+16` | 0, 16, …, 256: steps of 16, both ends included when the steps reach them (`a..b` steps by 1) | integers, lengths |
 * | `1..64:x2` | 1, 2, 4, …, 64: each twice the last | integers, lengths |
 * | `1+63+64` | one ragged batch of three sequences, written `1,63,64` in a case id | `q`, `kv` |
 * | `rand(1..1024)` | one batch of random lengths made from the seed, the last one 1024 | `q`, `kv` |
 * | `ramp(1..140)` | one batch of lengths 1, 2, …, 140 | `q`, `kv` |
 * | `boundary` | every length next to an edge of the case's pages, tiles and splits | `kv` |
 *
 * In a case id a comma always separates the sequences of one batch, on the command line always two values: that is
 * why a ragged batch is written with `+` there (and `+` needs no quotes in a shell).
 *
 * @module
 */
import type { Operation } from "../kernels/kernel.ts";
import { INPUT_KINDS } from "../reference/shapes.ts";
import { joinWords, quote } from "./words.ts";
import { parseLengths } from "./lengths.ts";

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
  | "splits";

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

/** An axis of positive decimal numbers. */
export interface DecimalAxis extends AxisBase {
  /** Tag. */
  readonly kind: "decimal";
  /** Smallest value. */
  readonly min: number;
  /** Largest value. */
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
}

/** An axis of sequence lengths: one for all sequences of the batch, a list, or a generator. */
export interface LengthsAxis extends AxisBase {
  /** Tag. */
  readonly kind: "lengths";
  /** Whether `boundary` is a value. */
  readonly boundary: boolean;
}

/** Any axis; `kind` tells which. */
export type Axis = IntegerAxis | DecimalAxis | ChoiceAxis | LengthsAxis;

/** Largest value of an integer that a kernel holds in an i32. */
export const MAX_INT32 = 2 ** 31 - 1;

/** Most values one `--axis` may give: more is a typing error. */
export const MAX_AXIS_POINTS = 100_000;

/** Most sequences in a batch: more would only exhaust the host's memory. */
export const MAX_BATCH = 65_536;

type Common = Omit<AxisBase, "name" | "operations" | "always"> & Partial<Pick<AxisBase, "operations" | "always">>;

const attendOnly: Partial<AxisBase> = { operations: ["attend"] };
const always = true;

function common(name: AxisName, options: Common): AxisBase {
  return { name, operations: ["attend", "append"], always: false, ...options };
}

function integers(name: AxisName, options: Common & Partial<IntegerAxis>): IntegerAxis {
  return { kind: "integer", min: 1, max: MAX_INT32, multipleOf: 1, ...options, ...common(name, options) };
}

function decimals(name: AxisName, options: Common & Pick<DecimalAxis, "word" | "min" | "max">): DecimalAxis {
  return { kind: "decimal", ...options, ...common(name, options) };
}

function choice(name: AxisName, options: Common & Pick<ChoiceAxis, "choices">): ChoiceAxis {
  return { kind: "choice", ...options, ...common(name, options) };
}

function lengths(name: AxisName, options: Common & Pick<LengthsAxis, "boundary">): LengthsAxis {
  return { kind: "lengths", ...options, ...common(name, options) };
}

/** Every axis, in the order of the keys of a case id. */
export const AXES: readonly Axis[] = [
  integers("B", { default: 1, summary: "sequences in the batch", max: MAX_BATCH, always }),
  integers("H", { default: 16, summary: "query heads", always, ...attendOnly }),
  integers("R", { default: 256, summary: "kv_lora_rank", min: 16, multipleOf: 16, always }),
  choice("Dr", { default: 64, summary: "qk_rope_head_dim", choices: [0, 16, 32, 64], always }),
  integers("Dn", { default: 128, summary: "qk_nope_head_dim", min: 8, multipleOf: 8, ...attendOnly }),
  integers("Dv", { default: 128, summary: "v_head_dim", min: 8, multipleOf: 8, ...attendOnly }),
  lengths("q", { default: 1, summary: "new tokens of each sequence; decode is 1", boundary: false, always }),
  lengths("kv", { default: 65, summary: "cached tokens of each sequence, new ones included", boundary: true, always }),
  integers("page", { default: 64, summary: "tokens per page", always }),
  choice("cache", { default: "bf16", summary: "element type of the cache", choices: ["f32", "f16", "bf16"], always }),
  choice("layout", { default: "combined", summary: "latent and rope part in one cache", choices: ["combined"] }),
  choice("input", { default: "normal", summary: "kind of the seeded inputs", choices: INPUT_KINDS }),
  integers("seed", { default: 0, summary: "seed of inputs and random lengths", min: 0, max: 2 ** 32 - 1 }),
  choice("causal", { default: 1, summary: "causal rule; decode is the same without", choices: [0, 1], ...attendOnly }),
  decimals("scale", {
    default: "auto",
    summary: "softmax scale; auto is 1/√(Dn+Dr)",
    word: "auto",
    // Generated queries are divided by the scale and must stay f32 numbers.
    min: 1e-30,
    max: 1e30,
    ...attendOnly,
  }),
  integers("splits", {
    default: "auto",
    summary: "KV splits; auto is the kernel's choice",
    word: "auto",
    ...attendOnly,
  }),
];

/** Value of the axis `name` in a case that does not say. */
export function axisDefault(name: AxisName): AxisValue {
  return AXES.find((axis) => axis.name === name)!.default;
}

/** What `--axis` gave: one axis and the values it takes. */
export interface ParsedAxis {
  /** The axis. */
  readonly name: AxisName;
  /** Its values, without repetition, in the order given; at least one. */
  readonly values: readonly AxisValue[];
}

/** Where a value was written. */
export interface ValueSource {
  /** Start of the message of an error: `Cannot read axis "page=0"`. */
  readonly where: string;
  /** `id`: as a case id writes it, `1,63,64`; `axis`: as `--axis` takes it, `1+63+64` and `boundary`. */
  readonly form: "id" | "axis";
}

/** The values `axis` allows, in words that follow "is": `an integer from 1 to 65536`. */
export function allowedValues(axis: Axis, form: ValueSource["form"]): string {
  switch (axis.kind) {
    case "choice":
      return joinWords(axis.choices.map(String));
    case "integer": {
      const what = axis.multipleOf > 1 ? `a multiple of ${axis.multipleOf}` : "an integer";
      const range = `${what} from ${axis.min} to ${axis.max - (axis.max % axis.multipleOf)}`;
      return axis.word ? `${axis.word} or ${range}` : range;
    }
    case "decimal":
      return `${axis.word} or a decimal number from ${axis.min} to ${axis.max} such as 0.5`;
    case "lengths": {
      const symbols = ["rand(a..b)", "ramp(a..b)", ...(axis.boundary && form === "axis" ? ["boundary"] : [])];
      const ragged = `one length per sequence such as ${form === "axis" ? "1+63+64" : "1,63,64"}`;
      return joinWords([`an integer from 0 to ${MAX_INT32}`, ...symbols, ragged]);
    }
    default:
      return axis satisfies never;
  }
}

/**
 * One value of `axis`.
 *
 * @param text As a case id writes it: `64`, `bf16`, `1,63,64`, `rand(1..1024)`.
 * @param source For the message of an error.
 * @returns A number where the text is one number, else the text.
 * @throws {RangeError} If the axis does not allow it.
 */
export function parseAxisValue(axis: Axis, text: string, { where, form }: ValueSource): AxisValue {
  const value = readValue(axis, text);
  if (value === undefined) throw new RangeError(`${where}: ${axis.name} is ${allowedValues(axis, form)}`);
  return value;
}

function readValue(axis: Axis, text: string): AxisValue | undefined {
  switch (axis.kind) {
    case "choice":
      return axis.choices.find((choice) => String(choice) === text);
    case "integer": {
      if (text === axis.word) return text;
      const value = /^(0|[1-9]\d*)$/.test(text) ? Number(text) : NaN;
      return value >= axis.min && value <= axis.max && value % axis.multipleOf === 0 ? value : undefined;
    }
    case "decimal": {
      if (text === axis.word) return text;
      const value = /^\d+(\.\d+)?(e[+-]?\d+)?$/.test(text) ? Number(text) : NaN;
      return value >= axis.min && value <= axis.max ? value : undefined;
    }
    case "lengths":
      return parseLengths(text);
    default:
      return axis satisfies never;
  }
}

/**
 * Reads the argument of `--axis`.
 *
 * @example Lists, ranges, ragged batches
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(parseAxis("page=16,64"), { name: "page", values: [16, 64] });
 * assertEquals(parseAxis("B=1..8:x2").values, [1, 2, 4, 8]);
 * assertEquals(parseAxis("kv=boundary,1+63+64").values, ["boundary", "1,63,64"]);
 * ```
 * @param text `NAME=VALUES` in the grammar of this module.
 * @throws {SyntaxError} If it is not of that form.
 * @throws {RangeError} If the axis is unknown, a range is empty or endless, or a value is not allowed.
 */
export function parseAxis(text: string): ParsedAxis {
  const where = `Cannot read axis ${quote(text)}`;
  const equals = text.indexOf("=");
  if (equals < 1) throw new SyntaxError(`${where}: write NAME=VALUES, for instance page=16,64 or kv=0..256:+16`);
  const name = text.slice(0, equals);
  const axis = AXES.find((axis) => axis.name === name);
  if (!axis) throw new RangeError(`${where}: axes are ${AXES.map((axis) => axis.name).join(", ")}`);
  const values = new Set<AxisValue>();
  for (const item of text.slice(equals + 1).split(",")) {
    if (item === "") {
      throw new SyntaxError(`${where}: a value is missing; ${name} is ${allowedValues(axis, "axis")}`);
    }
    for (const value of parseItem(axis, item, where)) values.add(value);
    if (values.size > MAX_AXIS_POINTS) throw new RangeError(tooMany(where));
  }
  return { name: axis.name, values: [...values] };
}

function parseItem(axis: Axis, item: string, where: string): AxisValue[] {
  const parse = (text: string) => parseAxisValue(axis, text, { where, form: "axis" });
  const isRange = item.includes("..") && !item.includes("(");
  switch (axis.kind) {
    case "choice":
    case "decimal":
      return [parse(item)];
    case "integer":
      return isRange ? expandRange(item, where).map((value) => parse(String(value))) : [parse(item)];
    case "lengths":
      if (axis.boundary && item === "boundary") return [item];
      if (isRange) return expandRange(item, where).map((value) => parse(String(value)));
      return [parse(item.replaceAll("+", ","))];
    default:
      return axis satisfies never;
  }
}

/** The points of `a..b`, `a..b:+step` or `a..b:xfactor`. */
function expandRange(item: string, where: string): number[] {
  const match = /^(\d+)\.\.(\d+)(?::([+x])(-?\d+))?$/.exec(item);
  if (!match) {
    throw new SyntaxError(`${where}: a range is a..b, a..b:+step or a..b:xfactor, for instance 0..256:+16 or 1..64:x2`);
  }
  const [start, end] = [Number(match[1]), Number(match[2])];
  const step = match[4] === undefined ? 1 : Number(match[4]);
  if (!(start <= end)) throw new RangeError(`${where}: the range ${item} is empty; write the smaller end first`);
  if (match[3] === "x") {
    if (!(step >= 2)) throw new RangeError(`${where}: the factor of a range is at least 2`);
    if (start === 0) throw new RangeError(`${where}: a range with a factor starts at 1 or more, 0 stays 0`);
    const points: number[] = [];
    for (let value = start; value <= end; value *= step) points.push(value);
    return points;
  }
  if (!(step >= 1)) throw new RangeError(`${where}: the step of a range is at least 1`);
  const points = Math.floor((end - start) / step) + 1;
  if (!(points <= MAX_AXIS_POINTS)) throw new RangeError(tooMany(where));
  return Array.from({ length: points }, (_, i) => start + i * step);
}

function tooMany(where: string): string {
  return `${where}: an axis takes at most ${MAX_AXIS_POINTS} values`;
}
