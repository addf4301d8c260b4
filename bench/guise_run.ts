/**
 * Runs a case in another guise, on buffers of its own where they differ from those of the case.
 *
 * @module
 */
import type { DispatchSpec, Launch, Tuning } from "../kernels/kernel.ts";
import { checkLimits } from "../kernels/limits.ts";
import type { BatchCall } from "../reference/variations.ts";
import { type BufferRange, readBack, uploadStorage } from "./buffers.ts";
import type { Gpu } from "./device.ts";
import { holds } from "./digests.ts";
import { type PreparedLaunch, runOnce } from "./execute.ts";
import type { FirstRun } from "./first_run.ts";
import { ExecutionError, guarded } from "./guard.ts";
import { type GuiseCall, writeCall } from "./guise_inputs.ts";
import { pairKernel } from "./pairing.ts";
import { prepare } from "./plan.ts";
import type { Guise } from "./relations.ts";

/**
 * Bytes from which a cache is read back only where its digest is not that of what it must hold: 6 ms of the host and
 * the device, and a case has dozens of guises.
 */
const READ_BYTES = 1 << 20;

/** A call of a guise with its launch. */
export interface PlannedCall extends GuiseCall {
  /** The call of the varied batch. */
  readonly call: BatchCall;
  /** Its launch. */
  readonly launch: Launch;
}

/** A guise whose launches are known. */
export interface PlannedGuise extends Guise {
  /** Its calls, at least one. */
  readonly planned: readonly PlannedCall[];
}

/**
 * Describes the launches of a guise.
 *
 * @param tuning Launch parameters, in place of those of the case.
 * @returns undefined where nothing is left to run, or the kernel or the device refuses it.
 */
export function planGuise(
  { session, kernel, inputs }: FirstRun,
  guise: Guise,
  tuning: Tuning,
): PlannedGuise | undefined {
  const { traits } = session.gpu;
  const planned: PlannedCall[] = [];
  for (const call of guise.batch.calls) {
    // Calls of a flow differ in lengths alone, which the varied batch has.
    const written = writeCall(guise.batch, call, inputs.calls[0].work);
    const paired = pairKernel(kernel, written.work, tuning);
    if (paired.refuses(traits) !== undefined) return undefined;
    const launch = paired.launch(written.layout, traits);
    if (checkLimits(launch, traits) !== undefined) return undefined;
    planned.push({ ...written, call, launch });
  }
  return planned.length === 0 ? undefined : { ...guise, planned };
}

/** Whether two launches run the same programs with the same numbers on buffers of the same sizes. */
export function isSameLaunch(a: Launch, b: Launch): boolean {
  const isSame = (one: DispatchSpec, other: DispatchSpec) =>
    one.shader === other.shader && JSON.stringify({ ...one, shader: "" }) === JSON.stringify({ ...other, shader: "" });
  return a.dispatches.length === b.dispatches.length && a.buffers.length === b.buffers.length &&
    a.dispatches.every((dispatch, i) => isSame(dispatch, b.dispatches[i])) &&
    a.buffers.every((spec, i) => {
      const other = b.buffers[i];
      return spec.name === other.name && spec.bytes === other.bytes &&
        (spec.contents?.length ?? 0) === (other.contents?.length ?? 0) &&
        (spec.contents?.every((word, at) => word === other.contents![at]) ?? true);
    });
}

/**
 * {@linkcode runGuise}; undefined where the device lacks room for further buffers, which says nothing about the kernel.
 */
export async function tryGuise(
  run: FirstRun,
  guise: PlannedGuise,
  caches: ReadonlyMap<string, Uint8Array>,
): Promise<Map<string, Uint8Array> | undefined> {
  try {
    return await runGuise(run, guise, caches);
  } catch (error) {
    if (error instanceof ExecutionError && error.outOfMemory) return undefined;
    throw error;
  }
}

/**
 * Runs the calls of a guise in order and returns what the last one left, by buffer name. Caches that nobody changes and
 * weights are those of the case, which others may be reading.
 *
 * @param expected What the caches must hold at the end, by name: a large one that does is returned as it is here.
 */
export async function runGuise(
  run: FirstRun,
  { batch, planned }: PlannedGuise,
  expected: ReadonlyMap<string, Uint8Array>,
): Promise<Map<string, Uint8Array>> {
  const { session: { gpu }, inputs, upload } = run;
  const isLarge = [...expected.values()].some(({ byteLength }) => byteLength >= READ_BYTES);
  const own: BufferRange[] = [];
  const put = (entries: Iterable<readonly [string, Uint8Array]>) =>
    guarded(gpu, "run", () =>
      Array.from(entries, ([name, bytes]) => {
        const range = uploadStorage(gpu, name, bytes);
        own.push(range);
        return [name, range] as const;
      }));
  const isChanged = (name: string, bytes: Uint8Array) =>
    inputs.state.has(name) || inputs.calls[0].buffers.get(name) !== bytes;
  try {
    const caches = await put([...batch.caches].filter(([name, bytes]) => isChanged(name, bytes)));
    let results = new Map<string, Uint8Array>();
    for (const [i, { buffers, launch }] of planned.entries()) {
      const needed = new Set(launch.buffers.filter(({ role }) => role === "input").map(({ name }) => name));
      const small = [...buffers].filter(([name]) => needed.has(name));
      const prepared = await prepare(gpu, launch, new Map([...upload.ranges, ...caches, ...await put(small)]));
      try {
        const isLast = i === planned.length - 1;
        results = await runOnce(gpu, prepared, { inPlace: isLast && !isLarge });
        if (isLast && isLarge) {
          for (const [name, bytes] of await changedIn(gpu, prepared, expected)) results.set(name, bytes);
        }
      } finally {
        prepared.destroy();
      }
    }
    return results;
  } finally {
    for (const { buffer } of own) buffer.destroy();
  }
}

/** What buffers hold that a launch changes in place. */
async function changedIn(
  gpu: Gpu,
  { launch, buffers }: PreparedLaunch,
  expected: ReadonlyMap<string, Uint8Array>,
): Promise<Map<string, Uint8Array>> {
  const results = new Map<string, Uint8Array>();
  for (const { name, bytes } of launch.buffers.filter(({ role }) => role === "inout")) {
    const range = { ...buffers.get(name)!, size: bytes };
    const known = expected.get(name);
    const isKnown = known && await holds(gpu, range, known);
    results.set(name, isKnown ? known : (await readBack(gpu, [range]))[0]);
  }
  return results;
}
