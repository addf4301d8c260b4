// @ts-check
/**
 * Which cases are shown, and in which order: pure functions of the data and the state of the view.
 *
 * @module
 */
/** @import { ViewCase, ViewData } from "../html_data.ts" */
/** @import { ViewState } from "./state.js" */
import { compareValues } from "./format.js";

/**
 * The test of a text filter: several words must all occur; a word with `*` matches like `--filter`, as a glob over the
 * whole id; capitals do not matter.
 * @param {string} text
 * @returns {(id: string, note?: string) => boolean}
 */
export function textFilter(text) {
  const tests = text.toLowerCase().split(/\s+/).filter((word) => word !== "").map((word) => {
    if (!word.includes("*")) return (/** @type {string} */ hay) => hay.includes(word);
    const pattern = word.split("*").map((part) => part.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join(".*");
    const regex = new RegExp(`^${pattern}$`, "s");
    return (/** @type {string} */ hay) => regex.test(hay);
  });
  return (id, note = "") => {
    const [lowerId, both] = [id.toLowerCase(), `${id}\n${note}`.toLowerCase()];
    return tests.every((test) => test(lowerId) || test(both));
  };
}

/** Statuses of the status filter: those of results, with the verdicts that are not `ok` beside them. */
export const OUTCOMES = ["measured", "verified", "unstable", "invalid", "incorrect", "failed", "skipped"];

/**
 * Status as shown: a measured case whose verdict is not `ok` goes by its verdict.
 * @param {ViewCase} row
 * @returns {string}
 */
export function outcome(row) {
  return row.status === "measured" && row.verdict !== undefined && row.verdict !== "ok" ? row.verdict : row.status;
}

/**
 * Indices of the cases that the filters of `state` let through.
 * @param {ViewData} data
 * @param {ViewState} state
 * @returns {number[]}
 */
export function selectCases(data, state) {
  const matches = textFilter(state.text);
  const axes = data.axes.flatMap((axis, i) => {
    const wanted = state.axes[axis.name];
    return wanted === undefined ? [] : [{ i, wanted }];
  });
  /** @type {number[]} */
  const selected = [];
  data.cases.forEach((row, index) => {
    if (state.status !== "" && outcome(row) !== state.status) return;
    if (!axes.every(({ i, wanted }) => String(row.axes[i]) === wanted)) return;
    if (matches(row.id, row.note)) selected.push(index);
  });
  return selected;
}

/**
 * Value of column `key` of a row: an axis as `axis.NAME`, else a field; absent is null.
 * @param {ViewData} data
 * @param {string} key
 * @returns {(row: ViewCase) => string | number | null}
 */
export function columnValue(data, key) {
  if (key.startsWith("axis.")) {
    const i = data.axes.findIndex((axis) => axis.name === key.slice(5));
    return (row) => row.axes[i] ?? null;
  }
  if (key === "status") return (row) => OUTCOMES.indexOf(outcome(row));
  return (row) => /** @type {Record<string, any>} */ (row)[key] ?? null;
}

/**
 * `indices` ordered by column `sort`, descending with a leading `-`; absent values come last either way, equals keep
 * the order of the run.
 * @param {ViewData} data
 * @param {readonly number[]} indices
 * @param {string} sort
 * @returns {number[]}
 */
export function sortCases(data, indices, sort) {
  if (sort === "") return [...indices];
  const descending = sort.startsWith("-");
  const value = columnValue(data, descending ? sort.slice(1) : sort);
  const keyed = indices.map((index) => ({ index, key: value(data.cases[index]) }));
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) {
      return Number(a.key === null) - Number(b.key === null) || a.index - b.index;
    }
    const order = compareValues(a.key, b.key);
    return (descending ? -order : order) || a.index - b.index;
  });
  return keyed.map(({ index }) => index);
}
