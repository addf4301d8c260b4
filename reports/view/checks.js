// @ts-check
/// <reference lib="dom" />
/**
 * The checks of a case: what failed at length, what passed in a line each.
 *
 * @module
 */
/** @import { ViewCheck, ViewDetail, WorstElement } from "../html_data.ts" */
import { checkWords } from "./check_words.js";
import { h } from "./dom.js";
import { percent, significant } from "./format.js";
import { drawMap, mapLegend } from "./heat_map.js";
import { facts, figure } from "./parts.js";

/** Figures of an element. */
const FIGURES = ["kernel wrote", "expected", "difference", "bound"];

/**
 * Failed checks first, then the passed ones.
 * @param {ViewDetail} detail
 * @returns {HTMLElement[]}
 */
export function checkSections({ checks, coverage, blind }) {
  const [failed, passed] = [checks.filter((check) => !check.passed), checks.filter((check) => check.passed)];
  const compared = coverage === undefined ? "" : `${percent(coverage)} % of the output rows were compared.`;
  return [
    ...(blind && blind.length > 0 ? [blindSection(blind)] : []),
    ...(failed.length > 0 ? [h("section", {}, h("h3", {}, "What is wrong"), ...failed.map(failedCheck))] : []),
    ...(checks.length > 0
      ? [h(
        "section",
        { class: "passed" },
        h("h3", {}, "Checks that passed"),
        h("p", { class: "quiet above" }, [passed.length === 0 ? "None." : "", compared].filter(Boolean).join(" ")),
        ...passed.map(passedCheck),
      )]
      : []),
  ];
}

/** @param {readonly string[]} blind */
function blindSection(blind) {
  return h(
    "section",
    { class: "blind" },
    h("h3", {}, "Blind"),
    h(
      "p",
      {},
      "The checks of this case would have accepted a trivial output: ",
      ...blind.flatMap((name, i) => [i > 0 ? ", " : "", h("code", {}, name)]),
      ". That it passed says little.",
    ),
  );
}

/** @param {ViewCheck} check */
function failedCheck(check) {
  const { name, message, pattern, first, worst, maps } = check;
  const isSame = first !== undefined && worst !== undefined && placeWords(first) === placeWords(worst);
  return h(
    "article",
    { class: "check bad" },
    h("h4", {}, h("span", { class: "badge incorrect" }, "✗ wrong"), " ", h("code", {}, name), words(name)),
    message ? h("p", {}, message) : null,
    pattern && pattern.length > 0
      ? h("p", { class: "pattern" }, h("b", {}, "All wrong elements: "), pattern.join(" · "))
      : null,
    elementTable([
      ...(first ? [/** @type {const} */ ([isSame ? "first and worst" : "first wrong", first])] : []),
      ...(worst && !isSame ? [/** @type {const} */ (["worst", worst])] : []),
    ]),
    maps && maps.length > 0 ? h("div", {}, h("div", { class: "maps" }, ...maps.map(drawMap)), mapLegend(maps)) : null,
    checkFacts(check),
  );
}

/** @param {ViewCheck} check */
function passedCheck(check) {
  const { name, budgetUsed, ceilingUsed, worst } = check;
  return h(
    "details",
    { class: "check" },
    h(
      "summary",
      {},
      h("span", { class: "badge measured" }, "✓"),
      h("span", { class: "name" }, h("code", {}, name), words(name)),
      budgetUsed === undefined ? null : h(
        "span",
        { class: "used", title: "the largest share of its error bound that an element used" },
        bar(budgetUsed),
        `${percent(budgetUsed)} % of the budget`,
      ),
      ceilingUsed === undefined ? null : h(
        "span",
        { class: "used", title: "the largest share of the a-priori bound, under which the budget lies" },
        bar(ceilingUsed),
        `${percent(ceilingUsed)} % of the ceiling`,
      ),
    ),
    elementTable(worst ? [["closest to its bound", worst]] : []),
    checkFacts(check),
  );
}

/** @param {string} name */
function words(name) {
  const text = checkWords(name);
  return text === "" ? null : h("span", { class: "quiet" }, ` ${text}`);
}

/** @param {number} share */
function bar(share) {
  const fill = h("i");
  fill.style.width = `${100 * Math.min(1, share)}%`;
  return h("span", { class: "share" }, fill);
}

/** @param {ViewCheck} check */
function checkFacts(check) {
  const count = (/** @type {number} */ value) => value.toLocaleString("en");
  return facts([
    [
      check.passed ? "elements" : "wrong",
      check.passed ? count(check.elements) : `${count(check.mismatches)} of ${count(check.elements)}`,
    ],
    ["of them equal bit by bit", check.exactElements === undefined ? "" : count(check.exactElements)],
    ["error budget used", check.passed ? "" : shareText(check.budgetUsed)],
    ["of the a-priori ceiling", check.passed ? "" : shareText(check.ceilingUsed)],
    ["largest absolute error", significant(check.maxAbsError)],
    ["largest relative error", significant(check.maxRelError)],
    ["NMSE", significant(check.nmse)],
    ["cosine difference", significant(check.cosineDifference)],
  ]);
}

/** @param {number | undefined} share */
function shareText(share) {
  if (share === undefined) return "";
  return share <= 10 ? `${percent(share)} %` : `${significant(share)} times`;
}

/**
 * Elements below each other, so that places and numbers line up.
 * @param {readonly (readonly [title: string, element: WorstElement])[]} list
 */
function elementTable(list) {
  if (list.length === 0) return null;
  return h(
    "div",
    { class: "scroll elements" },
    h(
      "table",
      { class: "plain" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["", "where", ...FIGURES].map((text, i) => h("th", { scope: "col", class: i > 1 && "number" }, text)),
        ),
      ),
      h("tbody", {}, list.map(([title, element]) => elementRow(title, element))),
    ),
  );
}

/**
 * @param {string} title
 * @param {WorstElement} element
 */
function elementRow(title, element) {
  const { actual, expected, absError, bound, edges = [] } = element;
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, title),
    h(
      "td",
      { class: "where" },
      placeWords(element),
      edges.length > 0 ? h("small", {}, edges.join(", ")) : null,
    ),
    // On a phone the headings are gone and the labels stand in for them.
    [figure(actual), figure(expected), significant(absError) || "–", significant(bound)]
      .map((text, i) => h("td", { class: "number", "data-label": FIGURES[i] }, text)),
  );
}

/**
 * Where an element stands: `sequence 3, head 5, token 0, dim 17, page 12`.
 * @param {Pick<WorstElement, "sequence" | "head" | "token" | "dim" | "page">} place
 * @returns {string}
 */
export function placeWords({ sequence, head, token, dim, page }) {
  return [
    sequence < 0 ? "" : `sequence ${sequence}`,
    head === undefined ? "" : `head ${head}`,
    token < 0 ? "" : `token ${token}`,
    dim === undefined ? "" : `dim ${dim}`,
    page < 0 ? "no page" : `page ${page}`,
  ].filter((part) => part !== "").join(", ");
}
