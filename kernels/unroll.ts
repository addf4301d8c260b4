/**
 * Writes out the loops of a kernel that are marked for it.
 *
 * A loop of WGSL costs more than its body where that is short: naga counts every loop against an endless one, and indices of
 * private arrays that are no literals move them out of registers. So a kernel is written with loops, and valid with them,
 *
 * ```wgsl
 * for (var r = 0u; r < ROWS; r++) { // unroll
 *   sum[r] += weight[r];
 * }
 * ```
 *
 * and compiled without: each copy has the number in place of the variable. The copies after the first follow on the line of the
 * closing brace, so that line numbers in a compiler's messages stay those of the file.
 *
 * @module
 */

/** First line of a marked loop: its variable, first value and bound. */
const HEAD = /^\s*for \(var (\w+) = ([^;]+); \1 < ([^;]+); \1\+\+\) \{ \/\/ unroll$/;

/** A line that is marked, loop or not; comments are none. */
const MARKED = /^\s*[^\s/].*\/\/ unroll$/;

/**
 * `text` with its marked loops written out, inner ones too.
 *
 * @example Two copies on the lines of one
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const loop = "for (var r = 0u; r < ROWS; r++) { // unroll\n  a[r] = r * 2u;\n}\n";
 * assertEquals(unrollLoops(loop, { ROWS: 2 }), "{\n  a[0u] = 0u * 2u;\n} { a[1u] = 1u * 2u; }\n");
 * ```
 * @param constants Values of the names that bounds are made of, with `*`, `/` and numbers.
 * @throws {RangeError} If a bound has another name in it, a marked loop does not end, or a marked line begins none.
 */
export function unrollLoops(text: string, constants: Readonly<Record<string, number>>): string {
  const lines = text.split("\n");
  const written: string[] = [];
  for (let at = 0; at < lines.length; at++) {
    const head = HEAD.exec(lines[at]);
    if (!head) {
      if (MARKED.test(lines[at])) {
        throw new RangeError(`Cannot unroll line ${at + 1}: it is no "for (var i = FIRST; i < BOUND; i++) {"`);
      }
      written.push(lines[at]);
      continue;
    }
    const end = endOf(lines, at);
    const [, name, first, bound] = head;
    const body = unrollLoops(lines.slice(at + 1, end).join("\n"), constants);
    written.push(copies(body, name, valueOf(first, constants), valueOf(bound, constants)));
    at = end;
  }
  return written.join("\n");
}

/** The line that closes the block which line `at` opens. */
function endOf(lines: readonly string[], at: number): number {
  let depth = 0;
  for (let i = at; i < lines.length; i++) {
    const code = lines[i].replace(/\/\/.*$/, "");
    depth += code.split("{").length - code.split("}").length;
    if (depth === 0) return i;
  }
  throw new RangeError(`Cannot unroll the loop in line ${at + 1}: it does not end`);
}

function copies(body: string, name: string, first: number, bound: number): string {
  const variable = new RegExp(`\\b${name}\\b`, "g");
  const copy = (value: number) => body.replaceAll(variable, `${value}u`);
  const lineOf = (block: string) => block.replaceAll(/\/\/.*$/gm, "").replaceAll(/\s+/g, " ").trim();
  // A loop that never runs leaves its lines empty.
  if (!(first < bound)) return "\n".repeat(body.split("\n").length + 1);
  const further = Array.from({ length: bound - first - 1 }, (_, i) => ` { ${lineOf(copy(first + 1 + i))} }`);
  return `{\n${copy(first)}\n}${further.join("")}`;
}

/** Value of `ROWS * TILE / 2u`, from left to right. */
function valueOf(expression: string, constants: Readonly<Record<string, number>>): number {
  const [first, ...rest] = expression.split(/([*/])/).map((part) => part.trim());
  let value = termOf(first, constants);
  for (let i = 0; i < rest.length; i += 2) {
    const term = termOf(rest[i + 1], constants);
    value = rest[i] === "*" ? value * term : Math.floor(value / term);
  }
  return value;
}

function termOf(term: string, constants: Readonly<Record<string, number>>): number {
  const value = /^\d+u?$/.test(term) ? parseInt(term) : constants[term];
  if (value === undefined) {
    throw new RangeError(`Cannot unroll a loop up to "${term}": it is no constant of the kernel`);
  }
  return value;
}
