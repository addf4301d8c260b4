// @ts-check
/// <reference lib="dom" />
/**
 * Light and dark: the system's choice until the button says otherwise.
 *
 * @module
 */
import { byId } from "./dom.js";

const KEY = "mla-bench-theme";

/**
 * Makes the button work and applies the choice of the last visit.
 * @param {() => void} onchange Called after the colours changed, for what CSS does not colour.
 */
export function makeTheme(onchange) {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const theme = () => root.dataset.theme ?? (system.matches ? "dark" : "light");
  const button = byId("theme");
  const label = () => button.textContent = theme() === "dark" ? "Light" : "Dark";
  const stored = remembered();
  if (stored === "light" || stored === "dark") root.dataset.theme = stored;
  label();
  button.addEventListener("click", () => {
    root.dataset.theme = theme() === "dark" ? "light" : "dark";
    remember(root.dataset.theme);
    label();
    onchange();
  });
  system.addEventListener("change", () => {
    label();
    onchange();
  });
}

/** Storage may be forbidden to files on disk: then the choice lasts as long as the page. */
function remembered() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** @param {string} theme */
function remember(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // The page is coloured all the same.
  }
}
