// @ts-check
/**
 * The state of the view and its form in the address: everything that a link must restore, and nothing else.
 *
 * @module
 */

/**
 * @typedef {object} ViewState
 * @property {string} text Text filter.
 * @property {string} status Outcome that is shown; empty for all.
 * @property {Record<string, string>} axes Axis values that are shown; an axis without one shows all.
 * @property {string} rows Axis down the matrix.
 * @property {string} columns Axis across the matrix.
 * @property {string} metric Metric of the matrix.
 * @property {string} aggregate How a cell of several cases becomes one figure.
 * @property {string} sort Column of the table, `-` in front for descending; empty for the order of the run.
 * @property {number} page Page of the table, from 0.
 * @property {string} case Id of the open case; empty for none.
 */

/** Keys of {@linkcode ViewState} that are plain text, with their names in the address. */
const TEXT_KEYS = /** @type {const} */ ([
  ["text", "q"],
  ["status", "status"],
  ["rows", "rows"],
  ["columns", "cols"],
  ["metric", "metric"],
  ["aggregate", "of"],
  ["sort", "sort"],
  ["case", "case"],
]);

/**
 * The state in `hash`, `defaults` where it says nothing. Values that mean nothing here are kept out by the caller's
 * controls, not by this function.
 * @param {string} hash `location.hash`, with or without `#`.
 * @param {ViewState} defaults
 * @returns {ViewState}
 */
export function parseHash(hash, defaults) {
  const params = new URLSearchParams(hash.replace(/^#/, ""));
  /** @type {ViewState} */
  const state = { ...defaults, axes: {} };
  for (const [key, name] of TEXT_KEYS) state[key] = params.get(name) ?? defaults[key];
  const page = Number(params.get("page"));
  state.page = Number.isInteger(page) && page > 0 ? page - 1 : 0;
  for (const [name, value] of params) if (name.startsWith("axis.")) state.axes[name.slice(5)] = value;
  return state;
}

/**
 * The shortest hash that {@linkcode parseHash} turns back into `state`; empty when `state` is the default.
 * @param {ViewState} state
 * @param {ViewState} defaults
 * @returns {string}
 */
export function formatHash(state, defaults) {
  const params = new URLSearchParams();
  for (const [key, name] of TEXT_KEYS) if (state[key] !== defaults[key]) params.set(name, state[key]);
  for (const name of Object.keys(state.axes).sort()) params.set(`axis.${name}`, state.axes[name]);
  if (state.page > 0) params.set("page", String(state.page + 1));
  // Readable where that is safe: a case id in a link should look like a case id.
  const text = params.toString().replaceAll("%2F", "/").replaceAll("%3A", ":").replaceAll("%3B", ";")
    .replaceAll("%2C", ",");
  return text === "" ? "" : `#${text}`;
}
