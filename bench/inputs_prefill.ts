/**
 * Inputs and checks of `prefill`.
 *
 * @module
 */
import { checkProjected } from "../reference/acceptance.ts";
import { attentionOutputs } from "../reference/referenced_outputs.ts";
import { sampleProjectedRows } from "../reference/rows.ts";
import { total } from "../reference/shapes.ts";
import { blindProjected } from "../reference/trivial.ts";
import type { PrefillCase } from "../suites/case.ts";
import type { CaseInputs, MakerOptions } from "./case_inputs.ts";
import { attentionResult, bytesOf, cacheBuffersBy, floats, lseResult, toleranceChecks } from "./inputs_buffers.ts";
import { checkPageTable } from "./page_checks.ts";

/** Inputs of a case of `prefill`, and its reference. */
export async function prefillCase(c: PrefillCase, { pool, referenceBudgetFlops }: MakerOptions): Promise<CaseInputs> {
  const { shape } = c;
  const inputs = await pool.prefillInputs(shape, c.input, c.seed);
  checkPageTable(inputs, shape.kv);
  const rows = sampleProjectedRows(shape, referenceBudgetFlops, c.seed);
  const reference = await pool.projected(inputs, rows);
  const emulation = await pool.emulateProjected(inputs, reference);
  const cache = await cacheBuffersBy(pool, inputs.cache, shape);
  const allRows = total(shape.q) * shape.H;
  return {
    state: new Map(),
    coverage: allRows === 0 ? 1 : rows.length / allRows,
    calls: [{
      work: { operation: "prefill", shape },
      source: { operation: "prefill", inputs },
      buffers: new Map([
        ["q_nope", bytesOf(inputs.qNope)],
        ["q_pe", bytesOf(inputs.qPe)],
        ["kv_b_proj", inputs.kvB],
        ...cache,
        ["page_table", bytesOf(inputs.pageTable)],
        ["kv_len", bytesOf(inputs.kvLen)],
        ["cu_seqlen", bytesOf(inputs.cuSeqlen)],
      ]),
      layout: { pages: inputs.pages, tableWidth: inputs.tableWidth },
      blind: blindProjected(inputs, reference, c.input, emulation),
      check(results, tolerance) {
        const rows = allRows + shape.padding * shape.H;
        const actual = { out: floats(results, "out", rows * shape.Dv), lse: lseResult(results, shape, allRows) };
        return [
          ...checkProjected(inputs, reference, actual, emulation),
          ...toleranceChecks(tolerance, actual, reference),
        ];
      },
      outputs: (results) =>
        attentionOutputs({
          batch: inputs,
          width: shape.Dv,
          reference,
          actual: attentionResult(results, shape, shape.Dv),
        }),
    }],
  };
}
