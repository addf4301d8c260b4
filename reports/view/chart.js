// @ts-check
/// <reference lib="dom" />
/**
 * The two charts of a run's samples, drawn with uPlot: every sample in the order taken, and their distribution.
 *
 * @module
 */
/** @import { ViewRun } from "../html_data.ts" */

/** @type {any} uPlot's global: its script stands before this one, in the same page. */
const uPlot = /** @type {any} */ (globalThis).uPlot;

const UNITS = /** @type {const} */ ([["ns", 1], ["µs", 1e3], ["ms", 1e6], ["s", 1e9]]);

/**
 * Draws `run` into `orderBox` and `shapeBox` at their present widths.
 * @param {ViewRun} run
 * @param {HTMLElement} orderBox
 * @param {HTMLElement} shapeBox
 * @returns {{ destroy(): void }[]} The charts, to be destroyed before they are drawn again.
 */
export function drawSamples(run, orderBox, shapeBox) {
  const [unit, scale] = UNITS.findLast(([, ns]) => run.summary.medianNs >= ns) ?? UNITS[0];
  const colors = readColors(orderBox);
  const samples = run.samplesNs.map((ns) => ns / scale);
  const order = new uPlot(
    {
      ...frame(orderBox, colors),
      scales: { x: { time: false }, y: { range: padded } },
      axes: [axis(colors, "sample, in the order taken"), axis(colors, `time of a launch, ${unit}`)],
      series: [{}, { label: "time", paths: () => null, points: { show: true, size: 4, fill: colors.point, width: 0 } }],
      hooks: {
        drawClear: [(/** @type {any} */ u) => drawInterval(u, run, scale, colors)],
      },
    },
    [samples.map((_, i) => i + 1), samples],
    orderBox,
  );
  const { lowNs, widthNs, counts } = run.histogram;
  const [from, to] = [lowNs / scale, (lowNs + counts.length * widthNs) / scale];
  const most = Math.max(...counts);
  const shape = new uPlot(
    {
      ...frame(shapeBox, colors),
      scales: {
        x: { time: false, range: [from, to] },
        y: { range: [0, most * 1.05] },
      },
      axes: [axis(colors, `time, ${unit}`), axis(colors, "samples")],
      series: [{}, {
        label: "samples",
        paths: uPlot.paths.bars({ size: [0.9, 100], align: 0 }),
        fill: colors.point,
        width: 0,
        points: { show: false },
      }],
    },
    [counts.map((_, i) => (lowNs + (i + 0.5) * widthNs) / scale), counts],
    shapeBox,
  );
  return [order, shape];
}

/**
 * @param {HTMLElement} box
 * @param {ReturnType<typeof readColors>} colors
 */
function frame(box, colors) {
  return {
    width: Math.max(200, box.clientWidth),
    height: 210,
    legend: { show: false },
    cursor: { show: true, points: { fill: colors.line }, drag: { x: false, y: false } },
    padding: [10, 8, 0, 0],
  };
}

/**
 * @param {ReturnType<typeof readColors>} colors
 * @param {string} label
 */
function axis(colors, label) {
  return {
    label,
    stroke: colors.muted,
    font: `11px ${colors.font}`,
    labelFont: `11px ${colors.font}`,
    labelSize: 18,
    size: label.startsWith("time of") ? 58 : 30,
    grid: { stroke: colors.grid, width: 1 },
    ticks: { show: false },
  };
}

/** Keeps all samples inside the frame, and a flat run from filling it with noise. */
function padded(/** @type {any} */ _, /** @type {number} */ low, /** @type {number} */ high) {
  const pad = Math.max((high - low) * 0.08, high * 0.002);
  return [Math.max(0, low - pad), high + pad];
}

/**
 * The median with its interval, behind the points.
 * @param {any} u
 * @param {ViewRun} run
 * @param {number} scale
 * @param {ReturnType<typeof readColors>} colors
 */
function drawInterval(u, run, scale, colors) {
  const { ctx, bbox } = u;
  const y = (/** @type {number} */ ns) => u.valToPos(ns / scale, "y", true);
  const { medianNs, ciLowNs = medianNs, ciHighNs = medianNs } = run.summary;
  ctx.save();
  ctx.fillStyle = colors.band;
  ctx.fillRect(bbox.left, y(ciHighNs), bbox.width, Math.max(1, y(ciLowNs) - y(ciHighNs)));
  ctx.fillStyle = colors.line;
  ctx.fillRect(bbox.left, Math.round(y(medianNs)), bbox.width, Math.max(1, devicePixelRatio));
  ctx.restore();
}

/**
 * The theme's colours: a canvas cannot read `light-dark()`, so an element resolves them.
 * @param {HTMLElement} box
 */
function readColors(box) {
  const probe = box.appendChild(document.createElement("i"));
  const read = (/** @type {string} */ name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const colors = {
    point: read("chart"),
    line: read("accent"),
    band: read("band"),
    muted: read("muted"),
    grid: read("line"),
    font: getComputedStyle(box).fontFamily,
  };
  probe.remove();
  return colors;
}
