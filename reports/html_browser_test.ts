import { assert, assertEquals, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import type { Result } from "../bench/result.ts";
import { makeFailed, makeId, makeIncorrect, makeMeasured, makeReport, makeSkipped } from "./fixture.ts";
import { count, openReport, shareChromium, testReport, texts } from "./html_browser.ts";

shareChromium();

/** Four kernels over four pages, six lengths and as many batch sizes as it takes: `count` results. */
function makeSweep(count: number): Result[] {
  const kernels = ["attend/unfused", "attend/fused", "attend/fused_subgroup", "attend/fused_matrix"];
  return Array.from({ length: count }, (_, i): Result => {
    const kernel = kernels[i % 4];
    const axes = {
      page: [1, 16, 64, 128][(i >> 2) % 4],
      kv: [0, 1, 65, 1024, 4096, 8192][(i >> 4) % 6],
      B: 1 + Math.floor(i / 96),
    };
    if (i % 4 === 3) return makeSkipped(kernel, axes);
    if (i % 101 === 100) return makeIncorrect(kernel, axes);
    if (i % 211 === 210) return makeFailed(kernel, axes);
    return makeMeasured({ kernel, axes, centreNs: 10_000 + (i * 7919) % 90_000 });
  });
}

const sweep = makeReport({ results: makeSweep(240) });

testReport("the report loads from disk with its verdict, matrix and table", sweep, async (page) => {
  assertMatch(await page.textContent("h1") ?? "", /^2 of \d+ verified cases are wrong; 1 case failed to run\.$/);
  assertEquals(await count(page, ".cases tbody tr"), 100);
  assertEquals(await page.textContent("#filter-count"), "240 cases");
  assert(await count(page, ".matrix tbody .cell") > 10);
  assertEquals(await count(page, "#environment .facts") > 2, true);
});

testReport("a dot of the roofline opens its case, which says how near it comes to the limit", sweep, async (page) => {
  const timed = sweep.results.filter(({ status }) => status === "measured");
  assertEquals(await count(page, "#roofline circle"), timed.length);
  // The last one is drawn over the others.
  await page.locator("#roofline circle").last().click();
  await page.waitForSelector("dialog[open] h2");
  assertEquals(await page.textContent("dialog h2"), timed.at(-1)!.id);
  assertMatch(await page.textContent("dialog") ?? "", /\d % of the arithmetic limit, 61.5 TFLOP\/s f32/);
});

testReport("the matrix shows any two axes, with correctness beside every figure", sweep, async (page) => {
  await page.selectOption("select[name=rows]", "page");
  await page.selectOption("select[name=columns]", "kv");
  assertEquals(await texts(page, ".matrix tbody th"), ["1", "16", "64", "128"]);
  assertEquals((await texts(page, ".matrix thead th")).slice(1), ["0", "1", "65", "1024", "4096", "8192"]);
  for (const metric of ["tflops", "medianNs", "budget", "correct"]) {
    await page.selectOption("select[name=figure]", metric);
    assertEquals(await count(page, ".matrix .cell .figure:empty"), 0);
    const says = await texts(page, ".matrix .cell .says");
    assertEquals(says.length, 24);
    assert(says.every((text) => /[✓✗–]/.test(text)), says.join());
  }
  assertMatch((await texts(page, ".matrix .cell .figure"))[0], /^\d+\/\d+$/);
  await page.selectOption("select[name=figure]", "medianNs");
  await page.selectOption("select[name='of several cases the']", "best");
  const best = Number((await texts(page, ".matrix .cell .figure"))[0]);
  await page.selectOption("select[name='of several cases the']", "worst");
  assert(Number((await texts(page, ".matrix .cell .figure"))[0]) > best);
  await page.locator(".matrix .cell").first().click();
  assertEquals(await page.inputValue("select[name='axis.page']"), "1");
  assertEquals(await page.inputValue("select[name='axis.kv']"), "0");
});

testReport("filters narrow matrix and table alike", sweep, async (page) => {
  await page.fill("#filter-text", "attend/fused:*page=16*");
  const shown = await count(page, ".cases tbody tr");
  assertEquals(await page.textContent("#filter-count"), `${shown} of 240 cases`);
  assertEquals(new Set(await texts(page, ".cases tbody a")), new Set(["attend/fused"]));
  assertEquals(await texts(page, ".matrix tbody th"), ["attend/fused"]);
  await page.selectOption("select[name='axis.kv']", "65");
  assertLess(await count(page, ".cases tbody tr"), shown);
  await page.click("#filter-reset");
  await page.selectOption("select[name=status]", "incorrect");
  assertEquals(await texts(page, ".cases tbody .badge"), ["✗ incorrect", "✗ incorrect"]);
  await page.fill("#filter-text", "no such case");
  assertStringIncludes(await page.textContent("#matrix-body") ?? "", "No case matches");
});

testReport("the table sorts by its headings, from the keyboard too, and turns pages", sweep, async (page) => {
  const medians = async () =>
    (await texts(page, ".cases tbody tr")).length > 0
      ? (await page.locator(".cases tbody tr").evaluateAll(
        (rows, column) =>
          rows.map((row) => (row as unknown as { cells: { textContent: string }[] }).cells[column].textContent),
        column,
      ))
        .filter((text) => text !== "").map((text) => Number(text.replaceAll(",", "")))
      : [];
  const column = (await texts(page, ".cases thead th")).indexOf("median, µs");
  const button = page.locator("[data-sort=medianNs]");
  await button.click();
  const descending = await medians();
  assertEquals(descending, descending.toSorted((a, b) => b - a));
  assertEquals(await page.getAttribute(".cases th[aria-sort]", "aria-sort"), "descending");
  await button.focus();
  await page.keyboard.press("Enter");
  const ascending = await medians();
  assertEquals(ascending, ascending.toSorted((a, b) => a - b));
  assertLess(ascending[0], descending[0]);
  await page.click("#cases-pager button:last-child");
  assertEquals(await page.textContent("#cases-pager span"), "101–200 of 240");
  await page.locator(".cases tbody a").first().focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog[open]");
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog:not([open])", { state: "attached" });
  // The keyboard is back where it was.
  assertEquals(await page.evaluate("document.activeElement.closest('tr').rowIndex"), 2);
});

testReport(
  "a case opens with its checks, charts, reasons and the command that runs it again",
  makeReport(),
  async (page) => {
    await page.locator(".cases tbody tr", { hasText: "measured" }).first().click();
    await page.waitForSelector("dialog[open] canvas");
    assertEquals(await count(page, "dialog canvas"), 4);
    const painted = await page.evaluate(`[...document.querySelectorAll("dialog canvas")].map((canvas) =>
    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0))`);
    assertEquals(painted, [true, true, true, true]);
    const text = await page.textContent("dialog") ?? "";
    for (
      const part of [
        "95 % interval",
        "submissions rejected for a slow clock2",
        "timestamp tick1",
        "sequence 2, head 7, token 0, dim 133, page 31",
        "inputs_unchanged",
        "splits",
      ]
    ) {
      assertStringIncludes(text, part);
    }
    assertEquals(
      (await texts(page, "dialog .command code"))[0],
      `deno task bench --filter '${makeId("attend/fused")}'`,
    );
    await page.keyboard.press("Escape");
    await page.selectOption("select[name=status]", "incorrect");
    await page.locator(".cases tbody tr").first().click();
    assertStringIncludes(await page.textContent("dialog .check.bad") ?? "", "256 of 16384 elements are out of bound");
    assertEquals(await count(page, "dialog .check.bad"), 2);
    assertStringIncludes(await page.textContent("dialog") ?? "", "NaN");
  },
);

testReport("previous, next and the browser's back button move between cases", makeReport(), async (page) => {
  await page.locator(".cases tbody a").first().click();
  const first = await page.textContent("dialog h2");
  await page.keyboard.press("j");
  const second = await page.textContent("dialog h2");
  await page.keyboard.press("ArrowRight");
  const third = await page.textContent("dialog h2");
  assertEquals(new Set([first, second, third]).size, 3);
  await page.keyboard.press("k");
  assertEquals(await page.textContent("dialog h2"), second);
  await page.click("dialog [aria-label='Previous case']");
  assertEquals(await page.textContent("dialog h2"), first);
  await page.goBack();
  await page.waitForSelector("dialog:not([open])", { state: "attached" });
});

testReport("a link restores the view, and one to what is not there opens the report", sweep, async (page, url) => {
  await page.selectOption("select[name=rows]", "page");
  await page.selectOption("select[name=figure]", "budget");
  await page.fill("#filter-text", "fused");
  await page.selectOption("select[name='axis.kv']", "65");
  await page.click("[data-sort=medianNs]");
  await page.locator(".cases tbody a").first().click();
  const view = () => Promise.all([page.innerText("main"), page.innerText("dialog")]);
  const before = await view();
  const link = page.url();
  assertStringIncludes(link, "#");
  await openReport(page, link);
  assertEquals(await view(), before);
  await openReport(
    page,
    `${url}#case=gone&rows=gone&figure=x&axis.gone=1&sort=gone&status=gone&page=999&metric=__proto__`,
  );
  assertEquals(await page.textContent("#filter-count"), "240 cases");
  assertEquals(await count(page, "dialog[open]"), 0);
});

testReport("light and dark follow the system until the button decides", makeReport(), async (page) => {
  const background = () => page.evaluate("getComputedStyle(document.body).backgroundColor");
  const light = await background();
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await background();
  assert(light !== dark);
  await page.click("#theme");
  assertEquals(await background(), light);
  assertEquals(await page.textContent("#theme"), "Dark");
});

testReport("a phone shows all of it without scrolling sideways", sweep, async (page) => {
  await page.setViewportSize({ width: 390, height: 800 });
  const overflow = "document.documentElement.scrollWidth - innerWidth";
  assertEquals(await page.evaluate(overflow), 0);
  await page.locator(".cases tbody a").first().click();
  await page.waitForSelector("dialog[open]");
  assertEquals(await page.evaluate("document.querySelector('dialog').scrollWidth <= innerWidth"), true);
});

testReport("a report without cases says so", makeReport({ results: [] }), async (page) => {
  assertEquals(await page.textContent("h1"), "Nothing was run.");
  assertEquals(await page.locator("#matrix").isVisible(), false);
});

testReport(
  "5,000 cases are drawn and filtered within two seconds",
  makeReport({ results: makeSweep(5000) }),
  async (page, url) => {
    // The best of three: other work on the machine must not fail the test, and cannot make it pass.
    let [openMs, useMs] = [Infinity, Infinity];
    for (let attempt = 0; attempt < 3 && !(openMs < 2000 && useMs < 2000); attempt++) {
      let began = performance.now();
      await openReport(page, url);
      await page.waitForSelector(".cases tbody tr");
      openMs = Math.min(openMs, performance.now() - began);
      began = performance.now();
      await page.fill("#filter-text", "attend/fused_subgroup:*page=64*");
      await page.click("[data-sort=medianNs]");
      assertMatch(await page.textContent("#filter-count") ?? "", / of 5,000 cases$/);
      await page.locator(".cases tbody a").first().click();
      await page.waitForSelector("dialog[open] canvas");
      useMs = Math.min(useMs, performance.now() - began);
    }
    assertLess(openMs, 2000);
    assertLess(useMs, 2000);
  },
);
