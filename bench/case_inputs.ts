/**
 * What a case is fed and held against: buffers by tensor name, and the checks on what comes back. The same for every
 * variant of one shape.
 *
 * @module
 */
import type { CacheLayout } from "../kernels/kernel.ts";
import { checkAttend, checkCache, checkRecorded } from "../reference/acceptance.ts";
import { appendReference } from "../reference/cache.ts";
import type { Check } from "../reference/check.ts";
import { type AppendInputs, type AttendInputs, makeAppendInputs } from "../reference/inputs.ts";
import { sampleRows } from "../reference/mla.ts";
import { recordedAppendInputs, recordedInputs, type RecordedTensors } from "../reference/recorded.ts";
import type { Case } from "../suites/case.ts";
import type { ReferencePool } from "./reference_pool.ts";

/** Inputs of a case with the reference's answer. */
export interface CaseInputs {
  /** Contents of the buffers with role `input` or `inout`. */
  readonly buffers: ReadonlyMap<string, Uint8Array>;
  /** How the cache is allocated. */
  readonly layout: CacheLayout;
  /** Share of output rows that the checks compare, 0…1. */
  readonly coverage: number;
  /** Compares result buffers, by name, with the reference. */
  check(results: ReadonlyMap<string, Uint8Array>): Check[];
}

/** What {@linkcode makeCaseInputs} needs beside the case. */
export interface CaseInputsOptions {
  /** Where the reference is computed. */
  readonly pool: ReferencePool;
  /** Flops that the reference of one case may cost; above it rows are sampled. */
  readonly referenceBudgetFlops: number;
  /** Recorded tensors by `name@hash8`. */
  readonly recorded?: ReadonlyMap<string, RecordedTensors>;
}

/** Key of the inputs of `c`: cases with equal keys get the same bytes and share their reference. */
export function inputsKey(c: Case): string {
  return JSON.stringify([c.operation, c.shape, c.input, c.seed, c.tensors ?? ""]);
}

/**
 * Makes inputs and reference of `c`.
 *
 * @throws {RangeError} If `c` replays tensors that `options.recorded` does not hold.
 */
export async function makeCaseInputs(c: Case, options: CaseInputsOptions): Promise<CaseInputs> {
  const { pool, referenceBudgetFlops } = options;
  const recorded = c.tensors === undefined ? undefined : options.recorded?.get(c.tensors);
  if (c.tensors !== undefined && !recorded) {
    throw new RangeError(`Cannot replay tensors "${c.tensors}": no --tensors file of that name and content was given`);
  }
  if (c.operation !== "append" && c.operation !== "attend") throw new RangeError("not yet");
  const { page, cache } = c.shape;
  if (c.operation === "append") {
    return appendCase(recorded ? recordedAppendInputs(recorded, { page, cache }) : makeAppendInputs(c.shape, c.seed));
  }
  const inputs = recorded ? recordedInputs(recorded, { page, cache }) : await pool.inputs(c.shape, c.input, c.seed);
  const rows = sampleRows(c.shape, referenceBudgetFlops, c.seed);
  const reference = await pool.attend(inputs, rows);
  const allRows = inputs.qLatent.length / c.shape.R;
  return {
    buffers: attendBuffers(inputs),
    layout: { pages: inputs.pages, tableWidth: inputs.tableWidth },
    coverage: allRows === 0 ? 1 : rows.length / allRows,
    check(results) {
      const out = floats(results, "out"), lse = floats(results, "lse");
      const checks = checkAttend(inputs, reference, { out, lse });
      if (recorded) checks.push(checkRecorded(recorded, inputs, out));
      return checks;
    },
  };
}

function attendBuffers(inputs: AttendInputs): Map<string, Uint8Array> {
  return new Map([
    ["q_latent", bytesOf(inputs.qLatent)],
    ["q_pe", bytesOf(inputs.qPe)],
    ["cache", inputs.cache],
    ["page_table", bytesOf(inputs.pageTable)],
    ["kv_len", bytesOf(inputs.kvLen)],
  ]);
}

function appendCase(inputs: AppendInputs): CaseInputs {
  const expected = appendReference(inputs);
  return {
    buffers: new Map([
      ["compressed_kv", bytesOf(inputs.compressedKv)],
      ["kpe", bytesOf(inputs.kpe)],
      ["cu_seqlen", bytesOf(inputs.cuSeqlen)],
      ["cu_num_pages", bytesOf(inputs.cuNumPages)],
      ["cache_loc", bytesOf(inputs.cacheLoc)],
      ["input_pos", bytesOf(inputs.inputPos)],
      ["cache", inputs.cache],
    ]),
    layout: { pages: inputs.pages, tableWidth: inputs.cacheLoc.length },
    coverage: 1,
    check: (results) => [checkCache(inputs, expected, result(results, "cache"))],
  };
}

function bytesOf(array: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function result(results: ReadonlyMap<string, Uint8Array>, name: string): Uint8Array {
  const bytes = results.get(name);
  if (!bytes) throw new TypeError(`Cannot verify "${name}": the launch has no output buffer of that name`);
  return bytes;
}

function floats(results: ReadonlyMap<string, Uint8Array>, name: string): Float32Array {
  const bytes = result(results, name);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}
