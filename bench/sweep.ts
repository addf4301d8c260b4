/**
 * Runs cases on a device of this process. Timed ones run one after another; where none is timed several are in flight, so
 * that the host's work for one hides the waiting for another.
 *
 * @module
 */
import type { Case } from "../suites/case.ts";
import { inputsKey } from "./case_inputs.ts";
import { isAlive } from "./execute.ts";
import type { Result } from "./result.ts";
import { runCase } from "./run_case.ts";
import { Session, type SweepOptions } from "./session.ts";
import { FailureShrinker } from "./shrink_failures.ts";

export type { Against } from "./differential.ts";
export type { SweepOptions } from "./session.ts";

/** Cases in flight: mapping a buffer takes 10 ms in Deno, a small case otherwise one or two. */
const IN_FLIGHT = 8;
/** Bytes that cases in flight may need together: of large ones fewer are. Machines with a GPU have more memory. */
const IN_FLIGHT_BYTES = { software: 128 << 20, hardware: 1 << 30 };

/** A case in flight. */
interface Flight {
  readonly c: Case;
  readonly bytes: number;
  /** Its result; it never rejects. */
  readonly result: Promise<Result>;
}

/**
 * Runs `cases` and yields the result of each, in their order. A case that fails leaves the others a working device: those
 * that were in flight when it was lost run again, one at a time.
 *
 * @throws {NoAdapterError} Where WebGPU finds no adapter.
 */
export async function* runCases(cases: readonly Case[], options: SweepOptions): AsyncGenerator<Result, void> {
  const session = await Session.open(options, cases.length);
  const most = options.timing === false ? options.inFlight ?? IN_FLIGHT : 1;
  const shrinker = new FailureShrinker(session);
  const flights: Flight[] = [];
  let begun = 0;
  try {
    while (begun < cases.length || flights.length > 0) {
      if (session.gpu.lost && flights.length === 0) await session.reopen();
      // The first case runs alone: a device that can do nothing shows it there.
      const room = begun === 0 ? 1 : most;
      while (begun < cases.length && !session.gpu.lost && hasRoom(session, flights, cases[begun], room)) {
        flights.push(begin(session, cases, begun++, most));
      }
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

function begin(session: Session, cases: readonly Case[], at: number, most: number): Flight {
  const c = cases[at];
  session.options.onBegin?.(c);
  // On a GPU the host is idle while timed kernels run: the next shape's reference is made meanwhile.
  const isAhead = most === 1 && !session.gpu.adapter.software;
  const next = isAhead ? cases.slice(at).find((d) => inputsKey(d) !== inputsKey(c)) : undefined;
  return { c, bytes: footprint(c), result: runCase(session, c, { next }) };
}

function hasRoom({ gpu }: Session, flights: readonly Flight[], c: Case, most: number): boolean {
  if (flights.length === 0) return true;
  const bytes = flights.reduce((sum, flight) => sum + flight.bytes, footprint(c));
  return flights.length < most && bytes <= IN_FLIGHT_BYTES[gpu.adapter.software ? "software" : "hardware"];
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
 * What became of `flights`, the first of which lost its device: those that failed run again alone, so that the others do
 * not fail with the one whose fault it is.
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
