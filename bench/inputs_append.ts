/**
 * Inputs and checks of `append`.
 *
 * @module
 */
import { checkCache } from "../reference/acceptance.ts";
import { appendReference } from "../reference/cache.ts";
import { makeAppendInputs } from "../reference/inputs.ts";
import { recordedAppendInputs } from "../reference/recorded.ts";
import { blindAppend } from "../reference/trivial.ts";
import { appendedTokens } from "../reference/referenced_outputs.ts";
import type { AppendCase } from "../suites/case.ts";
import type { CaseInputs, MakerOptions } from "./case_inputs.ts";
import { bytesOf, cacheBuffers, cacheResult } from "./inputs_buffers.ts";
import { checkCacheLoc } from "./page_checks.ts";

/** Inputs of a case of `append`, and its reference. */
export function appendCase(c: AppendCase, { recorded }: MakerOptions): CaseInputs {
  const { shape } = c;
  const { page, cache } = shape;
  const inputs = recorded ? recordedAppendInputs(recorded, { page, cache }) : makeAppendInputs(shape, c.seed);
  checkCacheLoc({ ...inputs, page }, shape.kv);
  const expected = appendReference(inputs);
  return {
    state: new Map(cacheBuffers(inputs.cache, shape)),
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
      blind: blindAppend(inputs, expected),
      check: (results) => [checkCache(inputs, expected, cacheResult(results, shape))],
      outputs: (results) => [appendedTokens(inputs, cacheResult(results, shape))],
    }],
  };
}
