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

/** First line of a marked loop: its variable, first value and bound, expressions of constants. */
const HEAD = /^\s*for \(var (\w+) = ([^;]+); \1 < ([^;]+); \1\+\+\) \{ \/\/ unroll$/;

/** A line that is marked, loop or not; comments are none. */
const MARKED = /^\s*[^\s/].*\/\/ unroll$/;

/**
 * `text` with its marked loops written out, outer ones first, so that bounds of inner ones may depend on them.
 *
 * @example Two copies on the lines of one
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const loop = "for (var r = 0u; r < ROWS; r++) { // unroll\n  a[r] = r * 2u;\n}\n";
 * assertEquals(unrollLoops(loop, { ROWS: 2 }), "{\n  a[0u] = 0u * 2u;\n} { a[1u] = 1u * 2u; }\n");
 * ```
 * @param constants Values of the names that bounds are made of.
 * @throws {RangeError} If a bound is no expression of constants, a marked loop does not end, or a marked line begins none.
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
    const variable = new RegExp(`\\b${name}\\b`, "g");
    const body = lines.slice(at + 1, end).join("\n");
    const copies: string[] = [];
    const last = evaluate(bound, constants);
    for (let value = evaluate(first, constants); value < last; value++) {
      copies.push(unrollLoops(body.replaceAll(variable, `${value}u`), constants));
    }
    written.push(copies.length > 0 ? joined(copies) : "\n".repeat(end - at));
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

/** The first copy on its lines, the others on the last of them. */
function joined([first, ...further]: readonly string[]): string {
  const lineOf = (copy: string) => copy.replaceAll(/\/\/.*$/gm, "").replaceAll(/\s+/g, " ").trim();
  return `{\n${first}\n}${further.map((copy) => ` { ${lineOf(copy)} }`).join("")}`;
}

/** Operators of bounds by how they bind, loosest first. */
const OPERATORS: readonly (readonly string[])[] = [["<"], [">>", "<<"], ["+", "-"], ["*", "/"]];

/** Value of an expression of u32 such as `(ROWS * TILE) >> (step + 1u)`, or `ROWS * u32(step < STEPS)`. */
function evaluate(expression: string, constants: Readonly<Record<string, number>>): number {
  const tokens = expression.match(/\w+|>>|<<|[^\s\w]/g) ?? [];
  let at = 0;
  const operand = (): number => {
    const token = tokens[at++] === "u32" ? tokens[at++] : tokens[at - 1];
    if (token === "(") {
      const value = binary(0);
      if (tokens[at++] === ")") return value;
    } else if (/^\d+u?$/.test(token ?? "")) return parseInt(token);
    else if (token !== undefined && Object.hasOwn(constants, token)) return constants[token];
    throw new RangeError(
      `Cannot unroll a loop up to "${expression}": only constants of the kernel, + - * / >> << < and ()`,
    );
  };
  const binary = (level: number): number => {
    if (level === OPERATORS.length) return operand();
    let value = binary(level + 1);
    while (OPERATORS[level].includes(tokens[at])) value = apply(tokens[at++], value, binary(level + 1));
    return value;
  };
  const value = binary(0);
  if (at < tokens.length) {
    throw new RangeError(`Cannot unroll a loop up to "${expression}": "${tokens[at]}" is too much`);
  }
  return value;
}

function apply(operator: string, a: number, b: number): number {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return Math.floor(a / b);
    case "<":
      return Number(a < b);
    case ">>":
      return a >>> b;
    default:
      return a << b;
  }
}
