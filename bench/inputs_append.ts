/**
 * Inputs and checks of `append`.
 *
 * @module
 */
import { checkCache } from "../reference/acceptance.ts";
import { recordedAppendInputs } from "../reference/recorded.ts";
import { appendedTokens } from "../reference/referenced_outputs.ts";
import type { AppendCase } from "../suites/case.ts";
import type { CaseInputs, MakerOptions } from "./case_inputs.ts";
import { bytesOf, cacheBuffersBy, cacheResult } from "./inputs_buffers.ts";
import { checkCacheLoc } from "./page_checks.ts";
import { answeredAppend } from "./reference_worker.ts";

/** Inputs of a case of `append`, and its reference. */
export async function appendCase(c: AppendCase, { pool, recorded }: MakerOptions): Promise<CaseInputs> {
  const { shape } = c;
  const { page, cache } = shape;
  const { inputs, expected, blind } = recorded
    ? answeredAppend(recordedAppendInputs(recorded, { page, cache }))
    : await pool.append(shape, c.seed);
  checkCacheLoc({ ...inputs, page }, shape.kv);
  return {
    state: new Map(await cacheBuffersBy(pool, inputs.cache, shape)),
    coverage: 1,
    calls: [{
      work: { operation: "append", shape },
      source: { operation: "append", inputs },
      buffers: new Map([
        ["compressed_kv", bytesOf(inputs.compressedKv)],
        ["kpe", bytesOf(inputs.kpe)],
        ["cu_seqlen", bytesOf(inputs.cuSeqlen)],
        ["cu_num_pages", bytesOf(inputs.cuNumPages)],
        ["cache_loc", bytesOf(inputs.cacheLoc)],
        ["input_pos", bytesOf(inputs.inputPos)],
      ]),
      layout: { pages: inputs.pages, tableWidth: inputs.cacheLoc.length },
      blind,
      check: (results) => [checkCache(inputs, expected, cacheResult(results, shape))],
      outputs: (results) => [appendedTokens(inputs, cacheResult(results, shape))],
    }],
  };
}
