import { assertEquals, assertThrows } from "@std/assert";
import { attendFusedF16 } from "./attend_fused_f16.ts";
import f16Text from "./attend_fused_f16.wgsl" with { type: "text" };
import { attendFusedSubgroup } from "./attend_fused_subgroup.ts";
import subgroupText from "./attend_fused_subgroup.wgsl" with { type: "text" };
import { composeWgsl } from "./wgsl.ts";
import { decodeShape, teamDevice } from "./testing.ts";
import { unroll } from "./unroll.ts";

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
  for (const [bound, name] of [["lanes", "lanes"], ["2u * lanes", "lanes"], ["ROWS + 1u", "ROWS + 1u"]]) {
    const { message } = assertThrows(() => unroll(loop(bound), { ROWS: 2 }), RangeError);
    assertEquals(message, `Cannot unroll a loop up to "${name}": it is no constant of the kernel`);
  }
  assertThrows(
    () => unroll("\nfor (var i = 0u; i < 2u; i++) { // unroll\n  {\n}\n", {}),
    RangeError,
    "Cannot unroll the loop in line 2: it does not end",
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

Deno.test("what is wrong in line n of a kernel is in line n of what is compiled", () => {
  const constants = { ROWS: 2, TILE: 4, VALUES: 8, SLICE: 2, PAIRS: 1, LOG_LANES: 3, LOG_ROWS: 1, LOG_VALUES: 3 };
  for (const text of [subgroupText, f16Text]) {
    const lines = text.split("\n");
    const compiled = composeWgsl(text, { constants }).split("\n");
    for (let n = 0; n < lines.length; n++) {
      if (/^\s*(for .*\/\/ unroll|\})?$/.test(lines[n])) continue;
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
