/**
 * `attend/fused_subgroup`: one pass over the cache, in the registers of teams of lanes.
 *
 * @module
 */
import type { AttendShape } from "../reference/shapes.ts";
import text from "./attend_fused_subgroup.wgsl" with { type: "text" };
import { launchTeam, refuseTeam, TEAM_TUNINGS, type TeamKernel } from "./attend_team.ts";
import type { AttendKernel, CacheLayout, DeviceTraits, Launch, Tuning } from "./kernel.ts";
import { withTable } from "./tuning_table.ts";

const KERNEL: TeamKernel = {
  name: "attend/fused_subgroup",
  text,
  requires: ["subgroups"],
  dtypes: ["f32", "f16", "bf16"],
  tile: 4,
  chain: 1,
  teamsAhead: 2,
  slimChunks: 0,
};

/**
 * Fused attention over a paged latent cache with an online softmax, without workgroup memory or barriers.
 *
 * - **Shapes** those of {@linkcode AttendKernel}; any H, R, q, kv and page size.
 * - **Mapping** workgroup ↔ item of the work list: a span of tokens of a block of rows (query token, head); a team of
 *   lanes ↔ `rows` of them; lane ↔ a slice of d, of queries, keys and output alike. A key is read and widened once.
 * - **Precision** scores, softmax and sums in f32.
 * - **Source** as `attend/fused`; scores are summed over lanes by a reduce-scatter butterfly.
 */
export const attendFusedSubgroup: AttendKernel = withTable({
  operation: "attend",
  variant: "fused_subgroup",
  summary:
    "one pass in registers: teams of lanes keep queries and output, scores are summed by subgroup shuffles; all f32",
  requires: KERNEL.requires,
  tunings: TEAM_TUNINGS,
  refuses: (shape, tuning, device) => refuseTeam(KERNEL, shape, tuning, device),
  launch(shape: AttendShape, layout: CacheLayout, tuning: Tuning, device: DeviceTraits): Launch {
    return launchTeam(KERNEL, shape, layout, tuning, device);
  },
});
