/**
 * Inputs and checks of `mla`, one call or a flow of several on one cache.
 *
 * @module
 */
import { checkCache, checkProjected, checkRecordedRows } from "../reference/acceptance.ts";
import type { Emulation } from "../reference/emulation.ts";
import { type MlaCallReference, mlaReference } from "../reference/mla_flow.ts";
import type { MlaInputs } from "../reference/mla_inputs.ts";
import { F32, type KernelPrecision } from "../reference/precision.ts";
import type { ProjectedReference } from "../reference/projected.ts";
import type { RecordedTensors } from "../reference/recorded.ts";
import { recordedMlaInputs } from "../reference/recorded_mla.ts";
import { appendedTokens, attentionOutputs } from "../reference/referenced_outputs.ts";
import { sampleProjectedRows } from "../reference/rows.ts";
import { type MlaShape, total } from "../reference/shapes.ts";
import { blindAppend, blindProjected } from "../reference/trivial.ts";
import type { MlaCase } from "../suites/case.ts";
import type { CaseCall, CaseInputs, MakerOptions } from "./case_inputs.ts";
import {
  attentionResult,
  bytesOf,
  cacheBuffersBy,
  cacheResult,
  floats,
  lseResult,
  toleranceChecks,
} from "./inputs_buffers.ts";
import { checkCacheLoc } from "./page_checks.ts";

/** Inputs of a case of `mla`, and the reference of each call. */
export async function mlaCase(c: MlaCase, options: MakerOptions): Promise<CaseInputs> {
  const { pool, referenceBudgetFlops, recorded } = options;
  const { shape } = c;
  const inputs = recorded ? replay(recorded, shape) : await pool.mlaInputs(shape, c.input, c.seed);
  const state = new Map(await cacheBuffersBy(pool, inputs.cache, shape));
  const known: KnownCall[] = [];
  const inPrecision = async (precision: KernelPrecision): Promise<CaseInputs> => {
    const calls: CaseCall[] = [];
    // Of a flow the caches between the calls are not kept: they are made again, call by call.
    for (const reference of mlaReference(inputs)) {
      const { prefill } = reference;
      const isLast = calls.length === inputs.calls.length - 1;
      checkCacheLoc({ ...reference.inputs, pages: inputs.pages, page: shape.page }, prefill.shape.kv);
      const rows = sampleProjectedRows(prefill.shape, referenceBudgetFlops / inputs.calls.length, c.seed);
      const call = known[calls.length] ??= {
        reference: isLast ? reference : withoutCache(reference),
        projected: await pool.projected(prefill, rows),
      };
      const { projected } = call;
      const emulation = await pool.emulateProjected(prefill, projected, precision);
      const blind = [
        ...blindProjected(prefill, projected, recorded ? undefined : c.input, emulation),
        ...(isLast ? blindAppend(reference.append, reference.cacheAfter) : []),
      ];
      calls.push(mlaCall(call, { emulation, blind, isLast, recorded }));
    }
    const sampled = total(known.map(({ projected }) => projected.rows.length));
    const allRows = total(known.map(({ reference }) => total(reference.prefill.shape.q))) * shape.H;
    return { state, coverage: allRows === 0 ? 1 : sampled / allRows, calls, inPrecision };
  };
  return await inPrecision(options.precision ?? F32);
}

/** A call, and its reference. */
interface KnownCall {
  readonly reference: MlaCallReference;
  readonly projected: ProjectedReference;
}

function replay(recorded: RecordedTensors, { page, cache, weight, padding, steps }: MlaShape): MlaInputs {
  return recordedMlaInputs(recorded, { page, cache, weight, padding, steps: steps?.map(([tokens]) => tokens) });
}

/** Of a call in the middle of a flow only the page numbers are needed any more, not the whole cache. */
function withoutCache(reference: MlaCallReference): MlaCallReference {
  const cache = new Uint8Array(0);
  return {
    ...reference,
    cacheAfter: cache,
    prefill: { ...reference.prefill, cache },
    append: { ...reference.append, cache },
  };
}

/** How a call is held against its reference. */
interface CallAnswers {
  readonly emulation: Emulation;
  readonly blind: readonly string[];
  readonly isLast: boolean;
  readonly recorded?: RecordedTensors;
}

function mlaCall(
  { reference, projected }: KnownCall,
  { emulation, blind, isLast, recorded }: CallAnswers,
): CaseCall {
  const { inputs, append, cacheAfter, prefill } = reference;
  const { shape } = inputs.call;
  return {
    work: { operation: "mla", shape },
    source: { operation: "mla", inputs, prefill },
    buffers: new Map([
      ["q_nope", bytesOf(inputs.qNope)],
      ["q_pe", bytesOf(inputs.qPe)],
      ["compressed_kv", bytesOf(inputs.compressedKv)],
      ["kpe", bytesOf(inputs.kpe)],
      ["kv_b_proj", prefill.kvB],
      ["cu_num_pages", bytesOf(inputs.cuNumPages)],
      ["cache_loc", bytesOf(inputs.cacheLoc)],
    ]),
    layout: { pages: prefill.pages, tableWidth: inputs.cacheLoc.length },
    blind,
    check(results, tolerance) {
      const rows = total(shape.q) * shape.H;
      const outElements = (rows + shape.padding * shape.H) * shape.Dv;
      const actual = { out: floats(results, "out", outElements), lse: lseResult(results, shape, rows) };
      const checks = checkProjected(prefill, projected, actual, emulation);
      if (recorded) checks.push(checkRecordedRows(recorded, inputs, actual.out, emulation.precision));
      checks.push(...toleranceChecks(tolerance, actual, projected));
      if (isLast) checks.push(checkCache(append, cacheAfter, cacheResult(results, shape)));
      return checks;
    },
    outputs(results) {
      const actual = attentionResult(results, shape, shape.Dv);
      return [
        ...attentionOutputs({ batch: prefill, width: shape.Dv, reference: projected, actual }),
        ...(isLast ? [appendedTokens(append, cacheResult(results, shape))] : []),
      ];
    },
  };
}
