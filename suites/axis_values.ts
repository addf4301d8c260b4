/**
 * The grammar in which values of axes are written.
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
 * | `normal(2..140)`, `idle(2..140)` | lengths around 140, none below 2; with `idle` half of them 0 | `q`, `kv` |
 * | `32+16>16+8>1x5` | a flow of calls: the new tokens of each, `1x5` five calls of one token | `q` of `mla` |
 * | `boundary` | every length next to an edge of the case's pages, tiles and splits | `kv` |
 *
 * In a case id a comma always separates the sequences of one batch, on the command line always two values: that is
 * why a ragged batch is written with `+` there (and `+` needs no quotes in a shell, while `>`, `*` and brackets do).
 *
 * @module
 */
import type { Operation } from "../kernels/kernel.ts";
import { AXES, type Axis, type AxisName, type AxisValue, choicesOf, MAX_INT32 } from "./axes.ts";
import { GENERATORS, parseLengths } from "./lengths.ts";
import { hasSteps, parseSteps } from "./steps.ts";
import { joinWords, quote } from "./words.ts";

/** Most values one `--axis` may give: more is a typing error. */
export const MAX_AXIS_POINTS = 100_000;

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
  /** Operation of the case, where it is known: some values are not for all. */
  readonly operation?: Operation;
}

/** The values `axis` allows, in words that follow "is": `an integer from 1 to 65536`. */
export function allowedValues(axis: Axis, { form, operation }: Omit<ValueSource, "where">): string {
  switch (axis.kind) {
    case "choice":
      return joinWords(choicesOf(axis, operation).map(String));
    case "integer": {
      const what = axis.multipleOf > 1 ? `a multiple of ${axis.multipleOf}` : "an integer";
      const range = `${what} from ${axis.min} to ${axis.max - (axis.max % axis.multipleOf)}`;
      return axis.word ? `${axis.word} or ${range}` : range;
    }
    case "decimal":
      return `${axis.word} or a decimal number from ${axis.min} to ${axis.max} such as 0.5, or minus such a number`;
    case "lengths": {
      const symbols = GENERATORS.map((name) => `${name}(a..b)`);
      if (axis.boundary && form === "axis") symbols.push("boundary");
      const list = form === "axis" ? "1+63+64" : "1,63,64";
      const words = [`an integer from 0 to ${MAX_INT32}`, ...symbols, `one length per sequence such as ${list}`];
      if (allowsSteps(axis, operation)) words.push("the steps of a flow such as 32>1x5");
      return joinWords(words);
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
export function parseAxisValue(axis: Axis, text: string, source: ValueSource): AxisValue {
  const value = readValue(axis, text, source.operation);
  if (value === undefined) {
    throw new RangeError(`${source.where}: ${axis.name} is ${allowedValues(axis, source)}`);
  }
  return value;
}

/** Whether a case of `operation` can have `value` on `axis`. */
export function allowsValue(axis: Axis, value: AxisValue, operation: Operation): boolean {
  return value === "boundary" || readValue(axis, String(value), operation) !== undefined;
}

function allowsSteps(axis: Axis, operation?: Operation): boolean {
  return axis.kind === "lengths" && (operation ? axis.steps.includes(operation) : axis.steps.length > 0);
}

function readValue(axis: Axis, text: string, operation?: Operation): AxisValue | undefined {
  switch (axis.kind) {
    case "choice":
      return choicesOf(axis, operation).find((choice) => String(choice) === text);
    case "integer": {
      if (text === axis.word) return text;
      const value = /^(0|[1-9]\d*)$/.test(text) ? Number(text) : NaN;
      return value >= axis.min && value <= axis.max && value % axis.multipleOf === 0 ? value : undefined;
    }
    case "decimal": {
      if (text === axis.word) return text;
      const value = /^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text) ? Number(text) : NaN;
      const size = Math.abs(value);
      return size >= axis.min && size <= axis.max ? value : undefined;
    }
    case "lengths":
      return hasSteps(text) && allowsSteps(axis, operation) ? parseSteps(text) : parseLengths(text);
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
      throw new SyntaxError(`${where}: a value is missing; ${name} is ${allowedValues(axis, { form: "axis" })}`);
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
