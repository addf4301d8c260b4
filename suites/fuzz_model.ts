/**
 * What consecutive cases of a fuzz share: the sizes that are constants of the kernels' text, each of which is compiled.
 *
 * @module
 */
import { type Dtype, DTYPES } from "../reference/dtypes.ts";
import type { Layout } from "../reference/shapes.ts";
import type { Draw } from "./draw.ts";

/** Sizes of a model and how it is stored. */
export interface FuzzModel {
  /** `kv_lora_rank`. */
  readonly R: number;
  /** `qk_rope_head_dim`. */
  readonly Dr: number;
  /** `qk_nope_head_dim`. */
  readonly Dn: number;
  /** `v_head_dim`. */
  readonly Dv: number;
  /** Element type of the cache. */
  readonly cache: Dtype;
  /** Element type of `kv_b_proj`. */
  readonly weight: Dtype;
  /** Layout of the cache. */
  readonly layout: Layout;
}

/** Ranks next to those at which kernels change their blocks, and those of models. */
const RANKS = [
  16,
  32,
  48,
  64,
  80,
  112,
  128,
  144,
  192,
  240,
  256,
  272,
  320,
  384,
  448,
  496,
  512,
  528,
  576,
  640,
  768,
  1024,
];

/** Head widths next to the tiles of the expanded form (8 and 16 at a time, 64, 128, 256 wide), and those of models. */
const WIDTHS = [8, 16, 24, 32, 40, 56, 64, 72, 96, 120, 128, 136, 176, 192, 248, 256];

/** R+Dr that `attend/fused` has room for; wider ones are drawn rarely, only to see that they are refused. */
const ROOM: Readonly<Record<Dtype, number>> = { f32: 752, f16: 1088, bf16: 1088 };

/** R+Dr that is drawn at most; the largest that a model has is 576. */
const WIDEST = 1088;

/** Draws a model. */
export function drawModel(draw: Draw): FuzzModel {
  const cache = draw.pick(DTYPES);
  const Dr = draw.weigh([[64, 5], [32, 2], [16, 2], [0, 3]]);
  const widest = draw.chance(2) ? WIDEST : ROOM[cache];
  const R = draw.weigh<() => number>([
    [() => draw.pick([256, 512]), 3],
    [() => draw.pick(RANKS.filter((R) => R + Dr <= widest)), 5],
    [() => 16 * draw.scaled(1, Math.floor((widest - Dr) / 16)), 2],
  ])();
  return {
    R,
    Dr,
    Dn: drawWidth(draw),
    Dv: drawWidth(draw),
    cache,
    weight: draw.pick(DTYPES),
    layout: draw.weigh<Layout>([["combined", 2], ["separate", 1]]),
  };
}

function drawWidth(draw: Draw): number {
  return draw.chance(70) ? draw.pick(WIDTHS) : 8 * draw.between(1, 32);
}
