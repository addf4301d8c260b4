/**
 * `attend/fused_f16`: as `attend/fused_subgroup`, with both products in chains of f16.
 *
 * @module
 */
import type { KernelPrecision } from "../reference/precision.ts";
import type { AttendShape } from "../reference/shapes.ts";
import text from "./attend_fused_f16.wgsl" with { type: "text" };
import { launchTeam, MOST_CHAIN, refuseTeam, TEAM_TUNINGS, type TeamKernel } from "./attend_team.ts";
import type { AttendKernel, CacheLayout, DeviceTraits, Launch, Tuning } from "./kernel.ts";
import { withTable } from "./tuning_table.ts";

const KERNEL: TeamKernel = {
  name: "attend/fused_f16",
  text,
  requires: ["shader-f16", "subgroups"],
  // The values of a bf16 cache need not be numbers of f16.
  dtypes: ["f16"],
  tile: 8,
  chain: 2,
  teamsAhead: 1,
  slimChunks: 4,
};

/**
 * Chains: of scores two chunks and a rope pair of two lanes, even and odd elements apart; of outputs the tokens of a
 * block.
 */
const PRECISION: KernelPrecision = { scores: { f16Chain: MOST_CHAIN }, values: { f16Chain: 32 } };

/**
 * Fused attention over a paged latent cache of f16, queries, keys, weights and values multiplied in f16.
 *
 * - **Shapes** those of {@linkcode AttendKernel}, caches of f16 only; any H, R, q, kv and page size.
 * - **Mapping** that of `attend/fused_subgroup`.
 * - **Long contexts** a weight below 2⁻¹⁹ of what weights are relative to is 0 in f16 and still counts in the sum of
 *   weights: of 131,072 tokens that weigh e⁻¹⁴ each beside one of 1, a tenth of the output is lost.
 *   `attend/fused_subgroup` loses none.
 * - **Precision** products in f16, of scores in chains of at most 18 and of outputs of at most 32 that are added up in
 *   f32, and scaled in f16 where what weights are relative to moves; the rest in f32. The resolver picks it only when
 *   it is asked for.
 */
export const attendFusedF16: AttendKernel = withTable({
  operation: "attend",
  variant: "fused_f16",
  summary: "as fused_subgroup, scores and P·V in chains of f16 flushed to f32; f16 caches, only when asked for",
  requires: KERNEL.requires,
  dtypes: KERNEL.dtypes,
  tunings: TEAM_TUNINGS,
  precision: PRECISION,
  refuses: (shape, tuning, device) => refuseTeam(KERNEL, shape, tuning, device),
  launch(shape: AttendShape, layout: CacheLayout, tuning: Tuning, device: DeviceTraits): Launch {
    return launchTeam(KERNEL, shape, layout, tuning, device);
  },
});
