/**
 * The part of the HTML report that needs no scripts: the verdict, kernels side by side, what needs attention.
 *
 * @module
 */
import type { Report } from "../bench/result.ts";
import type { View, ViewCase } from "./html_data.ts";
import { html, type Markup } from "./html_escape.ts";
import { countOutcomes, number, verdictOf } from "./html_verdict.ts";
import { percent, significant } from "./view/format.js";
import { outcome, OUTCOMES } from "./view/query.js";
import { SIGNS } from "./view/signs.js";

/** Rows of a list that are shown at once, and those that unfold; the table of all cases has the rest. */
const [SHOWN_ROWS, FOLDED_ROWS] = [8, 200];

/** Verdict, counts, kernels, attention list and reasons of skips. */
export function summarySection(report: Report, view: View): Markup {
  const verdict = verdictOf(report, view);
  return html`<section id="summary" class="verdict ${verdict.tone}">
<h1>${verdict.headline}</h1>
<dl class="answers">
        ${
    verdict.answers.map(([question, answer]) =>
      html`
        <div>
          <dt>${question}</dt>
          <dd>${answer}</dd>
        </div>
      `
    )
  }
      </dl>
      ${countsBar(view.data.cases)}
</section>
${kernelsSection(view.data.cases)}
${attentionSection(view)}
${skipsSection(view.data.cases)}`;
}

function countsBar(rows: readonly ViewCase[]): Markup {
  const of = countOutcomes(rows);
  const present = OUTCOMES.filter((name) => of(name) > 0);
  let x = 0;
  const segments = present.map((name) => {
    const width = 1000 * of(name) / rows.length;
    const rect = html`<rect class="${name}" x="${x}" y="0" width="${Math.max(width - 2, 1)}" height="10"></rect>`;
    x += width;
    return rect;
  });
  return html`<svg class="counts" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">${segments}</svg>
<ul class="counts">${
    present.map((name) => html`<li class="${name}"><b>${number(of(name))}</b> ${SIGNS[name]} ${name}</li>`)
  }</ul>`;
}

function kernelsSection(rows: readonly ViewCase[]): Markup {
  const byKernel = Map.groupBy(rows, (row) => row.kernel);
  if (byKernel.size === 0) return html``;
  const most = (list: readonly (number | undefined)[]) => {
    const values = list.filter((value) => value !== undefined);
    return values.length === 0 ? undefined : Math.max(...values);
  };
  const lines = [...byKernel].map(([kernel, list]) => {
    const of = countOutcomes(list);
    const speedups = list.flatMap((row) => row.speedup ?? []);
    const believed = list.filter((row) => row.verdict === "ok");
    return html`
      <tr>
        <th scope="row"><code>${kernel}</code></th>
        <td class="number">${number(list.length)}</td>
        <td class="number">${of("measured", "verified", "unstable", "invalid") || ""}</td>
        <td class="number ${of("incorrect") > 0 && "bad"}">${of("incorrect") ? `✗ ${of("incorrect")}` : ""}</td>
        <td class="number ${of("failed") > 0 && "bad"}">${of("failed") ? `✗ ${of("failed")}` : ""}</td>
        <td class="number">${of("skipped") || ""}</td>
        <td class="number">${percent(most(list.map((row) => row.status === "incorrect" ? undefined : row.budget)))}</td>
        <td class="number">${significant(geometricMean(speedups))}</td>
        <td class="number">${significant(most(believed.map((row) => row.gbps)))}</td>
        <td class="number">${significant(most(believed.map((row) => row.tflops)))}</td>
      </tr>
    `;
  });
  return html`
    <section id="kernels">
      <h2>Kernels</h2>
      <div class="scroll">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">kernel</th>
              <th scope="col" class="number">cases</th>
              <th scope="col" class="number">right</th>
              <th scope="col" class="number">wrong</th>
              <th scope="col" class="number">failed</th>
              <th scope="col" class="number">skipped</th>
              <th scope="col" class="number">error budget, most, %</th>
              <th scope="col" class="number">vs unfused, ×</th>
              <th scope="col" class="number">best GB/s</th>
              <th scope="col" class="number">best TFLOP/s</th>
            </tr>
          </thead>
          <tbody>${lines}</tbody>
        </table>
      </div>
      <p
        class="quiet">Error budget: the most that a right case used. Against unfused: geometric mean over the cases that both kernels were timed on. Best: of stable times only.</p>
    </section>
  `;
}

function attentionSection({ data, details }: View): Markup {
  const rank = ["incorrect", "failed", "invalid", "unstable"];
  const list = data.cases.map((row, index) => ({ row, index }))
    .filter(({ row }) => rank.includes(outcome(row)))
    .sort((a, b) => rank.indexOf(outcome(a.row)) - rank.indexOf(outcome(b.row)) || a.index - b.index);
  if (list.length === 0) return html``;
  const items = list.slice(0, SHOWN_ROWS + FOLDED_ROWS).map(({ row, index }) =>
    html`<li><span class="badge ${outcome(row)}">${SIGNS[outcome(row)]} ${outcome(row)}</span>
<div><a href="#case=${encodeURIComponent(row.id)}"><code>${row.id}</code></a>
<p>${firstLine(row.note ?? "")}</p><p class="again"><code>${details[index].commands[0]}</code></p></div></li>`
  );
  return html`<section id="attention"><h2>Needs attention</h2>${folded(items, "attention", list.length)}</section>`;
}

function skipsSection(rows: readonly ViewCase[]): Markup {
  const skipped = Map.groupBy(rows.filter((row) => row.status === "skipped"), (row) => row.note ?? "");
  if (skipped.size === 0) return html``;
  const items = [...skipped].sort(([, a], [, b]) => b.length - a.length).slice(0, SHOWN_ROWS + FOLDED_ROWS)
    .map(([reason, list]) => html`<li><b>${number(list.length)}</b> <span>${reason}</span></li>`);
  return html`<section id="skips"><h2>Skipped, and why</h2>${folded(items, "reasons", skipped.size)}</section>`;
}

/** A list of `total` items of which the first few are shown, more unfold, and what is left out is counted. */
function folded(items: readonly Markup[], name: string, total: number): Markup {
  const [shown, more] = [items.slice(0, SHOWN_ROWS), items.slice(SHOWN_ROWS)];
  const left = total - items.length;
  return html`<ol class="${name}">${shown}</ol>
${
    more.length > 0 && html`
      <details>
        <summary>${number(more.length)} more</summary>
        <ol class="${name}">${more}</ol>
      </details>
    `
  }
${left > 0 && html`<p class="quiet">And ${number(left)} others.</p>`}`;
}

function geometricMean(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0];
}
