/**
 * Every planted fault, in every kernel that it is for. As a module of kernels it runs like a user's:
 * `--kernel kernels/mutants/mutants.ts`.
 *
 * @module
 */
import type { Kernel } from "../kernel.ts";
import type { Fault } from "./fault.ts";
import { APPEND_FAULTS } from "./faults_append.ts";
import { PREFILL_FAULTS, PROJECT_FAULTS } from "./faults_expanded.ts";
import { OVERFLOW_FAULTS, PAGING_FAULTS, TAIL_FAULTS } from "./faults_paging.ts";
import { MATRIX_FAULTS } from "./faults_matrix.ts";
import { MLA_FAULTS, PLAN_FAULTS } from "./faults_plan.ts";
import { RACE_FAULTS } from "./faults_races.ts";
import { BATCH_FAULTS, CAUSAL_FAULTS, HEAD_FAULTS } from "./faults_rows.ts";
import { EMPTY_FAULTS, LSE_FAULTS, MERGE_FAULTS, SOFTMAX_FAULTS } from "./faults_softmax.ts";
import { CHAIN_FAULTS, LANE_FAULTS } from "./faults_teams.ts";
import { PRECISION_FAULTS, TRIVIAL_FAULTS } from "./faults_values.ts";
import { ROPE_FAULTS, SCALE_FAULTS, VARIANT_FAULTS } from "./faults_variant.ts";
import { type Mutant, mutantsOf } from "./plant.ts";

/** Every fault, those of one class side by side. */
export const FAULTS: readonly Fault[] = [
  ...VARIANT_FAULTS,
  ...PAGING_FAULTS,
  ...TAIL_FAULTS,
  ...CAUSAL_FAULTS,
  ...BATCH_FAULTS,
  ...HEAD_FAULTS,
  ...ROPE_FAULTS,
  ...SCALE_FAULTS,
  ...SOFTMAX_FAULTS,
  ...MERGE_FAULTS,
  ...LSE_FAULTS,
  ...EMPTY_FAULTS,
  ...RACE_FAULTS,
  ...LANE_FAULTS,
  ...MATRIX_FAULTS,
  ...OVERFLOW_FAULTS,
  ...PRECISION_FAULTS,
  ...CHAIN_FAULTS,
  ...TRIVIAL_FAULTS,
  ...APPEND_FAULTS,
  ...PROJECT_FAULTS,
  ...PREFILL_FAULTS,
  ...MLA_FAULTS,
  ...PLAN_FAULTS,
];

/** Every mutant, in the order of {@linkcode FAULTS}. */
export const MUTANTS: readonly Mutant[] = FAULTS.flatMap(mutantsOf);

/** The kernels of {@linkcode MUTANTS}. */
export const MUTANT_KERNELS: readonly Kernel[] = MUTANTS.map(({ kernel }) => kernel);
