import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { createHash } from "node:crypto";
import { hostileKernel, makeReport } from "./fixture.ts";
import { contentSecurityPolicy, renderHtml } from "./html.ts";

const page = renderHtml(makeReport());

Deno.test("renderHtml() is a pure function of the report", () => {
  assertEquals(renderHtml(makeReport()), page);
});

Deno.test("renderHtml() allows exactly the scripts and styles that it holds", () => {
  assertStringIncludes(contentSecurityPolicy, "default-src 'none'");
  assertStringIncludes(contentSecurityPolicy, "connect-src 'none'");
  assertEquals(/unsafe|https?:|\*/.test(contentSecurityPolicy), false);
  const directive = (name: string) => contentSecurityPolicy.split("; ").find((part) => part.startsWith(name))!;
  const hashes = (pattern: RegExp) =>
    [...page.matchAll(pattern)].map(([, text]) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`);
  assertEquals(
    directive("script-src"),
    ["script-src", ...hashes(/<script(?: type="module")?>(.*?)<\/script>/gs)].join(" "),
  );
  assertEquals(directive("style-src"), ["style-src", ...hashes(/<style>(.*?)<\/style>/gs)].join(" "));
});

Deno.test("renderHtml() refers to nothing outside itself", () => {
  const markup = page.replace(/<(script|style)\b.*?<\/\1>/gs, "");
  for (const [attribute, url] of [...markup.matchAll(/\b(?:src|href|action|srcset|data)="([^"]*)"/g)]) {
    assert(url.startsWith("#") || url.startsWith("data:"), attribute);
  }
  assertEquals(/\bon\w+="|style="/.test(markup.replace(/&[#\w]+;/g, "")), false);
});

Deno.test("renderHtml() shows hostile names as text", () => {
  assertEquals(page.includes(hostileKernel), false);
  assertStringIncludes(page, "attend/&lt;img src=x onerror=alert(1)&gt;");
  const report = makeReport({
    environment: { argv: ["--filter", "</script><script>alert(1)</script>"], suites: ["<b>"], version: '"><script>' },
  });
  const hostile = renderHtml(report);
  assertEquals(hostile.match(/<script\b/g)?.length, page.match(/<script\b/g)?.length);
});

Deno.test("renderHtml() names a software adapter where nobody can miss it", () => {
  assertStringIncludes(renderHtml(makeReport({ software: true })), "<b>Software adapter.</b>");
  assertEquals(page.includes("Software adapter"), false);
});

Deno.test("renderHtml() of an empty report stays small", () => {
  const { length } = new TextEncoder().encode(renderHtml(makeReport({ results: [] })));
  assert(length < 165_000, `${length} bytes`);
});
