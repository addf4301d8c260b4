/**
 * Reads `report.json`: a report that comes out of here is what its type says.
 *
 * @module
 */
import { Ajv2020 } from "ajv/2020";
import type { Report } from "../bench/result.ts";
import schema from "./report.schema.json" with { type: "json" };

/** The version of reports that this project writes and reads. */
export const schemaVersion = 1;

/** The part of the validator's errors that a message is made of. */
interface Violation {
  readonly instancePath: string;
  readonly keyword: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly message?: string;
}

/**
 * Parses and validates the text of a report.
 *
 * @param text Content of `report.json`.
 * @param source Where it came from, for the message.
 * @throws {SyntaxError} If `text` is not JSON.
 * @throws {RangeError} If it has another schema version, or two results of one case.
 * @throws {TypeError} If it violates the schema; the message has the path and what was expected.
 */
export function readReport(text: string, source: string): Report {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = text.trim() === "" ? "it is empty" : `it is not JSON (${oneLine((cause as Error).message)})`;
    throw new SyntaxError(`Cannot read report ${source}: ${reason}`);
  }
  return validateReport(value, source);
}

/**
 * Validates a value that may be a report.
 *
 * @param value Parsed JSON.
 * @param source Where it came from, for the message.
 * @throws {RangeError} If it has another schema version, or two results of one case.
 * @throws {TypeError} If it violates the schema; the message has the path and what was expected.
 */
export function validateReport(value: unknown, source: string): Report {
  const version = (value as { schemaVersion?: unknown } | null)?.schemaVersion;
  if (version !== undefined && version !== schemaVersion) {
    throw new RangeError(
      `Cannot read report ${source}: its schemaVersion is ${quote(version)}, this version reads ${schemaVersion}`,
    );
  }
  const violation = firstViolation(value);
  if (violation !== undefined) throw new TypeError(`Cannot read report ${source}: ${describe(violation, value)}`);
  const report = value as Report;
  const seen = new Set<string>();
  for (const { id } of report.results) {
    if (seen.has(id)) throw new RangeError(`Cannot read report ${source}: it has two results of the case ${quote(id)}`);
    seen.add(id);
  }
  return report;
}

let validator: ((value: unknown) => Violation | undefined) | undefined;

/** Compiled on first use: importing this module costs nothing but the parsing of it. */
function firstViolation(value: unknown): Violation | undefined {
  if (validator === undefined) {
    // Conditional branches list only what they add, which strict mode takes for a mistake in two of its checks.
    const validate = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allowUnionTypes: true })
      .compile(schema);
    validator = (value) => validate(value) ? undefined : validate.errors?.[0];
  }
  return validator(value);
}

/** `results[3].measurement.timer must be one of "timestamp-query", "host-slope", not "guess"`. */
function describe({ instancePath, keyword, params, message }: Violation, value: unknown): string {
  const keys = instancePath.split("/").slice(1).map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
  const path = keys.map((key) =>
    /^\d+$/.test(key) ? `[${key}]` : /^[A-Za-z_]\w*$/.test(key) ? `.${key}` : `[${quote(key)}]`
  )
    .join("").replace(/^\./, "");
  const at = path === "" ? "it" : path;
  const found = keys.reduce<unknown>((inner, key) => (inner as Record<string, unknown>)[key], value);
  switch (keyword) {
    case "required":
      return `${at} lacks ${quote(params.missingProperty)}`;
    case "additionalProperties":
      return `${at} has an unknown member ${quote(params.additionalProperty)}`;
    case "enum":
      return `${at} must be one of ${(params.allowedValues as unknown[]).map(quote).join(", ")}, not ${quote(found)}`;
    case "const":
      return `${at} must be ${quote(params.allowedValue)}, not ${quote(found)}`;
    default:
      return `${at} ${message ?? "is invalid"}, not ${quote(found)}`;
  }
}

/** JSON of a value, cut short. */
function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}…`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").slice(0, 120);
}
