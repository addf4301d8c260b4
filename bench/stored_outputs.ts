/**
 * Outputs of verified cases in a folder, to be compared with those of another adapter: two files.
 *
 * - `outputs.ndjson`: a line `{ outputs: 1, environment }`, then one line per case: id, hash of its inputs, and per
 *   output name, width and number of rows; where they lie in the other file, and their SHA-256.
 * - `outputs.bin`: per case, one output after another, its row numbers as i32, then its rows as f32; little-endian, no
 *   gaps.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { streamKey, uint32At } from "../reference/random.ts";
import type { Environment } from "./result.ts";

/** Rows of one output. */
export interface OutputRows {
  /** `out`, `lse`, … */
  readonly name: string;
  /** Elements of a row. */
  readonly width: number;
  /** Numbers of the rows, ascending. */
  readonly rows: Int32Array;
  /** The rows `[rows, width]`. */
  readonly values: Float32Array;
}

/** Outputs of one case as bytes, for the wire and the file. */
export interface PackedOutputs {
  /** Case id. */
  readonly id: string;
  /** SHA-256 of the inputs, hexadecimal. */
  readonly inputs: string;
  /** What {@linkcode PackedOutputs.data} holds, in order; `cut` where not all rows that have a reference are there. */
  readonly outputs: readonly {
    readonly name: string;
    readonly width: number;
    readonly rows: number;
    readonly cut?: boolean;
  }[];
  /** Row numbers and rows of each. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/** A line of the index. */
interface IndexLine extends Omit<PackedOutputs, "data"> {
  readonly at: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** The index of a folder of outputs; its presence makes a folder one. */
export const OUTPUTS_INDEX = "outputs.ndjson";
const DATA_FILE = "outputs.bin";
/** Elements that are kept of a case: 1 MiB. */
export const MAX_CASE_ELEMENTS: number = 2 ** 18;
/** Bytes that `outputs.bin` may grow to. */
export const MAX_OUTPUT_BYTES: number = 2 ** 29;
const ROW_STREAM = 11;

/**
 * Packs the outputs of a case. Where they have more than `maxElements`, of every output the same rows are kept, those
 * that a fixed hash of their numbers puts first: two adapters that verify different samples keep as many common rows as
 * they can.
 */
export function packOutputs(
  id: string,
  inputs: string,
  outputs: readonly OutputRows[],
  maxElements: number = MAX_CASE_ELEMENTS,
): PackedOutputs {
  const most = Math.floor(maxElements / outputs.reduce((sum, { width }) => sum + width, 0));
  const kept = outputs.map((output) => output.rows.length <= most ? output : keepRows(output, most));
  const parts = kept.flatMap(({ rows, values }) => [rows, values]);
  const data = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    data.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at);
    at += part.byteLength;
  }
  return {
    id,
    inputs,
    outputs: kept.map(({ name, width, rows }, i) => ({
      name,
      width,
      rows: rows.length,
      ...(rows.length < outputs[i].rows.length ? { cut: true } : {}),
    })),
    data,
  };
}

function keepRows({ name, width, rows, values }: OutputRows, most: number): OutputRows {
  const key = streamKey(0, ROW_STREAM);
  const kept = [...rows.keys()]
    .sort((a, b) => uint32At(key, rows[a]) - uint32At(key, rows[b]) || a - b)
    .slice(0, most).sort((a, b) => a - b);
  const keptValues = new Float32Array(kept.length * width);
  kept.forEach((from, to) => keptValues.set(values.subarray(from * width, (from + 1) * width), to * width));
  return { name, width, rows: Int32Array.from(kept, (i) => rows[i]), values: keptValues };
}

function unpack({ outputs }: IndexLine, data: Uint8Array<ArrayBuffer>): OutputRows[] {
  let at = 0;
  return outputs.map(({ name, width, rows }) => {
    const output = {
      name,
      width,
      rows: new Int32Array(data.buffer, at, rows),
      values: new Float32Array(data.buffer, at + 4 * rows, rows * width),
    };
    at += 4 * rows * (1 + width);
    return output;
  });
}

/** A folder that outputs are written to. */
export interface OutputsWriter extends Disposable {
  /** Cases that were stored. */
  readonly stored: number;
  /** Cases of them that were cut. */
  readonly cut: number;
  /** Cases that found no more room. */
  readonly leftOut: number;
  /** Stores the outputs of a case. Of a case that is stored twice the last counts. */
  append(outputs: PackedOutputs): void;
}

/**
 * Starts a folder of outputs, in place of any that is there.
 *
 * @param resume Whether a folder that is there is taken up again.
 * @throws {Error} What the file system says when `dir` cannot be written.
 */
export function writeOutputs(
  dir: string,
  environment: Environment,
  { resume = false, maxBytes = MAX_OUTPUT_BYTES }: { readonly resume?: boolean; readonly maxBytes?: number } = {},
): OutputsWriter {
  Deno.mkdirSync(dir, { recursive: true });
  const indexPath = `${dir}/${OUTPUTS_INDEX}`, dataPath = `${dir}/${DATA_FILE}`;
  const earlier = resume && exists(indexPath) ? wholeLines(Deno.readTextFileSync(indexPath)) : "";
  const ends = lines(earlier).slice(1).map(({ at, bytes }) => (at as number) + (bytes as number));
  let end = Math.max(0, ...ends);
  let stored = ends.length, cut = 0, leftOut = 0;
  const data = Deno.openSync(dataPath, { write: true, create: true, truncate: earlier === "" });
  const index = Deno.openSync(indexPath, { write: true, create: true, truncate: true });
  writeAll(index, encoder.encode(earlier || JSON.stringify({ outputs: 1, environment }) + "\n"));
  return {
    get stored() {
      return stored;
    },
    get cut() {
      return cut;
    },
    get leftOut() {
      return leftOut;
    },
    append(packed) {
      const { data: bytes, ...rest } = packed;
      if (end + bytes.byteLength > maxBytes) {
        leftOut++;
        return;
      }
      data.seekSync(end, Deno.SeekMode.Start);
      writeAll(data, bytes);
      const line: IndexLine = { ...rest, at: end, bytes: bytes.byteLength, sha256: sha256Of(bytes) };
      writeAll(index, encoder.encode(JSON.stringify(line) + "\n"));
      end += bytes.byteLength;
      stored++;
      if (packed.outputs.some(({ cut }) => cut)) cut++;
    },
    [Symbol.dispose]() {
      data.close();
      index.close();
    },
  };
}

/** A folder of outputs to compare with. */
export interface OutputsReader {
  /** Where and with what they were made. */
  readonly environment: Environment;
  /** Ids of the cases. */
  readonly ids: ReadonlySet<string>;
  /** Outputs of a case whose inputs have the hash `inputs`, or why there are none, in one line. */
  read(id: string, inputs: string): OutputRows[] | string;
}

/**
 * Opens the folder `dir`.
 *
 * @throws {SyntaxError} If its index is not one.
 * @throws {Error} What the file system says when it cannot be read.
 */
export function readOutputs(dir: string): OutputsReader {
  const path = `${dir}/${OUTPUTS_INDEX}`;
  let header: Record<string, unknown> | undefined, cases: Record<string, unknown>[];
  try {
    [header, ...cases] = lines(wholeLines(Deno.readTextFileSync(path)));
  } catch (error) {
    if (error instanceof SyntaxError) throw new SyntaxError(`Cannot read ${path}: it holds a line that is not JSON`);
    throw error;
  }
  if (header?.outputs !== 1 || typeof header.environment !== "object") {
    throw new SyntaxError(`Cannot read ${path}: line 1 is not the header of outputs of version 1`);
  }
  const wrong = cases.findIndex((line) => !isIndexLine(line));
  if (wrong >= 0) throw new SyntaxError(`Cannot read ${path}: line ${wrong + 2} does not describe a case`);
  const index = new Map((cases as unknown as IndexLine[]).map((line) => [line.id, line]));
  return {
    environment: header.environment as Environment,
    ids: new Set(index.keys()),
    read(id, inputs) {
      const line = index.get(id);
      if (!line) return `${dir} has no outputs of this case`;
      if (line.inputs !== inputs) return `the inputs of this case were others in ${dir}`;
      const data = readSlice(`${dir}/${DATA_FILE}`, line);
      return data && sha256Of(data) === line.sha256
        ? unpack(line, data)
        : `the outputs of this case in ${dir}/${DATA_FILE} were altered: their SHA-256 is not that of the index`;
    },
  };
}

function isIndexLine(line: Partial<Record<keyof IndexLine, unknown>>): boolean {
  const { id, inputs, sha256, at, bytes, outputs } = line;
  return [id, inputs, sha256].every((text) => typeof text === "string") && [at, bytes].every(Number.isSafeInteger) &&
    Array.isArray(outputs) && bytes === outputs.reduce((sum, { rows, width }) => sum + 4 * rows * (1 + width), 0);
}

/** Bytes of the data file; undefined where it is missing or ends before them. */
function readSlice(path: string, { at, bytes }: IndexLine): Uint8Array<ArrayBuffer> | undefined {
  if (!exists(path)) return undefined;
  using file = Deno.openSync(path);
  file.seekSync(at, Deno.SeekMode.Start);
  const data = new Uint8Array(bytes);
  for (let filled = 0; filled < bytes;) {
    const read = file.readSync(data.subarray(filled));
    if (read === null) return undefined;
    filled += read;
  }
  return data;
}

const encoder = new TextEncoder();

function lines(text: string): Record<string, unknown>[] {
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

/** `text` without a last line that was cut short by a kill. */
function wholeLines(text: string): string {
  return text.slice(0, text.lastIndexOf("\n") + 1);
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
}

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
