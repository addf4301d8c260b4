// @ts-check
/**
 * The matrix: cases grouped by two axes, each group with its correctness and one figure.
 *
 * @module
 */
/** @import { ViewCase, ViewData } from "../html_data.ts" */
import { compareValues, microseconds, percent, significant } from "./format.js";

/**
 * @typedef {object} Metric
 * @property {string} label Name in the menu, unit included.
 * @property {(row: ViewCase) => number | null} value Figure of a case; null where it has none.
 * @property {(value: number) => string} format
 * @property {"higher" | "lower" | "none"} better Which way is better.
 * @property {boolean} [budget] Coloured as a share of what is allowed, 0…1, instead of by the range of the matrix.
 */

/** Metrics of the matrix by key. @type {Readonly<Record<string, Metric>>} */
export const METRICS = {
  tflops: { label: "Throughput, TFLOP/s", value: (row) => row.tflops ?? null, format: significant, better: "higher" },
  gbps: { label: "Bandwidth, GB/s", value: (row) => row.gbps ?? null, format: significant, better: "higher" },
  limitShare: {
    label: "Share of the limit that binds, %",
    value: (row) => row.limitShare ?? null,
    format: percent,
    better: "higher",
  },
  medianNs: {
    label: "Median time, µs",
    value: (row) => row.medianNs ?? null,
    format: microseconds,
    better: "lower",
  },
  speedup: {
    label: "Speed-up over unfused, ×",
    value: (row) => row.speedup ?? null,
    format: significant,
    better: "higher",
  },
  besideRatio: {
    label: "Speed over the other implementation, ×",
    value: (row) => row.besideRatio ?? null,
    format: significant,
    better: "higher",
  },
  halfWidth: {
    label: "95 % interval of the median, ±%",
    value: (row) => row.halfWidth ?? null,
    format: percent,
    better: "lower",
  },
  budget: {
    label: "Error budget used, %",
    value: (row) => row.budget ?? null,
    format: percent,
    better: "lower",
    budget: true,
  },
  correct: { label: "Correctness, right of checked", value: () => null, format: significant, better: "none" },
};

/** How a cell of several cases becomes one figure. @type {Readonly<Record<string, string>>} */
export const AGGREGATES = { median: "median", best: "best", worst: "worst" };

/**
 * @typedef {object} Cell
 * @property {number[]} cases Indices of its cases.
 * @property {number} right Cases that were verified and are right.
 * @property {number} wrong Cases that are incorrect.
 * @property {number} failed Cases that could not be run to the end.
 * @property {number} skipped Cases that were skipped.
 * @property {number} doubtful Measured cases whose verdict is not `ok`.
 * @property {number | null} value The figure.
 */

/**
 * @typedef {object} Pivot
 * @property {(string | number | null)[]} rows Values of the row axis, in order.
 * @property {(string | number | null)[]} columns Values of the column axis, in order.
 * @property {(Cell | undefined)[][]} cells By row, then column; undefined where no case is.
 * @property {[number, number] | null} range Smallest and largest figure; null without any.
 */

/**
 * Groups `indices` by two axes of `data`.
 * @param {ViewData} data
 * @param {readonly number[]} indices
 * @param {{ rows: string, columns: string, metric: string, aggregate: string }} options
 * @returns {Pivot}
 */
export function pivot(data, indices, options) {
  const metric = METRICS[options.metric];
  const rowAxis = data.axes.findIndex((axis) => axis.name === options.rows);
  const columnAxis = data.axes.findIndex((axis) => axis.name === options.columns);
  /** @type {Map<string | number | null, Map<string | number | null, number[]>>} */
  const groups = new Map();
  const columnSet = new Set();
  for (const index of indices) {
    const row = data.cases[index].axes[rowAxis] ?? null;
    const column = data.cases[index].axes[columnAxis] ?? null;
    columnSet.add(column);
    const line = groups.get(row) ?? new Map();
    groups.set(row, line);
    const group = line.get(column);
    if (group) group.push(index);
    else line.set(column, [index]);
  }
  const rows = [...groups.keys()].sort(compareValues);
  const columns = [...columnSet].sort(compareValues);
  const cells = rows.map((row) =>
    columns.map((column) => {
      const cases = groups.get(row)?.get(column);
      return cases && makeCell(data, cases, metric, options.aggregate);
    })
  );
  const values = cells.flat().flatMap((cell) => cell && cell.value !== null ? [cell.value] : []);
  // Not Math.min(...values): a matrix may have more cells than a call takes arguments.
  const range = values.length === 0
    ? null
    : /** @type {[number, number]} */ (values.reduce(([lo, hi], v) => [Math.min(lo, v), Math.max(hi, v)], [
      Infinity,
      -Infinity,
    ]));
  return { rows, columns, cells, range };
}

/**
 * @param {ViewData} data
 * @param {number[]} cases
 * @param {Metric} metric
 * @param {string} aggregate
 * @returns {Cell}
 */
function makeCell(data, cases, metric, aggregate) {
  const cell = { cases, right: 0, wrong: 0, failed: 0, skipped: 0, doubtful: 0, value: /** @type {number?} */ (null) };
  const values = [];
  for (const index of cases) {
    const row = data.cases[index];
    if (row.status === "measured" || row.status === "verified") cell.right++;
    else if (row.status === "incorrect") cell.wrong++;
    else if (row.status === "failed") cell.failed++;
    else cell.skipped++;
    if (row.status === "measured" && row.verdict !== "ok") cell.doubtful++;
    const value = metric.value(row);
    if (value !== null && Number.isFinite(value)) values.push(value);
  }
  cell.value = aggregateOf(values, aggregate, metric.better);
  return cell;
}

/**
 * @param {number[]} values
 * @param {string} aggregate
 * @param {Metric["better"]} better
 * @returns {number | null}
 */
export function aggregateOf(values, aggregate, better) {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  if (aggregate === "median") {
    const middle = sorted.length >> 1;
    return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }
  return (aggregate === "best") === (better === "higher") ? sorted[sorted.length - 1] : sorted[0];
}

/**
 * Depth of colour of `value` in `range`, 0…1, on a logarithmic scale where the range spans more than a factor of 3;
 * deeper is always better, except for `none`.
 * @param {number} value
 * @param {[number, number]} range
 * @param {Metric["better"]} better
 * @returns {number}
 */
export function depth(value, [low, high], better) {
  if (!(high > low)) return 0.5;
  const scale = low > 0 && high / low > 3 ? Math.log : (/** @type {number} */ x) => x;
  const t = (scale(value) - scale(low)) / (scale(high) - scale(low));
  return better === "lower" ? 1 - t : t;
}
