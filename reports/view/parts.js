// @ts-check
/// <reference lib="dom" />
/**
 * Small parts that sections of the drawer are made of.
 *
 * @module
 */
import { h } from "./dom.js";
import { significant } from "./format.js";

/**
 * A value of a tensor, NaN and ±Infinity as words.
 * @param {number | string} value
 * @returns {string}
 */
export function figure(value) {
  return typeof value === "number" ? significant(value, 7) : value;
}

/**
 * Names with their values.
 * @param {readonly (readonly [name: string, value: string])[]} list Empty values are left out.
 * @returns {HTMLElement}
 */
export function facts(list) {
  return h(
    "dl",
    { class: "facts" },
    list.filter(([, value]) => value !== "").map(([name, value]) =>
      h("div", {}, h("dt", {}, name), h("dd", {}, value))
    ),
  );
}

/**
 * A command line with a button that copies it.
 * @param {string} text
 * @returns {HTMLElement}
 */
export function command(text) {
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
