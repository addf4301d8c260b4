/**
 * Chromium for the tests of the HTML report.
 *
 * @module
 */
import { type Browser, chromium } from "playwright-core";

const CANDIDATES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Path of an installed Chromium; undefined without one. */
export function findChromium(): string | undefined {
  return CANDIDATES.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

/** Whether a missing Chromium fails the tests instead of skipping them: CI sets this. */
export const browserRequired: boolean = Deno.env.get("MLA_BENCH_REQUIRE_BROWSER") === "1";

/** What to say of a missing Chromium. */
export const missingChromium = `no Chromium at ${CANDIDATES.join(", ")}`;

/**
 * Starts Chromium without a window, with a profile of its own and nothing that reaches for a network. Without its
 * sandbox, which root and containers do not have: it opens only files that these tests wrote.
 *
 * @throws {Deno.errors.NotFound} If there is none.
 */
export function launchChromium(): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined) {
    throw new Deno.errors.NotFound(`Cannot test the report in a browser: ${missingChromium}`);
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
