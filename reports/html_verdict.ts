/**
 * A whole run in a few sentences: what is right, what is fast, and how sure that is.
 *
 * @module
 */
import type { Report } from "../bench/result.ts";
import type { View, ViewCase } from "./html_data.ts";
import { differentialInWords } from "./differential.ts";
import { percent, significant } from "./view/format.js";
import { outcome } from "./view/query.js";

/** What the summary says, as plain text: also the document's title and what tests read. */
export interface Verdict {
  /**
   * `bad` when a case is incorrect or failed, `doubt` when nothing was verified, a case is blind or times are invalid.
   */
  readonly tone: "ok" | "bad" | "doubt";
  /** What is right. */
  readonly headline: string;
  /** What is right, what is fast and how sure that is, each where there is something to say. */
  readonly answers: readonly (readonly [question: string, answer: string])[];
}

/** Puts the whole run into a few sentences. */
export function verdictOf(report: Report, { data }: View): Verdict {
  const of = countOutcomes(data.cases);
  const wrong = of("incorrect");
  const failed = of("failed");
  const right = of("measured", "verified", "unstable", "invalid");
  const blind = data.cases.filter((row) => row.blind).length;
  const answers = [
    ["What is right", rightSentence(data.cases)],
    ["What it would not have seen", blindSentence(blind)],
    ["What is fast", fastSentence(report, data.cases)],
    ["How far that is from what the device can do", limitSentence(report, data.cases)],
    ["How sure that is", sureSentence(data.cases)],
    ["What the resolver picks", resolverSentence(data)],
    [
      "How far from other kernels",
      differentialInWords(report).map((line) => `${line.trim()}.`).join(" ").replace(/^a/, "A"),
    ],
  ] as const;
  return {
    tone: wrong + failed > 0 ? "bad" : right === 0 || of("invalid") + blind > 0 ? "doubt" : "ok",
    headline: headlineOf(right, wrong, failed, of("skipped")),
    answers: answers.filter(([, sentence]) => sentence !== ""),
  };
}

function headlineOf(right: number, wrong: number, failed: number, skipped: number): string {
  const checked = right + wrong;
  if (checked + failed + skipped === 0) return "Nothing was run.";
  if (checked + failed === 0) {
    return `Nothing was verified: ${skipped === 1 ? "the one case was" : `all ${cases(skipped)} were`} skipped.`;
  }
  const failures = failed === 0 ? "" : `${cases(failed)} failed to run`;
  if (checked === 0) return `Nothing was verified: ${failures}.`;
  const verdict = wrong === 0
    ? checked === 1 ? "The one verified case is right" : `All ${number(checked)} verified cases are right`
    : `${number(wrong)} of ${number(checked)} verified cases ${wrong === 1 ? "is" : "are"} wrong`;
  return failures === "" ? `${verdict}.` : `${verdict}; ${failures}.`;
}

function rightSentence(rows: readonly ViewCase[]): string {
  const checked = rows.filter((row) => row.coverage !== undefined);
  if (checked.length === 0) return "";
  const least = checked.reduce((a, b) => (a.coverage! <= b.coverage! ? a : b)).coverage!;
  const mean = checked.reduce((sum, row) => sum + row.coverage!, 0) / checked.length;
  const coverage = least >= 1
    ? "Every output row of every verified case was compared with the f64 reference"
    : `${percent(mean)} % of the output rows were compared with the f64 reference, at least ${
      percent(least)
    } % in each case`;
  const closest = rows.filter((row) => row.status !== "incorrect" && row.budget !== undefined)
    .reduce<number | undefined>((most, row) => Math.max(most ?? 0, row.budget!), undefined);
  return closest === undefined
    ? `${coverage}.`
    : `${coverage}; the closest of the right ones used ${percent(closest)} % of its error bound.`;
}

function blindSentence(blind: number): string {
  if (blind === 0) return "";
  return `${cases(blind)} ${blind === 1 ? "is" : "are"} blind: ${
    blind === 1 ? "it" : "they"
  } would have accepted a trivial output.`;
}

function fastSentence({ environment }: Report, rows: readonly ViewCase[]): string {
  const best = (key: "tflops" | "gbps") =>
    rows.filter((row) => row[key] !== undefined && row.verdict === "ok")
      .reduce<ViewCase | undefined>(
        (most, row) => (most === undefined || row[key]! > most[key]! ? row : most),
        undefined,
      );
  const [byFlops, byBytes] = [best("tflops"), best("gbps")];
  const figures = [
    byFlops && `${significant(byFlops.tflops)} TFLOP/s (${byFlops.kernel})`,
    byBytes && `${significant(byBytes.gbps)} GB/s (${byBytes.kernel})`,
  ].filter((text) => text !== undefined);
  if (figures.length > 0) return `The best figures are ${figures.join(" and ")}.`;
  if (rows.every((row) => row.medianNs === undefined)) {
    return environment.command === "verify" ? "Nothing was timed: this was a verification." : "";
  }
  return environment.adapter.software
    ? "Times were taken, but of a CPU: they say nothing about a GPU, and no throughput is derived from them."
    : "";
}

function limitSentence({ environment }: Report, rows: readonly ViewCase[]): string {
  const known = rows.filter((row) => row.limitShare !== undefined && row.verdict === "ok")
    .sort((a, b) => a.limitShare! - b.limitShare!);
  if (known.length === 0 || environment.adapter.software) return "";
  const nearest = known[known.length - 1];
  return `The nearest to the memory or arithmetic limit that binds it is ${nearest.kernel} at ${
    percent(nearest.limitShare)
  } %; half of the cases are at ${percent(known[known.length >> 1].limitShare)} % or more.`;
}

function sureSentence(rows: readonly ViewCase[]): string {
  const timed = rows.filter((row) => row.status === "measured");
  if (timed.length === 0) return "";
  const widths = timed.flatMap((row) => row.halfWidth ?? []).sort((a, b) => a - b);
  const unstable = timed.filter((row) => row.verdict === "unstable").length;
  const invalid = timed.filter((row) => row.verdict === "invalid").length;
  const doubts = [
    unstable > 0 ? `${cases(unstable)} ${unstable === 1 ? "is" : "are"} unstable` : "",
    invalid > 0 ? `${cases(invalid)} ${invalid === 1 ? "has" : "have"} times that cannot be believed` : "",
  ].filter((text) => text !== "");
  const known = widths.length === 0
    ? "No median has a 95 % interval"
    : `Half of the medians are known to ±${percent(widths[widths.length >> 1])} % or better, with 95 % confidence`;
  return [known, ...doubts].join("; ") + ".";
}

/** Also what the Markdown report says. */
export function resolverSentence({ resolver }: Pick<View["data"], "resolver">): string {
  if (resolver === undefined) return "";
  const { shapes, fastest, worst, worstId } = resolver;
  const of = `${number(fastest)} of the ${number(shapes)} shapes that several kernels were timed on`;
  return fastest === shapes
    ? `The fastest kernel on all ${number(shapes)} shapes that several kernels were timed on.`
    : `The fastest kernel on ${of}; at worst one that takes ${significant(worst)} times the fastest (${worstId}).`;
}

/** Counts of `rows` by outcome: call the function returned with the outcomes to add up. */
export function countOutcomes(rows: readonly ViewCase[]): (...names: readonly string[]) => number {
  const counts = new Map<string, number>();
  for (const row of rows) counts.set(outcome(row), (counts.get(outcome(row)) ?? 0) + 1);
  return (...names) => names.reduce((sum, name) => sum + (counts.get(name) ?? 0), 0);
}

/** A count with its thousands marked. */
export function number(value: number): string {
  return value.toLocaleString("en");
}

function cases(count: number): string {
  return count === 1 ? "1 case" : `${number(count)} cases`;
}
