// @ts-check
/// <reference lib="dom" />
/**
 * Building elements. Text becomes text nodes and nothing else: no function here parses markup.
 *
 * @module
 */
import { SIGNS } from "./signs.js";

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * An element with attributes and children. `on…` properties are listeners; `null`, `undefined` and `false` attributes
 * are left out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} [props]
 * @param {...(Child | readonly Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) {
      element.append(typeof child === "number" ? String(child) : child);
    }
  }
  return element;
}

/**
 * The element with `id`, which the page always has.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new TypeError(`Cannot find element #${id} in the report`);
  return element;
}

/**
 * A menu with a label.
 * @param {string} label
 * @param {string} value
 * @param {readonly (readonly [value: string, label: string])[]} options
 * @param {(value: string) => void} onchange
 * @param {string} [name] Name for tests and for finding the control again after a redraw.
 * @returns {HTMLElement}
 */
export function menu(label, value, options, onchange, name = label) {
  const select = h(
    "select",
    { name, onchange: (/** @type {Event} */ event) => onchange(/** @type {any} */ (event.target).value) },
    options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)),
  );
  return h("label", { class: value === "" ? "menu" : "menu set" }, h("span", {}, label), select);
}

/**
 * An outcome as a badge: a sign and a word, never colour alone.
 * @param {string} outcome
 * @returns {HTMLElement}
 */
export function badge(outcome) {
  return h("span", { class: `badge ${outcome}` }, `${SIGNS[outcome] ?? ""} ${outcome}`);
}
