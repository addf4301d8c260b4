import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Result } from "../bench/result.ts";
import { hostileKernel, makeMeasured, makeMeasuredF16, makeReport, makeSkipped, makeVerified } from "./fixture.ts";
import { markdownTable, toMarkdown } from "./markdown.ts";

const section = (text: string, heading: string) =>
  text.split(/\n(?=## )/).find((part) => part.startsWith(`## ${heading}`));

Deno.test("toMarkdown() writes counts, problems, times, verified and skipped cases, and the environment", () => {
  const text = toMarkdown(makeReport());
  assertStringIncludes(
    text,
    "# mla-bench bench: 8 measured (1 unstable, 1 invalid), 1 verified, 1 incorrect, 2 failed, 1 skipped\n\nNVIDIA H200 (wgpu), ",
  );
  const headings = [...text.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);
  assertEquals(headings, [
    "Wrong or failed",
    "Blind",
    "Times",
    "Verified",
    "Skipped",
    "Environment",
    "What the device does at best",
  ]);
  assertStringIncludes(section(text, "Wrong")!, "`deno task verify --filter 'attend/fused_subgroup:B=4;");
  assertStringIncludes(section(text, "Wrong")!, "first at sequence 3, head 5, token 0, dim 16");
  assertStringIncludes(section(text, "Wrong")!, "| `deno task verify --filter 'attend/fused_subgroup:B=1;H=1;");
  assertStringIncludes(text, "\nCases by what was checked: out 10 (1 wrong), lse 10 (1 wrong), inputs\\_unchanged 9\n");
  assertStringIncludes(section(text, "Blind")!, "cache=bf16` | blind: would have accepted zeros or constant |");
  assertStringIncludes(
    section(text, "Times")!,
    "| `attend/fused:B=4;H=16;R=256;Dr=64;q=1;kv=1024;page=64;cache=bf16` | cold | 50.0 µs | 0.30 % | 55.4 GB/s | 1.51 TFLOP/s | 2.45 % of the arithmetic limit, 61.5 TFLOP/s f32 | 21.0 % |  |",
  );
  assertStringIncludes(section(text, "Environment")!, "| seed | 1 |");
  assertStringIncludes(
    section(text, "Environment")!,
    "| spent on | GPU busy at least 3.25 % of 62 s; host beyond GPU per",
  );
  const best = section(text, "What the device does at best")!;
  assertStringIncludes(best, "| memory, read | 4.60 TB/s, spread 0.40 % |");
  assertStringIncludes(best, "| timer's step | 32.0 ns |");
});

Deno.test("toMarkdown() says what kernels compute in where they differ", () => {
  const times = (...results: Result[]) => section(toMarkdown(makeReport({ results })), "Times")!;
  const text = times(makeMeasured(), makeMeasuredF16());
  assertStringIncludes(text, "| case | precision | mode |");
  assertStringIncludes(text, "| f32 | cold | 50.0 µs |");
  assertStringIncludes(text, "| f16 scores in chains of 18, f16 P·V in chains of 32 | cold | 50.0 µs |");
  assertStringIncludes(text, "of the arithmetic limit, 103 TFLOP/s f16");
  assertStringIncludes(times(makeMeasuredF16()), "| case | mode |");
});

Deno.test("toMarkdown() keeps every table rectangular and every hostile name text", () => {
  const text = toMarkdown(makeReport());
  const lines = text.split("\n").filter((line) => line.startsWith("|"));
  for (const part of text.split(/\n\n/).filter((part) => part.startsWith("|"))) {
    const cells = part.trim().split("\n").map((line) => line.replaceAll("\\|", "").split("|").length);
    assertEquals(new Set(cells).size, 1, part.slice(0, 80));
  }
  assert(lines.length > 20);
  // Outside code spans no angle bracket is left; inside them nothing is markup.
  const outside = text.replaceAll(/(`+)(?!`).*?[^`]\1(?!`)/g, "");
  assertEquals(/[<>]/.test(outside), false);
  assertStringIncludes(text, `\`${hostileKernel}:B=4;`);
});

Deno.test("toMarkdown() marks a software adapter and shows no throughput on it, but the share of its own limits", () => {
  const text = toMarkdown(makeReport({ software: true }));
  assertStringIncludes(text, "**Software adapter:**");
  assertStringIncludes(text, "## Times (software adapter)");
  const [line] = section(text, "Times")!.split("\n").filter((line) => line.includes("page=64;cache=bf16`"));
  assertStringIncludes(
    line,
    "| cold | 50.0 µs | 0.30 % |  |  | 2359 % of the arithmetic limit, 64.0 GFLOP/s f32 | 21.0 % |",
  );
  const best = section(text, "What the device does at best (software adapter)")!;
  assertStringIncludes(best, "| in doubt | emptyPassNs: it was measured as 0 |");
});

Deno.test("toMarkdown() leaves out sections that have nothing to say", () => {
  const text = toMarkdown(makeReport({ results: [makeVerified()], environment: { calibration: undefined } }));
  assertEquals([...text.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading), ["Verified", "Environment"]);
  assertStringIncludes(toMarkdown(makeReport({ results: [makeMeasured()] })), "# mla-bench bench: 1 measured\n");
});

Deno.test("toMarkdown() groups skipped cases by reason and names three", () => {
  const results = [1, 2, 3, 4].map((B) => makeSkipped("attend/x", { B }));
  const text = section(toMarkdown(makeReport({ results })), "Skipped")!;
  assertStringIncludes(text, "| 4 | needs the feature");
  assertStringIncludes(text, "B=3;H=16;R=256;Dr=64;q=1;kv=1024;page=64;cache=bf16`, … |");
});

Deno.test("markdownTable() rules a line under the headings", () => {
  assertEquals(markdownTable(["a", "b"], [["1", "2"]]), "| a | b |\n| --- | --- |\n| 1 | 2 |");
});
