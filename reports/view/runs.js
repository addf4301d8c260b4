// @ts-check
/// <reference lib="dom" />
/**
 * The times of a case: statistics and charts of each run.
 *
 * @module
 */
/** @import { ViewDetail, ViewRun } from "../html_data.ts" */
import { drawSamples } from "./chart.js";
import { h } from "./dom.js";
import { duration, significant } from "./format.js";
import { facts } from "./parts.js";

/**
 * One run with its charts.
 * @param {ViewDetail} detail
 * @param {ViewRun} run
 * @param {(draw: () => { destroy(): void }[]) => void} onDraw Is given what draws the charts, in the colours and the width
 *   of the moment.
 * @returns {HTMLElement}
 */
export function runSection(detail, run, onDraw) {
  const { summary } = run;
  const orderBox = h("div", { class: "chart order" });
  const shapeBox = h("div", { class: "chart shape" });
  onDraw(() => drawSamples(run, orderBox, shapeBox));
  const probe = run.clock;
  return h(
    "section",
    {},
    h("h3", {}, `Time, ${run.mode}`),
    facts([
      ["median", duration(summary.medianNs)],
      [
        "95 % interval",
        summary.ciLowNs === undefined
          ? "too few samples"
          : `${duration(summary.ciLowNs)} – ${duration(summary.ciHighNs)}`,
      ],
      ["least", duration(summary.minNs)],
      ["quartiles", `${duration(summary.q1Ns)} – ${duration(summary.q3Ns)}`],
      ["95th percentile", duration(summary.p95Ns)],
      ["bandwidth", run.gbps === undefined ? "" : `${significant(run.gbps)} GB/s`],
      ["throughput", run.tflops === undefined ? "" : `${significant(run.tflops)} TFLOP/s`],
      ["of what the device can do", run.limit?.words ?? ""],
      ["median deviation", duration(summary.madNs)],
      ["outliers, mild and severe", `${summary.outliersMild} and ${summary.outliersSevere}`],
      ["samples", `${run.samplesNs.length} of ${run.launchesPerPass} launches each`],
      ["inputs", run.rotation > 1 ? `${run.rotation} copies in rotation` : "the same each time"],
      ["dropped spans", String(run.droppedSpans)],
      ["submissions rejected for a slow clock", String(run.rejectedBatches)],
      [
        "clock probe, over best",
        probe
          ? `${significant(probe.beforeNs / probe.bestNs)}× before, ${significant(probe.afterNs / probe.bestNs)}× after`
          : "",
      ],
      ["timer", detail.timer ?? ""],
      ["timestamp tick", detail.tickNs === undefined ? "" : `${significant(detail.tickNs)} ns`],
    ]),
    h("div", { class: "charts" }, orderBox, shapeBox),
  );
}
