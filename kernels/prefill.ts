/**
 * What the kernels of `prefill` have in common: which shapes they take, and their buffers.
 *
 * @module
 */
import { type Dtype, DTYPE_BYTES } from "../reference/dtypes.ts";
import { type PrefillShape, total } from "../reference/shapes.ts";
import { cacheBuffers, lseName, MAX_HEADS, MIN_NORMAL_F32, refuseCache } from "./attend.ts";
import type { BufferSpec, CacheLayout, Tuning } from "./kernel.ts";
import { composeWgsl } from "./wgsl.ts";

/** Width of a value up to which a thread's part of the output fits its registers. */
const MAX_VALUE_WIDTH = 256;

/** Why no `prefill` kernel runs `shape`, undefined when they do. */
export function refusePrefill(shape: PrefillShape, { splits, form }: Tuning): string | undefined {
  const { B, H, q, kv, scale, weight, padding } = shape;
  const reason = refuseCache(shape) ?? refuseWidths(shape);
  if (reason) return reason;
  if (!(Number.isInteger(H) && H >= 1 && H <= MAX_HEADS)) return `H=${H}: only 1 to ${MAX_HEADS}`;
  if (!(weight in DTYPE_BYTES)) return `weight=${weight}: only ${Object.keys(DTYPE_BYTES).join(", ")}`;
  if (q.length !== B || kv.length !== B) return `q and kv have ${q.length} and ${kv.length} entries, B is ${B}`;
  for (const [name, lengths] of [["q", q], ["kv", kv], ["padding", [padding]]] as const) {
    const wrong = lengths.find((n) => !(Number.isInteger(n) && n >= 0 && n < 2 ** 30));
    if (wrong !== undefined) return `${name}=${wrong}: only 0 to ${2 ** 30 - 1}`;
  }
  const size = Math.abs(Math.fround(scale * Math.LOG2E));
  if (!(size >= MIN_NORMAL_F32 && size < Infinity)) return `scale=${scale}: only normal f32 numbers, not 0`;
  if (splits !== undefined) return `splits=${splits}: prefill has no splits`;
  if (form !== undefined) return `form=${form}: prefill has the expanded form alone`;
  return undefined;
}

function refuseWidths({ Dn, Dv }: PrefillShape): string | undefined {
  if (!(Number.isInteger(Dn) && Dn >= 8 && Dn % 8 === 0)) return `Dn=${Dn}: only positive multiples of 8`;
  if (!(Number.isInteger(Dv) && Dv >= 8 && Dv % 8 === 0 && Dv <= MAX_VALUE_WIDTH)) {
    return `Dv=${Dv}: only multiples of 8 up to ${MAX_VALUE_WIDTH}`;
  }
  return undefined;
}

/** The input and output buffers of `prefill`. */
export function prefillBuffers(shape: PrefillShape, layout: CacheLayout): BufferSpec[] {
  const { B, H, R, Dn, Dr, Dv, q, padding, weight } = shape;
  const tokens = total(q);
  return [
    { name: "q_nope", bytes: Math.max(16, 4 * (tokens + padding) * H * Dn), role: "input" },
    { name: "q_pe", bytes: Math.max(16, 4 * (tokens + padding) * H * Dr), role: "input" },
    { name: "kv_b_proj", bytes: H * (Dn + Dv) * R * DTYPE_BYTES[weight], role: "input" },
    ...cacheBuffers(shape, layout, "input"),
    { name: "page_table", bytes: 4 * B * layout.tableWidth, role: "input" },
    { name: "out", bytes: Math.max(16, 4 * (tokens + padding) * H * Dv), role: "output" },
    { name: lseName(shape), bytes: 4 * tokens * H || 16, role: "output" },
  ];
}

/** The decoder of the weight's dtype, its names beginning with `weight_`: that of the cache may be another. */
export function weightDecoder(weight: Dtype): string {
  return composeWgsl("", { cache: weight }).replaceAll(/\b(Word|Chunk|widen|low|high|finite)\b/g, "weight_$1");
}
