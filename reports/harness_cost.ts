/**
 * What measuring itself costs: how much of a run the GPU worked, and what the host took beside it.
 *
 * @module
 */
import type { Report } from "../bench/result.ts";
import { quantile } from "../bench/statistics.ts";
import { formatShare, formatTimeNs } from "./figures.ts";

/** Figures of a run whose GPU time is known. */
export interface HarnessCost {
  /** GPU time of waking, of calibration and of all cases, their checks and samples, over the wall time of the run. */
  readonly busyShare: number;
  /** Whether the GPU time of some case that ran is not known: the share is then at least that. */
  readonly isPartial: boolean;
  /** Wall time of a case beyond its GPU time, ms: the median of the cases, and their 95th percentile. */
  readonly hostMedianMs: number;
  readonly hostP95Ms: number;
  /**
   * Of that, what a case waited for inputs, and what its checks took, ms: medians; undefined where they are not known.
   */
  readonly inputsMedianMs?: number;
  readonly checksMedianMs?: number;
}

/** Undefined where no GPU time is known. */
export function harnessCost({ environment, results }: Report): HarnessCost | undefined {
  const ran = results.filter(({ status }) => status !== "skipped");
  const known = ran.flatMap(({ hostMs, gpuMs, checkGpuMs }) =>
    gpuMs === undefined && checkGpuMs === undefined ? [] : [{ hostMs, gpuMs: (gpuMs ?? 0) + (checkGpuMs ?? 0) }]
  );
  if (known.length === 0 || !(environment.wallS > 0)) return undefined;
  const beyondMs = known.map(({ hostMs, gpuMs }) => Math.max(0, hostMs - gpuMs));
  return {
    busyShare: known.reduce((sum, { gpuMs }) => sum + gpuMs, environment.calibration?.gpuMs ?? 0) / 1000 /
      environment.wallS,
    isPartial: known.length < ran.length,
    hostMedianMs: quantile(beyondMs, 0.5),
    hostP95Ms: quantile(beyondMs, 0.95),
    inputsMedianMs: medianOf(ran.flatMap(({ inputsMs }) => inputsMs ?? [])),
    checksMedianMs: medianOf(ran.flatMap(({ checksMs }) => checksMs ?? [])),
  };
}

function medianOf(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : quantile(values, 0.5);
}

/**
 * `GPU busy 54.0 % of 261 s; host beyond GPU per case: median 310 ms, p95 1.20 s; waiting for inputs 12.0 ms, checks 210 ms`;
 * `""` where it is not known.
 */
export function harnessCostInWords(report: Report): string {
  const cost = harnessCost(report);
  if (cost === undefined) return "";
  const { busyShare, isPartial, hostMedianMs, hostP95Ms, inputsMedianMs, checksMedianMs } = cost;
  const busy = `GPU busy ${isPartial ? "at least " : ""}${formatShare(busyShare)}`;
  const [median, p95] = [hostMedianMs, hostP95Ms].map((ms) => formatTimeNs(ms * 1e6));
  const beyond = `host beyond GPU per case: median ${median}, p95 ${p95}`;
  const parts = inputsMedianMs === undefined || checksMedianMs === undefined
    ? []
    : [`waiting for inputs ${formatTimeNs(inputsMedianMs * 1e6)}, checks ${formatTimeNs(checksMedianMs * 1e6)}`];
  return [`${busy} of ${report.environment.wallS.toFixed(0)} s`, beyond, ...parts].join("; ");
}
