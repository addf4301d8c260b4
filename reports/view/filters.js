// @ts-check
/// <reference lib="dom" />
/**
 * The filter bar, shared by matrix and table.
 *
 * @module
 */
/** @import { ViewData } from "../html_data.ts" */
/** @import { ViewState } from "./state.js" */
import { byId, menu } from "./dom.js";
import { outcome, OUTCOMES } from "./query.js";

/**
 * Builds the filter bar.
 * @param {ViewData} data
 * @param {(patch: Partial<ViewState>) => void} update
 * @returns {(state: ViewState, shown: number) => void} Draws the bar for a state.
 */
export function makeFilters(data, update) {
  const text = /** @type {HTMLInputElement} */ (byId("filter-text"));
  text.addEventListener("input", () => update({ text: text.value, page: 0 }));
  byId("filter-reset").addEventListener("click", () => {
    text.focus();
    update({ text: "", status: "", axes: {}, page: 0 });
  });
  const present = new Set(data.cases.map(outcome));
  const outcomes = OUTCOMES.filter((name) => present.has(name));
  const axes = data.axes.filter((axis) => axis.values.length > 1);

  return (state, shown) => {
    if (text.value !== state.text) text.value = state.text;
    const active = document.activeElement?.getAttribute("name");
    const menus = [
      menu(
        "status",
        state.status,
        [["", "all"], ...outcomes.map((name) => /** @type {const} */ ([name, name]))],
        (status) => update({ status, page: 0 }),
      ),
      ...axes.map((axis) =>
        menu(
          axis.name,
          state.axes[axis.name] ?? "",
          [["", "all"], ...axis.values.map((value) => /** @type {const} */ ([String(value), label(value)]))],
          (value) => {
            const { [axis.name]: _, ...others } = state.axes;
            update({ axes: value === "" ? others : { ...others, [axis.name]: value }, page: 0 });
          },
          `axis.${axis.name}`,
        )
      ),
    ];
    byId("filter-menus").replaceChildren(...menus);
    for (const select of byId("filter-menus").querySelectorAll("select")) if (select.name === active) select.focus();
    byId("filter-count").textContent = shown === data.cases.length
      ? `${shown.toLocaleString("en")} cases`
      : `${shown.toLocaleString("en")} of ${data.cases.length.toLocaleString("en")} cases`;
    const filtered = state.text !== "" || state.status !== "" || Object.keys(state.axes).length > 0;
    byId("filter-reset").toggleAttribute("disabled", !filtered);
  };
}

/**
 * An axis value as a menu shows it: long lists are cut, with their length.
 * @param {string | number | null} value
 * @returns {string}
 */
export function label(value) {
  if (value === null) return "none";
  const text = String(value);
  return text.length <= 28 ? text : `${text.slice(0, 25)}…`;
}
