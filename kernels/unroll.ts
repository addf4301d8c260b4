/**
 * Writes out the loops, conditions and private arrays of a kernel that are marked for it.
 *
 * A loop of WGSL costs more than its body where that is short: naga counts every loop against an endless one, and
 * indices of private arrays that are no literals move them out of registers. Arrays of `vec2<f16>` are taken apart into
 * halves by NVIDIA's compiler, and put together again for each use. So a kernel is written with loops and arrays
 *
 * ```wgsl
 * var sum: array<f32, ROWS>; // unroll
 * for (var r = 0u; r < ROWS; r++) { // unroll
 *   sum[r] += weight[r];
 * }
 * ```
 *
 * and compiled without: each copy of a loop has the number in place of the variable, each element of an array is a
 * variable. Copies after the first follow on the line of the closing brace, so that line numbers in a compiler's
 * messages stay those of the file. What stands in a marked `if (ROWS == 1u) { // unroll` is there or is not, without its
 * braces, so that it may declare what follows: what NVIDIA's compiler makes of a loop depends on blocks and variables
 * that do nothing.
 *
 * @module
 */

/** First line of a marked loop: its variable, first value and bound, expressions of constants. */
const HEAD = /^\s*for \(var (\w+) = ([^;]+); \1 < ([^;]+); \1\+\+\) \{ \/\/ unroll$/;

/** First line of a marked condition, of constants. */
const CONDITION = /^\s*if \((.+)\) \{ \/\/ unroll$/;

/** A line that is marked, loop or not; comments are none. */
const MARKED = /^\s*[^\s/].*\/\/ unroll$/;

/** Declaration of a marked array: its name, element type and size. */
const ARRAY = /^(\s*)var (\w+): array<(.+), ([^,]+)>; \/\/ unroll$/;

/**
 * `text` with its marked loops written out, outer ones first, so that bounds of inner ones may depend on them, and then
 * its marked arrays as one variable an element, zero where they are declared.
 *
 * @example Two copies on the lines of one
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const loop = "for (var r = 0u; r < ROWS; r++) { // unroll\n  a[r] = r * 2u;\n}\n";
 * assertEquals(unroll(loop, { ROWS: 2 }), "{\n  a[0u] = 0u * 2u;\n} { a[1u] = 1u * 2u; }\n");
 * ```
 * @example An array
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const array = "var a: array<f32, ROWS * 2u>; // unroll\na[ROWS - 1u] = 1.0;\n";
 * assertEquals(unroll(array, { ROWS: 1 }), "var a_0 = f32(); var a_1 = f32();\na_0 = 1.0;\n");
 * ```
 * @param constants Values of the names that bounds, sizes and indices are made of.
 * @throws {RangeError} If one of them is no expression of constants, a marked block does not end in a line of its own, or
 * a marked line is none of the three.
 */
export function unroll(text: string, constants: Readonly<Record<string, number>>): string {
  const arrays = new Set<string>();
  return writeOutElements(unrollLoops(text, constants, arrays), constants, arrays);
}

/** Writes out loops and the declarations of arrays, whose names it adds to `arrays`. */
function unrollLoops(text: string, constants: Readonly<Record<string, number>>, arrays: Set<string>): string {
  const lines = text.split("\n");
  const written: string[] = [];
  for (let at = 0; at < lines.length; at++) {
    const condition = CONDITION.exec(lines[at]);
    if (condition) {
      const end = endOf(lines, at);
      const body = lines.slice(at + 1, end).join("\n");
      const isThere = evaluate(condition[1], constants) !== 0 && body !== "";
      written.push(isThere ? `\n${unrollLoops(body, constants, arrays)}\n` : "\n".repeat(end - at));
      at = end;
      continue;
    }
    const head = HEAD.exec(lines[at]);
    if (!head) {
      const array = ARRAY.exec(lines[at]);
      if (MARKED.test(lines[at]) && !array) {
        throw new RangeError(
          `Cannot unroll line ${
            at + 1
          }: it is no "for (var i = FIRST; i < BOUND; i++) {", "if (CONDITION) {" or "var a: array<T, SIZE>;"`,
        );
      }
      if (array) arrays.add(array[2]);
      written.push(array ? declarationsOf(array, constants) : lines[at]);
      continue;
    }
    const end = endOf(lines, at);
    const [, name, first, bound] = head;
    const variable = new RegExp(`\\b${name}\\b`, "g");
    const body = lines.slice(at + 1, end).join("\n");
    const copies: string[] = [];
    const last = evaluate(bound, constants);
    for (let value = evaluate(first, constants); value < last; value++) {
      copies.push(unrollLoops(body.replaceAll(variable, `${value}u`), constants, arrays));
    }
    written.push(copies.length > 0 ? joined(copies) : "\n".repeat(end - at));
    at = end;
  }
  return written.join("\n");
}

/** One variable for each element of a marked array. */
function declarationsOf(array: RegExpExecArray, constants: Readonly<Record<string, number>>): string {
  const [, indent, name, type, size] = array;
  return indent +
    Array.from({ length: evaluate(size, constants) }, (_, i) => `var ${name}_${i} = ${type}();`).join(" ");
}

function writeOutElements(
  text: string,
  constants: Readonly<Record<string, number>>,
  arrays: ReadonlySet<string>,
): string {
  if (arrays.size === 0) return text;
  const element = new RegExp(`\\b(${[...arrays].join("|")})\\[([^\\[\\]]*)\\]`, "g");
  return text.replaceAll(element, (_, name: string, index: string) => `${name}_${evaluate(index, constants)}`);
}

/** The line that closes the block which line `at` opens, a brace alone. */
function endOf(lines: readonly string[], at: number): number {
  let depth = 0;
  for (let i = at; i < lines.length; i++) {
    const code = lines[i].replace(/\/\/.*$/, "").trim();
    if (depth === 1 && code.startsWith("}") && code !== "}") {
      throw new RangeError(`Cannot unroll the block in line ${at + 1}: line ${i + 1} is more than its "}"`);
    }
    depth += code.split("{").length - code.split("}").length;
    if (depth === 0) return i;
  }
  throw new RangeError(`Cannot unroll the block in line ${at + 1}: it does not end`);
}

/** The first copy on its lines, the others on the last of them. */
function joined([first, ...further]: readonly string[]): string {
  const lineOf = (copy: string) => copy.replaceAll(/\/\/.*$/gm, "").replaceAll(/\s+/g, " ").trim();
  return `{\n${first}\n}${further.map((copy) => ` { ${lineOf(copy)} }`).join("")}`;
}

/** Operators of bounds by how they bind, loosest first. */
const OPERATORS: readonly (readonly string[])[] = [["=="], ["<"], [">>", "<<"], ["+", "-"], ["*", "/", "%"]];

/** Value of an expression of u32 such as `(ROWS * TILE) >> (step + 1u)`, or `ROWS * u32(step < STEPS)`. */
function evaluate(expression: string, constants: Readonly<Record<string, number>>): number {
  const tokens = expression.match(/\w+|>>|<<|==|[^\s\w]/g) ?? [];
  let at = 0;
  const operand = (): number => {
    const token = tokens[at++] === "u32" ? tokens[at++] : tokens[at - 1];
    if (token === "(") {
      const value = binary(0);
      if (tokens[at++] === ")") return value;
    } else if (/^\d+u?$/.test(token ?? "")) return parseInt(token);
    else if (token !== undefined && Object.hasOwn(constants, token)) return constants[token];
    throw new RangeError(
      `Cannot unroll up to "${expression}": only constants of the kernel, + - * / % >> << < == and ()`,
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
    throw new RangeError(`Cannot unroll up to "${expression}": "${tokens[at]}" is too much`);
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
    case "%":
      return a % b;
    case "<":
      return Number(a < b);
    case "==":
      return Number(a === b);
    case ">>":
      return a >>> b;
    default:
      return a << b;
  }
}
