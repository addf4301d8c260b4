import { assertEquals } from "@std/assert";
import {
  csvField,
  markdownCode,
  markdownText,
  oneLine,
  plainText,
  workflowData,
  workflowProperty,
  xml,
} from "./escape.ts";

Deno.test("oneLine() drops colours, terminal titles, control characters and direction overrides", () => {
  assertEquals(oneLine("\u001b[1;31merror\u001b[0m: a\r\n\t b\u0007 \u001b]0;title\u0007c\u0000"), "error: a b c");
  assertEquals(oneLine("a\u202eb\u009b2Jc"), "ab2Jc");
});

Deno.test("plainText() keeps lines", () => {
  assertEquals(plainText("a\r\n\tb\rc\u001b[2K"), "a\n\tb\nc");
});

Deno.test("xml() escapes markup and white space, and replaces what XML cannot hold", () => {
  assertEquals(xml(`<a b="c" d='e'>&]]>`), "&#60;a b=&#34;c&#34; d=&#39;e&#39;&#62;&#38;]]&#62;");
  assertEquals(xml("a\n\tb\r"), "a&#10;&#9;b&#13;");
  assertEquals(xml("\u0000\u001b\ufffe\ud800x\udc00"), "\ufffd\ufffd\ufffd\ufffdx\ufffd");
  assertEquals(xml("größe 🙂"), "größe 🙂");
});

Deno.test("csvField() quotes by RFC 4180", () => {
  assertEquals(csvField("plain"), "plain");
  assertEquals(csvField("1,63"), '"1,63"');
  assertEquals(csvField('say "x"'), '"say ""x"""');
  assertEquals(csvField("a\nb"), '"a\nb"');
  assertEquals(csvField(""), "");
});

Deno.test("csvField() disarms formulas and leaves numbers alone", () => {
  for (const text of ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1"]) {
    assertEquals(csvField(text), `'${text}`, JSON.stringify(text));
  }
  assertEquals(csvField('=HYPERLINK("x")'), `"'=HYPERLINK(""x"")"`);
  assertEquals(csvField("\rx"), `"'\rx"`);
  assertEquals(csvField(-1.5), "-1.5");
});

Deno.test("markdownText() leaves no markup", () => {
  assertEquals(
    markdownText("a|b *c* <img src=x>\n[l](u) `d` &amp;"),
    "a\\|b \\*c\\* &lt;img src=x&gt; \\[l\\](u) \\`d\\` &amp;amp;",
  );
});

Deno.test("markdownCode() fences backticks and escapes the bar of tables", () => {
  assertEquals(markdownCode("attend/<img onerror=alert(1)>"), "`attend/<img onerror=alert(1)>`");
  assertEquals(markdownCode("a`b``c|d\ne"), "```a`b``c\\|d e```");
  assertEquals(markdownCode("`a`"), "`` `a` ``");
  assertEquals(markdownCode(""), "`  `");
});

Deno.test("workflow commands cannot be ended or extended from inside", () => {
  assertEquals(workflowData("50%\n::error::x\r"), "50%25%0A::error::x%0D");
  assertEquals(workflowProperty("a:b,c%\n"), "a%3Ab%2Cc%25%0A");
});
