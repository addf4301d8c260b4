/**
 * The part of the HTML report that needs no scripts: the verdict, kernels side by side, what needs attention.
 *
 * @module
 */
import { providerName } from "../bench/fingerprint.ts";
import type { Report } from "../bench/result.ts";
import { besideKernels } from "./beside.ts";
import { checkedKinds } from "./checked.ts";
import { geometricMean } from "./figures.ts";
import type { View, ViewCase } from "./html_data.ts";
import { html, type Markup } from "./html_escape.ts";
import { countOutcomes, number, verdictOf } from "./html_verdict.ts";
import { adapterInWords } from "./outcome.ts";
import { checkWords } from "./view/check_words.js";
import { percent, significant } from "./view/format.js";
import { outcome, OUTCOMES } from "./view/query.js";
import { SIGNS } from "./view/signs.js";

/** Rows of a list that are shown at once, and those that unfold; the table of all cases has the rest. */
const [SHOWN_ROWS, FOLDED_ROWS] = [8, 200];

/** Verdict, counts, kernels, attention list and reasons of skips. */
export function summarySection(report: Report, view: View, other?: Report): Markup {
  const verdict = verdictOf(report, view);
  // What is wrong comes first; doubtful times can wait.
  const sections = [checksSection(report), attentionSection(view)];
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
${other && besideSection(report, other)}
${verdict.tone === "bad" ? sections.toReversed() : sections}
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
  const hasPrecision = new Set(rows.flatMap((row) => row.precision ?? [])).size > 1;
  const lines = [...byKernel].map(([kernel, list]) => {
    const of = countOutcomes(list);
    const speedups = list.flatMap((row) => row.speedup ?? []);
    const believed = list.filter((row) => row.verdict === "ok");
    return html`
      <tr>
        <th scope="row"><code>${kernel}</code></th>
        ${hasPrecision && html`<td>${list[0].precision ?? ""}</td>`}
        <td class="number">${number(list.length)}</td>
        <td class="number">${of("measured", "verified", "unstable", "invalid") || ""}</td>
        <td class="number ${of("incorrect") > 0 && "bad"}">${of("incorrect") ? `✗ ${of("incorrect")}` : ""}</td>
        <td class="number ${of("failed") > 0 && "bad"}">${of("failed") ? `✗ ${of("failed")}` : ""}</td>
        <td class="number">${of("skipped") || ""}</td>
        <td class="number">${closestLink(list)}</td>
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
              ${hasPrecision && html`<th scope="col">precision</th>`}
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

/** The kernels under both implementations. */
function besideSection(report: Report, other: Report): Markup {
  const kernels = besideKernels(report, other);
  const [here, there] = [report, other].map(({ environment }) => providerName(environment.adapter));
  const hasTimes = kernels.some(({ timed }) => timed > 0);
  const lines = kernels.map(({ kernel, both, right, rightThere, timed, speedRatio }) =>
    html`
      <tr>
        <th scope="row"><code>${kernel}</code></th>
        <td class="number">${number(both)}</td>
        <td class="number ${right < both && "bad"}">${number(right)}</td>
        <td class="number ${rightThere < both && "bad"}">${number(rightThere)}</td>
        ${hasTimes && html`
          <td class="number">${timed || ""}</td>
          <td class="number">${significant(speedRatio)}</td>
        `}
      </tr>
    `
  );
  return html`
    <section id="beside">
      <h2>${here} beside ${there}</h2>
      <p class="quiet above">There: ${adapterInWords(other)}.</p>
      <div class="scroll">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">kernel</th>
              <th scope="col" class="number">cases on both</th>
              <th scope="col" class="number">right on ${here}</th>
              <th scope="col" class="number">right on ${there}</th>
              ${hasTimes && html`
                <th scope="col" class="number">timed on both</th>
                <th scope="col" class="number">${here} faster than ${there}, ×</th>
              `}
            </tr>
          </thead>
          <tbody>${lines}</tbody>
        </table>
      </div>
    </section>
  `;
}

/** The largest share of the error budget that a right case of a kernel used, with the way to that case. */
function closestLink(rows: readonly ViewCase[]): Markup {
  const right = rows.filter((row) => row.status !== "incorrect" && row.budget !== undefined);
  const [first, ...rest] = right;
  if (first === undefined) return html``;
  const closest = rest.reduce((a, b) => b.budget! > a.budget! ? b : a, first);
  return html`<a href="${caseHref(closest.id)}" title="${closest.id}">${percent(closest.budget)}</a>`;
}

function caseHref(id: string): string {
  return `#case=${encodeURIComponent(id)}`;
}

/** How many cases had which check, and how near to its bound each came. */
function checksSection({ results }: Report): Markup {
  const kinds = checkedKinds(results);
  if (kinds.length === 0) return html``;
  const hasCeiling = kinds.some(({ ceilingUsed }) => ceilingUsed !== undefined);
  const lines = kinds.map(({ kind, cases, wrong, budgetUsed, closest, ceilingUsed }) =>
    html`
      <tr>
        <th scope="row"><code>${kind}</code></th>
        <td>${checkWords(kind)}</td>
        <td class="number">${number(cases)}</td>
        <td class="number ${wrong > 0 && "bad"}">${wrong > 0 && `✗ ${number(wrong)}`}</td>
        <td class="number">${closest !== undefined &&
          html`<a href="${caseHref(closest)}" title="${closest}">${percent(budgetUsed)}</a>`}</td>
        ${hasCeiling && html`<td class="number">${percent(ceilingUsed)}</td>`}
      </tr>
    `
  );
  return html`
    <section id="checked">
      <h2>What was checked</h2>
      <div class="scroll">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">check</th>
              <th scope="col">what it compares</th>
              <th scope="col" class="number">cases</th>
              <th scope="col" class="number">wrong</th>
              <th scope="col" class="number">error budget, most, %</th>
              ${hasCeiling && html`<th scope="col" class="number">a-priori bound, most, %</th>`}
            </tr>
          </thead>
          <tbody>${lines}</tbody>
        </table>
      </div>
    </section>
  `;
}

function attentionSection({ data, details }: View): Markup {
  const rank = ["incorrect", "failed", "blind", "invalid", "unstable"];
  const kindOf = (row: ViewCase) => row.blind && row.status !== "incorrect" ? "blind" : outcome(row);
  const rankOf = (row: ViewCase) => rank.indexOf(kindOf(row));
  const list = data.cases.map((row, index) => ({ row, index })).filter(({ row }) => rankOf(row) >= 0)
    .sort((a, b) => rankOf(a.row) - rankOf(b.row) || a.index - b.index);
  if (list.length === 0) return html``;
  const items = list.slice(0, SHOWN_ROWS + FOLDED_ROWS).map(({ row, index }) => {
    const { commands, shrunk } = details[index];
    const kind = kindOf(row);
    return html`<li><span class="badge ${kind}">${SIGNS[kind]} ${kind}</span>
<div><a href="${caseHref(row.id)}"><code>${row.id}</code></a>
<p>${firstLine(row.note ?? "")}</p><p class="again"><code>${commands[0]}</code></p>${
      shrunk && shrunk.id !== row.id &&
      html`<p class="again">the smallest that fails: <code>${shrunk.command}</code></p>`
    }</div></li>`;
  });
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

function firstLine(text: string): string {
  return text.split("\n", 1)[0];
}
