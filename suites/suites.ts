/**
 * Every suite.
 *
 * @module
 */
import { FLASHINFER } from "./flashinfer.ts";
import { FLASHMLA } from "./flashmla.ts";
import { FLOWS } from "./flows.ts";
import { H200 } from "./h200.ts";
import { PRESETS } from "./presets.ts";
import { SEED } from "./seed.ts";
import { SMOKE } from "./smoke.ts";
import type { Suite } from "./suite.ts";
import { BATCH, BOUNDARY, PAGE, RANK256 } from "./sweeps.ts";
import { DEFAULT, fullSuite } from "./throughput.ts";

/** Every suite, in the order in which `list` shows them. */
export const SUITES: readonly Suite[] = [
  SMOKE,
  BOUNDARY,
  PAGE,
  BATCH,
  RANK256,
  FLOWS,
  SEED,
  FLASHINFER,
  FLASHMLA,
  DEFAULT,
  H200,
  ...PRESETS,
  fullSuite(PRESETS.map((preset) => preset.name)),
];

/** Name of the suite that runs where none is named. */
export function defaultSuite(options: { readonly software: boolean }): string {
  return (options.software ? SMOKE : DEFAULT).name;
}
