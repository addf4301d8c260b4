/**
 * One result in one line.
 *
 * @module
 */
import type { Result } from "../bench/result.ts";
import { summarize } from "../bench/statistics.ts";
import { formatNumber, formatTimeNs } from "./figures.ts";
import { explain } from "./outcome.ts";

/**
 * `measured attend/fused:…: 58.0 µs ±0.4 %, 12.3 GB/s, 1.31 TFLOP/s`, or the status and why. A result does not know
 * whether its adapter was a software one, whose times say nothing about GPUs.
 */
export function describeResult(result: Result): string {
  const head = `${result.status} ${result.id}`;
  if (result.status !== "measured" || result.verdict === "invalid") {
    const why = explain(result);
    return why === "" ? head : `${head}: ${why}`;
  }
  const { runs: [run], minBytes, flops } = result.measurement;
  if (run === undefined || run.samplesNs.length === 0) return `${head}: no samples`;
  const { medianNs, relativeHalfWidth } = summarize(run);
  const parts = [
    formatTimeNs(medianNs) + (relativeHalfWidth === undefined ? "" : ` ±${(100 * relativeHalfWidth).toFixed(1)} %`),
    `${formatNumber(minBytes / medianNs)} GB/s`,
    ...flops > 0 ? [`${formatNumber(flops / medianNs / 1000)} TFLOP/s`] : [],
  ];
  return `${head}: ${parts.join(", ")}`;
}
