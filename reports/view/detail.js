// @ts-check
/// <reference lib="dom" />
/**
 * One case in full, in a drawer.
 *
 * @module
 */
/** @import { ViewCase, ViewCheck, ViewData, ViewDetail, ViewRun } from "../html_data.ts" */
/** @import { ViewState } from "./state.js" */
import { drawSamples } from "./chart.js";
import { badge, byId, h } from "./dom.js";
import { duration, percent, significant } from "./format.js";
import { outcome } from "./query.js";

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
      ...(row.note ? [h("pre", { class: `note ${outcome(row)}` }, row.note)] : []),
      h("section", {}, h("h3", {}, "Run it again"), ...detail.commands.map(command)),
      ...detail.runs.map((run) => runSection(detail, run)),
      ...(detail.checks.length > 0 ? [checksSection(detail)] : []),
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
          ["work", detail.flops === undefined ? "" : `${significant(detail.flops / 1e9)} Gflop`],
          ["bytes at least", detail.minBytes === undefined ? "" : `${significant(detail.minBytes / 1e6)} MB`],
          [
            "intensity",
            detail.flops && detail.minBytes ? `${significant(detail.flops / detail.minBytes)} flop/byte` : "",
          ],
          ["pipeline compilation", row.compileMs === undefined ? "" : `${significant(row.compileMs)} ms`],
          ["host time of the case", `${significant(detail.hostMs)} ms`],
          ["planning, host time", detail.plan ? `${significant(detail.plan.planMs)} ms` : ""],
          ["plan brought to other lengths, host time", detail.plan ? `${significant(detail.plan.updateMs)} ms` : ""],
        ]),
      ),
    ];
  }

  /**
   * @param {ViewDetail} detail
   * @param {ViewRun} run
   */
  function runSection(detail, run) {
    const { summary } = run;
    const orderBox = h("div", { class: "chart order" });
    const shapeBox = h("div", { class: "chart shape" });
    draws.push(() => drawSamples(run, orderBox, shapeBox));
    const probe = run.clock;
    return h(
      "section",
      {},
      h("h3", {}, `Time, ${run.mode}`),
      facts([
        ["median", duration(summary.medianNs)],
        [
          "95 % interval",
          summary.ciLowNs === undefined
            ? "too few samples"
            : `${duration(summary.ciLowNs)} – ${duration(summary.ciHighNs)}`,
        ],
        ["least", duration(summary.minNs)],
        ["quartiles", `${duration(summary.q1Ns)} – ${duration(summary.q3Ns)}`],
        ["95th percentile", duration(summary.p95Ns)],
        ["bandwidth", run.gbps === undefined ? "" : `${significant(run.gbps)} GB/s`],
        ["throughput", run.tflops === undefined ? "" : `${significant(run.tflops)} TFLOP/s`],
        ["median deviation", duration(summary.madNs)],
        ["outliers, mild and severe", `${summary.outliersMild} and ${summary.outliersSevere}`],
        ["samples", `${run.samplesNs.length} of ${run.launchesPerPass} launches each`],
        ["inputs", run.rotation > 1 ? `${run.rotation} copies in rotation` : "the same each time"],
        ["dropped spans", String(run.droppedSpans)],
        ["submissions rejected for a slow clock", String(run.rejectedBatches)],
        [
          "clock probe, over best",
          probe
            ? `${significant(probe.beforeNs / probe.bestNs)}× before, ${
              significant(probe.afterNs / probe.bestNs)
            }× after`
            : "",
        ],
        ["timer", detail.timer ?? ""],
        ["timestamp tick", detail.tickNs === undefined ? "" : `${significant(detail.tickNs)} ns`],
      ]),
      h("div", { class: "charts" }, orderBox, shapeBox),
    );
  }
}

/**
 * @param {ViewDetail} detail
 */
function checksSection(detail) {
  return h(
    "section",
    {},
    h("h3", {}, "Checks against the f64 reference"),
    h(
      "p",
      { class: "quiet" },
      detail.coverage === undefined ? "" : `${percent(detail.coverage)} % of the output rows were compared.`,
    ),
    ...detail.checks.map(checkBox),
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

/** @param {ViewCheck} check */
function checkBox(check) {
  const worst = check.worst;
  const place = worst && [
    `sequence ${worst.sequence}`,
    worst.head === undefined ? "" : `head ${worst.head}`,
    `token ${worst.token}`,
    worst.dim === undefined ? "" : `dim ${worst.dim}`,
    worst.page < 0 ? "no page" : `page ${worst.page}`,
  ].filter((part) => part !== "").join(", ");
  return h(
    "article",
    { class: check.passed ? "check" : "check bad" },
    h(
      "h4",
      {},
      h("span", { class: check.passed ? "badge measured" : "badge incorrect" }, check.passed ? "✓ right" : "✗ wrong"),
      " ",
      h("code", {}, check.name),
    ),
    check.message ? h("p", {}, check.message) : null,
    facts([
      ["out of bound", `${check.mismatches.toLocaleString("en")} of ${check.elements.toLocaleString("en")}`],
      ["error budget used", check.budgetUsed === undefined ? "" : `${percent(check.budgetUsed)} %`],
      ["largest absolute error", significant(check.maxAbsError)],
      ["largest relative error", significant(check.maxRelError)],
      ["NMSE", significant(check.nmse)],
      ["cosine difference", significant(check.cosineDifference)],
      ...(worst
        ? [
          /** @type {const} */ (["worst element", place ?? ""]),
          /** @type {const} */ (["kernel wrote", figure(worst.actual)]),
          /** @type {const} */ (["reference says", figure(worst.expected)]),
          /** @type {const} */ ([
            "difference / bound",
            `${significant(worst.absError) || "–"} / ${significant(worst.bound)}`,
          ]),
        ]
        : []),
    ]),
  );
}

/** @param {number | string} value */
function figure(value) {
  return typeof value === "number" ? significant(value, 7) : value;
}

/** @param {readonly (readonly [name: string, value: string])[]} list Empty values are left out. */
function facts(list) {
  return h(
    "dl",
    { class: "facts" },
    list.filter(([, value]) => value !== "").map(([name, value]) =>
      h("div", {}, h("dt", {}, name), h("dd", {}, value))
    ),
  );
}

/** @param {string} text */
function command(text) {
  const code = h("code", { tabindex: 0 }, text);
  const button = h("button", {
    type: "button",
    onclick: async () => {
      // Selected first: where the browser refuses the clipboard, the user's own copy still works.
      getSelection()?.selectAllChildren(code);
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Selected";
      }
      setTimeout(() => button.textContent = "Copy", 1500);
    },
  }, "Copy");
  return h("div", { class: "command" }, code, button);
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
