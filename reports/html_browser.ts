/**
 * Tests of the HTML report in headless Chromium. Set `MLA_BENCH_REQUIRE_BROWSER=1` where a missing one must fail.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import type { Report } from "../bench/result.ts";
import { renderHtml } from "./html.ts";

const CANDIDATES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

function findChromium(): string | undefined {
  return CANDIDATES.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

const missing = `no Chromium at ${CANDIDATES.join(", ")}`;

/** Without Chromium the tests are skipped, unless CI says that it must be there. */
const skipped = findChromium() === undefined && Deno.env.get("MLA_BENCH_REQUIRE_BROWSER") !== "1";

let browser: Browser | undefined;

/** Starts one Chromium for the tests of the file that calls this, and stops it after them. */
export function shareChromium(): void {
  Deno.test.beforeAll(async () => {
    if (!skipped) browser = await launchChromium();
  });
  Deno.test.afterAll(() => browser?.close());
}

/**
 * A test with a page of its own in the shared Chromium; skipped, with the reason in its name, where there is none.
 *
 * @param options How the page is set up, on top of a light desktop.
 */
export function testInChromium(
  name: string,
  use: (page: Page) => Promise<void>,
  options: BrowserContextOptions = {},
): void {
  Deno.test({
    name: `in Chromium, ${name}${skipped ? ` (skipped: ${missing})` : ""}`,
    ignore: skipped,
    // The driver keeps timers and pipes of its own until the browser has closed.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => {
      const context = await browser!.newContext({
        viewport: { width: 1400, height: 900 },
        colorScheme: "light",
        reducedMotion: "reduce",
        ...options,
      });
      try {
        await use(await context.newPage());
      } finally {
        await context.close();
      }
    },
  });
}

/** Opens `report` from disk; fails after `use` if the page logged anything or asked for anything else than itself. */
export function testReport(name: string, report: Report, use: (page: Page, url: string) => Promise<void>): void {
  testInChromium(name, async (page) => {
    const directory = await Deno.makeTempDir({ prefix: "mla-bench-report-" });
    try {
      const url = `file://${directory}/report.html`;
      await Deno.writeTextFile(`${directory}/report.html`, renderHtml(report));
      const complaints: string[] = [];
      page.on("console", (message) => complaints.push(`console ${message.type()}: ${message.text()}`));
      page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
      page.on("dialog", (dialog) => {
        complaints.push(`dialog: ${dialog.message()}`);
        dialog.dismiss();
      });
      page.on("request", (request) => {
        if (!request.url().startsWith("data:") && request.url().split("#")[0] !== url) {
          complaints.push(`request: ${request.url()}`);
        }
      });
      await openReport(page, url);
      await use(page, url);
      assertEquals(complaints, []);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

/** Loads `url`, also when only the part after `#` is new, and waits until its scripts have drawn it. */
export async function openReport(page: Page, url: string): Promise<void> {
  await page.goto("about:blank");
  await page.goto(url);
  await page.waitForSelector("html.live", { timeout: 10_000 });
}

/** Texts of the elements that `selector` finds. */
export function texts(page: Page, selector: string): Promise<string[]> {
  return page.locator(selector).allTextContents();
}

/** How many elements `selector` finds. */
export function count(page: Page, selector: string): Promise<number> {
  return page.locator(selector).count();
}

/**
 * Starts Chromium without a window, with a profile of its own and nothing that reaches for a network. Without its
 * sandbox, which root and containers do not have: it opens only files that these tests wrote.
 *
 * @throws {Deno.errors.NotFound} If there is none.
 */
function launchChromium(): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined) {
    throw new Deno.errors.NotFound(`Cannot test the report in a browser: ${missing}`);
  }
  return chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
