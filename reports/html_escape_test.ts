import { assertEquals } from "@std/assert";
import { html, scriptJson, trusted } from "./html_escape.ts";

Deno.test("html escapes values in content and in quoted attributes", () => {
  assertEquals(
    html`<b title="${`"'`}">${"<script>&"}</b>`.text,
    '<b title="&quot;&#39;">&lt;script&gt;&amp;</b>',
  );
});

Deno.test("html inserts markup once, lists item by item, and nothing for absent values", () => {
  assertEquals(
    html`${html`<i>${"<"}</i>`}|${[1, "<", trusted("<br>")]}|${null}${undefined}${false}`.text,
    "<i>&lt;</i>|1&lt;<br>|",
  );
});

Deno.test("html makes control characters visible", () => {
  assertEquals(html`${"a\u0000\u001bb\n"}`.text, "a\ufffd\ufffdb\n");
});

Deno.test("scriptJson() leaves nothing that could end a script or begin a comment, and parses back", () => {
  const hostile = { name: "</script><!--<script>&amp;\u2028\u2029" };
  const text = scriptJson(hostile).text;
  assertEquals(/[<>&\u2028\u2029]/.test(text), false);
  assertEquals(JSON.parse(text), hostile);
});
