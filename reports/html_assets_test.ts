import { assertEquals, assertThrows } from "@std/assert";
import { chartScript, link, styles, viewScript } from "./html_assets.ts";

Deno.test("link() joins modules into one scope", () => {
  const linked = link({
    a: "export const one = 1;\nexport function two() {}\n",
    b: 'import {\n  one,\n  two,\n} from "./a.js";\nconsole.log(one, two);\n',
  });
  assertEquals(
    linked,
    "// view/a.js\nconst one = 1;\nfunction two() {}\n\n// view/b.js\nconsole.log(one, two);\n",
  );
});

Deno.test("link() refuses what joining would break", () => {
  const cases = [
    { b: 'import { one } from "./later.js";\n', later: "export const one = 1;\n" },
    { a: "export const one = 1;\n", b: 'import { one as two } from "./a.js";\n' },
    { b: 'import uplot from "uplot";\n' },
    { b: 'export * from "./a.js";\n' },
  ];
  for (const modules of cases) {
    assertThrows(() => link(modules as unknown as Record<string, string>), SyntaxError, "view/b.js");
  }
});

Deno.test("styles and scripts hold nothing that ends their element or is fetched", () => {
  for (const text of [...styles, chartScript, viewScript]) assertEquals(text.match(/<\/(?:script|style)|<!--/i), null);
  for (const text of styles) assertEquals(text.match(/@import|url\((?!["']?data:)/i), null);
  assertEquals(viewScript.match(/\bfetch\(|XMLHttpRequest|WebSocket|\beval\(|new Function/), null);
});

Deno.test("the page's own script never parses markup", () => {
  assertEquals(viewScript.match(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc/), null);
});
