/**
 * The roofline of a run (Williams, Waterman and Patterson, CACM 52(4), 2009): throughput over intensity, both
 * logarithmic, under what the device was seen to do at best. Needs no scripts.
 *
 * @module
 */
import type { Calibration } from "../bench/result.ts";
import { formatRate } from "./figures.ts";
import type { ViewCase } from "./html_data.ts";
import { html, type Markup } from "./html_escape.ts";

/** Size of the drawing, and the edges of the plot in it. */
const [WIDTH, HEIGHT] = [960, 400];
const [LEFT, RIGHT, TOP, BOTTOM] = [60, WIDTH - 24, 16, HEIGHT - 44];
/** Colours that the style sheet has for operations. */
const SERIES = 5;

/** A case that does arithmetic. */
interface Dot {
  readonly row: ViewCase;
  readonly operation: string;
  /** Flops per byte that the operation must move. */
  readonly intensity: number;
  readonly flopsPerS: number;
}

/** An axis: its range, whole powers of ten, and where a figure stands in the drawing. */
interface Axis {
  readonly low: number;
  readonly high: number;
  at(value: number): number;
}

/** The section; nothing where no case has both a throughput and limits to hold it against. */
export function rooflineSection(calibration: Calibration | undefined, rows: readonly ViewCase[]): Markup {
  const dots = rows.flatMap(dotOf);
  const { readBytesPerS, f32FlopsPerS, f16FlopsPerS, matrixFlopsPerS } = calibration ?? {};
  if (!readBytesPerS || !f32FlopsPerS || dots.length === 0) return html``;
  const bytesPerS = readBytesPerS.value;
  const rates = [{ name: "f32", flopsPerS: f32FlopsPerS.value }];
  if (f16FlopsPerS) rates.push({ name: "f16", flopsPerS: f16FlopsPerS.value });
  // A roof that no case is under would squeeze the others.
  if (matrixFlopsPerS && rows.some(({ kernel }) => kernel.endsWith("_matrix"))) {
    rates.push({ name: "matrices", flopsPerS: matrixFlopsPerS.value });
  }
  rates.sort((a, b) => b.flopsPerS - a.flopsPerS);
  const ridges = rates.map(({ flopsPerS }) => flopsPerS / bytesPerS);
  const x = axisOf([...dots.map(({ intensity }) => intensity), ...ridges], LEFT, RIGHT);
  const y = axisOf([...dots, ...rates].map(({ flopsPerS }) => flopsPerS), BOTTOM, TOP);
  const operations = [...new Set(dots.map(({ operation }) => operation))].sort();
  const seriesOf = (operation: string) => `series-${operations.indexOf(operation) % SERIES}`;
  return html`
    <section id="roofline">
      <h2>Roofline</h2>
      <figure class="roofline">
        <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="group" aria-label="Throughput over intensity">
    ${grid(x, y)}
    ${memoryRoof(x, y, { bytesPerS, ridge: ridges[0] })}
    ${rates.map(({ name, flopsPerS }, i) => {
      const label = `${formatRate(flopsPerS, "FLOP/s")} ${name}`;
      // The highest has its label above it, the others below.
      return html`<path class="roof" d="M${x.at(ridges[i])} ${y.at(flopsPerS)}H${RIGHT}"></path>
${text(label, [RIGHT - 4, y.at(flopsPerS) + (i === 0 ? -5 : 14)], "end", "roof")}`;
    })}
    ${dots.map(({ row, operation, intensity, flopsPerS }) =>
      html`
        <a
          href="#case=${encodeURIComponent(row.id)}"><circle class="${seriesOf(operation)}" cx="${x.at(
            intensity,
          )}" cy="${y.at(flopsPerS)}" r="4"><title>${row.id}: ${formatRate(flopsPerS, "FLOP/s")}</title></circle></a>
      `
    )}
        </svg>
        <figcaption>
          <ul class="legend">${operations.map((operation) =>
            html`<li class="${seriesOf(operation)}">${operation}</li>`
          )}</ul>
          <p
            class="quiet">A dot is a case: what it reached, over the flops that it does for each byte that it must move. The lines are
    what this device did at best.</p>
        </figcaption>
      </figure>
    </section>
  `;
}

function dotOf(row: ViewCase): Dot[] {
  const { kernel, tflops, gbps } = row;
  if (tflops === undefined || gbps === undefined) return [];
  return [{ row, operation: kernel.split("/")[0], intensity: 1e3 * tflops / gbps, flopsPerS: 1e12 * tflops }];
}

function axisOf(values: readonly number[], from: number, to: number): Axis {
  // Not Math.min(...values): there may be more cases than a call takes arguments.
  const powers = values.map(Math.log10);
  const least = Math.floor(powers.reduce((a, b) => Math.min(a, b)));
  // Room for the label of what stands highest.
  const most = Math.ceil(powers.reduce((a, b) => Math.max(a, b)) + 0.05);
  const at = (value: number) => from + (to - from) * (Math.log10(value) - least) / (most - least);
  return { low: 10 ** least, high: 10 ** most, at: (value) => Number(at(value).toFixed(1)) };
}

function grid(x: Axis, y: Axis): Markup[] {
  const powers = ({ low, high }: Axis) =>
    Array.from({ length: Math.round(Math.log10(high / low)) + 1 }, (_, i) => low * 10 ** i);
  const plain = (value: number) => value.toLocaleString("en", { maximumSignificantDigits: 3 });
  return [
    ...powers(x).map((value) =>
      html`<path class="grid" d="M${x.at(value)} ${TOP}V${BOTTOM}"></path>
${text(plain(value), [x.at(value), BOTTOM + 16], "middle")}`
    ),
    ...powers(y).map((value) =>
      html`<path class="grid" d="M${LEFT} ${y.at(value)}H${RIGHT}"></path>
${text(plain(value / 1e12), [LEFT - 8, y.at(value) + 4], "end")}`
    ),
    text("flop per byte", [(LEFT + RIGHT) / 2, HEIGHT - 8], "middle"),
    html`<text transform="translate(14 ${(TOP + BOTTOM) / 2}) rotate(-90)" text-anchor="middle">TFLOP/s</text>`,
  ];
}

/** What can be computed on what is read: from the edge of the plot to where arithmetic binds. */
function memoryRoof(x: Axis, y: Axis, { bytesPerS, ridge }: { bytesPerS: number; ridge: number }): Markup {
  const start = Math.max(x.low, y.low / bytesPerS);
  // The label stands a third of the way up, to the left of the line.
  const third = start * Math.cbrt(ridge / start);
  return html`<path class="roof" d="M${x.at(start)} ${y.at(start * bytesPerS)}L${x.at(ridge)} ${
    y.at(ridge * bytesPerS)
  }"></path>
${text(`${formatRate(bytesPerS, "B/s")} read`, [x.at(third) - 8, y.at(third * bytesPerS) - 5], "end", "roof")}`;
}

function text(
  words: string,
  [x, y]: readonly [number, number],
  anchor: "middle" | "end",
  kind: "roof" | "tick" = "tick",
): Markup {
  return html`<text class="${kind}" x="${x}" y="${y}" text-anchor="${anchor}">${words}</text>`;
}
