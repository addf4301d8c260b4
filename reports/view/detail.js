// @ts-check
/// <reference lib="dom" />
/**
 * One case in full, in a drawer.
 *
 * @module
 */
/** @import { ViewCase, ViewData, ViewDetail } from "../html_data.ts" */
/** @import { ViewState } from "./state.js" */
import { checkSections } from "./checks.js";
import { differentialSection } from "./differential.js";
import { badge, byId, h } from "./dom.js";
import { microseconds, percent, significant } from "./format.js";
import { command, facts } from "./parts.js";
import { outcome } from "./query.js";
import { runSection } from "./runs.js";

/**
 * Builds the drawer.
 * @param {ViewData} data
 * @param {() => ViewDetail[]} details Reads the details; called when the first case is opened.
 * @param {(patch: Partial<ViewState>) => void} update
 * @returns {{ show(id: string, order: readonly number[]): void, redraw(): void }} `show` opens a case, or closes the
 *   drawer for an id that is empty or unknown; `order` is what previous and next step through. `redraw` draws the
 *   charts again, in the colours and the width of now.
 */
export function makeDetail(data, details, update) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("detail"));
  const indexOf = new Map(data.cases.map((row, index) => [row.id, index]));
  /** @type {(() => { destroy(): void }[])[]} */
  let draws = [];
  /** @type {{ destroy(): void }[]} */
  let charts = [];
  let [position, order] = [-1, /** @type {readonly number[]} */ ([])];

  dialog.addEventListener("close", () => update({ case: "" }));
  // A click on the backdrop has the dialog itself as its target.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j" || event.key === "ArrowRight") step(1);
    if (event.key === "k" || event.key === "ArrowLeft") step(-1);
  });

  /** @param {number} by */
  function step(by) {
    const next = order[position + by];
    if (next !== undefined) update({ case: data.cases[next].id });
  }

  function redraw() {
    for (const chart of charts) chart.destroy();
    charts = dialog.open ? draws.flatMap((draw) => draw()) : [];
  }

  return {
    redraw,
    show(id, rows) {
      const index = indexOf.get(id);
      if (index === undefined) {
        if (dialog.open) dialog.close();
        return;
      }
      [position, order] = [rows.indexOf(index), rows];
      const row = data.cases[index];
      const detail = details()[index];
      draws = [];
      // The drawer is filled anew for each case: the focus must stay inside, or its keys would stop working.
      const focus = document.activeElement?.getAttribute("data-keep") ?? "title";
      dialog.replaceChildren(
        h(
          "header",
          {},
          h(
            "div",
            { class: "title" },
            badge(outcome(row)),
            h("h2", { tabindex: -1, autofocus: true, "data-keep": "title" }, row.id),
          ),
          h(
            "nav",
            {},
            stepButton("←", "Previous case", position > 0, () => step(-1)),
            stepButton("→", "Next case", position >= 0 && position < order.length - 1, () => step(1)),
            stepButton("✕", "Close", true, () => dialog.close()),
          ),
        ),
        h("div", { class: "body" }, ...sections(row, detail)),
      );
      if (!dialog.open) dialog.showModal();
      const kept = /** @type {HTMLElement?} */ (dialog.querySelector(`[data-keep="${focus}"]:not(:disabled)`));
      (kept ?? /** @type {HTMLElement?} */ (dialog.querySelector("h2")))?.focus();
      dialog.scrollTop = 0;
      redraw();
    },
  };

  /**
   * @param {ViewCase} row
   * @param {ViewDetail} detail
   * @returns {HTMLElement[]}
   */
  function sections(row, detail) {
    return [
      // What is wrong has a section of its own, with more to see.
      ...(row.note && row.status !== "incorrect" ? [h("pre", { class: `note ${outcome(row)}` }, row.note)] : []),
      h("section", {}, h("h3", {}, "Run it again"), ...detail.commands.map(command)),
      ...(detail.shrunk ? [shrunkSection(row.id, detail.shrunk)] : []),
      ...detail.runs.map((run) => runSection(detail, run, (draw) => draws.push(draw))),
      ...checkSections(detail),
      ...(detail.differential ? [differentialSection(detail.differential)] : []),
      ...(detail.beside && data.beside ? [besideSection(row, detail.beside, data.beside)] : []),
      ...(detail.choice ? [choiceSection(detail.choice)] : []),
      h(
        "section",
        {},
        h("h3", {}, "Case"),
        facts([
          ...data.axes.flatMap((axis, i) =>
            row.axes[i] === null ? [] : [/** @type {const} */ ([axis.name, String(row.axes[i])])]
          ),
          ...Object.entries(detail.chosen ?? {}).map((
            [key, value],
          ) => /** @type {const} */ ([`${key}, chosen by the kernel`, String(value)])),
          ["precision", row.precision ?? ""],
          ["work", detail.flops === undefined ? "" : `${significant(detail.flops / 1e9)} Gflop`],
          ["bytes at least", detail.minBytes === undefined ? "" : `${significant(detail.minBytes / 1e6)} MB`],
          [
            "intensity",
            detail.flops && detail.minBytes ? `${significant(detail.flops / detail.minBytes)} flop/byte` : "",
          ],
          ["pipeline compilation", row.compileMs === undefined ? "" : `${significant(row.compileMs)} ms`],
          ["waiting for inputs", detail.inputsMs === undefined ? "" : `${significant(detail.inputsMs)} ms`],
          ["checks, compilation in it", detail.checksMs === undefined ? "" : `${significant(detail.checksMs)} ms`],
          ["host time of the case", `${significant(detail.hostMs)} ms`],
          ["GPU time of the case", detail.gpuMs === undefined ? "" : `${significant(detail.gpuMs)} ms`],
          ["planning, host time", detail.plan ? `${significant(detail.plan.planMs)} ms` : ""],
          ["plan brought to other lengths, host time", detail.plan ? `${significant(detail.plan.updateMs)} ms` : ""],
        ]),
      ),
    ];
  }
}

/**
 * @param {string} id
 * @param {NonNullable<ViewDetail["shrunk"]>} shrunk
 */
function shrunkSection(id, shrunk) {
  const runs = shrunk.runs === 1 ? "1 case was run" : `${shrunk.runs.toLocaleString("en")} cases were run`;
  return h(
    "section",
    {},
    h("h3", {}, "The smallest case that fails like it"),
    shrunk.id === id ? null : command(shrunk.command),
    h("p", { class: "quiet" }, shrunk.id === id ? `This one: ${runs} to find a smaller.` : `${runs} to find it.`),
  );
}

/**
 * @param {ViewCase} row
 * @param {NonNullable<ViewDetail["beside"]>} beside
 * @param {string} name
 */
function besideSection(row, { status, medianNs, budget }, name) {
  return h(
    "section",
    {},
    h("h3", {}, `On ${name}`),
    facts([
      ["outcome", status],
      ["median", medianNs === undefined ? "" : `${microseconds(medianNs)} µs`],
      ["over this one's", row.besideRatio === undefined ? "" : `${significant(row.besideRatio)} ×`],
      ["error budget, most", budget === undefined ? "" : `${percent(budget)} %`],
    ]),
  );
}

/** @param {NonNullable<ViewDetail["choice"]>} choice */
function choiceSection({ backend, form, reasons, overFastest, fastest }) {
  const how = overFastest === undefined
    ? "Not timed against another kernel here."
    : fastest
    ? "The fastest that was measured on this shape."
    : `${significant(overFastest)} times the fastest that was measured on this shape.`;
  return h(
    "section",
    {},
    h("h3", {}, "What the resolver would pick"),
    h("p", {}, h("code", {}, [backend, form].filter(Boolean).join(", ")), ` – ${how}`),
    h("ul", { class: "reasons" }, ...reasons.map((reason) => h("li", {}, reason))),
  );
}

/**
 * @param {string} text
 * @param {string} title
 * @param {boolean} enabled
 * @param {() => void} onclick
 */
function stepButton(text, title, enabled, onclick) {
  return h(
    "button",
    { type: "button", title, "aria-label": title, "data-keep": title, disabled: !enabled, onclick },
    text,
  );
}
