/**
 * What a run leaves behind. A time cannot exist without a passed verification: the types have no such member.
 * Statistics are never stored, they are computed on reading (`statistics.ts`).
 *
 * @module
 */

import type { Verification } from "../reference/check.ts";
import type { OutputDifference } from "../reference/differential.ts";
import type { KernelPrecision } from "../reference/precision.ts";

export type { Check, Verification, WorstElement } from "../reference/check.ts";
export type { DifferentElement, OutputDifference } from "../reference/differential.ts";
export type { KernelPrecision } from "../reference/precision.ts";

/** How a sample was timed; figures of different timers are never compared. */
export type Timer = "timestamp-query" | "host-slope";

/**
 * Reading of the fixed dependent-FMA probe: how fast the clock was, relative to the best seen in the session. Of
 * several submissions the median.
 */
export interface ClockProbe {
  /** Probe duration right before the samples, ns. */
  readonly beforeNs: number;
  /** Probe duration right after them, ns. */
  readonly afterNs: number;
  /** Best probe duration of the session so far, ns. */
  readonly bestNs: number;
}

/** Raw samples of one mode. */
export interface Samples {
  /** `cold`: inputs rotate over more bytes than the cache holds; `hot`: the same inputs again and again. */
  readonly mode: "cold" | "hot";
  /**
   * Time of one launch per sample in ns, in the order taken: the span of a pass less its overhead, over its launches.
   */
  readonly samplesNs: readonly number[];
  /**
   * Samples of each batch, in order: passes in a row, with the clock read around them. Absent for slopes of host time.
   */
  readonly batches?: readonly number[];
  /** Launches per pass. */
  readonly launchesPerPass: number;
  /** What they were to take together at least, by the timer (`pass_length.ts`), ns. Absent for slopes of host time. */
  readonly leastPassNs?: number;
  /** Relative half-width of its interval at which sampling was to stop. Absent for slopes of host time. */
  readonly targetHalfWidth?: number;
  /** Copies of the rotated inputs; 1 when hot. */
  readonly rotation: number;
  /** Spans that came back negative or zero and were dropped. */
  readonly droppedSpans: number;
  /** Spans that began before the one ahead of them ended; they are kept. Absent for slopes of host time. */
  readonly overlappingSpans?: number;
  /** Batches that were measured again because the clock was not at its best. */
  readonly rejectedBatches: number;
  /** Batches before three medians in a row agreed; their samples are left out. Absent for slopes of host time. */
  readonly warmUpBatches?: number;
  /** Whether the three did agree; absent where nothing was to warm up. */
  readonly isSettled?: boolean;
  /**
   * How far time is from growing with the number of launches, of three times as many over as many; of slopes of host
   * time.
   */
  readonly nonlinearity?: number;
  /**
   * What ended sampling: the interval of the median of batch medians closed; the budget of device time was spent
   * before; or a batch came back without a positive span. Absent for slopes of host time.
   */
  readonly stopped?: "interval" | "budget" | "timer";
  /** Clock probe around the samples, where timestamps exist and can read it. */
  readonly clock?: ClockProbe;
  /** Mean of the probe right before each batch and right after it, ns; absent too where one reading was lost. */
  readonly probesNs?: readonly number[];
}

/** What was measured of a verified case. */
export interface Measurement {
  /** Timer. */
  readonly timer: Timer;
  /** Nanoseconds per timestamp tick, as calibrated; absent where timestamps were not used. */
  readonly tickNs?: number;
  /** Step in which its stamps advance, ns. */
  readonly quantumNs?: number;
  /** Span of an empty pass, ns: it was taken off every span. */
  readonly passOverheadNs?: number;
  /** Bytes that the largest cache was assumed to hold: cold launches rotate over more than twice as many. */
  readonly cacheBytes?: number;
  /**
   * Cases between whose batches those of this one were taken, in an order drawn from `seed`; absent where it was alone.
   */
  readonly interleaved?: { readonly seed: number; readonly cases: readonly string[] };
  /** Samples by mode; the first is the headline. */
  readonly runs: readonly Samples[];
  /** Bytes the operation must move: every input read once, every output written once. */
  readonly minBytes: number;
  /** `2·q·H·kv·(2R+Dr)` over attended pairs; 0 for append. */
  readonly flops: number;
}

/** Where a case failed. */
export type Stage = "inputs" | "reference" | "launch" | "compile" | "run" | "measure" | "crashed" | "timeout";

/** What the backend resolver picks for a shape when it is asked for `auto` (`kernels/resolver.ts`). */
export interface ResolverChoice {
  /** Variant of the operation, or `reference`. */
  readonly backend: string;
  /** Form of `mla`. */
  readonly form?: "absorbed" | "expanded";
  /** What the table of tunings gives the kernel; absent: it chooses by its own rule. */
  readonly tuning?: Readonly<Record<string, number>>;
  /** Why, one reason each. */
  readonly reasons: readonly string[];
}

/** Host time of planning, apart from running. */
export interface PlanTimes {
  /** To describe the launch and create its pipelines, buffers and bind groups, ms. */
  readonly planMs: number;
  /** To bring a plan up to date for other lengths: describe again, write lists and uniforms; median of several, ms. */
  readonly updateMs: number;
}

/**
 * A verified case beside another run of the same inputs: by another kernel, or by the same kernel on another adapter.
 * Data, no verdict.
 */
export interface Differential {
  /** The other kernel, `attend/unfused`; or the kernel of the case itself where another run of it was stored. */
  readonly against: string;
  /** Name of the adapter of a stored run, `NVIDIA H200`; absent where the other kernel ran beside this one. */
  readonly adapter?: string;
  /** The same with all that identifies it, in one line (`fingerprint.ts`). */
  readonly environment?: string;
  /** Each output; of a flow those of the last call. Empty where nothing was compared. */
  readonly outputs: readonly OutputDifference[];
  /** Why nothing was compared, in one line. */
  readonly skipped?: string;
}

/** The smallest case found that fails like a wrong or failed one. */
export interface Shrunk {
  /** Its id. */
  readonly id: string;
  /** Cases that were run to find it. */
  readonly runs: number;
}

/** What every result has. */
export interface ResultBase {
  /** Case id. */
  readonly id: string;
  /** Values of every axis of the case. */
  readonly axes: Readonly<Record<string, string | number>>;
  /** Wall time of the case on the host, ms. */
  readonly hostMs: number;
  /** GPU time of all its passes by timestamps: warm-up, probes and samples, ms; absent where it is not known. */
  readonly gpuMs?: number;
  /**
   * GPU time of what was read back to check it, ms; absent where it is not known. Cases that are in flight together
   * share it as they end: it is right in sum.
   */
  readonly checkGpuMs?: number;
  /** Wall time that it waited for its inputs and their reference, ms; absent where it needed none. */
  readonly inputsMs?: number;
  /** Wall time from there to the end of its checks, compilation in it, ms; absent where they did not end. */
  readonly checksMs?: number;
  /** Wall time to create its pipelines, ms; absent when all were cached or none was made. */
  readonly compileMs?: number;
  /** What the kernel chose (`splits`, …). */
  readonly chosen?: Readonly<Record<string, number>>;
  /** What the kernel computes in, as it declares it; absent: all in f32. */
  readonly precision?: KernelPrecision;
  /** What `auto` resolves to for this shape on this device. */
  readonly resolver?: ResolverChoice;
  /** Time of planning, for launches that have a plan. */
  readonly plan?: PlanTimes;
  /** The same inputs by another kernel or on another adapter, where that was asked for and the case passed. */
  readonly differential?: Differential;
}

/** Verified and timed. */
export interface Measured extends ResultBase {
  /** Tag. */
  readonly status: "measured";
  /** Its passed verification. */
  readonly verification: Verification;
  /** Raw samples. */
  readonly measurement: Measurement;
  /** `unstable`: the interval did not close; `invalid`: the timer cannot be believed, no throughput is shown. */
  readonly verdict: "ok" | "unstable" | "invalid";
  /** Why the verdict is not `ok`. */
  readonly reasons: readonly string[];
}
/** Verified without timing: by `verify`, or because there is nothing that could be timed. */
export interface Verified extends ResultBase {
  /** Tag. */
  readonly status: "verified";
  /** Its passed verification. */
  readonly verification: Verification;
  /** Why it was not timed, in one line; absent where timing was not asked for. */
  readonly reason?: string;
}
/** The kernel ran and is wrong. */
export interface Incorrect extends ResultBase {
  /** Tag. */
  readonly status: "incorrect";
  /** The checks, at least one of which failed. */
  readonly verification: Verification;
  /** The case in small, where it was shrunk. */
  readonly shrunk?: Shrunk;
}
/** Not run, for a reason that is not a fault. */
export interface Skipped extends ResultBase {
  /** Tag. */
  readonly status: "skipped";
  /** The reason, in one line. */
  readonly reason: string;
}
/** Could not be run to the end. */
export interface Failed extends ResultBase {
  /** Tag. */
  readonly status: "failed";
  /** Where. */
  readonly stage: Stage;
  /** What the compiler, the device or the supervisor said; may have several lines. */
  readonly message: string;
  /** The case in small, where it was shrunk. */
  readonly shrunk?: Shrunk;
}
/** Outcome of one case. */
export type Result = Measured | Verified | Incorrect | Skipped | Failed;
/** Tag of {@linkcode Result}. */
export type Status = Result["status"];

/** A figure of a {@linkcode Calibration}. */
export interface CalibratedFigure {
  /** Above zero, in the unit that the figure's name ends with. */
  readonly value: number;
  /** Interquartile range over the median of the readings that it comes from; absent where it is no figure of many. */
  readonly spread?: number;
}

/**
 * What a device does at best, measured once per run before its first case (`calibration.ts`). A figure is absent where
 * it could not be measured or believed, and `doubts` says why.
 */
export interface Calibration {
  /** Nanoseconds per timestamp tick. */
  readonly tickNs?: CalibratedFigure;
  /** Step of the timestamps. */
  readonly quantumNs?: CalibratedFigure;
  /** Span of a pass without any work; the median. */
  readonly emptyPassNs?: CalibratedFigure;
  /** What one more dispatch adds to a pass, of a kernel that waits for the one before it; the median. */
  readonly dispatchNs?: CalibratedFigure;
  /** Reading of memory that no cache holds. */
  readonly readBytesPerS?: CalibratedFigure;
  /** Copying of such memory by a shader; bytes read and bytes written count. */
  readonly copyBytesPerS?: CalibratedFigure;
  /** Reading of workgroup memory without bank conflicts, by all workgroups together. */
  readonly workgroupBytesPerS?: CalibratedFigure;
  /** Independent FMAs in f32; one counts as two flops. */
  readonly f32FlopsPerS?: CalibratedFigure;
  /** The same in f16, two at a time; absent too without the feature `shader-f16`. */
  readonly f16FlopsPerS?: CalibratedFigure;
  /** Products of subgroup matrices, f16 summed in f32; absent too where there are none. */
  readonly matrixFlopsPerS?: CalibratedFigure;
  /** What is wrong with it, one line each; empty when nothing is. */
  readonly doubts: readonly string[];
  /** Wall time that it took, ms. */
  readonly wallMs: number;
  /** Device time that it took, and waking the device before it, ms; absent in older reports. */
  readonly gpuMs?: number;
}

/** Where and with what a run was made. */
export interface Environment {
  /** Version of this project. */
  readonly version: string;
  /** Commit of the checkout and whether it had changes, where git knows. */
  readonly git?: { readonly commit: string; readonly dirty: boolean };
  /** Deno, V8 and TypeScript versions. */
  readonly runtime: { readonly deno: string; readonly v8: string; readonly typescript: string };
  /** Host machine. */
  readonly host: {
    readonly os: string;
    readonly osRelease: string;
    readonly arch: string;
    readonly cpu: string;
    readonly cores: number;
    readonly loadAverage: readonly number[];
  };
  /** The GPU. */
  readonly adapter: {
    /** `wgpu`, `dawn` or `software`. */
    readonly provider: string;
    /** Dawn's toggles that were asked for; absent where none were. */
    readonly toggles?: readonly string[];
    readonly vendor: string;
    readonly architecture: string;
    readonly device: string;
    readonly description: string;
    /** Whether it is a CPU implementation, whose times say nothing about GPUs. */
    readonly software: boolean;
    readonly features: readonly string[];
    readonly limits: Readonly<Record<string, number>>;
    readonly subgroupMinSize: number;
    readonly subgroupMaxSize: number;
  };
  /** What the adapter does at best; absent where nothing was timed or there are no timestamps. */
  readonly calibration?: Calibration;
  /** Arguments of the command, after the task. */
  readonly argv: readonly string[];
  /** `bench`, `verify`, `gate` or `tune`. */
  readonly command: string;
  /** Suites that were run. */
  readonly suites: readonly string[];
  /** Seed that `--seed` gave, or the default. */
  readonly seed: number;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  /** Wall time of the sweep so far, s. */
  readonly wallS: number;
}

/** A whole run: the content of `report.json`. */
export interface Report {
  /** Version of the schema in `reports/report.schema.json`. */
  readonly schemaVersion: 1;
  /** Where and with what. */
  readonly environment: Environment;
  /** One per case. */
  readonly results: readonly Result[];
}
