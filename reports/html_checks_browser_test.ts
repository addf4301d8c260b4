import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Page } from "playwright-core";
import type { Report } from "../bench/result.ts";
import { makeBlind, makeDifferential, makeIncorrect, makeReport, makeVerified } from "./fixture.ts";
import { count, shareChromium, testInChromium, testReport, texts } from "./html_browser.ts";
import { renderHtml } from "./html.ts";

shareChromium();

const wrong = makeReport({
  results: [makeIncorrect(), makeBlind(), { ...makeVerified("attend/x"), differential: makeDifferential() }],
});

/** Opens the first case whose row has `text`. */
async function openCase(page: Page, text: string): Promise<void> {
  await page.locator(".cases tbody tr", { hasText: text }).first().click();
  await page.waitForSelector("dialog[open]");
}

/** The first map of the drawer. */
const FIRST_MAP = ".error-map:nth-of-type(1)";

/** Position within the first map of the middle of a bin of 16 × 32. */
async function middleOf(page: Page, row: number, column: number): Promise<{ x: number; y: number }> {
  const box = (await page.locator(`${FIRST_MAP} .bins`).first().boundingBox())!;
  return { x: box.width * (column + 0.5) / 32, y: box.height * (row + 0.5) / 16 };
}

testReport("the error map paints what is wrong, NaN and what was not compared", wrong, async (page) => {
  await openCase(page, "incorrect");
  assertEquals(await count(page, ".error-map"), 2);
  assertEquals(await texts(page, ".error-map figcaption"), [
    "head ↓, dim (8 a bin) →",
    "sequence ↓, page of the last token seen →",
  ]);
  // Which element lies under the middle of some bins: the level by class, and the colour that it is painted in.
  const under = async (row: number, column: number) => {
    const { x, y } = await middleOf(page, row, column);
    const box = (await page.locator(`${FIRST_MAP} .bins`).first().boundingBox())!;
    return await page.evaluate(
      `(() => { const e = document.elementsFromPoint(${box.x + x}, ${
        box.y + y
      }).find((e) => e.classList.contains("bin"));
      return [e.className, getComputedStyle(e).background]; })()`,
    ) as [string, string];
  };
  await page.locator(`${FIRST_MAP} .bins`).first().scrollIntoViewIfNeeded();
  const seen = [await under(0, 0), await under(5, 20), await under(5, 2), await under(9, 3), await under(15, 31)];
  assertEquals(seen.map(([name]) => name), ["bin in1", "bin out5", "bin nan", "bin none", "bin in1"]);
  assertEquals(new Set(seen.map(([, background]) => background)).size, 4);
  // All of the map is covered, and nothing sticks out.
  const [bins, covered] = await page.evaluate(`(() => { const grid = document.querySelector(".error-map .bins");
    const area = (e) => { const { width, height } = e.getBoundingClientRect(); return width * height; };
    const inner = grid.clientWidth * grid.clientHeight;
    return [inner, [...grid.querySelectorAll(".bin")].reduce((sum, e) => sum + area(e), 0)]; })()`) as [number, number];
  assert(Math.abs(covered / bins - 1) < 0.01, `${covered} of ${bins} px²`);
  assertStringIncludes((await texts(page, ".map-legend"))[0], "NaN or ∞ out of place");
});

testReport("the map tells what the pointer is on, and goes back to the worst", wrong, async (page) => {
  await openCase(page, "incorrect");
  const readout = () => page.locator(`${FIRST_MAP} .readout`).first().textContent();
  const grid = page.locator(`${FIRST_MAP} .bins`).first();
  assertEquals(await readout(), "worst: head 5, dims 16–23: NaN or ∞ out of place");
  await grid.hover({ position: await middleOf(page, 5, 31) });
  assertEquals(await readout(), "head 5, dims 248–255: 100,000 times the bound");
  await grid.hover({ position: await middleOf(page, 0, 0) });
  assertEquals(await readout(), "head 0, dims 0–7: 21 % of the bound");
  await grid.hover({ position: await middleOf(page, 9, 4) });
  assertEquals(await readout(), "head 9, dims 32–39: not compared");
  await page.locator("dialog h2").hover();
  assertEquals(await readout(), "worst: head 5, dims 16–23: NaN or ∞ out of place");
});

testReport("the keyboard walks over the map, and outside of it still steps between cases", wrong, async (page) => {
  await openCase(page, "incorrect");
  const readout = () => page.locator(`${FIRST_MAP} .readout`).first().textContent();
  await page.locator(`${FIRST_MAP} .bins`).first().focus();
  await page.keyboard.press("ArrowRight");
  assertEquals(await readout(), "head 5, dims 24–31: 100,000 times the bound");
  await page.keyboard.press("ArrowDown");
  assertEquals(await readout(), "head 6, dims 24–31: 21 % of the bound");
  await page.keyboard.press("End");
  await page.keyboard.press("ArrowRight");
  assertEquals(await readout(), "head 6, dims 248–255: 21 % of the bound");
  assertStringIncludes(await page.textContent("dialog h2") ?? "", "fused_subgroup");
  assertMatch(await page.locator(".bins").first().getAttribute("aria-label") ?? "", /32 of 512 bins are out of bound$/);
  await page.locator("dialog h2").focus();
  await page.keyboard.press("ArrowRight");
  assertEquals((await page.textContent("dialog h2") ?? "").includes("fused_subgroup"), false);
});

testReport(
  "a wrong case shows its command, the case in small, both elements with edges, and the pattern",
  wrong,
  async (page) => {
    await openCase(page, "incorrect");
    const { id, shrunk } = makeIncorrect();
    assertEquals(
      await texts(page, "dialog .command code"),
      [id, shrunk!.id].map((id) => `deno task verify --filter '${id}'`),
    );
    const rows = await texts(page, "dialog .check.bad:first-of-type .elements tbody tr");
    assertMatch(rows[0], /^first wrong.*dim 16.*last sequence, one token past a multiple of 64.*0\.2500000.*0\.520/);
    assertMatch(rows[1], /^worst.*dim 17.*NaN/);
    assertEquals((await texts(page, "dialog .pattern"))[0], "All wrong elements: sequence 3 (last sequence) · head 5");
  },
);

testReport(
  "checks that passed tell their share of budget and ceiling; blind cases and differences are marked",
  wrong,
  async (page) => {
    assertEquals(await texts(page, ".cases tbody td:first-child"), ["✗ incorrect", "✓ verified ◌ blind", "✓ verified"]);
    assertStringIncludes(await page.textContent("#summary") ?? "", "1 case is blind");
    assertStringIncludes(await page.textContent("#attention") ?? "", "would have accepted zeros or constant");
    assertEquals(
      (await texts(page, "#checked tbody tr"))[2].replaceAll(/\s+/g, " ").trim(),
      "inputs_unchanged the inputs hold the bytes they held before 2",
    );
    await openCase(page, "blind");
    const summaries = await texts(page, "details.check summary");
    assertEquals(summaries.length, 3);
    assertMatch(summaries[0], /^✓out the output, .*21 % of the budget3\.4 % of the ceiling$/);
    assertEquals(await page.locator("details.check .elements").first().isVisible(), false);
    await page.locator("details.check summary").first().click();
    assertStringIncludes(
      await page.innerText("details.check .elements"),
      "sequence 2, head 7, token 0, dim 133, page 31",
    );
    assertEquals(await texts(page, ".blind code"), ["zeros", "constant"]);
    await page.keyboard.press("Escape");
    await openCase(page, "attend/x");
    assertMatch(
      (await texts(page, ".differential tbody tr"))[0],
      /^out41 %1\.0 · 18 · 912 ULP0\.60 · 300 ULP0\.90 · 1,020 ULP$/,
    );
  },
);

testReport(
  "a check that nobody has heard of, with hostile words in every member, stays text",
  makeReport({
    results: [{
      ...makeIncorrect(),
      shrunk: { id: "<img src=x onerror=alert(1)>", runs: 2 },
      verification: {
        ...makeIncorrect().verification,
        blind: ["<img src=x>"],
        checks: makeIncorrect().verification.checks.map((check) => ({
          ...check,
          name: "<b>new</b>_check",
          pattern: ["<img src=x onerror=alert(2)>"],
          first: { ...check.worst!, edges: ["<img src=x onerror=alert(3)>"] },
        })),
      },
      differential: { ...makeDifferential(), against: "<img src=x onerror=alert(4)>" },
    }],
  }),
  async (page) => {
    await openCase(page, "incorrect");
    assertEquals(await count(page, "img, dialog article b b, #checked b"), 0);
    assertStringIncludes((await texts(page, "dialog .check h4"))[0], "<b>new</b>_check");
    assertStringIncludes(await page.innerText("dialog"), "<img src=x onerror=alert(3)>");
    assertStringIncludes(await page.innerText("#checked"), "<b>new</b>_check");
  },
);

/** `report` as versions before wrote it: without members that only later ones have. */
function older(report: Report): Report {
  const later = [
    "first",
    "pattern",
    "maps",
    "edges",
    "ceilingUsed",
    "exactElements",
    "blind",
    "shrunk",
    "differential",
  ];
  return JSON.parse(JSON.stringify(report, (key, value) => later.includes(key) ? undefined : value));
}

testReport("a report of an older version is drawn, each of its cases opens", older(makeReport()), async (page) => {
  assertEquals(await count(page, "#checked tbody tr"), 3);
  for (const row of await page.locator(".cases tbody a").all()) {
    await row.click();
    await page.waitForSelector("dialog[open] h2");
    assertEquals(await count(page, ".error-map, .differential, .blind, .pattern"), 0);
    await page.keyboard.press("Escape");
  }
  await openCase(page, "incorrect");
  assertStringIncludes(
    await page.innerText("dialog .check.bad >> nth=0"),
    "sequence 3, head 5, token 0, dim 17, page 12",
  );
});

testInChromium("a map fits a phone", async (page) => {
  await page.setContent(renderHtml(wrong));
  await page.waitForSelector("html.live");
  await openCase(page, "incorrect");
  assertEquals(await page.evaluate("document.querySelector('dialog').scrollWidth <= innerWidth"), true);
  const { x, width } = (await page.locator(".error-map .bins").first().boundingBox())!;
  assert(x >= 0 && x + width <= 390, `${x} to ${x + width}`);
}, { viewport: { width: 390, height: 800 } });
