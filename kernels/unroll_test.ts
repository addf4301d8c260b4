import { assertEquals, assertThrows } from "@std/assert";
import { attendFusedF16 } from "./attend_fused_f16.ts";
import f16Text from "./attend_fused_f16.wgsl" with { type: "text" };
import { attendFusedSubgroup } from "./attend_fused_subgroup.ts";
import subgroupText from "./attend_fused_subgroup.wgsl" with { type: "text" };
import { composeWgsl } from "./wgsl.ts";
import { decodeShape, teamDevice } from "./testing.ts";
import { unroll } from "./unroll.ts";

/** What bounds, sizes and indices are made of. */
const ONLY = "only constants of the kernel, + - * / % >> << < == and ()";

/** What a text says, its lines and spaces aside. */
const words = (text: string) => text.replaceAll(/\s+/g, " ").trim();

Deno.test("unroll() writes nested loops out, outer variables and bounds in the inner ones too", () => {
  const text = `
    for (var r = 0u; r < ROWS; r++) { // unroll
      for (var c = 1u; c < 3u; c++) { // unroll
        a[r * 3u + c] += q[r];
      }
      b[r] = 0.0;
    }
  `;
  assertEquals(
    words(unroll(text, { ROWS: 2 })),
    "{ { a[0u * 3u + 1u] += q[0u]; } { a[0u * 3u + 2u] += q[0u]; } b[0u] = 0.0; } " +
      "{ { a[1u * 3u + 1u] += q[1u]; } { a[1u * 3u + 2u] += q[1u]; } b[1u] = 0.0; }",
  );
});

Deno.test("unroll() replaces the variable of a loop and no name that has it inside", () => {
  const text = "for (var r = 0u; r < 1u; r++) { // unroll\n  row_r = rr[r] + r2;\n}\n";
  assertEquals(words(unroll(text, {})), "{ row_r = rr[0u] + r2; }");
});

Deno.test("unroll() takes bounds that are products and quotients, from left to right, and whole", () => {
  const copies = (bound: string) =>
    unroll(`for (var i = 0u; i < ${bound}; i++) { // unroll\n  f(i);\n}\n`, { ROWS: 4, TILE: 3, VALUES: 9 })
      .split("f(").length - 1;
  assertEquals(["ROWS * TILE", "ROWS*TILE", "TILE * 2u", "VALUES / 2u", "ROWS * TILE / 2u", "5"].map(copies), [
    ...[12, 12, 6, 4, 6, 5],
  ]);
});

Deno.test("unroll() begins where the loop begins, which may be a constant", () => {
  const text = "for (var step = LOG_ROWS; step < LOG_VALUES; step++) { // unroll\n  f(step);\n}\n";
  assertEquals(words(unroll(text, { LOG_ROWS: 1, LOG_VALUES: 3 })), "{ f(1u); } { f(2u); }");
});

Deno.test("a loop that never runs leaves its lines, all of them empty", () => {
  const text = "a;\nfor (var i = N; i < N; i++) { // unroll\n  if (b) {\n    f(i);\n  }\n}\nc;\n";
  assertEquals(unroll(text, { N: 2 }), "a;\n\n\n\n\n\nc;\n");
});

Deno.test("loops that are not marked stay, and so do their lines", () => {
  const text = "for (var i = 0u; i < N; i++) {\n  f(i);\n}\n// for (var i = 0u; i < N; i++) { // unroll\n";
  assertEquals(unroll(text, { N: 2 }), text);
});

Deno.test("braces and variables of comments are none, and the copies after the first leave comments out", () => {
  const text = "for (var i = 0u; i < 2u; i++) { // unroll\n  f(i); // } of i {{\n  // }\n  g(i);\n}\nh();\n";
  const unrolled = unroll(text, {});
  assertEquals(unrolled.split("\n")[4], "} { f(1u); g(1u); }");
  assertEquals(unrolled.split("\n")[5], "h();");
});

Deno.test("a bound that is no constant of the kernel, and a loop that does not end, are refused in one line", () => {
  const loop = (bound: string) => `for (var i = 0u; i < ${bound}; i++) { // unroll\n  f(i);\n}\n`;
  for (const bound of ["lanes", "2u * lanes", "(ROWS + 1u", "i32(ROWS)", "ROWS +"]) {
    const { message } = assertThrows(() => unroll(loop(bound), { ROWS: 2 }), RangeError);
    assertEquals(message, `Cannot unroll up to "${bound}": ${ONLY}`);
  }
  const { message } = assertThrows(() => unroll(loop("ROWS & 2u"), { ROWS: 2 }), RangeError);
  assertEquals(message, 'Cannot unroll up to "ROWS & 2u": "&" is too much');
  assertThrows(
    () => unroll("\nfor (var i = 0u; i < 2u; i++) { // unroll\n  {\n}\n", {}),
    RangeError,
    "Cannot unroll the block in line 2: it does not end",
  );
});

Deno.test("a line that is marked and begins no such loop is refused: it would stay a loop, and slow", () => {
  for (const line of ["for (var i = 0u; i <= N; i++) {", "for (var i = 0u; i < N; i += 2u) {", "while (i < N) {"]) {
    assertThrows(
      () => unroll(`a;\n${line} // unroll\n}\n`, { N: 2 }),
      RangeError,
      "Cannot unroll line 2: it is no",
    );
  }
});

Deno.test("what stands in a marked condition is there without its braces, or is not", () => {
  const text =
    "a;\nif (ROWS == 1u) { // unroll\n  f(); // }\n  for (var i = 0u; i < 2u; i++) { // unroll\n    g(i);\n  }\n}\nb;\n";
  assertEquals(words(unroll(text, { ROWS: 1 })), "a; f(); // } { g(0u); } { g(1u); } b;");
  assertEquals(words(unroll(text, { ROWS: 2 })), "a; b;");
  for (const ROWS of [1, 2]) assertEquals(unroll(text, { ROWS }).split("\n").indexOf("b;"), 7);
  assertThrows(() => unroll(text, {}), RangeError, 'Cannot unroll up to "ROWS == 1u"');
  const other = "{\nif (ROWS == 1u) { // unroll\n  f();\n} else {\n  g();\n}\n}\n";
  assertThrows(() => unroll(other, { ROWS: 1 }), RangeError, 'in line 2: line 4 is more than its "}"');
  assertEquals(unroll("if (ROWS == 1u) { // unroll\n}\nb;\n", { ROWS: 1 }), "\n\nb;\n");
});

Deno.test("bounds may add, shift, compare and have parentheses, as they bind in WGSL", () => {
  const copies = (bound: string) =>
    unroll(`for (var i = 0u; i < ${bound}; i++) { // unroll\n  f(i);\n}\n`, { ROWS: 4, TILE: 3, VALUES: 9 })
      .split("f(").length - 1;
  const bounds = {
    "ROWS + TILE * 2u": 10,
    "VALUES % ROWS * TILE": 3,
    "(ROWS + TILE) * 2u": 14,
    "VALUES - ROWS - 1u": 4,
    "VALUES >> (1u + 1u)": 2,
    "1u << TILE": 8,
    "ROWS * u32(TILE < ROWS)": 4,
    "ROWS * u32(ROWS + 0u < TILE)": 0,
    "TILE * (1u - 0u)": 3,
    "ROWS * u32(TILE == VALUES / TILE)": 4,
  };
  for (const [bound, expected] of Object.entries(bounds)) assertEquals(copies(bound), expected, bound);
});

Deno.test("marked arrays are one variable an element, on the line of their declaration", () => {
  const text =
    "a;\n  var s: array<vec2<f32>, ROWS * 2u>; // unroll\nb;\ns[ROWS] = s[(ROWS - 1u) * 2u].yx + s[1];\nc;\n";
  assertEquals(
    unroll(text, { ROWS: 1 }),
    "a;\n  var s_0 = vec2<f32>(); var s_1 = vec2<f32>();\nb;\ns_1 = s_0.yx + s_1;\nc;\n",
  );
  assertEquals(unroll(text, { ROWS: 1 }).split("\n").length, text.split("\n").length);
});

Deno.test("arrays in nested loops are declared in each copy, and their indices depend on all variables", () => {
  const text = `
    var q: array<f32, ROWS * 2u>; // unroll
    for (var r = 0u; r < ROWS; r++) { // unroll
      var k: array<u32, r + 1u>; // unroll
      for (var c = 0u; c < 2u; c++) { // unroll
        q[r * 2u + c] = f32(k[r][c]);
      }
    }
  `;
  assertEquals(
    words(unroll(text, { ROWS: 2 })),
    "var q_0 = f32(); var q_1 = f32(); var q_2 = f32(); var q_3 = f32(); " +
      "{ var k_0 = u32(); { q_0 = f32(k_0[0u]); } { q_1 = f32(k_0[1u]); } } " +
      "{ var k_0 = u32(); var k_1 = u32(); { q_2 = f32(k_1[0u]); } { q_3 = f32(k_1[1u]); } }",
  );
});

Deno.test("arrays that are not marked stay, and so do names that end as a marked one does", () => {
  const text = "var q: array<f32, 2>; // unroll\nvar p: array<f32, 2>;\nqq[i] = p[i] + q[1u];\n";
  assertEquals(unroll(text, {}), "var q_0 = f32(); var q_1 = f32();\nvar p: array<f32, 2>;\nqq[i] = p[i] + q_1;\n");
});

Deno.test("an index of a marked array that is no constant is refused with its text, and so is such a size", () => {
  const array = (size: string, index: string) => `var q: array<f32, ${size}>; // unroll\nq[${index}] = 1.0;\n`;
  for (const index of ["i", "ROWS * i", "l % ROWS", "f(0u)"]) {
    const { message } = assertThrows(() => unroll(array("2u", index), { ROWS: 2 }), RangeError);
    assertEquals(message, `Cannot unroll up to "${index}": ${ONLY}`);
  }
  const { message } = assertThrows(() => unroll(array("lanes", "0u"), { ROWS: 2 }), RangeError);
  assertEquals(message, `Cannot unroll up to "lanes": ${ONLY}`);
});

Deno.test("what is wrong in line n of a kernel is in line n of what is compiled", () => {
  const sizes = { LANES: 16, ROWS: 2, TILE: 4, VALUES: 8, SLICE: 2, CHAIN: 1, PAIRS: 1, PAIR_ROOM: 1, REACH: 8 };
  const logs = { LOG_LANES: 4, LOG_ROWS: 1, LOG_VALUES: 3, LOG_SPARE: 1 };
  // Of some loops one runs where the other does not.
  const ways = [
    {
      ...sizes,
      ...logs,
      LOG_OWN: 2,
      SELECTED: 1,
      AHEAD: 0,
      FIRST_HALF: 0,
      WIDE_VALUES: 8,
      FIRST_WIDE: 0,
      CHAINED: 0,
      ALONE: 1,
    },
    {
      ...sizes,
      ...logs,
      LOG_OWN: 1,
      SELECTED: 2,
      AHEAD: 1,
      FIRST_HALF: 4,
      WIDE_VALUES: 0,
      FIRST_WIDE: 1,
      CHAINED: 1,
      ALONE: 0,
    },
  ];
  for (const text of [subgroupText, f16Text]) {
    const lines = text.split("\n");
    const written = ways.map((constants) => composeWgsl(text, { constants }).split("\n"));
    for (let n = 0; n < lines.length; n++) {
      if (/^\s*(.*\/\/ unroll|\})?$/.test(lines[n])) continue;
      const way = written.findIndex((compiled) => compiled[n] !== "");
      const constants = ways[way], compiled = written[way];
      const wrong = composeWgsl(lines.with(n, `@wrong; ${lines[n]}`).join("\n"), { constants }).split("\n");
      // The others are in the copies, behind it.
      assertEquals(wrong.findIndex((line) => line.includes("@wrong")), n, lines[n]);
      assertEquals(wrong[n], `@wrong; ${compiled[n]}`);
    }
  }
});

Deno.test("of the loops of a team kernel two are left: over blocks, and over the tiles of one", () => {
  for (const kernel of [attendFusedSubgroup, attendFusedF16]) {
    for (const R of [16, 256, 512]) {
      const { dispatches } = kernel.launch(decodeShape({ R }), { pages: 9, tableWidth: 2 }, {}, teamDevice(8));
      const code = dispatches[0].shader.replaceAll(/\/\/.*$/gm, "");
      assertEquals(code.match(/\b(for|while|loop)\b[^{]*/g)?.map((head) => head.slice(0, 14)), [
        "for (var block",
        "for (var tile ",
      ]);
    }
  }
});
