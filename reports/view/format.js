// @ts-check
/**
 * Numbers and names as the report writes them. Only these functions round. An absent number is written as nothing.
 *
 * @module
 */

/**
 * `value` to `digits` significant digits, never in exponent form between 1e-4 and 1e7.
 * @param {number | null | undefined} value
 * @param {number} [digits]
 * @returns {string}
 */
export function significant(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "";
  if (value === 0) return "0";
  const magnitude = Math.abs(value);
  if (magnitude < 1e-4 || magnitude >= 1e7) return value.toExponential(digits - 1).replace("e+", "e");
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(magnitude)));
  return value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/**
 * A ratio as a percentage to two digits: `0.214` → `21`, `0.0042` → `0.42`, `13.8` → `1,380`. Nothing less than all is
 * rounded up to 100.
 * @param {number | null | undefined} ratio
 * @returns {string}
 */
export function percent(ratio) {
  if (ratio === null || ratio === undefined || !Number.isFinite(ratio)) return "";
  const value = ratio * 100;
  if (value !== 0 && Math.abs(value) < 0.01) return "<0.01";
  if (value > 99 && value < 100) return ">99";
  return significant(value, Math.abs(value) < 100 ? 2 : 3);
}

/**
 * Nanoseconds as microseconds.
 * @param {number | null | undefined} ns
 * @returns {string}
 */
export function microseconds(ns) {
  return ns === null || ns === undefined ? "" : significant(ns / 1000, 4);
}

/**
 * Nanoseconds in the unit that reads best, unit included: for single figures, not for columns.
 * @param {number | null | undefined} ns
 * @returns {string}
 */
export function duration(ns) {
  if (ns === null || ns === undefined || !Number.isFinite(ns)) return "";
  const magnitude = Math.abs(ns);
  if (magnitude < 1e3) return `${significant(ns, 4)} ns`;
  if (magnitude < 1e6) return `${significant(ns / 1e3, 4)} µs`;
  if (magnitude < 1e9) return `${significant(ns / 1e6, 4)} ms`;
  return `${significant(ns / 1e9, 4)} s`;
}

/**
 * Orders axis values: numbers by size and before text, lists of numbers by their numbers, text as people sort it.
 * @param {string | number | null} a
 * @param {string | number | null} b
 * @returns {number}
 */
export function compareValues(a, b) {
  if (a === b) return 0;
  if (a === null) return 1;
  if (b === null) return -1;
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number") return -1;
  if (typeof b === "number") return 1;
  return a.localeCompare(b, "en", { numeric: true });
}
