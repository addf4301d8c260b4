/**
 * Whether an answer depends on how the threads of a workgroup are scheduled: a case that passed runs again with threads
 * that are late by turns (`kernels/stagger.ts`), and must leave the same bits.
 *
 * @module
 */
import type { DispatchSpec, Launch } from "../kernels/kernel.ts";
import { checkLimits } from "../kernels/limits.ts";
import { stagger, STAGGER_BYTES } from "../kernels/stagger.ts";
import type { Check } from "../reference/check.ts";
import type { FirstRun } from "./first_run.ts";
import { readBatch } from "./guise_inputs.ts";
import { planGuise } from "./guise_run.ts";
import { tryAndCompare } from "./guise_trial.ts";
import { isTried } from "./invariance.ts";

/** Name of the check. */
const NAME = "staggered";

/** Another text of a shader; undefined where it stays. */
type ShaderChange = (shader: string) => string | undefined;

/** Options of {@linkcode checkSchedule}. */
export interface ScheduleOptions {
  /** Whether adapters that are CPUs run it as well. @default {false} */
  readonly onSoftware?: boolean;
  /** What makes threads late. @default {stagger} */
  readonly change?: ShaderChange;
}

/**
 * The check `staggered`, where the case is small enough, the kernel promises the same bits each time, and a shader of
 * it has a barrier. A CPU runs the threads of a workgroup one group after another from barrier to barrier: there a
 * missing one shows by itself, and nothing is run again.
 *
 * @param options For tests.
 */
export async function checkSchedule(run: FirstRun, options: ScheduleOptions = {}): Promise<Check[]> {
  const { session: { gpu }, c, kernel, inputs } = run;
  const { onSoftware = false, change = stagger } = options;
  if ((gpu.adapter.software && !onSoftware) || kernel.deterministic === false || !isTried(run)) return [];
  const batch = readBatch(inputs);
  const guise = planGuise(run, { label: "threads late by turns", batch }, c.tuning);
  if (!guise) return [];
  const planned = guise.planned.map((call) => ({ ...call, launch: changeLaunch(call.launch, change) }));
  const isStaggered = planned.some(({ launch }, i) => launch !== guise.planned[i].launch);
  if (!isStaggered || planned.some(({ launch }) => checkLimits(launch, gpu.traits) !== undefined)) return [];
  const outcome = await tryAndCompare(run, { batch, guise: { ...guise, planned }, isExact: () => true });
  if (!outcome) return [];
  const { elements, mismatches, message, wrong } = outcome;
  return [{
    name: NAME,
    passed: mismatches === 0,
    ...(mismatches > 0 ? { message: `threads late by turns: ${message}` } : {}),
    elements,
    mismatches,
    ...(wrong ? { first: wrong } : {}),
  }];
}

/** The launch with other shaders; itself where none is changed. */
function changeLaunch(launch: Launch, change: ShaderChange): Launch {
  const dispatches = launch.dispatches.map((dispatch) => changeDispatch(dispatch, change));
  return dispatches.every((dispatch, i) => dispatch === launch.dispatches[i]) ? launch : { ...launch, dispatches };
}

function changeDispatch(dispatch: DispatchSpec, change: ShaderChange): DispatchSpec {
  const shader = change(dispatch.shader);
  return shader === undefined
    ? dispatch
    : { ...dispatch, shader, workgroupBytes: dispatch.workgroupBytes + STAGGER_BYTES };
}
