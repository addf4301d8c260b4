/**
 * Runs cases on a device of this process, several in flight, so that the host's work for one hides the waiting for
 * another: of timed ones the variants of a shape, which are timed together once each is verified.
 *
 * @module
 */
import type { Case } from "../suites/case.ts";
import { inputsKey } from "./case_inputs.ts";
import { leadingGroup } from "./case_groups.ts";
import { isAlive } from "./execute.ts";
import { measureCases } from "./measure_case.ts";
import type { Result } from "./result.ts";
import { isOutOfMemory, runCase } from "./run_case.ts";
import { Session, type SweepOptions } from "./session.ts";
import { FailureShrinker } from "./shrink_failures.ts";
import { TimingGroup } from "./timing_group.ts";

export type { Against } from "./differential.ts";
export type { SweepOptions } from "./session.ts";

/** Cases in flight: mapping a buffer takes 10 ms in Deno, a small case otherwise one or two. */
const IN_FLIGHT = 8;
/** Bytes that cases in flight may need together: of large ones fewer are. Machines with a GPU have more memory. */
const IN_FLIGHT_BYTES = { software: 128 << 20, hardware: 1 << 30 };

/** Shapes of which inputs are made ahead, at most, and cases among which they are looked for. */
const [SHAPES_AHEAD, CASES_AHEAD] = [4, 64];

/** A case in flight. */
interface Flight {
  readonly c: Case;
  readonly bytes: number;
  /** Its result; it never rejects. */
  readonly result: Promise<Result>;
}

/**
 * Runs `cases` and yields the result of each, in their order. A case that fails leaves the others a working device:
 * those that were in flight when it was lost run again, one at a time.
 *
 * @throws {NoAdapterError} Where WebGPU finds no adapter.
 */
export async function* runCases(cases: readonly Case[], options: SweepOptions): AsyncGenerator<Result, void> {
  const session = await Session.open(options, cases.length);
  const most = options.inFlight ?? IN_FLIGHT;
  const shrinker = new FailureShrinker(session);
  const flights: Flight[] = [];
  let begun = 0;
  try {
    while (begun < cases.length || flights.length > 0) {
      if (session.gpu.lost && flights.length === 0) await session.reopen();
      // The first case runs alone: a device that can do nothing shows it there.
      const added = begin(session, flights, cases.slice(begun, begun + most + CASES_AHEAD), begun === 0 ? 1 : most);
      begun += added.length;
      flights.push(...added);
      const { c, result } = flights.shift()!;
      const settled = await result;
      if (settled.status !== "failed" || await isAlive(session.gpu)) {
        yield await shrinker.add(c, settled);
        // A smaller case took the device from those in flight.
        if (session.gpu.lost) yield* runAlone(session, shrinker, flights.splice(0));
      } else if (flights.length === 0) {
        yield lost(session, settled);
      } else {
        yield* runAlone(session, shrinker, [{ c, result }, ...flights.splice(0)]);
      }
    }
  } finally {
    session.close();
  }
}

/**
 * Puts the first of `cases` into flight, beside `flights`: as many as there is room for, at most `most` in all.
 *
 * @param cases Those that follow, as many as are begun or looked at.
 */
function begin(session: Session, flights: readonly Flight[], cases: readonly Case[], most: number): Flight[] {
  const { gpu, options } = session;
  const begun: Flight[] = [];
  if (gpu.lost) return begun;
  if (options.timing !== false) return flights.length === 0 ? beginGroup(session, cases, most) : begun;
  for (const c of cases.slice(0, most)) {
    if (!hasRoom(session, [...flights, ...begun], c, most)) break;
    options.onBegin?.(c);
    begun.push({ c, bytes: footprint(c), result: runCase(session, c) });
  }
  return begun;
}

/** Puts cases into flight that are timed together. */
function beginGroup(session: Session, cases: readonly Case[], most: number): Flight[] {
  const group = leadingGroup(cases, most);
  const timing = new TimingGroup(group, (verified) => measureCases(session, verified));
  // On a GPU the host is idle while timed kernels run: the references of the shapes that follow are made meanwhile.
  const ahead = session.gpu.adapter.software ? [] : casesAhead(cases.slice(group.length), inFlightBytes(session));
  const run = (c: Case) => {
    session.options.onBegin?.(c);
    return runCase(session, c, { ahead, group: timing });
  };
  // Large ones are verified one after another, and wait for each other on the device alone.
  const isLarge = group.length * footprint(group[0]) > inFlightBytes(session);
  const results = group.map((c, i) => isLarge && i > 0 ? timing.arrived(group[i - 1]).then(() => run(c)) : run(c));
  let last: Promise<unknown> = Promise.all(results);
  return group.map((c, i) => ({
    c,
    bytes: footprint(c),
    result: results[i].then(async (result) => {
      if (group.length === 1 || !isOutOfMemory(result)) return result;
      // It found no memory beside the others: it runs again without them.
      const again = last.then(() => runCase(session, c));
      last = again;
      return await again;
    }),
  }));
}

/**
 * The first of `cases` whose inputs are made ahead: of several shapes, because the thread that hands a reference's
 * parts to the Workers is blocked most of the time by the GPU that it waits for, so that one shape alone would leave
 * them idle between the parts; and of no more than fit `bytes`, one in any case.
 */
export function casesAhead(cases: readonly Case[], bytes: number): Case[] {
  const shapes = new Set<string>();
  let needed = 0;
  const end = cases.findIndex((c) => {
    const key = inputsKey(c);
    if (shapes.has(key)) return false;
    shapes.add(key);
    needed += footprint(c);
    return shapes.size > 1 && (shapes.size > SHAPES_AHEAD || needed > bytes);
  });
  return cases.slice(0, end < 0 ? cases.length : end);
}

function hasRoom(session: Session, flights: readonly Flight[], c: Case, most: number): boolean {
  if (flights.length === 0) return true;
  const bytes = flights.reduce((sum, flight) => sum + flight.bytes, footprint(c));
  return flights.length < most && bytes <= inFlightBytes(session);
}

function inFlightBytes({ gpu }: Session): number {
  return IN_FLIGHT_BYTES[gpu.adapter.software ? "software" : "hardware"];
}

/** Bytes of host and device memory that a case needs, roughly: its cache, in f32. */
function footprint({ operation, shape }: Case): number {
  if (operation === "project") {
    return 4 * shape.H * (shape.tokens * (shape.Dn + shape.R) + shape.R * (shape.Dn + shape.Dv));
  }
  const rows = operation === "append" ? shape.q.length : shape.H * shape.q.reduce((a, b) => a + b, 0);
  return 4 * (shape.R + shape.Dr) * (shape.kv.reduce((a, b) => a + b, 0) + 2 * rows);
}

/**
 * What became of `flights`, the first of which lost its device: those that failed run again alone, so that the others
 * do not fail with the one whose fault it is.
 */
async function* runAlone(
  session: Session,
  shrinker: FailureShrinker,
  flights: readonly Pick<Flight, "c" | "result">[],
): AsyncGenerator<Result, void> {
  const settled = await Promise.all(flights.map(({ result }) => result));
  for (const [i, { c }] of flights.entries()) {
    if (settled[i].status !== "failed") {
      if (session.gpu.lost) await session.reopen();
      yield await shrinker.add(c, settled[i]);
      continue;
    }
    if (session.gpu.lost || !await isAlive(session.gpu)) await session.reopen();
    const again = await runCase(session, c);
    const survived = again.status !== "failed" || await isAlive(session.gpu);
    yield survived ? await shrinker.add(c, again) : lost(session, again);
  }
}

/** A failure that the device did not survive. */
function lost({ gpu }: Session, result: Result & { readonly status: "failed" }): Result {
  gpu.lost ??= "it stopped working";
  return { ...result, message: `the device was lost (${gpu.lost}): ${result.message}` };
}
