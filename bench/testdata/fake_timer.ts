/**
 * A timer without a device: what kernels take, how the clock runs and how stamps are made are given by a test.
 *
 * @module
 */
import { uint32At } from "../../reference/random.ts";
import type { PassTimer } from "../pass_timer.ts";

/** A planted device. Times are in ns; `nowNs` is device time at the beginning of a pass. */
export interface FakeDevice {
  /** What one launch of each subject takes at full clock. */
  readonly launchNs: readonly ((nowNs: number) => number)[];
  /** Copies that launches rotate over. @default {1} */
  readonly rotation?: number;
  /** Clock over its best, 0…1. @default {1} */
  readonly clock?: (nowNs: number) => number;
  /** What a pass of the probe takes at full clock. @default {PROBE_NS} */
  readonly probeNs?: number;
  /** What a pass takes beside its launches. @default {0} */
  readonly overheadNs?: number;
  /** From the end of a pass to the begin of the next; negative: they overlap. @default {1000} */
  readonly gapNs?: number;
  /** Device time that passes between submissions. @default {10 ms} */
  readonly idleNs?: number;
  /** Nanoseconds per tick. @default {1} */
  readonly tickNs?: number;
  /** Step in which stamps advance. @default {tickNs} */
  readonly quantumNs?: number;
  /** Relative deviation of a pass, uniform. @default {0.002} */
  readonly noise?: number;
  /** What a reset sets back before stamp `i`, if it does. @default {none} */
  readonly setBackNs?: (stamp: number) => number;
}

/** Full-clock time of a pass of the probe. */
export const PROBE_NS = 200_000;

/** The timer of a planted device, with what it was asked for. */
export interface FakeTimer extends PassTimer {
  /** Submissions so far: the subject of each pass and its launches. */
  readonly submissions: Parameters<PassTimer["encode"]>[0][];
  /** Most device time that a submission took. */
  longestNs: number;
}

/** A timer of `device`. */
export function fakeTimer(device: FakeDevice): FakeTimer {
  const { launchNs, rotation = 1, clock = () => 1, overheadNs = 0, gapNs = 1000, idleNs = 10e6 } = device;
  const { tickNs = 1, quantumNs = tickNs, noise = 0.002, setBackNs = () => 0, probeNs = PROBE_NS } = device;
  let nowNs = 1e9, stamped = 0, offsetNs = 0, drawn = 0;
  const stamp = (ns: number) => {
    offsetNs -= setBackNs(stamped++);
    return BigInt(Math.round(Math.floor((ns + offsetNs) / quantumNs) * quantumNs / tickNs));
  };
  const timer: FakeTimer = {
    rotations: launchNs.map(() => rotation),
    hasProbe: true,
    submissions: [],
    longestNs: 0,
    encode(passes) {
      let stamps: readonly bigint[] = [];
      return { submit: () => void (stamps = run(passes)), read: () => Promise.resolve(stamps) };
    },
  };
  const run = (passes: Parameters<PassTimer["encode"]>[0]) => {
    timer.submissions.push(passes);
    nowNs += idleNs;
    const before = nowNs;
    const stamps = passes.flatMap((pass) => {
      const fullNs = pass === "probe" ? probeNs : pass.launches * launchNs[pass.subject](nowNs);
      const ownNs = fullNs / clock(nowNs) * (pass === "probe" ? 1 : 1 + noise * (uint32At(1, drawn++) / 2 ** 31 - 1));
      const begin = stamp(nowNs);
      const end = stamp(nowNs + overheadNs + ownNs);
      nowNs += overheadNs + ownNs + gapNs;
      return [begin, end];
    });
    timer.longestNs = Math.max(timer.longestNs, nowNs - before);
    return stamps;
  };
  return timer;
}
