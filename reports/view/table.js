// @ts-check
/// <reference lib="dom" />
/**
 * The table of cases: sorted by its headings, one page at a time so that thousands of rows stay quick.
 *
 * @module
 */
/** @import { ViewCase, ViewData } from "../html_data.ts" */
/** @import { ViewState } from "./state.js" */
import { badge, byId, h } from "./dom.js";
import { label } from "./filters.js";
import { microseconds, percent, significant } from "./format.js";
import { outcome, sortCases } from "./query.js";
import { formatHash } from "./state.js";

/** Rows of a page. */
export const PAGE_ROWS = 100;

/**
 * @typedef {object} Column
 * @property {string} key Field of a row, or `axis.NAME`.
 * @property {string} heading
 * @property {boolean} number Whether its cells are right-aligned.
 * @property {(row: ViewCase) => string | HTMLElement} cell
 */

/**
 * Columns for `data`: axes that do not vary and figures that no case has are left out.
 * @param {ViewData} data
 * @returns {Column[]}
 */
export function columnsOf(data) {
  /** @type {Column[]} */
  const figures = [
    { key: "medianNs", heading: "median, µs", number: true, cell: (row) => microseconds(row.medianNs) },
    { key: "halfWidth", heading: "95 % CI, ±%", number: true, cell: (row) => percent(row.halfWidth) },
    { key: "gbps", heading: "GB/s", number: true, cell: (row) => significant(row.gbps) },
    { key: "tflops", heading: "TFLOP/s", number: true, cell: (row) => significant(row.tflops) },
    { key: "limitShare", heading: "of limit, %", number: true, cell: (row) => percent(row.limitShare) },
    { key: "speedup", heading: "speed-up, ×", number: true, cell: (row) => significant(row.speedup) },
    { key: "budget", heading: "budget, %", number: true, cell: (row) => percent(row.budget) },
    {
      key: "ulpP99",
      heading: "differs by, ULP (99 %)",
      number: true,
      cell: (row) => row.ulpP99 === 0 ? "0" : significant(row.ulpP99),
    },
    { key: "coverage", heading: "checked, %", number: true, cell: (row) => percent(row.coverage) },
    {
      key: "pickOverFastest",
      heading: "pick / fastest, ×",
      number: true,
      cell: (row) => significant(row.pickOverFastest),
    },
    { key: "besideNs", heading: `${data.beside}, µs`, number: true, cell: (row) => microseconds(row.besideNs) },
    {
      key: "besideRatio",
      heading: `over ${data.beside}, ×`,
      number: true,
      cell: (row) => significant(row.besideRatio),
    },
    { key: "compileMs", heading: "compile, ms", number: true, cell: (row) => significant(row.compileMs) },
  ];
  return [
    { key: "status", heading: "status", number: false, cell: statusCell },
    ...data.axes.flatMap((axis, i) =>
      axis.values.length <= 1 && axis.name !== "kernel" ? [] : [{
        key: `axis.${axis.name}`,
        heading: axis.name,
        number: axis.values.every((value) => typeof value !== "string"),
        cell: (/** @type {ViewCase} */ row) => axis.name === "kernel" ? caseLink(row) : label(row.axes[i] ?? null),
      }]
    ),
    ...figures.filter(({ key }) => varies(data.cases, key)),
    ...(varies(data.cases, "precision")
      ? [{
        key: "precision",
        heading: "precision",
        number: false,
        cell: (/** @type {ViewCase} */ row) => row.precision ?? "",
      }]
      : []),
    ...(data.cases.some((row) => row.pick !== undefined)
      ? [{
        key: "pick",
        heading: "resolver picks",
        number: false,
        cell: (/** @type {ViewCase} */ row) => row.pick ?? "",
      }]
      : []),
    { key: "note", heading: "why", number: false, cell: (row) => row.note?.split("\n", 1)[0] ?? "" },
  ];
}

/**
 * Whether a column says anything: some case has the figure, and for the coverage not all have the same.
 * @param {readonly ViewCase[]} rows
 * @param {string} key
 * @returns {boolean}
 */
function varies(rows, key) {
  const values = new Set(rows.map((row) => /** @type {any} */ (row)[key]).filter((value) => value !== undefined));
  return values.size > (key === "coverage" || key === "precision" ? 1 : 0);
}

/**
 * @param {ViewCase} row
 * @returns {HTMLElement}
 */
function statusCell(row) {
  if (!row.blind) return badge(outcome(row));
  return h("span", { title: "a trivial output would have passed" }, badge(outcome(row)), " ", badge("blind"));
}

/**
 * @param {ViewCase} row
 * @returns {HTMLElement}
 */
function caseLink(row) {
  const defaults = /** @type {ViewState} */ (/** @type {any} */ ({ axes: {}, page: 0 }));
  const href = formatHash({ ...defaults, case: row.id }, defaults);
  return h("a", { href, title: row.id, "data-case": row.id }, row.kernel);
}

/**
 * Builds the table.
 * @param {ViewData} data
 * @param {(patch: Partial<ViewState>, options?: { push?: boolean }) => void} update
 * @returns {(state: ViewState, indices: readonly number[]) => number[]} Draws some cases; returns them in order.
 */
export function makeTable(data, update) {
  const columns = columnsOf(data);
  const body = h("tbody");
  const headings = columns.map((column) =>
    h(
      "th",
      { scope: "col", class: column.number ? "number" : null },
      h("button", { type: "button", "data-sort": column.key, onclick: () => sortBy(column) }, column.heading),
    )
  );
  const table = h("table", { class: "cases" }, h("thead", {}, h("tr", {}, headings)), body);
  byId("cases-body").replaceChildren(table);
  let sort = "";
  body.addEventListener("click", (event) => {
    const row = /** @type {Element} */ (event.target).closest("tr");
    const id = row?.querySelector("a")?.getAttribute("data-case");
    // A selection is for copying, and a modified click is the browser's.
    if (!id || event.metaKey || event.ctrlKey || event.shiftKey || String(getSelection()) !== "") return;
    event.preventDefault();
    update({ case: id }, { push: true });
  });
  body.addEventListener("keydown", (event) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step === 0) return;
    const links = [...body.querySelectorAll("a")];
    links[links.indexOf(/** @type {HTMLAnchorElement} */ (document.activeElement)) + step]?.focus();
    event.preventDefault();
  });

  /** @param {Column} column */
  function sortBy(column) {
    // Numbers read best with the largest first, text from A; a third click returns to the order of the run.
    const cycle = column.number && !column.key.startsWith("axis.")
      ? [`-${column.key}`, column.key, ""]
      : [column.key, `-${column.key}`, ""];
    update({ sort: cycle[(cycle.indexOf(sort) + 1) % cycle.length], page: 0 });
  }

  return (state, indices) => {
    sort = state.sort;
    const ordered = sortCases(data, indices, state.sort);
    const pages = Math.max(1, Math.ceil(ordered.length / PAGE_ROWS));
    const page = Math.min(state.page, pages - 1);
    columns.forEach(({ key }, i) => {
      const order = sort === key ? "ascending" : sort === `-${key}` ? "descending" : null;
      if (order === null) headings[i].removeAttribute("aria-sort");
      else headings[i].setAttribute("aria-sort", order);
    });
    body.replaceChildren(
      ...ordered.slice(page * PAGE_ROWS, (page + 1) * PAGE_ROWS).map((index) => {
        const row = data.cases[index];
        return h(
          "tr",
          { class: outcome(row) },
          columns.map((column) =>
            h("td", { class: column.number ? "number" : column.key === "note" ? "note" : null }, column.cell(row))
          ),
        );
      }),
    );
    drawPager(page, pages, ordered.length);
    return ordered;
  };

  /**
   * @param {number} page
   * @param {number} pages
   * @param {number} rows
   */
  function drawPager(page, pages, rows) {
    const pager = byId("cases-pager");
    pager.hidden = pages === 1;
    const step = (/** @type {string} */ text, /** @type {number} */ to) =>
      h("button", { type: "button", disabled: to < 0 || to >= pages, onclick: () => update({ page: to }) }, text);
    pager.replaceChildren(
      step("← Previous", page - 1),
      h(
        "span",
        {},
        `${page * PAGE_ROWS + 1}–${Math.min(rows, (page + 1) * PAGE_ROWS)} of ${rows.toLocaleString("en")}`,
      ),
      step("Next →", page + 1),
    );
  }
}
