/**
 * Patterns of `--filter`.
 *
 * @module
 */

/**
 * Whether the whole of `text` matches `pattern`, in which `*` stands for any text, also none, and every other
 * character for itself. Linear in the text for each `*`.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * assert(matchGlob("attend/*;R=256;*", "attend/fused:B=1;H=16;R=256;Dr=64"));
 * assert(!matchGlob("attend/fused", "attend/fused_subgroup"));
 * ```
 */
export function matchGlob(pattern: string, text: string): boolean {
  const parts = pattern.split("*");
  if (parts.length === 1) return pattern === text;
  const [first, last] = [parts[0], parts[parts.length - 1]];
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
  // The earliest place for each part leaves the most room for the rest.
  const end = text.length - last.length;
  let position = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, position);
    if (found < 0 || found + part.length > end) return false;
    position = found + part.length;
  }
  return true;
}
