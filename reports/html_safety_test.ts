import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { hostileKernel, makeFailed, makeMeasured, makeReport } from "./fixture.ts";
import { renderHtml } from "./html.ts";
import { count, shareChromium, testInChromium, testReport, texts } from "./html_browser.ts";

shareChromium();

testReport(
  "hostile names stay text",
  makeReport({
    results: [
      ...[hostileKernel, "attend/</script><script>alert(2)</script>", "attend/javascript:alert(3)"].flatMap((
        kernel,
      ) => [
        makeMeasured({
          kernel,
          axes: { cache: "<svg onload=alert(4)>" },
          verdict: "unstable",
          reasons: ["<b>wide</b>"],
        }),
        makeFailed(kernel, { kv: '"><img src=x onerror=alert(5)>' }),
      ]),
    ],
  }),
  async (page) => {
    assertEquals(await count(page, "main img, main b b, dialog img, svg[onload]"), 0);
    assert((await texts(page, ".cases a")).includes(hostileKernel));
    for (const row of await page.locator(".cases tbody a").all()) {
      await row.click();
      await page.waitForSelector("dialog[open] h2");
      assertEquals(await count(page, "dialog img, dialog script, dialog b"), 0);
      await page.keyboard.press("Escape");
    }
    assertEquals(
      await page.evaluate("[...document.querySelectorAll('a')].every((a) => a.getAttribute('href').startsWith('#'))"),
      true,
    );
  },
);

testInChromium("the policy stops what got into the page anyway", async (page) => {
  const stopped: string[] = [];
  page.on("console", (message) => stopped.push(message.text()));
  page.on("dialog", (dialog) => {
    stopped.push("a dialog");
    dialog.dismiss();
  });
  const hostile = `<script>alert(1)</script><img src="data:," onerror="alert(2)"><img src="http://127.0.0.1:1/x">
<p style="color: red">x</p>`;
  await page.setContent(renderHtml(makeReport()).replace("</body>", `${hostile}</body>`));
  await page.waitForSelector("html.live");
  const kinds = [
    "Executing inline script",
    "Executing inline event handler",
    "Loading the image",
    "Applying inline style",
  ];
  for (const kind of kinds) assert(stopped.some((text) => text.includes(kind)), `${kind}: ${stopped.join("\n")}`);
  assertEquals(stopped.includes("a dialog"), false);
});

testInChromium("without scripts the summary, what is wrong and the environment are there", async (page) => {
  await page.setContent(renderHtml(makeReport()));
  assertEquals(await page.locator("#attention").isVisible(), true);
  assertEquals(await page.locator("p.static").isVisible(), true);
  assertEquals(await page.locator("#filters").isVisible(), false);
  assertEquals(await page.locator("#theme").isVisible(), false);
  assertStringIncludes(await page.innerText("#environment"), "NVIDIA H200");
}, { javaScriptEnabled: false });
