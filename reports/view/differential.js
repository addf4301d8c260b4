// @ts-check
/// <reference lib="dom" />
/**
 * A case beside another kernel, or the same kernel on another adapter: how far apart they are, and which is nearer to the
 * reference. No verdict: two right kernels differ in their last bits.
 *
 * @module
 */
/** @import { Differential } from "../html_data.ts" */
import { placeWords } from "./checks.js";
import { h } from "./dom.js";
import { percent, significant } from "./format.js";
import { figure } from "./parts.js";

/**
 * @param {Differential} differential
 * @returns {HTMLElement}
 */
export function differentialSection({ against, adapter, environment, outputs, skipped }) {
  const other = [against, environment === undefined ? "" : `on ${adapter || environment}`].filter(Boolean).join(" ");
  return h(
    "section",
    { class: "differential" },
    h("h3", {}, `Beside ${other}`),
    skipped ? h("p", {}, `Not compared: ${skipped}`) : null,
    outputs.length === 0 ? null : h(
      "div",
      { class: "scroll" },
      h(
        "table",
        { class: "plain" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            [
              "output",
              "same bits",
              "difference: median, 99 %, most",
              "error of this one: median, most",
              "error of the other: median, most",
            ]
              .map((text) => h("th", { scope: "col" }, text)),
          ),
        ),
        h(
          "tbody",
          {},
          outputs.map((output) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, h("code", {}, output.name)),
              h("td", {}, `${percent(output.equalShare)} %`),
              h("td", {}, ulps(output.ulpMedian, output.ulpP99, output.ulpMax)),
              h("td", {}, ulps(output.errorUlpMedian, output.errorUlpMax)),
              h("td", {}, ulps(output.otherErrorUlpMedian, output.otherErrorUlpMax)),
            )
          ),
        ),
      ),
    ),
    ...outputs.flatMap(({ name, worst }) =>
      worst
        ? [h(
          "p",
          { class: "quiet" },
          `Farthest apart in ${name}: ${placeWords(worst)}: ${figure(worst.actual)} here, ${
            figure(worst.other)
          } there, ${figure(worst.expected)} by the reference.`,
        )]
        : []
    ),
    h(
      "p",
      { class: "quiet" },
      "In units in the last place of f32. A difference is no verdict: right kernels sum in different orders.",
    ),
  );
}

/** @param {...number} values */
function ulps(...values) {
  return values.map((value) => value === 0 ? "0" : significant(value, value >= 100 ? 3 : 2)).join(" · ") + " ULP";
}
