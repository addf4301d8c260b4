/**
 * Styles and scripts of the HTML report. They are part of this program, not of the machine it runs on: every text is an
 * import, so that a report can be drawn without reading a file or reaching a network.
 *
 * @module
 */
import uplotCss from "uplot/dist/uPlot.min.css" with { type: "text" };
import uplotJs from "uplot/dist/uPlot.iife.min.js" with { type: "text" };
import css from "./view/style.css" with { type: "text" };
import checksCss from "./view/checks.css" with { type: "text" };
import checkWords from "./view/check_words.js" with { type: "text" };
import checks from "./view/checks.js" with { type: "text" };
import chart from "./view/chart.js" with { type: "text" };
import detail from "./view/detail.js" with { type: "text" };
import differential from "./view/differential.js" with { type: "text" };
import dom from "./view/dom.js" with { type: "text" };
import filters from "./view/filters.js" with { type: "text" };
import format from "./view/format.js" with { type: "text" };
import heatMap from "./view/heat_map.js" with { type: "text" };
import main from "./view/main.js" with { type: "text" };
import matrix from "./view/matrix.js" with { type: "text" };
import parts from "./view/parts.js" with { type: "text" };
import pivot from "./view/pivot.js" with { type: "text" };
import query from "./view/query.js" with { type: "text" };
import runs from "./view/runs.js" with { type: "text" };
import signs from "./view/signs.js" with { type: "text" };
import state from "./view/state.js" with { type: "text" };
import table from "./view/table.js" with { type: "text" };
import theme from "./view/theme.js" with { type: "text" };

/** Modules of the page, each after those it imports. */
const MODULES = {
  signs,
  format,
  dom,
  state,
  query,
  pivot,
  filters,
  parts,
  chart,
  runs,
  matrix,
  table,
  check_words: checkWords,
  heat_map: heatMap,
  checks,
  differential,
  detail,
  theme,
  main,
};

/** The library's styles, then the report's. */
export const styles: readonly string[] = [uplotCss, css, checksCss].map(lines);

/** uPlot (MIT, github.com/leeoniya/uPlot), which defines the global `uPlot`. */
export const chartScript: string = lines(uplotJs);

/** The page's own script, one module. */
export const viewScript: string = link(MODULES);

/**
 * Joins modules that import only each other into one: their `import` and `export` words go, and all share one scope. A
 * name that two of them declare is an error of the whole script, which the browser's test would show.
 *
 * @param modules Source texts by name, each after those it imports.
 * @throws {SyntaxError} If a module imports anything but an earlier module by its own name.
 */
export function link(modules: Readonly<Record<string, string>>): string {
  const seen = new Set<string>();
  const parts = Object.entries(modules).map(([name, source]) => {
    const body = lines(source)
      .replace(/^import \{[^}]*\} from "\.\/(\w+)\.js";\n/gm, (statement, from) => {
        if (statement.includes(" as ") || !seen.has(from)) {
          throw new SyntaxError(
            `Cannot link view/${name}.js: ${statement.trim()} is not a plain import of an earlier module`,
          );
        }
        return "";
      })
      .replace(/^export (?=const|function|async|class)/gm, "");
    const left = body.match(/^(?:import|export)\b.*$/m);
    if (left) throw new SyntaxError(`Cannot link view/${name}.js: ${left[0]}`);
    seen.add(name);
    return `// view/${name}.js\n${body}`;
  });
  return parts.join("\n");
}

/** A browser reads CRLF as LF, so the hash of a text with CRLF would not match what it runs. */
function lines(text: string): string {
  return text.replaceAll("\r\n", "\n");
}
