/**
 * Whether a kernel takes the values that a cache holds, which no shape tells.
 *
 * @module
 */
import type { Kernel } from "../kernels/kernel.ts";
import { type Dtype, largestFinite } from "../reference/dtypes.ts";
import type { CallSource, CaseInputs } from "./case_inputs.ts";

/** Caches are large, and variants share them. */
const largestOf = new WeakMap<Uint8Array, number>();

/** Why `kernel` does not take the values of a cache of `inputs`; undefined where it does. */
export function refuseValues({ largest = {} }: Pick<Kernel, "largest">, { calls }: CaseInputs): string | undefined {
  for (const { source } of calls) {
    const known = cacheOf(source);
    const most = known && largest[known.dtype];
    if (most === undefined) continue;
    const { dtype, bytes } = known!;
    const found = largestOf.get(bytes) ?? largestFinite(bytes, dtype);
    largestOf.set(bytes, found);
    if (found > most) return `cache=${dtype}: holds ${found.toPrecision(4)}, the kernel takes up to ${most}`;
  }
  return undefined;
}

/** The cache that a call attends to: what it appends is in it. Of a flow only the last call has one. */
function cacheOf(source: CallSource): { readonly dtype: Dtype; readonly bytes: Uint8Array } | undefined {
  switch (source.operation) {
    case "attend":
    case "prefill":
      return { dtype: source.inputs.shape.cache, bytes: source.inputs.cache };
    case "mla":
      return { dtype: source.prefill.shape.cache, bytes: source.prefill.cache };
    case "append":
    case "project":
      return undefined;
    default:
      return source satisfies never;
  }
}
