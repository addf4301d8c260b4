// @ts-check
/// <reference lib="dom" />
/**
 * An error map as a grid of cells: levels of colour, what a cell holds in words, under the pointer and by the keyboard.
 *
 * Blue within the bound and orange beyond it can be told apart without seeing red or green, and each ramp is ordered by
 * lightness; NaN is striped, and so is what was not compared.
 *
 * @module
 */
/** @import { ErrorMap, MapAxis } from "../html_data.ts" */
import { h } from "./dom.js";
import { percent, significant } from "./format.js";

/** Shares of the bound up to which a level goes, from nothing to anything. */
const LEVELS = /** @type {const} */ ([
  [0, "in0", "no error"],
  [0.5, "in1", "to 50 %"],
  [1, "in2", "to the bound"],
  [2, "out1", "to 2×"],
  [10, "out2", "to 10×"],
  [100, "out3", "to 100×"],
  [1e4, "out4", "to 10,000×"],
  [Infinity, "out5", "more"],
]);

/** What stands in place of a share, with its class and words. */
const SPECIAL = /** @type {const} */ ([
  [-1, "nan", "NaN or ∞ out of place"],
  [-2, "none", "not compared"],
]);

/** Labels along an axis. */
const MAX_TICKS = 8;

/** Words for directions whose name does not say it all. @type {Readonly<Record<string, string>>} */
const TITLES = { token: "token of the sequence", slot: "slot of the page" };

/**
 * The class and the words of a share's level.
 * @param {number} share
 * @returns {readonly [className: string, words: string]}
 */
export function levelOf(share) {
  const [, name, words] = SPECIAL.find(([value]) => value === share) ?? LEVELS.find(([edge]) => share <= edge) ??
    LEVELS[LEVELS.length - 1];
  return [name, words];
}

/**
 * The largest share of a bin in words.
 * @param {number} share
 * @returns {string}
 */
export function shareWords(share) {
  const special = SPECIAL.find(([value]) => value === share);
  if (special) return special[2];
  if (share === 0) return "no error";
  if (share <= 1) return `${percent(share)} % of the bound`;
  return `${share >= 1e6 ? "at least " : ""}${significant(share, 2)} times the bound`;
}

/**
 * The values of a bin: `dims 8–15`, `head 3`.
 * @param {MapAxis} axis
 * @param {number} bin
 * @returns {string}
 */
export function binWords({ name, from, step }, bin) {
  const first = from + bin * step;
  return step === 1 ? `${name} ${first}` : `${name}s ${first}–${first + step - 1}`;
}

/**
 * Neighbours of a row that have the same level, as one: a map of many bins is drawn with few elements.
 * @param {ErrorMap} map
 * @returns {{ row: number, from: number, to: number, level: string }[]}
 */
export function runsOf({ rows, columns, values }) {
  /** @type {{ row: number, from: number, to: number, level: string }[]} */
  const runs = [];
  for (let row = 0; row < rows.bins; row++) {
    for (let column = 0; column < columns.bins; column++) {
      const [level] = levelOf(values[row * columns.bins + column]);
      const last = runs.at(-1);
      if (last?.row === row && last.level === level) last.to = column + 1;
      else runs.push({ row, from: column, to: column + 1, level });
    }
  }
  return runs;
}

/**
 * The bin with the largest error; NaN outweighs any.
 * @param {ErrorMap} map
 * @returns {number}
 */
export function worstBin({ values }) {
  const weight = (/** @type {number} */ share) => share === -1 ? Infinity : share;
  return values.reduce((worst, share, i) => weight(share) > weight(values[worst]) ? i : worst, 0);
}

/**
 * Draws a map.
 * @param {ErrorMap} map
 * @returns {HTMLElement}
 */
export function drawMap(map) {
  const { rows, columns, values } = map;
  const worst = worstBin(map);
  let at = worst;
  const cursor = h("i", { class: "cursor" });
  const readout = h("output", { class: "readout" });
  const wrong = values.filter((share) => share > 1 || share === -1).length;
  const grid = h(
    "div",
    {
      class: "bins",
      role: "img",
      tabindex: 0,
      "aria-label":
        `Map of errors by ${rows.name} and ${columns.name}: ${wrong} of ${values.length} bins are out of bound`,
      onpointermove: (/** @type {PointerEvent} */ event) => point(event),
      onpointerdown: (/** @type {PointerEvent} */ event) => point(event),
      onpointerleave: () => show(worst),
      onkeydown: (/** @type {KeyboardEvent} */ event) => step(event),
    },
    ...runsOf(map).map(binElement),
    cursor,
  );
  show(worst);

  /** @param {number} bin */
  function show(bin) {
    at = bin;
    const [row, column] = [Math.floor(bin / columns.bins), bin % columns.bins];
    place(cursor, row, column, column + 1);
    readout.textContent = `${bin === worst ? "worst: " : ""}${binWords(rows, row)}, ${binWords(columns, column)}: ${
      shareWords(values[bin])
    }`;
  }

  /** @param {PointerEvent} event */
  function point(event) {
    const box = grid.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / box.width * columns.bins);
    const row = Math.floor((event.clientY - box.top) / box.height * rows.bins);
    if (row >= 0 && row < rows.bins && column >= 0 && column < columns.bins) show(row * columns.bins + column);
  }

  /** @param {KeyboardEvent} event */
  function step(event) {
    const [row, column] = [Math.floor(at / columns.bins), at % columns.bins];
    /** @type {Readonly<Record<string, readonly [number, number]>>} */
    const moves = {
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      Home: [row, 0],
      End: [row, columns.bins - 1],
    };
    const to = moves[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    // The drawer steps between cases with the same keys.
    event.stopPropagation();
    event.preventDefault();
    const [r, c] = to;
    if (r >= 0 && r < rows.bins && c >= 0 && c < columns.bins) show(r * columns.bins + c);
  }

  const figure = h(
    "figure",
    { class: "error-map" },
    h("figcaption", {}, `${titleOf(rows, columns)} ↓, ${titleOf(columns, rows)} →`),
    ticks(rows, "down"),
    grid,
    ticks(columns, "across"),
    readout,
  );
  figure.style.setProperty("--rows", String(rows.bins));
  figure.style.setProperty("--columns", String(columns.bins));
  return figure;
}

/**
 * The levels that occur in `maps`, with what they mean.
 * @param {readonly ErrorMap[]} maps
 * @returns {HTMLElement}
 */
export function mapLegend(maps) {
  const seen = new Set(maps.flatMap(({ values }) => values.map((share) => levelOf(share)[0])));
  const entries = [...LEVELS, ...SPECIAL].filter(([, name]) => seen.has(name));
  return h(
    "p",
    { class: "map-legend" },
    h("span", {}, "largest share of the error bound in a bin:"),
    entries.map(([, name, words]) => h("span", {}, h("i", { class: `bin ${name}` }), words)),
  );
}

/**
 * @param {MapAxis} axis
 * @param {MapAxis} other
 */
function titleOf({ name, step }, other) {
  // A row of an attention has no page of its own; it stands at that of the last token it sees.
  const title = name === "page" && other.name !== "slot" ? "page of the last token seen" : TITLES[name] ?? name;
  return step > 1 ? `${title} (${step} a bin)` : title;
}

/** @param {{ row: number, from: number, to: number, level: string }} run */
function binElement({ row, from, to, level }) {
  const element = h("i", { class: `bin ${level}` });
  place(element, row, from, to);
  return element;
}

/**
 * @param {HTMLElement} element
 * @param {number} row
 * @param {number} from
 * @param {number} to
 */
function place(element, row, from, to) {
  element.style.gridArea = `${row + 1} / ${from + 1} / ${row + 2} / ${to + 1}`;
}

/**
 * @param {MapAxis} axis
 * @param {"down" | "across"} direction
 */
function ticks({ from, step, bins }, direction) {
  let every = 1;
  while (bins / every > MAX_TICKS) every *= 2;
  const box = h("div", { class: `ticks ${direction}`, "aria-hidden": "true" });
  for (let bin = 0; bin < bins; bin += every) {
    const tick = h("span", {}, String(from + bin * step));
    if (direction === "down") tick.style.gridRow = String(bin + 1);
    else tick.style.gridColumn = `${bin + 1} / ${Math.min(bins, bin + every) + 1}`;
    box.append(tick);
  }
  return box;
}
