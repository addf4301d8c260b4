/**
 * Inputs and checks of `attend`.
 *
 * @module
 */
import { checkAttend, checkRecorded } from "../reference/acceptance.ts";
import type { AttendInputs } from "../reference/inputs.ts";
import { sampleRows } from "../reference/mla.ts";
import { F32, type KernelPrecision } from "../reference/precision.ts";
import { recordedInputs } from "../reference/recorded.ts";
import { attentionOutputs } from "../reference/referenced_outputs.ts";
import { total } from "../reference/shapes.ts";
import { blindAttend } from "../reference/trivial.ts";
import type { AttendCase } from "../suites/case.ts";
import type { CaseInputs, MakerOptions } from "./case_inputs.ts";
import { attentionResult, bytesOf, cacheBuffersBy, floats, lseResult, toleranceChecks } from "./inputs_buffers.ts";
import { checkPageTable } from "./page_checks.ts";

/** Inputs of a case of `attend`, and its reference. */
export async function attendCase(c: AttendCase, options: MakerOptions): Promise<CaseInputs> {
  const { pool, referenceBudgetFlops, recorded } = options;
  const { shape } = c;
  const { page, cache } = shape;
  const inputs = recorded ? recordedInputs(recorded, { page, cache }) : await pool.inputs(shape, c.input, c.seed);
  checkPageTable(inputs, shape.kv);
  const rows = sampleRows(shape, referenceBudgetFlops, c.seed);
  const reference = await pool.attend(inputs, rows);
  const buffers = attendBuffers(inputs, await cacheBuffersBy(pool, inputs.cache, shape));
  const allRows = total(shape.q) * shape.H;
  const state = new Map<string, Uint8Array>();
  const inPrecision = async (precision: KernelPrecision): Promise<CaseInputs> => {
    const emulation = await pool.emulateAttend(inputs, reference, precision);
    return {
      state,
      coverage: allRows === 0 ? 1 : rows.length / allRows,
      calls: [{
        work: { operation: "attend", shape },
        source: { operation: "attend", inputs },
        buffers,
        layout: { pages: inputs.pages, tableWidth: inputs.tableWidth },
        blind: blindAttend(inputs, reference, recorded ? undefined : c.input, emulation),
        check(results, tolerance) {
          const actual = { out: floats(results, "out", allRows * shape.R), lse: lseResult(results, shape, allRows) };
          const checks = checkAttend(inputs, reference, actual, emulation);
          if (recorded) checks.push(checkRecorded(recorded, inputs, actual.out, precision));
          return [...checks, ...toleranceChecks(tolerance, actual, reference)];
        },
        outputs: (results) =>
          attentionOutputs({
            batch: inputs,
            width: shape.R,
            reference,
            actual: attentionResult(results, shape, shape.R),
          }),
      }],
      inPrecision,
    };
  };
  return await inPrecision(options.precision ?? F32);
}

function attendBuffers(inputs: AttendInputs, cache: [name: string, data: Uint8Array][]): Map<string, Uint8Array> {
  return new Map([
    ["q_latent", bytesOf(inputs.qLatent)],
    ["q_pe", bytesOf(inputs.qPe)],
    ...cache,
    ["page_table", bytesOf(inputs.pageTable)],
    ["kv_len", bytesOf(inputs.kvLen)],
    ["cu_seqlen", bytesOf(inputs.cuSeqlen)],
  ]);
}
