/**
 * Device time: the timestamp period, and a probe that reads how fast the clock runs.
 *
 * GPUs idle at a fraction of their clock (an H200 at 345 of 1980 MHz), wake over seconds and fall back within
 * milliseconds of host work. The probe is a chain of dependent FMAs: its duration is a fixed number of clocks.
 *
 * @module
 */
import { quantile } from "./statistics.ts";
import type { Gpu } from "./device.ts";
import { guarded, settled } from "./guard.ts";

/** How device time is read. */
export interface Clock {
  /** Nanoseconds per timestamp tick. */
  readonly tickNs: number;
  /** How far its readings lie apart: their range from the 10th to the 90th percentile over their median; absent where it was not measured. */
  readonly tickSpread?: number;
  /** Why {@linkcode Clock.tickNs} cannot be believed; absent when it can. */
  readonly doubt?: string;
  /** Best probe duration of the session, ns; undefined before the first and on software adapters. */
  bestProbeNs?: number;
}

/** One timed compute pass. */
export interface TimedPass {
  /** Encodes the work of the pass. */
  readonly encode: (pass: GPUComputePassEncoder) => void;
}

/** Two queries per pass, and WebGPU allows 4,096 queries in a set. */
export const MAX_PASSES_PER_SUBMISSION = 2048;

const PROBE_FMAS = 64_000;
/** Passes of the probe that precede every reading: about 5 ms at full clock, enough to leave the idle state. */
const SPIN_PASSES = 24;
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
  /** Span of each pass in ticks, in order; it can come back zero or negative and is kept as it is. */
  readonly ticks: readonly number[];
  /** Device time at the beginning of the first pass, ticks. */
  readonly firstTick: bigint;
  /** Host time right before the submission, ms. */
  readonly submittedMs: number;
}

/** Submits `passes` in order and reads their timestamps. */
export async function spansOf(gpu: Gpu, passes: readonly TimedPass[]): Promise<Spans> {
  const { device } = gpu;
  const count = 2 * passes.length;
  const own: { destroy(): void }[] = [];
  try {
    const { mapped, staging, submittedMs } = await guarded(gpu, "run", () => {
      const querySet = device.createQuerySet({ type: "timestamp", count });
      const resolved = device.createBuffer({
        size: 8 * count,
        usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
      });
      const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
      const staging = device.createBuffer({ size: 8 * count, usage });
      own.push(querySet, resolved, staging);
      const encoder = device.createCommandEncoder();
      passes.forEach(({ encode }, i) => {
        const pass = encoder.beginComputePass({
          timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 },
        });
        encode(pass);
        pass.end();
      });
      encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, 8 * count);
      const commands = encoder.finish();
      const submittedMs = performance.now();
      device.queue.submit([commands]);
      const mapped = staging.mapAsync(GPUMapMode.READ);
      mapped.catch(() => {});
      return { mapped, staging, submittedMs };
    });
    await settled(gpu, mapped);
    const stamps = new BigUint64Array(staging.getMappedRange());
    const ticks = passes.map((_, i) => Number(BigInt.asIntN(64, stamps[2 * i + 1] - stamps[2 * i])));
    return { ticks, firstTick: stamps[0], submittedMs };
  } finally {
    for (const object of own) object.destroy();
  }
}

const PROBES = new WeakMap<Gpu, TimedPass>();

/** A pass of the probe. It writes to a buffer of its own that lives as long as the device. */
function probePass(gpu: Gpu): TimedPass {
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

/** Host time over which the tick period is read. */
const CALIBRATION_MS = 2500;
/** Slopes of pairs of readings must agree within this share, or the period is not believed. */
const MAX_TICK_SPREAD = 0.02;

/**
 * Calibrates the tick period: values are raw device ticks in Deno and no period is exposed. Submissions to an empty
 * queue begin within microseconds of the host's call, so host time before the call against device time at the beginning
 * of the first pass is a straight line over seconds; its slope is the median over pairs of readings far apart
 * (Theil–Sen), in which every fixed cost cancels, and so does whatever grows with the work in between. The device is
 * kept busy with the probe, so calibrating also wakes it. A slope within 0.5 % of 1 is taken as 1 ns exactly, which is
 * what NVIDIA and lavapipe report. Software adapters read the host's clock in ns, so nothing is measured there.
 */
export async function calibrateClock(gpu: Gpu, durationMs: number = CALIBRATION_MS): Promise<Clock> {
  const probe = probePass(gpu);
  const readings: Spans[] = [];
  const start = performance.now();
  while (performance.now() - start < durationMs) readings.push(await spansOf(gpu, Array(SPIN_PASSES).fill(probe)));
  return clockFrom(readings);
}

/** The tick period that `readings` of one device agree on. */
export function clockFrom(readings: readonly Pick<Spans, "firstTick" | "submittedMs">[]): Clock {
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

/** Reads the clock around other passes in the same submission: the spans of `passes`, and the probe before and after. */
export async function spansWithProbe(
  gpu: Gpu,
  clock: Clock,
  passes: readonly TimedPass[],
): Promise<{ spansNs: number[]; beforeNs: number; afterNs: number }> {
  const probe = probePass(gpu);
  const { ticks } = await spansOf(gpu, [...Array(SPIN_PASSES).fill(probe), ...passes, probe]);
  const spansNs = ticks.map((span) => span * clock.tickNs);
  const spin = spansNs.slice(0, SPIN_PASSES).filter((ns) => ns > 0);
  // A lower quartile, not the least: one glitch of the timer would be the best clock for ever.
  if (spin.length > 0) clock.bestProbeNs = Math.min(quantile(spin, 0.25), clock.bestProbeNs ?? Infinity);
  return {
    spansNs: spansNs.slice(SPIN_PASSES, -1),
    beforeNs: spansNs[SPIN_PASSES - 1],
    afterNs: spansNs[spansNs.length - 1],
  };
}

/**
 * Keeps the device busy with the probe until it reads steady: at least `minMs`, then until the last readings are within
 * 1 % of the best, at most `maxMs`.
 *
 * @returns Whether it became steady.
 */
export async function warmUp(gpu: Gpu, clock: Clock, options: { minMs: number; maxMs: number }): Promise<boolean> {
  const start = performance.now();
  let steady = 0;
  while (performance.now() - start < options.maxMs) {
    const { beforeNs } = await spansWithProbe(gpu, clock, Array(100).fill(probePass(gpu)));
    steady = beforeNs <= 1.01 * clock.bestProbeNs! ? steady + 1 : 0;
    if (performance.now() - start >= options.minMs && steady >= 5) return true;
  }
  return false;
}
