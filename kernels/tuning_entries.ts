/**
 * Entries of the table of tunings as a file: reading them, and merging new ones into the table.
 *
 * @module
 */
import { DTYPES } from "../reference/dtypes.ts";
import { kernelName } from "./kernel.ts";
import { KERNELS } from "./registry.ts";
import type { ShapeClass } from "./shape_class.ts";
import type { TuningEntry } from "./tuning_table.ts";
import { refuseTunables, TUNED } from "./tunings.ts";

const ENTRY = ["kernel", "device", "shapes", "tuning", "source"] as const;
const IDENTITY = ["vendor", "architecture", "description"];
const BOUNDS = ["minB", "maxB", "minRows", "maxRows", "minKv", "maxKv", "minR", "maxR"] as const;

/**
 * Reads a table of tunings.
 *
 * @param text JSON: an array of entries.
 * @param path Of the file, for the message of an error.
 * @throws {SyntaxError} If it is none, or an entry names no kernel or asks of it what it does not take, matches every
 * device, has no source, or was measured on a software adapter; the message has one line.
 */
export function readTunings(text: string, path: string): TuningEntry[] {
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`Cannot read tunings "${path}": ${(error as Error).message}`);
  }
  if (!Array.isArray(entries)) throw new SyntaxError(`Cannot read tunings "${path}": it is no array of entries`);
  for (const [i, entry] of entries.entries()) {
    const fault = faultOf(entry);
    if (fault !== undefined) throw new SyntaxError(`Cannot read tunings "${path}": entry ${i + 1}: ${fault}`);
  }
  return entries;
}

function faultOf(entry: unknown): string | undefined {
  if (!isRecord(entry)) return "it is no object";
  if (entry.software === true) return "it was measured on a software adapter, whose times say nothing about GPUs";
  const { kernel, device, shapes, tuning, source } = entry;
  return unknownMember("the entry", entry, ENTRY) ?? faultOfDevice(device) ?? faultOfShapes(shapes) ??
    faultOfTuning(kernel, tuning) ??
    (typeof source === "string" && source.trim() !== "" ? undefined : "source names no measurement");
}

function faultOfDevice(device: unknown): string | undefined {
  if (!isRecord(device)) return "device is no object";
  const names = Object.values(device);
  if (!names.every((name) => typeof name === "string")) return "device has a member that is no text";
  return unknownMember("device", device, IDENTITY) ??
    (names.some((name) => name !== "") ? undefined : `device gives none of ${IDENTITY.join(", ")}`);
}

function faultOfShapes(shapes: unknown): string | undefined {
  if (!isRecord(shapes)) return "shapes is no object";
  const unknown = unknownMember("shapes", shapes, [...BOUNDS, "cache"]);
  const { cache } = shapes as ShapeClass;
  if (cache !== undefined && !DTYPES.includes(cache)) return `shapes.cache is ${cache}: only ${DTYPES.join(", ")}`;
  const wrong = BOUNDS.find((name) => shapes[name] !== undefined && !isCount(shapes[name]));
  return unknown ?? (wrong && `shapes.${wrong} is ${shapes[wrong]}: only integers from 0 on`);
}

function faultOfTuning(name: unknown, tuning: unknown): string | undefined {
  const kernel = KERNELS.find((kernel) => kernel.operation === "attend" && kernelName(kernel) === name);
  const choices = KERNELS.filter(({ operation }) => operation === "attend").map(kernelName).join(", ");
  if (!kernel) return `kernel is ${JSON.stringify(name)}: only ${choices}`;
  if (!isRecord(tuning)) return "tuning is no object";
  const values = Object.values(tuning);
  if (values.length === 0 || !values.every((value) => isCount(value) && value > 0)) return "tuning gives no values";
  return unknownMember("tuning", tuning, TUNED) ?? refuseTunables(kernel, tuning);
}

function unknownMember(what: string, of: Record<string, unknown>, names: readonly string[]): string | undefined {
  const unknown = Object.keys(of).find((name) => !names.includes(name));
  return unknown && `${what} has "${unknown}": only ${names.join(", ")}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0;
}

/** `table` with `entries` before the rest of it; what it had for the same kernel, device and class is replaced. */
export function mergeTunings(table: readonly TuningEntry[], entries: readonly TuningEntry[]): TuningEntry[] {
  const added = new Set(entries.map(keyOf));
  return [...entries, ...table.filter((entry) => !added.has(keyOf(entry)))];
}

function keyOf({ kernel, device, shapes }: TuningEntry): string {
  const members = [
    ...IDENTITY.map((name) => device[name as keyof typeof device]),
    ...BOUNDS.map((name) => shapes[name]),
  ];
  return JSON.stringify([kernel, ...members, shapes.cache]);
}

/** The text of a table as a file. */
export function formatTunings(entries: readonly object[]): string {
  return `${JSON.stringify(entries, undefined, 2)}\n`;
}
