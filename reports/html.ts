/**
 * One HTML file that holds a whole report: it opens from disk, needs no network, and shows its summary without scripts.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Report } from "../bench/result.ts";
import { chartScript, styles, viewScript } from "./html_assets.ts";
import { makeView, type View } from "./html_data.ts";
import { environmentSection, softwareBanner, subtitle } from "./html_environment.ts";
import { html, type Markup, scriptJson, trusted } from "./html_escape.ts";
import { rooflineSection } from "./html_roofline.ts";
import { summarySection } from "./html_summary.ts";
import { verdictOf } from "./html_verdict.ts";

/**
 * What the page may do: run these very scripts, use these very styles, and nothing else. It also stands in the file, so
 * it holds for a report opened from disk; a server should send it with `frame-ancestors 'none'`, which a file cannot
 * say.
 */
export const contentSecurityPolicy: string = [
  "default-src 'none'",
  `script-src ${[chartScript, viewScript].map(hashSource).join(" ")}`,
  `style-src ${styles.map(hashSource).join(" ")}`,
  "img-src data:",
  "connect-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/**
 * Draws `report` as one self-contained HTML document. Statistics are computed here, from the raw samples; the embedded
 * scripts filter, sort and draw. Every text of the report is escaped: it is shown and never interpreted.
 *
 * @param report Any valid report, also an empty one.
 * @param other The same cases under another implementation, to stand beside it. @default {none}
 * @returns The document, about 160 kB plus what the report holds.
 * @throws {RangeError} If a sample is not finite.
 */
export function renderHtml(report: Report, other?: Report): string {
  const view = makeView(report, other);
  const { headline, tone } = verdictOf(report, view);
  return html`
    <!doctype html>
    <html lang="en">
      <head>
    <meta charset="utf-8">
    <meta http-equiv="Content-Security-Policy" content="${contentSecurityPolicy}">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <meta name="referrer" content="no-referrer">
    <meta name="generator" content="mla-bench ${report.environment.version}">
    <title>${headline} — mla-bench</title>
    <link rel="icon" href="${icon(tone)}">
    ${styles.map((style) => html`<style>${trusted(style)}</style>`)}
      </head>
      <body>
    <header class="top">
    <a class="name" href="#summary">mla-bench</a>
    <p>${subtitle(report.environment)}</p>
    <nav><a href="#matrix">Matrix</a><a href="#cases">Cases</a><a href="#environment">Environment</a>
    <button type="button" id="theme" class="live" title="Switch between light and dark">Dark</button></nav>
    </header>
    ${softwareBanner(report.environment)}
    <main>
    ${summarySection(report, view, other)}
    ${rooflineSection(report.environment.calibration, view.data.cases)}
    ${interactiveSections(view)}
    ${environmentSection(report)}
    </main>
    <dialog id="detail" aria-label="Case"></dialog>
    <script type="application/json" id="data">${scriptJson(view.data)}</script>
    <script type="application/json" id="details">${scriptJson(view.details)}</script>
    <script>${trusted(chartScript)}</script>
    <script type="module">${trusted(viewScript)}</script>
      </body>
    </html>
  `.text;
}

/** Frames that the scripts fill; without scripts, one sentence in their place. */
function interactiveSections({ data }: View): Markup {
  const off = data.cases.length === 0 && "off";
  const constant = data.axes.flatMap(({ name, values }) => values.length === 1 ? `${name} ${values[0]}` : []);
  return html`
    <p class="static quiet">The matrix and the table of all ${data.cases.length} cases need scripts, which are off;
    results.csv beside this file holds the same figures.</p>
    <div id="filters" class="live ${off}" role="search">
      <label class="text">
        <span>find</span>
        <input id="filter-text" type="search" autocomplete="off" spellcheck="false"
          placeholder="words, or a glob: attend/fused:*;R=256;*">
      </label>
      <output id="filter-count"></output>
      <button type="button" id="filter-reset" disabled>Reset</button>
      <div id="filter-menus"></div>
    </div>
    <section id="matrix" class="live ${off}">
      <h2>Matrix</h2>
      <div class="bar">
        <div id="matrix-menus"></div>
        <div id="matrix-legend"></div>
      </div>
      <div id="matrix-body" class="scroll"></div>
    </section>
    <section id="cases" class="live ${off}">
      <h2>Cases</h2>
      ${constant.length > 0 && html`<p class="quiet above">The same in all: ${constant.join(", ")}.</p>`}
      <div id="cases-body" class="scroll"></div>
      <nav id="cases-pager" aria-label="Pages of cases"></nav>
    </section>
  `;
}

/** A dot in the colour of the verdict, so that a tab tells. */
function icon(tone: string): string {
  const color = tone === "ok" ? "#2f9e66" : tone === "bad" ? "#d6393f" : "#c98a12";
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6" fill="${color}"/></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

function hashSource(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}
