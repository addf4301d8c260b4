/**
 * Estimated work of a case, for sampling and sharding.
 *
 * @module
 */
import type { Case } from "./case.ts";
import type { Dtype } from "../reference/dtypes.ts";
import { total } from "../reference/shapes.ts";

const DTYPE_BYTES: Record<Dtype, number> = { f32: 4, f16: 2, bf16: 2 };

/** Work of one launch. */
export interface Cost {
  /** `2·q·H·kv·(2R+Dr)` over attended pairs; 0 for append. */
  readonly flops: number;
  /** Bytes of the cache it reads (attend) or writes (append), and of its f32 inputs and outputs. */
  readonly bytes: number;
}

/** The work that `testCase` asks for, whichever kernel does it. */
export function estimateCost(testCase: Case): Cost {
  const { R, Dr, q, kv, cache } = testCase.shape;
  const rowBytes = (R + Dr) * DTYPE_BYTES[cache];
  const tokens = total(q);
  if (testCase.operation === "append") return { flops: 0, bytes: tokens * (rowBytes + 4 * (R + Dr)) };
  const { H, causal } = testCase.shape;
  const pairs = total(q.map((q, b) => attendedPairs(q, kv[b], causal)));
  return { flops: 2 * H * pairs * (2 * R + Dr), bytes: total(kv) * rowBytes + 4 * tokens * H * (2 * R + Dr + 1) };
}

/** (query, key) pairs of one sequence: query i of q sees key j where `j ≤ i + kv − q`, or every key. */
function attendedPairs(q: number, kv: number, causal: boolean): number {
  if (!causal) return q * kv;
  const seeing = Math.min(q, kv);
  return (seeing * (2 * kv - seeing + 1)) / 2;
}
