/**
 * Device time: the timestamp period, and a probe that reads how fast the clock runs.
 *
 * GPUs idle at a fraction of their clock (an H200 at 345 of 1980 MHz), wake over seconds and fall back within
 * milliseconds of host work. The probe is a chain of dependent FMAs: its duration is a fixed number of clocks.
 *
 * @module
 */
import { total } from "../reference/shapes.ts";
import { quantile } from "./statistics.ts";
import type { Gpu } from "./device.ts";
import { guarded, settled } from "./guard.ts";

/** What a timer can tell, and what a pass costs on it. */
export interface TimerTraits {
  /** Nanoseconds per timestamp tick. */
  readonly tickNs: number;
  /** Step in which stamps advance, ns: at least a tick. */
  readonly quantumNs: number;
  /** Span of a pass that does nothing, ns: what every span holds beside its launches. */
  readonly passOverheadNs: number;
}

/** Share of a reading of the probe that a step of the timer may be: below the 5 % by which a clock may be slower. */
const MAX_STEP_OF_PROBE = 0.01;

/**
 * Whether single passes of the probe tell how fast the clock runs. Where stamps advance by 65,536 ns one of 169 µs
 * reads 131 or 197 µs, by chance: then the clock is not checked, and the calibration says so.
 *
 * @param readings Passes of the probe, ns, above zero.
 */
export function canReadClock({ quantumNs }: TimerTraits, readings: readonly number[]): boolean {
  return readings.length > 0 && quantumNs <= MAX_STEP_OF_PROBE * quantile(readings, 0.5);
}

/** How device time is read. */
export interface Clock extends TimerTraits {
  /**
   * How far the readings of the tick lie apart: from the 10th to the 90th percentile over their median; absent where
   * there were none.
   */
  readonly tickSpread?: number;
  /** Why times cannot be believed; absent when they can. */
  readonly doubt?: string;
  /**
   * Best probe duration of the session, ns; undefined before the first, on software adapters and where
   * {@linkcode canReadClock} denies it.
   */
  bestProbeNs?: number;
}

/** A timer that counts nanoseconds and costs nothing: what is assumed where it was not measured. */
export const IDEAL_TIMER: TimerTraits = { tickNs: 1, quantumNs: 1, passOverheadNs: 0 };

/** One timed compute pass. */
export interface TimedPass {
  /** Encodes the work of the pass. */
  readonly encode: (pass: GPUComputePassEncoder) => void;
  /** Encodes work that comes right before it and is not timed. */
  readonly lead?: (pass: GPUComputePassEncoder) => void;
}

/** Two queries per pass, and WebGPU allows 4,096 queries in a set. */
export const MAX_PASSES_PER_SUBMISSION = 2048;

/** Passes of the probe that a submission begins with: about 5 ms at full clock, enough to leave the idle state. */
export const SPIN_PASSES = 24;

const PROBE_FMAS = 64_000;
const PROBE_SHADER = `
@group(0) @binding(0) var<storage, read_write> sink: array<f32>;
@compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  var x = f32(id.x);
  for (var i = 0u; i < ${PROBE_FMAS / 32}u; i++) {
${"    x = fma(x, 0.5, 0.25);\n".repeat(32)}  }
  sink[id.x & 31u] = x;
}`;

/** What the timestamps of one submission say. */
export interface Spans {
  /** Begin and end of each pass in turn, ticks, as the device wrote them. */
  readonly stamps: readonly bigint[];
  /** Span of each pass in ticks, in order; it can come back zero or negative and is kept as it is. */
  readonly ticks: readonly number[];
  /** Device time at the beginning of the first pass, ticks. */
  readonly firstTick: bigint;
  /** Host time right before the submission, ms. */
  readonly submittedMs: number;
}

/** Passes that are encoded. What fails at any step is thrown by `read`. */
export interface EncodedPasses<T> {
  /** Submits them. */
  submit(): void;
  /**
   * Reads what they left. Deno blocks in the call until the device is idle, and takes another 10 ms to say so: what is
   * to run next is encoded before this is called, and submitted after, before its promise is awaited.
   */
  read(): Promise<T>;
}

/** Submits what is encoded and reads what it left, with nothing behind it. */
export async function submitAndRead<T>(encoded: EncodedPasses<T>): Promise<T> {
  encoded.submit();
  return await encoded.read();
}

/** Encodes `passes`, in order, with their timestamps. */
export function encodePasses(gpu: Gpu, passes: readonly TimedPass[]): EncodedPasses<Spans> {
  const { device } = gpu;
  const count = 2 * passes.length;
  const own: { destroy(): void }[] = [];
  const steps: Promise<void>[] = [];
  const step = (work: () => void) => {
    const done = guarded(gpu, "run", work);
    done.catch(() => {});
    steps.push(done);
  };
  let staging: GPUBuffer | undefined;
  let commands: GPUCommandBuffer | undefined;
  let submittedMs = NaN;
  step(() => {
    const querySet = device.createQuerySet({ type: "timestamp", count });
    const resolved = device.createBuffer({
      size: 8 * count,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    staging = device.createBuffer({ size: 8 * count, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    own.push(querySet, resolved, staging);
    const encoder = device.createCommandEncoder();
    passes.forEach(({ encode, lead }, i) => {
      if (lead) {
        const pass = encoder.beginComputePass();
        lead(pass);
        pass.end();
      }
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 },
      });
      encode(pass);
      pass.end();
    });
    encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, 8 * count);
    commands = encoder.finish();
  });
  return {
    submit() {
      step(() => {
        submittedMs = performance.now();
        if (commands) device.queue.submit([commands]);
      });
    },
    async read() {
      let mapped: Promise<unknown> | undefined;
      step(() => {
        mapped = staging?.mapAsync(GPUMapMode.READ);
        mapped?.catch(() => {});
      });
      try {
        await Promise.all(steps);
        await settled(gpu, mapped!);
        const stamps = [...new BigUint64Array(staging!.getMappedRange())];
        const ticks = passes.map((_, i) => Number(BigInt.asIntN(64, stamps[2 * i + 1] - stamps[2 * i])));
        return { stamps, ticks, firstTick: stamps[0], submittedMs };
      } finally {
        for (const object of own) object.destroy();
      }
    },
  };
}

/** Submits `passes` in order and reads their timestamps. */
export async function spansOf(gpu: Gpu, passes: readonly TimedPass[]): Promise<Spans> {
  return await submitAndRead(encodePasses(gpu, passes));
}

const PROBES = new WeakMap<Gpu, TimedPass>();

/** The pass of the probe. It writes to a buffer of its own that lives as long as the device. */
export function probePass(gpu: Gpu): TimedPass {
  const made = PROBES.get(gpu);
  if (made) return made;
  const module = gpu.device.createShaderModule({ label: "clock probe", code: PROBE_SHADER });
  const compute = { module, entryPoint: "main" };
  const pipeline = gpu.device.createComputePipeline({ label: "clock probe", layout: "auto", compute });
  const buffer = gpu.device.createBuffer({ label: "clock probe", size: 128, usage: GPUBufferUsage.STORAGE });
  const group = gpu.device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer } }],
  });
  const probe: TimedPass = {
    encode(pass) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(256);
    },
  };
  PROBES.set(gpu, probe);
  return probe;
}

/** Host time over which the tick period is read, ms. */
const CALIBRATION_MS = 2500;
/** Slopes of pairs of readings must agree within this share, or the period is not believed. */
const MAX_TICK_SPREAD = 0.02;

/** Passes that do nothing over which quantum and overhead are read. */
const EMPTY_PASSES = 1024;

/**
 * Calibrates the tick period: values are raw device ticks in Deno and no period is exposed. Submissions to an empty
 * queue begin within microseconds of the host's call, so host time before the call against device time at the beginning
 * of the first pass is a straight line over seconds; its slope is the median over pairs of readings far apart
 * (Theil–Sen), in which every fixed cost cancels, and so does whatever grows with the work in between. The device is
 * kept busy with the probe, so calibrating also wakes it, for the empty passes as well. A slope within 0.5 % of 1 is
 * taken as 1 ns exactly, which is what NVIDIA and lavapipe report. Software adapters read the host's clock in ns, so
 * there `durationMs` may be 0.
 */
export async function calibrateClock(gpu: Gpu, durationMs: number = CALIBRATION_MS): Promise<Clock> {
  const probe = probePass(gpu);
  const readings: Spans[] = [];
  const start = performance.now();
  while (performance.now() - start < durationMs) readings.push(await spansOf(gpu, Array(SPIN_PASSES).fill(probe)));
  const period = durationMs === 0 ? { tickNs: 1 } : clockFrom(readings);
  const empty: TimedPass = { encode() {} };
  const { stamps } = await spansOf(gpu, Array(EMPTY_PASSES).fill(empty));
  return { ...period, ...traitsFrom(stamps, period.tickNs) };
}

/** The tick period that `readings` of one device agree on. */
export function clockFrom(
  readings: readonly Pick<Spans, "firstTick" | "submittedMs">[],
): Pick<Clock, "tickNs" | "tickSpread" | "doubt"> {
  const half = Math.floor(readings.length / 2);
  if (half < 3) return { tickNs: 1, doubt: `${readings.length} readings are too few for the tick period` };
  const slopes = readings.slice(0, half).map((early, i) => {
    const late = readings[i + half];
    return (late.submittedMs - early.submittedMs) * 1e6 / Number(late.firstTick - early.firstTick);
  });
  if (!slopes.every((slope) => Number.isFinite(slope) && slope > 0)) {
    return { tickNs: 1, doubt: "timestamps do not grow with time" };
  }
  const tickNs = quantile(slopes, 0.5);
  const spread = (quantile(slopes, 0.9) - quantile(slopes, 0.1)) / tickNs;
  const snapped = Math.abs(tickNs - 1) < 0.005 ? 1 : tickNs;
  if (spread <= MAX_TICK_SPREAD) return { tickNs: snapped, tickSpread: spread };
  return { tickNs: snapped, tickSpread: spread, doubt: `the tick period varies by ${(100 * spread).toFixed(1)} %` };
}

/**
 * Quantum and overhead of a timer whose stamps around passes that do nothing are `stamps`. The quantum shows
 * plainly where a timer advances by 65,536 ns, and where by one.
 */
export function traitsFrom(stamps: readonly bigint[], tickNs: number): TimerTraits {
  const steps = stamps.slice(1).map((stamp, i) => Number(BigInt.asIntN(64, stamp - stamps[i]))).filter((n) => n > 0);
  return {
    tickNs,
    quantumNs: quantumOf(steps) * tickNs,
    passOverheadNs: Math.max(0, quantile(spansIn(stamps, tickNs).map(({ ns }) => ns), 0.5)),
  };
}

/**
 * Step in which stamps advance, in ticks, at least 1: the greatest common divisor of their steps forward. One that is
 * no whole number of ticks (41.67 of 1 ns at 24 MHz, 819.2 of 80 ns where stamps are rounded to 65,536 ns) leaves them
 * one tick beside its multiples: then it is the mean step over those multiples.
 *
 * @param steps Differences of stamps, ticks above zero.
 */
export function quantumOf(steps: readonly number[]): number {
  const distinct = [...new Set(steps)].sort((a, b) => a - b);
  const exact = distinct.reduce(greatestDivisor, 0);
  // Below eight ticks anything is near a multiple.
  const gaps = distinct.map((step, i) => step - (distinct[i - 1] ?? 0)).filter((gap) => gap >= 8);
  if (exact !== 1 || gaps.length === 0) return Math.max(1, exact);
  const least = Math.min(...gaps);
  // Farther away the multiples of the least gap, which is rounded itself, no longer meet those of the step.
  const near = distinct.filter((step) => step <= 64 * least);
  const counts = near.map((step) => Math.round(step / least));
  const quantum = total(near) / total(counts);
  const isNear = near.every((step, i) => Math.abs(step - counts[i] * quantum) <= 1);
  // Three of its residues are near: so few steps as might be by chance prove nothing.
  return isNear && (3 / quantum) ** (near.length - 1) < 1e-3 ? quantum : 1;
}

function greatestDivisor(a: number, b: number): number {
  while (b > 0) [a, b] = [b, a % b];
  return a;
}

/** One pass as its stamps have it. */
export interface Span {
  /** End less begin, ns: not positive where the timer was reset or is too coarse. */
  readonly ns: number;
  /** Whether it began before the pass ahead of it ended: one holds work of the other, or the timer was reset. */
  readonly overlaps: boolean;
}

/** The spans between the stamps of one submission. */
export function spansIn(stamps: readonly bigint[], tickNs: number): Span[] {
  const between = (from: number, to: number) => Number(BigInt.asIntN(64, stamps[to] - stamps[from])) * tickNs;
  return Array.from({ length: stamps.length / 2 }, (_, i) => ({
    ns: between(2 * i, 2 * i + 1),
    overlaps: i > 0 && between(2 * i - 1, 2 * i) < 0,
  }));
}
