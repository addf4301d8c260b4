/**
 * Verifies the calls of a case: each runs three times (`rounds.ts`), its results are compared with the reference, and
 * the runs with each other.
 *
 * @module
 */
import type { Launch } from "../kernels/kernel.ts";
import type { Check } from "../reference/check.ts";
import type { CaseInputs } from "./case_inputs.ts";
import type { Gpu } from "./device.ts";
import type { Digest } from "./digests.ts";
import { guarded } from "./guard.ts";
import type { Results } from "./inputs_buffers.ts";
import type { PairedKernel } from "./pairing.ts";
import { prepare, type PreparedLaunch } from "./plan.ts";
import { checkRounds } from "./round_checks.ts";
import { type KnownContents, type RoundsOptions, runRounds } from "./rounds.ts";
import { type Unread, unreadOf } from "./unread.ts";
import type { Upload } from "./uploads.ts";

/** A case that is ready to run. */
export interface CallsToVerify {
  /** The device. */
  readonly gpu: Gpu;
  /** Name of another system's tolerance that must be met as well. */
  readonly tolerance?: string;
  /** Whether the kernel promises the same bits each time. */
  readonly deterministic: boolean;
  /** The kernel with the work of each call. */
  readonly paired: readonly PairedKernel[];
  /** The launch of each call. */
  readonly launches: readonly Launch[];
  /** The calls, and the cache before the first one. */
  readonly inputs: CaseInputs;
  /** Inputs on the device. */
  readonly upload: Upload;
  /** The plan of the first call, with room for all. */
  readonly first: PreparedLaunch;
}

/** What the calls of a case left. */
export interface CallsOutcome {
  /** Every check of every call. */
  readonly checks: readonly Check[];
  /** Results of the last call. */
  readonly results: Results;
  /** Digests of the inputs of the last call. */
  readonly inputDigests: ReadonlyMap<string, Digest>;
  /** Digests of its results. */
  readonly resultDigests: ReadonlyMap<string, Digest>;
  /** Host time of each update of the plan from one call to the next, ms. */
  readonly updatesMs: readonly number[];
}

/**
 * Runs the calls in order, each on the state that the one before it left, until one is wrong. A call whose shaders are
 * those of the plan before takes that plan; the first plan is the caller's to destroy.
 */
export async function verifyCalls(run: CallsToVerify): Promise<CallsOutcome> {
  const { gpu, paired, launches, inputs, upload, first } = run;
  const { calls } = inputs;
  const unread = ofShape(unreadParts, inputs, () => unreadOf(inputs));
  const answers: Check[] = [];
  const rounds: Check[][] = [];
  const updatesMs: number[] = [];
  let results: Results = new Map();
  let inputDigests: ReadonlyMap<string, Digest> = new Map();
  let resultDigests: ReadonlyMap<string, Digest> = new Map();
  let plan = first;
  try {
    for (const [i, call] of calls.entries()) {
      if (i > 0) {
        await guarded(gpu, "run", () => upload.write(call));
        if (plan.misfit(launches[i]) === undefined) {
          const before = performance.now();
          plan.update(paired[i].launch(call.layout, gpu.traits));
          updatesMs.push(performance.now() - before);
        } else {
          if (plan !== first) plan.destroy();
          plan = await prepare(gpu, launches[i], upload.ranges, { also: launches });
        }
      }
      const prefix = calls.length === 1 ? "" : `call${i + 1}_`;
      const verified = await verifyCall(run, plan, i, unread[i]);
      ({ results, inputDigests, resultDigests } = verified);
      answers.push(...verified.answers.map((check) => ({ ...check, name: prefix + check.name })));
      rounds.push(verified.rounds);
      if (![...verified.answers, ...verified.rounds].every(({ passed }) => passed)) break;
    }
  } finally {
    if (plan !== first) plan.destroy();
  }
  return {
    checks: [...answers, ...(calls.length === 1 ? rounds[0] : joinCalls(rounds))],
    results,
    inputDigests,
    resultDigests,
    updatesMs,
  };
}

async function verifyCall(
  { gpu, tolerance, deterministic, inputs }: CallsToVerify,
  plan: PreparedLaunch,
  at: number,
  unread: Unread,
) {
  const { calls } = inputs;
  const call = calls[at];
  const options: RoundsOptions = {
    unread,
    inputs: call.buffers.keys(),
    inPlace: at === calls.length - 1,
    known: ofShape(left, inputs, () => new Map()),
  };
  const rounds = await runRounds(gpu, plan, options);
  const check = (results: Results) => call.check(results, tolerance);
  return {
    results: rounds.results,
    inputDigests: new Map([...rounds.inputDigests].map(([name, [, after]]) => [name, after])),
    resultDigests: new Map([...rounds.digests].map(([name, each]) => [name, each.at(-1)!])),
    answers: check(rounds.results),
    rounds: await checkRounds(rounds, {
      deterministic,
      check,
      again: async (poison) => (await runRounds(gpu, plan, options, [poison])).results,
    }),
  };
}

/** The checks of every call's runs as one each: the first that failed speaks. */
function joinCalls(calls: readonly (readonly Check[])[]): Check[] {
  return calls[0].map(({ name }, i) => {
    const own = calls.map((checks) => checks[i]);
    const sum = (figure: "elements" | "mismatches") => own.reduce((total, check) => total + check[figure], 0);
    const joined = { name, elements: sum("elements"), mismatches: sum("mismatches") };
    const failed = own.findIndex(({ passed }) => !passed);
    return failed < 0
      ? { ...joined, passed: true }
      : { ...joined, passed: false, message: `call ${failed + 1}: ${own[failed].message}` };
  });
}

/** Things by the state of inputs, which variants of a case share whatever their precision. */
type ByShape<T> = WeakMap<CaseInputs["state"], T>;

/** What nobody may depend on. */
const unreadParts: ByShape<Unread[]> = new WeakMap();

/** What the last call left in large buffers. */
const left: ByShape<KnownContents> = new WeakMap();

function ofShape<T>(known: ByShape<T>, { state }: CaseInputs, make: () => T): T {
  if (!known.has(state)) known.set(state, make());
  return known.get(state)!;
}
