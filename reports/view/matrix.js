// @ts-check
/// <reference lib="dom" />
/**
 * The matrix of two axes: correctness and one figure in every cell.
 *
 * @module
 */
/** @import { ViewData } from "../html_data.ts" */
/** @import { ViewState } from "./state.js" */
/** @import { Cell, Pivot } from "./pivot.js" */
import { byId, h, menu } from "./dom.js";
import { label } from "./filters.js";
import { AGGREGATES, depth, METRICS, pivot } from "./pivot.js";

/**
 * Builds the matrix.
 * @param {ViewData} data
 * @param {(patch: Partial<ViewState>, options?: { push?: boolean }) => void} update
 * @param {() => void} showTable Brings the table into view.
 * @returns {(state: ViewState, indices: readonly number[]) => void} Draws the matrix of some cases.
 */
export function makeMatrix(data, update, showTable) {
  const axes = data.axes.map((axis) => /** @type {const} */ ([axis.name, axis.name]));
  const metrics = Object.entries(METRICS)
    .filter(([key, metric]) => key === "correct" || data.cases.some((row) => metric.value(row) !== null))
    .map(([key, metric]) => /** @type {const} */ ([key, metric.label]));

  return (state, indices) => {
    const active = document.activeElement?.getAttribute("name");
    const bar = byId("matrix-menus");
    const aggregates = Object.entries(AGGREGATES);
    bar.replaceChildren(
      menu("rows", state.rows, axes, (rows) => update({ rows })),
      menu("columns", state.columns, axes, (columns) => update({ columns })),
      menu("figure", state.metric, metrics, (metric) => update({ metric })),
      ...(state.metric === "correct"
        ? []
        : [menu("of several cases the", state.aggregate, aggregates, (aggregate) => update({ aggregate }))]),
    );
    for (const select of bar.querySelectorAll("select")) if (select.name === active) select.focus();
    const matrix = pivot(data, indices, state);
    byId("matrix-legend").replaceChildren(legend(matrix, state));
    byId("matrix-body").replaceChildren(
      indices.length === 0 ? h("p", { class: "empty" }, "No case matches the filters.") : grid(matrix, state),
    );
  };

  /**
   * @param {Pivot} matrix
   * @param {ViewState} state
   */
  function grid(matrix, state) {
    return h(
      "table",
      { class: "matrix", "aria-label": `${METRICS[state.metric].label} by ${state.rows} and ${state.columns}` },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { class: "corner", scope: "col" }, `${state.rows} ↓  ${state.columns} →`),
          matrix.columns.map((column) => h("th", { scope: "col", title: String(column) }, label(column))),
        ),
      ),
      h(
        "tbody",
        {},
        matrix.rows.map((row, r) =>
          h(
            "tr",
            {},
            h("th", { scope: "row", title: String(row) }, label(row)),
            matrix.cells[r].map((cell, c) => cellOf(cell, matrix, state, row, matrix.columns[c])),
          )
        ),
      ),
    );
  }

  /**
   * @param {Cell | undefined} cell
   * @param {Pivot} matrix
   * @param {ViewState} state
   * @param {string | number | null} row
   * @param {string | number | null} column
   */
  function cellOf(cell, matrix, state, row, column) {
    if (cell === undefined) return h("td", { class: "none" });
    const metric = METRICS[state.metric];
    const verdict = verdictOf(cell);
    const figure = state.metric === "correct" ? verdict.share : cell.value === null ? "" : metric.format(cell.value);
    const button = h(
      "button",
      {
        type: "button",
        class: `cell ${verdict.tone}${state.metric === "correct" ? " correctness" : ""}${
          metric.budget ? " budget" : ""
        }`,
        title: `${state.rows} ${row}, ${state.columns} ${column}: ${verdict.title}`,
        onclick: () => open(cell, state, row, column),
      },
      h("span", { class: "figure" }, figure === "" ? "–" : figure),
      h("span", { class: "says" }, verdict.text),
    );
    if (state.metric !== "correct" && cell.value !== null && matrix.range !== null) {
      const t = metric.budget ? Math.min(1, cell.value) : depth(cell.value, matrix.range, metric.better);
      button.style.setProperty("--depth", `${Math.round(t * 100)}%`);
      button.classList.add("heat");
    }
    return h("td", {}, button);
  }

  /**
   * Opens the only case of a cell, or shows its cases in the table.
   * @param {Cell} cell
   * @param {ViewState} state
   * @param {string | number | null} row
   * @param {string | number | null} column
   */
  function open(cell, state, row, column) {
    if (cell.cases.length === 1) {
      update({ case: data.cases[cell.cases[0]].id }, { push: true });
      return;
    }
    const axes = { ...state.axes, [state.rows]: String(row), [state.columns]: String(column) };
    update({ axes, page: 0 }, { push: true });
    showTable();
  }
}

/**
 * What a cell says of correctness, in signs and words.
 * @param {Cell} cell
 * @returns {{ tone: string, text: string, share: string, title: string }}
 */
export function verdictOf(cell) {
  const { right, wrong, failed, skipped, doubtful } = cell;
  const checked = right + wrong;
  const bad = [wrong > 0 ? `✗ ${wrong} wrong` : "", failed > 0 ? `✗ ${failed} failed` : ""].filter((text) =>
    text !== ""
  );
  const title = [
    `${right} right`,
    `${wrong} wrong`,
    `${failed} failed`,
    `${skipped} skipped`,
    ...(doubtful > 0 ? [`${doubtful} with doubtful times`] : []),
  ].join(", ");
  const share = checked === 0 ? "–" : `${right}/${checked}`;
  if (bad.length > 0) return { tone: "bad", text: bad.join(" "), share, title };
  if (checked === 0) return { tone: "skip", text: `– ${skipped} skipped`, share, title };
  const text = `✓ ${right}${doubtful > 0 ? ` · ${doubtful}~` : ""}`;
  return { tone: "ok", text, share, title };
}

/**
 * @param {Pivot} matrix
 * @param {ViewState} state
 */
function legend(matrix, state) {
  const metric = METRICS[state.metric];
  const signs = "✓ right, ✗ wrong or failed, – skipped, ~ doubtful time";
  if (state.metric === "correct" || matrix.range === null) return h("span", { class: "signs" }, signs);
  const [low, high] = matrix.range;
  const ends = metric.budget
    ? ["0", "100"]
    : metric.better === "lower"
    ? [metric.format(high), metric.format(low)]
    : [metric.format(low), metric.format(high)];
  return h(
    "span",
    { class: "scale" },
    h("span", {}, ends[0]),
    h("span", { class: metric.budget ? "ramp budget" : "ramp", "aria-hidden": "true" }),
    h("span", {}, ends[1]),
    h("span", { class: "signs" }, metric.budget ? "of the allowed error" : "deeper is better", " · ", signs),
  );
}
