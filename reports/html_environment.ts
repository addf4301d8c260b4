/**
 * Where and with what a run was made, as a section of the HTML report. Needs no scripts.
 *
 * @module
 */
import { providerName } from "../bench/fingerprint.ts";
import type { Environment, Report } from "../bench/result.ts";
import { calibrationInWords } from "./calibration.ts";
import { harnessCostInWords } from "./harness_cost.ts";
import { html, type Insertable, type Markup } from "./html_escape.ts";
import { shellQuote } from "./reproduce.ts";

/** One line under the report's name: device, date, commit. */
export function subtitle(environment: Environment): string {
  const { adapter, git, startedAt } = environment;
  return [
    adapterName(environment),
    providerName(adapter),
    startedAt.replace("T", " ").replace(/(:\d\d)(\.\d+)?Z$/, "$1 UTC"),
    git === undefined ? "" : `${git.commit.slice(0, 10)}${git.dirty ? " with changes" : ""}`,
  ].filter((part) => part !== "").join(" · ");
}

/** The best name the adapter gives itself. */
export function adapterName({ adapter }: Environment): string {
  return adapter.description || adapter.device || adapter.vendor || "unnamed adapter";
}

/** A line across the page where the adapter is no GPU; nothing otherwise. */
export function softwareBanner(environment: Environment): Markup {
  if (!environment.adapter.software) return html``;
  return html`<p class="banner" role="note"><b>Software adapter.</b> ${adapterName(environment)} runs on the CPU:
what is right here is evidence about the kernels, but times say nothing about any GPU and are compared with none.</p>`;
}

/** All that is known of the run. */
export function environmentSection(report: Report): Markup {
  const { environment } = report;
  const { adapter, calibration, host, runtime, git } = environment;
  const groups: [string, [string, Insertable][]][] = [
    ["Adapter", [
      ["name", adapterName(environment)],
      ["kind", adapter.software ? html`<strong>software, on the CPU</strong>` : "hardware"],
      ["provider", providerName(adapter)],
      ["vendor", adapter.vendor],
      ["architecture", adapter.architecture],
      ["device", adapter.device],
      [
        "subgroups",
        adapter.subgroupMaxSize === 0
          ? "none"
          : adapter.subgroupMinSize === adapter.subgroupMaxSize
          ? adapter.subgroupMinSize
          : `${adapter.subgroupMinSize} to ${adapter.subgroupMaxSize}`,
      ],
    ]],
    ["Host", [
      ["system", `${host.os} ${host.osRelease}, ${host.arch}`],
      ["processor", `${host.cpu}, ${host.cores} cores`],
      ["load average", host.loadAverage.map((load) => load.toFixed(2)).join("  ")],
      ["Deno", `${runtime.deno} (V8 ${runtime.v8}, TypeScript ${runtime.typescript})`],
    ]],
    ["Run", [
      [
        "command",
        html`<code>${["deno task", environment.command, ...environment.argv.map(shellWord)].join(" ")}</code>`,
      ],
      ["suites", environment.suites.join(", ")],
      ["seed", environment.seed],
      ["started", environment.startedAt],
      ["took", `${environment.wallS.toFixed(1)} s`],
      ["spent on", harnessCostInWords(report)],
      ["mla-bench", environment.version],
      ["commit", git && html`<code>${git.commit}</code>${git.dirty && " with uncommitted changes"}`],
    ]],
    [
      `What it does at best${adapter.software ? ", on the CPU" : ""}`,
      calibration ? calibrationInWords(calibration) : [],
    ],
  ];
  const limits = Object.entries(adapter.limits).sort(([a], [b]) => a < b ? -1 : 1);
  return html`
    <section id="environment">
      <h2>Environment</h2>
      <div class="groups">${groups.filter(([, facts]) => facts.length > 0).map(([title, facts]) =>
        html`
          <div>
            <h3>${title}</h3>
            <dl class="facts wide">${facts.filter(([, value]) => value !== "" && value !== undefined).map((
              [name, value],
            ) =>
              html`
                <div>
                  <dt>${name}</dt>
                  <dd>${value}</dd>
                </div>
              `
            )}</dl>
          </div>
        `
      )}</div>
      <details>
        <summary>${adapter.features.length} features</summary>
        <ul class="features">${adapter.features.toSorted().map((feature) =>
          html`<li><code>${feature}</code></li>`
        )}</ul>
      </details>
      <details>
        <summary>${limits.length} limits</summary>
        <dl class="facts limits">${limits.map(([name, value]) =>
          html`
            <div>
              <dt>${name}</dt>
              <dd>${value.toLocaleString("en")}</dd>
            </div>
          `
        )}</dl>
      </details>
    </section>
  `;
}

/** Quoted where a shell would not take `word` as it is. */
function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : shellQuote(word);
}
