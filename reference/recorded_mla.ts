/**
 * Recorded tensors as calls of `mla`: at once, in chunks, or step by step.
 *
 * @module
 */
import type { Dtype } from "./dtypes.ts";
import { callsOf } from "./flow.ts";
import { cutIntoCalls } from "./mla_calls.ts";
import type { MlaInputs } from "./mla_inputs.ts";
import { allocatePages, poisonedCache } from "./paging.ts";
import type { RecordedTensors, ReplayOptions } from "./recorded.ts";
import { encodeFinite, PAGE_KEY } from "./recorded_encoding.ts";
import { type MlaShape, total } from "./shapes.ts";

/** How a recording is replayed through `mla`. */
export interface MlaReplayOptions extends ReplayOptions {
  /** Element type of `kv_b_proj`. */
  readonly weight: Dtype;
  /**
   * New tokens of each call, adding up to the recording's: `[140]`, `[64, 64, 12]`, `[100, 1, 1, …]`. @default {[T]}
   */
  readonly steps?: readonly number[];
  /** Rows past the last token of each call. @default {0} */
  readonly padding?: number;
}

/** Shape of a replay: one sequence, empty at first. */
export function recordedMlaShape(
  { T, H, R, Dn, Dr, Dv, scale }: RecordedTensors,
  { page, cache, weight, steps = [T], padding = 0 }: MlaReplayOptions,
): MlaShape {
  const sizes = { B: 1, H, R, Dn, Dr, Dv, q: [T], kv: [T], page, cache, weight, padding, scale, causal: true };
  return { ...sizes, steps: steps.map((tokens) => [tokens]) };
}

/**
 * A recording as a flow of one sequence that starts with an empty cache.
 *
 * @throws {RangeError} If the steps do not add up to the tokens of the recording, or a value is beyond the range of the
 * dtype that is to hold it.
 */
export function recordedMlaInputs(recorded: RecordedTensors, options: MlaReplayOptions): MlaInputs {
  const { T, name } = recorded;
  const steps = options.steps ?? [T];
  if (total(steps) !== T || steps.some((tokens) => !(tokens > 0))) {
    throw new RangeError(
      `Cannot replay ${name} in steps of ${steps.join(", ")}: needed are positive ones that add up to ${T}`,
    );
  }
  for (const tensor of ["compressed_kv", "kpe"] as const) {
    encodeFinite(tensor === "kpe" ? recorded.kpe : recorded.compressedKv, tensor, recorded, options.cache);
  }
  const shape = recordedMlaShape(recorded, options);
  const allocation = allocatePages([T], shape.page, PAGE_KEY);
  return {
    shape,
    kvB: encodeFinite(recorded.kvB, "kv_b_proj", recorded, options.weight),
    cache: poisonedCache(shape, allocation.pages),
    pages: allocation.pages,
    calls: cutIntoCalls(shape, callsOf(shape), allocation, recorded),
  };
}
