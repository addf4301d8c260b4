/**
 * The part of timing that needs a device: submits passes and returns their stamps. What is submitted, and what the
 * stamps mean, is decided without one (`sampling.ts`), so that tests can plant a clock of their own.
 *
 * @module
 */
import { type EncodedPasses, encodePasses, probePass, type TimedPass } from "./clock.ts";
import type { Gpu } from "./device.ts";
import type { BoundLaunch } from "./plan.ts";

/** Launches of one subject, in one pass. */
export interface Work {
  /** Which of the subjects that are timed together. */
  readonly subject: number;
  /** How many. */
  readonly launches: number;
}

/** Times passes. */
export interface PassTimer {
  /** Copies of its inputs that the launches of each subject rotate over. */
  readonly rotations: readonly number[];
  /** Whether passes of the probe tell how fast the clock runs: not on adapters that are CPUs. */
  readonly hasProbe: boolean;
  /** Encodes passes in order, at most 2,048, whose begin and end in turn, ticks, are read. */
  encode(passes: readonly (Work | "probe")[]): EncodedPasses<readonly bigint[]>;
}

/** A {@linkcode PassTimer} of a device; each subject is bound to one copy of its inputs or several. */
export function gpuPassTimer(gpu: Gpu, subjects: readonly (readonly BoundLaunch[])[]): PassTimer {
  const next = subjects.map(() => 0);
  const hasProbe = !gpu.adapter.software;
  const launch = (pass: GPUComputePassEncoder, { subject, launches }: Work) => {
    const bound = subjects[subject];
    for (let i = 0; i < launches; i++) bound[next[subject]++ % bound.length].encode(pass);
  };
  return {
    rotations: subjects.map((bound) => bound.length),
    hasProbe,
    encode(passes) {
      const timed = passes.map((work, i): TimedPass => {
        if (work === "probe") return probePass(gpu);
        const encode = (pass: GPUComputePassEncoder) => launch(pass, work);
        // The first launch after the probe or another subject finds a cache that is not its own.
        const isFirst = hasProbe && passes[i - 1] === "probe";
        return isFirst ? { encode, lead: (pass) => launch(pass, { ...work, launches: 1 }) } : { encode };
      });
      const encoded = encodePasses(gpu, timed);
      return { submit: encoded.submit, read: async () => (await encoded.read()).stamps };
    },
  };
}
