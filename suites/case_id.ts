/**
 * Case ids: `attend/fused:B=4;H=16;R=256;Dr=64;q=1;kv=65;page=64;cache=bf16`.
 *
 * An id is operation, variant and axis values in the order of {@linkcode AXES}. The problem size is always written;
 * the other axes only when they are not at their default, so a case has exactly one id. Recorded tensors come last, as
 * `tensors=name@hash8`. Device and provider are no part of it.
 *
 * @module
 */
import { type Operation, OPERATIONS } from "../kernels/kernel.ts";
import { AXES, type Axis, type AxisName, type AxisValue, type AxisValues } from "./axes.ts";
import { parseAxisValue } from "./axis_values.ts";
import { buildCase } from "./build_case.ts";
import type { Case } from "./case.ts";
import { joinSteps, stepsOf } from "./steps.ts";
import { quote } from "./words.ts";

export { defaultScale } from "./build_case.ts";

/** What a case id says: axes that are absent are at their default. */
export type CaseFields = AxisValues & {
  /** Operation. */
  readonly operation: Operation;
  /** Variant of the kernel; it need not be registered. */
  readonly variant: string;
  /** Recorded tensors: `name@hash8`. */
  readonly tensors?: string;
};

/** Readable, and free of what separates the parts of an id or means something to `--filter`. */
const VARIANT = /^[^\s/:;=*\p{Cc}]+$/u;
const TENSORS = /^[\w.-]+@[0-9a-f]{8}$/;
const ID = new RegExp(`^(${OPERATIONS.join("|")})/([^/:]+):(.+)$`);
const EXAMPLE = "attend/fused:B=4;H=16;R=256;Dr=64;q=1;kv=65;page=64;cache=bf16";

/** The axes of `operation`, in the order of the keys of its ids. */
export function axesOf(operation: Operation): readonly Axis[] {
  return AXES.filter((axis) => axis.operations.includes(operation));
}

/**
 * The id of a case.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const id = formatCaseId({ operation: "attend", variant: "fused", B: 4, R: 256, kv: 65, cache: "bf16" });
 * assertEquals(id, "attend/fused:B=4;H=16;R=256;Dr=64;q=1;kv=65;page=64;cache=bf16");
 * ```
 * @throws {RangeError} If a value is outside what its axis allows, or the operation lacks the axis.
 */
export function formatCaseId(fields: CaseFields): string {
  return formatAxes(fields, completeAxes(fields, describe(fields)));
}

function formatAxes(fields: CaseFields, values: Required<AxisValues>): string {
  const keys = axesOf(fields.operation)
    .filter((axis) => axis.always || values[axis.name] !== axis.default)
    .map((axis) => `${axis.name}=${values[axis.name]}`);
  if (fields.tensors !== undefined) keys.push(`tensors=${fields.tensors}`);
  return `${fields.operation}/${fields.variant}:${keys.join(";")}`;
}

/** Every axis with its value, defaults included; each value checked, equal lengths written as one. */
function completeAxes(fields: CaseFields, where: string): Required<AxisValues> {
  if (!VARIANT.test(fields.variant)) {
    throw new RangeError(`${where}: a variant is a name without spaces and / : ; = *`);
  }
  if (fields.tensors !== undefined && !TENSORS.test(fields.tensors)) {
    throw new RangeError(`${where}: tensors is name@hash8, letters, digits, _ . and - with 8 hexadecimal digits`);
  }
  const values: Partial<Record<AxisName, AxisValue>> = {};
  for (const axis of AXES) {
    const given = fields[axis.name];
    if (given !== undefined && !axis.operations.includes(fields.operation)) {
      throw new RangeError(`${where}: ${fields.operation} has no ${axis.name}`);
    }
    const source = { where, form: "id", operation: fields.operation } as const;
    const value = given === undefined ? axis.default : parseAxisValue(axis, String(given), source);
    values[axis.name] = axis.kind === "lengths"
      ? joinSteps(stepsOf(value).map((step) => unify(step, values.B)))
      : value;
  }
  return values as Required<AxisValues>;
}

/** `65,65,65` as `65` in a batch of three. */
function unify(lengths: AxisValue, B: AxisValue | undefined): AxisValue {
  const list = String(lengths).split(",");
  return list.length === B && list.every((length) => /^\d+$/.test(length) && length === list[0])
    ? Number(list[0])
    : lengths;
}

/**
 * The case that `fields` describe.
 *
 * @throws {RangeError} If a value is outside what its axis allows, or lengths and batch do not fit.
 */
export function makeCase(fields: CaseFields): Case {
  return caseOf(fields, describe(fields));
}

function caseOf(fields: CaseFields, where: string): Case {
  const values = completeAxes(fields, where);
  const axes = {
    ...Object.fromEntries(axesOf(fields.operation).map(({ name }) => [name, values[name]])),
    ...(fields.tensors !== undefined && { tensors: fields.tensors }),
  };
  return buildCase({ ...fields, id: formatAxes(fields, values), axes }, values, where);
}

/** `Cannot build attend/fused with B=4, kv=1,63`: the start of a message about `fields`. */
function describe(fields: CaseFields): string {
  const given = AXES.filter(({ name }) => fields[name] !== undefined).map(({ name }) => `${name}=${fields[name]}`);
  const text = given.join(", ");
  const name = `${fields.operation}/${fields.variant}`;
  return `Cannot build ${name} with ${text.length > 200 ? `${text.slice(0, 200)}…` : text}`;
}

/**
 * Reads a case id. The kernel need not exist: it may be a user's own.
 *
 * @param id What {@linkcode formatCaseId} writes.
 * @returns The same case that a suite expands to under this id.
 * @throws {SyntaxError} If it is no case id: an unknown key, keys twice or out of order, a default written out.
 * @throws {RangeError} If a value is outside what its axis allows.
 */
export function parseCaseId(id: string): Case {
  const where = `Cannot read case id ${quote(id)}`;
  const match = ID.exec(id);
  if (!match) throw new SyntaxError(`${where}: it is operation/variant:key=value;…, for instance ${EXAMPLE}`);
  const operation = match[1] as Operation;
  const fields = { operation, variant: match[2], ...parseKeys(match[3], operation, where) };
  const parsed = caseOf(fields, where);
  if (parsed.id !== id) throw new SyntaxError(`${where}: its one spelling is ${quote(parsed.id)}`);
  return parsed;
}

function parseKeys(text: string, operation: Operation, where: string): Record<string, string> {
  const axes = axesOf(operation);
  const order = [...axes.map((axis) => axis.name as string), "tensors"];
  const values: Record<string, string> = {};
  let last = -1;
  for (const part of text.split(";")) {
    const [key, value] = splitOnce(part);
    const index = order.indexOf(key);
    if (index < 0 || value === undefined) {
      throw new SyntaxError(
        `${where}: ${quote(part)} is no key=value of ${operation}, whose keys are ${order.join(", ")}`,
      );
    }
    if (key in values) throw new SyntaxError(`${where}: ${key} is given twice`);
    if (index < last) {
      throw new SyntaxError(`${where}: ${key} comes before ${order[last]}; the order is ${order.join(", ")}`);
    }
    values[key] = value;
    last = index;
  }
  const missing = axes.find((axis) => axis.always && !(axis.name in values));
  if (missing) throw new SyntaxError(`${where}: ${missing.name} is missing, ${missing.summary}`);
  return values;
}

function splitOnce(part: string): [key: string, value: string | undefined] {
  const equals = part.indexOf("=");
  return equals < 0 ? [part, undefined] : [part.slice(0, equals), part.slice(equals + 1)];
}
