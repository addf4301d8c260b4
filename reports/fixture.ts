/**
 * Reports for tests: plain data with every kind of result, the same on every call, and one kernel whose name is hostile
 * to HTML, XML, Markdown tables and spreadsheets.
 *
 * @module
 */
import type {
  Calibration,
  Differential,
  Environment,
  Failed,
  Incorrect,
  Measured,
  Report,
  Result,
  Samples,
  Skipped,
  Verification,
  Verified,
} from "../bench/result.ts";

/** What {@linkcode makeReport} varies. */
export interface ReportFixtureOptions {
  /** Whether the adapter is a CPU implementation. @default {false} */
  readonly software?: boolean;
  /** Results in place of {@linkcode makeResults}. */
  readonly results?: readonly Result[];
  /** Fields of the environment in place of the fixture's. */
  readonly environment?: Partial<Environment>;
}

/** What {@linkcode makeMeasured} varies. */
export interface MeasuredFixtureOptions {
  /** Kernel, `operation/variant`. @default {"attend/fused"} */
  readonly kernel?: string;
  /** Axes that differ from the fixture's. */
  readonly axes?: Readonly<Record<string, string | number>>;
  /** Centre of the samples, ns. @default {50_000} */
  readonly centreNs?: number;
  /** Half of the range of the samples over their centre. @default {0.01} */
  readonly spread?: number;
  /** Samples of each mode. @default {40} */
  readonly count?: number;
  /** Verdict on the times. @default {"ok"} */
  readonly verdict?: Measured["verdict"];
  /** Why the verdict is not `ok`. @default {[]} */
  readonly reasons?: readonly string[];
  /** Timer. @default {"timestamp-query"} */
  readonly timer?: Measured["measurement"]["timer"];
  /** Probe durations over the best of the session, before and after the samples; absent: no clock probe. */
  readonly clockRatio?: number;
}

/** A kernel name that must stay text wherever it is shown. */
export const hostileKernel = "attend/<img src=x onerror=alert(1)>";

const axesOfAttend = { B: 4, H: 16, R: 256, Dr: 64, q: 1, kv: 1024, page: 64, cache: "bf16", input: "normal", seed: 1 };

/** Case id of `kernel` at `axes`, in the form of `suites/`, defaults left out. */
export function makeId(kernel: string, axes: Readonly<Record<string, string | number>> = {}): string {
  const values: Record<string, string | number> = { ...axesOfAttend, ...axes };
  return `${kernel}:` +
    ["B", "H", "R", "Dr", "q", "kv", "page", "cache"].map((name) => `${name}=${values[name]}`).join(";");
}

/** A passed verification of `out` and `lse`. */
export function makeVerification(): Verification {
  return {
    passed: true,
    coverage: 1,
    checks: [
      {
        name: "out",
        passed: true,
        elements: 16_384,
        mismatches: 0,
        maxAbsError: 1.2e-6,
        maxRelError: 3.1e-5,
        nmse: 4.2e-13,
        cosineDifference: 2.1e-13,
        budgetUsed: 0.21,
        ceilingUsed: 0.034,
        worst: {
          sequence: 2,
          head: 7,
          token: 0,
          dim: 133,
          page: 31,
          actual: 0.125001,
          expected: 0.125,
          absError: 1e-6,
          bound: 5e-6,
        },
      },
      {
        name: "lse",
        passed: true,
        elements: 64,
        mismatches: 0,
        maxAbsError: 8e-7,
        maxRelError: 1e-7,
        budgetUsed: 0.08,
      },
      { name: "inputs_unchanged", passed: true, elements: 1_310_720, mismatches: 0 },
    ],
  };
}

/** A verification whose output is NaN in one head and whose LSE is off. */
export function makeBrokenVerification(): Verification {
  return {
    passed: false,
    coverage: 0.25,
    checks: [
      {
        name: "out",
        passed: false,
        message: "256 of 16384 elements are out of bound",
        elements: 16_384,
        mismatches: 256,
        maxAbsError: 0.52,
        nmse: 0.031,
        cosineDifference: 0.014,
        worst: { sequence: 3, head: 5, token: 0, dim: 17, page: 12, actual: "NaN", expected: -0.31, bound: 5e-6 },
        first: {
          sequence: 3,
          head: 5,
          token: 0,
          dim: 16,
          page: 12,
          actual: 0.25,
          expected: -0.27,
          absError: 0.52,
          bound: 5e-6,
          edges: ["last sequence", "one token past a multiple of 64"],
        },
        pattern: ["sequence 3 (last sequence)", "head 5"],
        maps: [
          {
            rows: { name: "head", from: 0, step: 1, bins: 16 },
            columns: { name: "dim", from: 0, step: 8, bins: 32 },
            // Head 5 is out of bound, from dim 16 to 23 NaN; of head 9 nothing was compared.
            values: Array.from({ length: 512 }, (_, i) => {
              const [head, bin] = [Math.floor(i / 32), i % 32];
              return head === 9 ? -2 : head !== 5 ? 0.21 : bin === 2 ? -1 : 100_000;
            }),
          },
          {
            rows: { name: "sequence", from: 0, step: 1, bins: 4 },
            columns: { name: "page", from: 0, step: 1, bins: 4 },
            values: [0.2, -2, -2, -2, -2, 0.9, -2, -2, -2, -2, 0.1, -2, -2, -2, -2, -1],
          },
        ],
      },
      {
        name: "lse",
        passed: false,
        message: "1 of 64 elements are out of bound",
        elements: 64,
        mismatches: 1,
        maxAbsError: 0.69,
        budgetUsed: 1380,
        worst: {
          sequence: 3,
          head: 5,
          token: 0,
          page: 12,
          actual: "Infinity",
          expected: "-Infinity",
          bound: 1e-5,
        },
      },
    ],
  };
}

/** `count` samples between `centreNs·(1 ± spread)`, in an order that looks random and is always the same. */
export function makeSamplesNs(centreNs: number, spread = 0.01, count = 40): number[] {
  // Multiples of the golden ratio modulo 1 fill the range evenly; the median is centreNs to within 1/count of the
  // range.
  const golden = (Math.sqrt(5) - 1) / 2;
  return Array.from({ length: count }, (_, i) => centreNs * (1 + spread * (2 * ((0.5 + i * golden) % 1) - 1)));
}

/** A case of `attend`, verified and timed cold and hot. */
export function makeMeasured(options: MeasuredFixtureOptions = {}): Measured {
  const { kernel = "attend/fused", centreNs = 50_000, spread = 0.01, count = 40, clockRatio } = options;
  const timer = options.timer ?? "timestamp-query";
  const bestNs = 100_000;
  const clock = clockRatio === undefined
    ? {}
    : { clock: { beforeNs: bestNs * clockRatio, afterNs: bestNs * clockRatio, bestNs } };
  const samples = (mode: Samples["mode"], scale: number): Samples => ({
    mode,
    samplesNs: makeSamplesNs(centreNs * scale, spread, count),
    launchesPerPass: mode === "cold" ? 4 : 16,
    rotation: mode === "cold" ? 27 : 1,
    droppedSpans: 0,
    rejectedBatches: mode === "cold" ? 2 : 0,
    ...clock,
  });
  return {
    status: "measured",
    id: makeId(kernel, options.axes),
    axes: { ...axesOfAttend, ...options.axes },
    hostMs: 412.5,
    gpuMs: 250,
    compileMs: 31.25,
    chosen: { splits: 4 },
    verification: makeVerification(),
    measurement: {
      timer,
      ...timer === "timestamp-query" && { tickNs: 1 },
      runs: [samples("cold", 1), samples("hot", 0.8)],
      minBytes: 2_769_936,
      flops: 75_497_472,
    },
    verdict: options.verdict ?? "ok",
    reasons: options.reasons ?? [],
  };
}

/** A case of a kernel whose products are in f16, measured. */
export function makeMeasuredF16(options: MeasuredFixtureOptions = {}): Measured {
  const precision = { scores: { f16Chain: 18 }, values: { f16Chain: 32 } };
  return { ...makeMeasured({ kernel: "attend/fused_f16", ...options }), precision };
}

/** A case verified without timing. */
export function makeVerified(
  kernel = "attend/unfused",
  axes: Readonly<Record<string, string | number>> = {},
): Verified {
  return {
    status: "verified",
    id: makeId(kernel, axes),
    axes: { ...axesOfAttend, ...axes },
    hostMs: 96,
    verification: makeVerification(),
  };
}

/** A verified case that would have passed with an output of zeros or of one value. */
export function makeBlind(kernel?: string, axes?: Readonly<Record<string, string | number>>): Verified {
  const verified = makeVerified(kernel, axes);
  return { ...verified, verification: { ...verified.verification, blind: ["zeros", "constant"] } };
}

/** The case beside another kernel: one output that differs in its last bits. */
export function makeDifferential(): Differential {
  return {
    against: "attend/unfused",
    outputs: [{
      name: "out",
      elements: 16_384,
      equalShare: 0.41,
      ulpMedian: 1,
      ulpP99: 18,
      ulpMax: 912,
      errorUlpMedian: 0.6,
      errorUlpMax: 300,
      otherErrorUlpMedian: 0.9,
      otherErrorUlpMax: 1020,
      worst: { sequence: 1, head: 3, token: 0, dim: 40, page: 7, actual: 1.25e-6, other: 1.26e-6, expected: 1.252e-6 },
    }],
  };
}

/** A case whose kernel ran and is wrong. */
export function makeIncorrect(
  kernel = "attend/fused_subgroup",
  axes: Readonly<Record<string, string | number>> = {},
): Incorrect {
  return {
    status: "incorrect",
    id: makeId(kernel, axes),
    axes: { ...axesOfAttend, ...axes },
    hostMs: 118,
    compileMs: 44,
    verification: makeBrokenVerification(),
    shrunk: { id: makeId(kernel, { ...axes, B: 1, H: 1, kv: 65 }), runs: 17 },
  };
}

/** A case that was not run. */
export function makeSkipped(
  kernel = "attend/fused_matrix",
  axes: Readonly<Record<string, string | number>> = {},
): Skipped {
  return {
    status: "skipped",
    id: makeId(kernel, axes),
    axes: { ...axesOfAttend, ...axes },
    hostMs: 0,
    reason: 'needs the feature "chromium-experimental-subgroup-matrix", which the adapter lacks',
  };
}

/** A case that could not be run to the end; the message has line breaks, a control character and markup. */
export function makeFailed(kernel = hostileKernel, axes: Readonly<Record<string, string | number>> = {}): Failed {
  return {
    status: "failed",
    id: makeId(kernel, axes),
    axes: { ...axesOfAttend, ...axes },
    hostMs: 7.5,
    stage: "compile",
    message:
      "\u001b[31merror\u001b[0m: unknown identifier `scale`\n  ┌─ attend.wgsl:25:12 | let s = <b>scale</b> & ]]> 1;",
  };
}

/** One result of every kind and verdict, a hostile kernel measured and failed, and a ragged batch. */
export function makeResults(): Result[] {
  return [
    makeMeasured(),
    makeMeasured({ axes: { page: 16 }, centreNs: 58_000 }),
    makeMeasured({ axes: { kv: "1,63,64,65" }, centreNs: 9_000 }),
    makeMeasured({ kernel: "attend/unfused", centreNs: 140_000 }),
    makeMeasured({ kernel: "attend/fused_subgroup", axes: { page: 16 }, centreNs: 31_000, clockRatio: 1.02 }),
    makeMeasured({ kernel: hostileKernel, centreNs: 77_000 }),
    makeMeasured({
      axes: { B: 64 },
      centreNs: 610_000,
      spread: 0.4,
      verdict: "unstable",
      reasons: ["the 95 % interval of the median is ±14.1 % after 2.0 s, wider than ±5 %"],
    }),
    makeMeasured({
      axes: { B: 1 },
      centreNs: 512,
      verdict: "invalid",
      reasons: ["faster than the memory of this device allows: 5.4 TB/s of 4.8 TB/s"],
    }),
    { ...makeBlind(undefined, { page: 16 }), differential: makeDifferential() },
    makeIncorrect(),
    makeSkipped(),
    makeFailed(undefined, { kv: 65 }),
    { ...makeFailed("attend/fused", { kv: 0 }), stage: "timeout", message: "no result after 30 s" },
  ];
}

/** What an H200 does at best, or lavapipe on two cores; there one figure is not known. */
export function makeCalibration(software = false): Calibration {
  const of = (value: number, spread = 0.004) => ({ value, spread });
  if (software) {
    return {
      tickNs: { value: 1 },
      quantumNs: { value: 1 },
      dispatchNs: of(22_600, 0.45),
      readBytesPerS: of(9.1e9),
      copyBytesPerS: of(8.8e9),
      workgroupBytesPerS: of(11.2e9),
      f32FlopsPerS: of(64e9),
      f16FlopsPerS: of(6.5e9),
      doubts: ["emptyPassNs: it was measured as 0"],
      wallMs: 972,
    };
  }
  return {
    tickNs: of(1, 0.0001),
    quantumNs: { value: 32 },
    emptyPassNs: of(1_088, 0.03),
    dispatchNs: of(1_600, 0.01),
    readBytesPerS: of(4.6e12),
    copyBytesPerS: of(3.8e12),
    workgroupBytesPerS: of(28.7e12),
    f32FlopsPerS: of(61.5e12),
    f16FlopsPerS: of(103e12),
    doubts: [],
    wallMs: 1_450,
  };
}

/** An environment of an NVIDIA H200, or of lavapipe when `software`. */
export function makeEnvironment(software = false): Environment {
  return {
    version: "0.1.0",
    git: { commit: "0123456789abcdef0123456789abcdef01234567", dirty: false },
    runtime: { deno: "2.9.6", v8: "14.3.127.9-rusty", typescript: "5.9.3" },
    host: {
      os: "linux",
      osRelease: "6.8.0",
      arch: "x86_64",
      cpu: "AMD EPYC 9654",
      cores: 16,
      loadAverage: [0.4, 0.3, 0.2],
    },
    adapter: {
      provider: software ? "software" : "wgpu",
      vendor: software ? "65541" : "4318",
      architecture: "",
      device: software ? "0" : "9013",
      description: software ? "llvmpipe (LLVM 19.1.7, 256 bits)" : "NVIDIA H200",
      software,
      features: ["shader-f16", "subgroups", "timestamp-query"],
      limits: { maxStorageBufferBindingSize: 2_147_483_644, maxComputeWorkgroupStorageSize: 32_768 },
      subgroupMinSize: software ? 8 : 32,
      subgroupMaxSize: software ? 8 : 32,
    },
    calibration: makeCalibration(software),
    argv: ["--suite", "smoke"],
    command: "bench",
    suites: ["smoke"],
    seed: 1,
    startedAt: "2026-08-01T12:00:00.000Z",
    wallS: 61.5,
  };
}

/** A whole report: {@linkcode makeResults} on an H200 unless told otherwise. */
export function makeReport(options: ReportFixtureOptions = {}): Report {
  return {
    schemaVersion: 1,
    environment: { ...makeEnvironment(options.software), ...options.environment },
    results: options.results ?? makeResults(),
  };
}
