/**
 * What `mla` does, call by call: append the new tokens, then attend to the cache.
 *
 * @module
 */
import { appendReference } from "./cache.ts";
import type { AppendInputs } from "./inputs.ts";
import type { MlaCallInputs, MlaInputs } from "./mla_inputs.ts";
import type { PrefillInputs } from "./model_inputs.ts";
import { pageTableOf } from "./paging.ts";

/** What one call of `mla` must leave. */
export interface MlaCallReference {
  /** Inputs of the call. */
  readonly inputs: MlaCallInputs;
  /** The call's `append`, with the cache before it: what `checkCache` needs to locate an element. */
  readonly append: AppendInputs;
  /** The cache after the call `[pages, page, R+Dr]`. */
  readonly cacheAfter: Uint8Array;
  /** The call as an attention over that cache: inputs of `attendProjected` and `checkProjected`. */
  readonly prefill: PrefillInputs;
}

/**
 * The calls of a flow in order, each with the cache that the one before it must leave. They are computed one at a time,
 * as they are taken.
 */
export function* mlaReference(inputs: MlaInputs): Generator<MlaCallReference> {
  let cache = inputs.cache;
  for (const call of inputs.calls) {
    const reference = mlaCallReference(inputs, call, cache);
    yield reference;
    cache = reference.cacheAfter;
  }
}

/**
 * One call on a cache.
 *
 * @param cache What the cache holds before the call, in the combined layout.
 */
export function mlaCallReference(inputs: MlaInputs, call: MlaCallInputs, cache: Uint8Array): MlaCallReference {
  const { shape } = call.call;
  const append: AppendInputs = { ...call, shape, cache, pages: inputs.pages };
  const cacheAfter = appendReference(append);
  const prefill: PrefillInputs = {
    shape,
    qNope: call.qNope,
    qPe: call.qPe,
    kvB: inputs.kvB,
    cache: cacheAfter,
    pages: inputs.pages,
    ...pageTableOf({ pages: inputs.pages, starts: call.cuNumPages, owned: call.cacheLoc }),
    kvLen: call.kvLen,
    cuSeqlen: call.cuSeqlen,
  };
  return { inputs: call, append, cacheAfter, prefill };
}
