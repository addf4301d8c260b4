import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { makeReport } from "./fixture.ts";
import { contentSecurityPolicy, renderHtml } from "./html.ts";
import { serveReport } from "./serve.ts";

Deno.test("serveReport() serves the report on loopback with its policy, and nothing else", async () => {
  const report = makeReport();
  const server = serveReport(report);
  try {
    const page = await fetch(server.url);
    assertEquals(page.status, 200);
    assertEquals(page.headers.get("content-type"), "text/html; charset=utf-8");
    assertEquals(page.headers.get("content-security-policy"), `${contentSecurityPolicy}; frame-ancestors 'none'`);
    assertEquals(await page.text(), renderHtml(report));
    for (const path of ["report.json", "../deno.json", "%2e%2e/deno.json", "index.html"]) {
      const other = await fetch(server.url + path);
      assertEquals(other.status, 404, path);
      await other.body?.cancel();
    }
    const post = await fetch(server.url, { method: "POST", body: "x" });
    assertEquals(post.status, 405);
    await post.body?.cancel();
  } finally {
    await server.close();
  }
});

Deno.test("serveReport() refuses a request under another host's name", async () => {
  const server = serveReport(makeReport());
  try {
    // fetch() sets the Host header itself; a rebinding browser would send the attacker's.
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(server.url).port) });
    await connection.write(
      new TextEncoder().encode("GET / HTTP/1.1\r\nHost: attacker.example\r\nConnection: close\r\n\r\n"),
    );
    const answer = await new Response(connection.readable).text();
    assertStringIncludes(answer, "403 Forbidden");
    assertEquals(answer.includes("<html"), false);
  } finally {
    await server.close();
  }
});

Deno.test("serveReport() names a port that is none", () => {
  assertThrows(() => serveReport(makeReport(), { port: 70_000 }), RangeError, "70000");
});
