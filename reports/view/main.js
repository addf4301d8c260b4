// @ts-check
/// <reference lib="dom" />
/**
 * Ties the page together: the state of the view, its address, and the parts that draw it.
 *
 * @module
 */
/** @import { ViewData, ViewDetail } from "../html_data.ts" */
/** @import { ViewState } from "./state.js" */
import { makeDetail } from "./detail.js";
import { byId } from "./dom.js";
import { makeFilters } from "./filters.js";
import { makeMatrix } from "./matrix.js";
import { AGGREGATES, METRICS } from "./pivot.js";
import { OUTCOMES, selectCases } from "./query.js";
import { formatHash, parseHash } from "./state.js";
import { makeTable } from "./table.js";
import { makeTheme } from "./theme.js";

const data = /** @type {ViewData} */ (readJson("data"));
/** @type {ViewDetail[] | undefined} */
let details;

/** @type {ViewState} */
const defaults = {
  text: "",
  status: "",
  axes: {},
  ...data.defaults,
  aggregate: "median",
  sort: "",
  page: 0,
  case: "",
};

/** @param {string} id @returns {any} */
function readJson(id) {
  return JSON.parse(byId(id).textContent ?? "null");
}

/**
 * The state in the address, without what this report does not have: an old link must still open the page.
 * @returns {ViewState}
 */
function readState() {
  const state = parseHash(location.hash, defaults);
  const names = new Set(data.axes.map((axis) => axis.name));
  for (const name of Object.keys(state.axes)) if (!names.has(name)) delete state.axes[name];
  if (!names.has(state.rows)) state.rows = defaults.rows;
  if (!names.has(state.columns)) state.columns = defaults.columns;
  if (!Object.hasOwn(METRICS, state.metric)) state.metric = defaults.metric;
  if (!Object.hasOwn(AGGREGATES, state.aggregate)) state.aggregate = defaults.aggregate;
  if (!OUTCOMES.includes(state.status)) state.status = "";
  return state;
}

let state = readState();
/** Cases in the order of the table. @type {number[]} */
let order = [];

/**
 * Changes the state, the address and what is drawn.
 * @param {Partial<ViewState>} patch
 * @param {{ push?: boolean }} [options] `push`: the browser's back button returns to the state before.
 */
function update(patch, { push = false } = {}) {
  const before = state;
  state = { ...state, ...patch };
  const hash = formatHash(state, defaults);
  if (hash !== formatHash(before, defaults)) {
    history[push ? "pushState" : "replaceState"](null, "", hash === "" ? location.pathname + location.search : hash);
    draw(before);
  }
}

/** @param {ViewState} [before] The state that is on the screen, if any. */
function draw(before) {
  const unlessCase = (/** @type {ViewState} */ view) => formatHash({ ...view, case: "" }, defaults);
  // Opening a case leaves the rest of the page alone, and with it the keyboard's place in the table.
  if (before === undefined || unlessCase(before) !== unlessCase(state)) {
    const indices = selectCases(data, state);
    drawFilters(state, indices.length);
    drawMatrix(state, indices);
    order = drawTable(state, indices);
  }
  detail.show(state.case, order);
}

const drawFilters = makeFilters(data, update);
const drawMatrix = makeMatrix(data, update, () => byId("cases").scrollIntoView());
const drawTable = makeTable(data, update);
const detail = makeDetail(data, () => details ??= readJson("details"), update);
makeTheme(() => detail.redraw());

addEventListener("popstate", () => {
  const before = state;
  state = readState();
  draw(before);
});
// Links within the page must not replace the state that the address holds.
addEventListener("click", (event) => {
  const href = /** @type {Element} */ (event.target).closest?.("a")?.getAttribute("href");
  if (event.defaultPrevented || !href?.startsWith("#") || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  const id = new URLSearchParams(href.slice(1)).get("case");
  if (id === null) byId(href.slice(1)).scrollIntoView();
  else update({ case: id }, { push: true });
});
let resizing = 0;
addEventListener("resize", () => {
  cancelAnimationFrame(resizing);
  resizing = requestAnimationFrame(() => detail.redraw());
});

document.documentElement.classList.add("live");
draw();
