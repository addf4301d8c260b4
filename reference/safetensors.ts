/**
 * Reads the safetensors format: 8 bytes of header length (little-endian), a JSON header
 * `{ name: { dtype, shape, data_offsets: [begin, end] }, __metadata__?: { key: string } }`, then the data, row-major
 * and little-endian, which the tensors must cover without holes or overlaps.
 *
 * @module
 */
import { decode } from "./dtypes.ts";

/** Element types that are read. */
export type SafetensorsDtype = "F64" | "F32" | "F16" | "BF16";

const ELEMENT_BYTES: Readonly<Record<SafetensorsDtype, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2 };

/** A tensor of a file. */
export interface Tensor {
  /** Element type in the file. */
  readonly dtype: SafetensorsDtype;
  /** Dimensions. */
  readonly shape: readonly number[];
  /** Values, exact but for F64, which is rounded to f32. */
  readonly data: Float32Array<ArrayBuffer>;
}

/** Content of a file. */
export interface Safetensors {
  /** The `__metadata__` of the header; empty if there is none. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Tensors by name, in the order of the header. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** Largest header taken, in bytes; the format's own limit. */
const MAX_HEADER_BYTES = 100e6;

function fail(reason: string): never {
  throw new SyntaxError(`Cannot read safetensors: ${reason}`);
}

/** A value of the header, short and on one line. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/**
 * Reads a whole file.
 *
 * @throws {SyntaxError} If anything in it breaks the format, or an element type is not one of F64, F32, F16 and BF16;
 * the message is one line that names the tensor and the value.
 */
export function readSafetensors(bytes: Uint8Array): Safetensors {
  if (bytes.length < 8) fail(`${bytes.length} bytes are too few, the header length alone takes 8`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = view.getBigUint64(0, true);
  if (headerBytes > MAX_HEADER_BYTES) fail(`header length ${headerBytes} is above the format's limit of 100 MB`);
  if (headerBytes > bytes.length - 8) {
    fail(`header length ${headerBytes} reaches past the end of the file of ${bytes.length} bytes`);
  }
  const dataStart = 8 + Number(headerBytes);
  const header = parseHeader(bytes.subarray(8, dataStart));
  const data = bytes.subarray(dataStart);
  let metadata: Record<string, string> = {};
  const entries: Entry[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === "__metadata__") metadata = checkMetadata(value);
    else entries.push(checkEntry(name, value));
  }
  checkLayout(entries, data.length);
  const tensors = new Map<string, Tensor>();
  for (const { name, dtype, shape, begin, end } of entries) {
    tensors.set(name, { dtype, shape, data: readData(dtype, data.slice(begin, end)) });
  }
  return { metadata, tensors };
}

interface Entry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch {
    fail(`the header of ${bytes.length} bytes is not JSON`);
  }
  if (!isObject(header)) fail(`the header is ${show(header)}, not a JSON object`);
  const duplicate = findDuplicateKey(text);
  if (duplicate !== undefined) fail(`the header has the key ${show(duplicate)} twice`);
  return header;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The first key that an object of valid JSON has twice: `JSON.parse` would keep the last silently. */
function findDuplicateKey(json: string): string | undefined {
  const objects: Set<string>[] = [];
  let string = "";
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}:]/g)) {
    if (token === "{") objects.push(new Set());
    else if (token === "}") objects.pop();
    else if (token === ":") {
      const keys = objects[objects.length - 1];
      const key: string = JSON.parse(string);
      if (keys.has(key)) return key;
      keys.add(key);
    } else string = token;
  }
  return undefined;
}

function checkMetadata(value: unknown): Record<string, string> {
  if (!isObject(value)) fail(`__metadata__ is ${show(value)}, not an object`);
  for (const [key, entry] of Object.entries(value)) {
    if (typeof entry !== "string") fail(`__metadata__ has ${show(key)} = ${show(entry)}, not a string`);
  }
  return value as Record<string, string>;
}

function checkEntry(name: string, value: unknown): Entry {
  const tensor = `tensor ${show(name)}`;
  if (!isObject(value)) fail(`${tensor} is ${show(value)}, not an object`);
  const { dtype, shape, data_offsets: offsets, ...rest } = value;
  const [unknownKey] = Object.keys(rest);
  if (unknownKey !== undefined) fail(`${tensor} has the unknown key ${show(unknownKey)}`);
  if (typeof dtype !== "string" || !Object.hasOwn(ELEMENT_BYTES, dtype)) {
    fail(`${tensor} has dtype ${show(dtype)}, read are ${Object.keys(ELEMENT_BYTES).join(", ")}`);
  }
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    fail(`${tensor} has shape ${show(shape)}, not a list of non-negative integers`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize) || offsets[0] > offsets[1]) {
    fail(`${tensor} has data_offsets ${show(offsets)}, not [begin, end] in ascending order`);
  }
  const [begin, end] = offsets as number[];
  const size = ELEMENT_BYTES[dtype as SafetensorsDtype];
  const bytes = (shape as number[]).reduce((a, b) => a * b, size);
  if (bytes !== end - begin) {
    fail(`${tensor} has ${end - begin} bytes of data, but shape ${show(shape)} of ${dtype} takes ${bytes}`);
  }
  return { name, dtype: dtype as SafetensorsDtype, shape, begin, end };
}

function isSize(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** The tensors, by offset, must cover the data exactly. */
function checkLayout(entries: readonly Entry[], dataBytes: number): void {
  let covered = 0;
  for (const { name, begin, end } of entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    const tensor = `tensor ${show(name)}`;
    if (end > dataBytes) fail(`${tensor} ends at byte ${end} of the data, which has only ${dataBytes}`);
    if (begin < covered) fail(`${tensor} starts at byte ${begin} of the data, inside the tensor before it`);
    if (begin > covered) fail(`${tensor} starts at byte ${begin} of the data and leaves a hole from byte ${covered}`);
    covered = end;
  }
  if (covered !== dataBytes) fail(`the data has ${dataBytes} bytes, the tensors cover ${covered}`);
}

function readData(dtype: SafetensorsDtype, bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  switch (dtype) {
    case "F64":
      return Float32Array.from(new Float64Array(bytes.buffer));
    case "F32":
      return decode(bytes, "f32");
    case "F16":
      return decode(bytes, "f16");
    case "BF16":
      return decode(bytes, "bf16");
    default:
      return dtype satisfies never;
  }
}
