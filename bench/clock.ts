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
import { guarded } from "./execute.ts";

/** How device time is read. */
export interface Clock {
  /** Nanoseconds per timestamp tick. */
  readonly tickNs: number;
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

/**
 * Submits `passes` in order and returns the span of each in ticks, in order; spans can come back zero or negative and
 * are returned as they are.
 */
export async function spansOf(gpu: Gpu, passes: readonly TimedPass[]): Promise<number[]> {
  const { device } = gpu;
  const count = 2 * passes.length;
  return await guarded(gpu, "run", async () => {
    const querySet = device.createQuerySet({ type: "timestamp", count });
    const resolved = device.createBuffer({
      size: 8 * count,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    const staging = device.createBuffer({ size: 8 * count, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    try {
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
      device.queue.submit([encoder.finish()]);
      await staging.mapAsync(GPUMapMode.READ);
      const ticks = new BigUint64Array(staging.getMappedRange());
      return passes.map((_, i) => Number(BigInt.asIntN(64, ticks[2 * i + 1] - ticks[2 * i])));
    } finally {
      querySet.destroy();
      resolved.destroy();
      staging.destroy();
    }
  });
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

/**
 * Calibrates the tick period: the slope of host time over device ticks between a short and a long submission, so that
 * the fixed cost of a submission cancels. Values are raw device ticks in Deno and no period is exposed. A slope within
 * 5 % of 1 is taken as exactly 1 ns, which is what NVIDIA and lavapipe report. Software adapters tick in ns by
 * construction (they read the host's clock), so nothing is measured there.
 */
export async function calibrateClock(gpu: Gpu): Promise<Clock> {
  if (gpu.adapter.software) return { tickNs: 1 };
  const probe = probePass(gpu);
  const slopes: number[] = [];
  for (let round = 0; round < 4; round++) {
    const short = await hostAndTicks(gpu, probe, 40);
    const long = await hostAndTicks(gpu, probe, 240);
    slopes.push((long.hostNs - short.hostNs) / (long.ticks - short.ticks));
  }
  const tickNs = quantile(slopes, 0.5);
  return { tickNs: Math.abs(tickNs - 1) < 0.05 ? 1 : tickNs };
}

async function hostAndTicks(gpu: Gpu, probe: TimedPass, passes: number): Promise<{ hostNs: number; ticks: number }> {
  const before = performance.now();
  const spans = await spansOf(gpu, Array(passes).fill(probe));
  return { hostNs: (performance.now() - before) * 1e6, ticks: spans.reduce((a, b) => a + b, 0) };
}

/** Reads the clock around other passes in the same submission: the spans of `passes`, and the probe before and after. */
export async function spansWithProbe(
  gpu: Gpu,
  clock: Clock,
  passes: readonly TimedPass[],
): Promise<{ spansNs: number[]; beforeNs: number; afterNs: number }> {
  const probe = probePass(gpu);
  const all = [...Array(SPIN_PASSES).fill(probe), ...passes, probe];
  const spansNs = (await spansOf(gpu, all)).map((ticks) => ticks * clock.tickNs);
  const beforeNs = spansNs[SPIN_PASSES - 1];
  const afterNs = spansNs[spansNs.length - 1];
  const best = Math.min(...spansNs.slice(0, SPIN_PASSES).filter((ns) => ns > 0), clock.bestProbeNs ?? Infinity);
  if (Number.isFinite(best)) clock.bestProbeNs = best;
  return { spansNs: spansNs.slice(SPIN_PASSES, -1), beforeNs, afterNs };
}

/** A probe within this factor of the session's best counts as full clock. */
export const FULL_CLOCK = 1.05;

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
