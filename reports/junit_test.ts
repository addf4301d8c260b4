import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { hostileKernel, makeFailed, makeIncorrect, makeMeasured, makeReport, makeSkipped } from "./fixture.ts";
import { toJunit } from "./junit.ts";

/**
 * Reads the XML that this module may write, and nothing else: no comments, no CDATA, no entities but character
 * references.
 */
function readXml(text: string): { tag: string; attributes: Record<string, string>; text: string }[] {
  const elements: { tag: string; attributes: Record<string, string>; text: string }[] = [];
  const open: number[] = [];
  const decode = (escaped: string) => {
    if (/[<]|&(?!#\d+;)/.test(escaped)) throw new SyntaxError(`markup in ${escaped}`);
    return escaped.replaceAll(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)));
  };
  const body = text.replace(/^<\?xml version="1\.0" encoding="UTF-8"\?>\n/, "");
  for (const [whole, markup, content] of body.matchAll(/<([^<>]*)>|([^<>]+)|[<>]/g)) {
    if (content !== undefined) {
      if (open.length > 0) elements[open[open.length - 1]].text += decode(content);
    } else if (markup === undefined) throw new SyntaxError(`stray ${whole}`);
    else if (markup.startsWith("/")) {
      const last = open.pop();
      if (last === undefined || elements[last].tag !== markup.slice(1)) throw new SyntaxError(`unbalanced ${whole}`);
    } else {
      const parts = /^([\w-]+)((?: [\w-]+="[^"]*")*)(\/?)$/.exec(markup);
      if (parts === null) throw new SyntaxError(`malformed ${whole}`);
      const attributes = Object.fromEntries(
        [...parts[2].matchAll(/ ([\w-]+)="([^"]*)"/g)].map(([, key, value]) => [key, decode(value)]),
      );
      elements.push({ tag: parts[1], attributes, text: "" });
      if (parts[3] === "") open.push(elements.length - 1);
    }
  }
  if (open.length > 0) throw new SyntaxError("unclosed");
  return elements;
}

Deno.test("readXml() of these tests refuses what is not well-formed", () => {
  for (const text of ["<a>", "<a></b>", "<a b='1'/>", "<a>&amp;</a>", '<a b="<"/>', "<a>></a>"]) {
    assertThrows(() => readXml(text), SyntaxError);
  }
});

Deno.test("toJunit() is well-formed with hostile names and messages, and loses none", () => {
  const report = makeReport();
  const elements = readXml(toJunit(report));
  const cases = elements.filter((element) => element.tag === "testcase");
  assertEquals(cases.map((one) => one.attributes.name).sort(), report.results.map((result) => result.id).sort());
  assert(cases.some((one) => one.attributes.classname === hostileKernel));
  const error = elements.find((element) => element.attributes.type === "compile")!;
  assertStringIncludes(error.text, "let s = <b>scale</b> & ]]> 1;");
  // deno-lint-ignore no-control-regex
  assertEquals(/[\u0000-\u0008\u000b-\u001f]/.test(toJunit(report)), false);
});

Deno.test("toJunit() counts failures, errors and skipped cases in all and per kernel", () => {
  const report = makeReport();
  const [all, ...suites] = readXml(toJunit(report)).filter((element) => element.tag.startsWith("testsuite"));
  assertEquals(
    [all.attributes.tests, all.attributes.failures, all.attributes.errors, all.attributes.skipped],
    ["13", "1", "2", "1"],
  );
  assertEquals(new Set(suites.map((suite) => suite.attributes.name)).size, suites.length);
  for (const name of ["tests", "failures", "errors", "skipped"]) {
    assertEquals(
      suites.reduce((sum, suite) => sum + Number(suite.attributes[name]), 0),
      Number(all.attributes[name]),
      name,
    );
  }
});

Deno.test("toJunit() writes a right, a wrong and a skipped case", () => {
  const results = [makeMeasured(), makeIncorrect("attend/fused", { B: 1 }), makeSkipped("attend/fused", { B: 2 })];
  assertEquals(
    toJunit(makeReport({ results })),
    `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="mla-bench bench" tests="3" failures="1" errors="0" skipped="1" time="0.530500">
<testsuite name="attend/fused" tests="3" failures="1" errors="0" skipped="1" time="0.530500" timestamp="2026-08-01T12:00:00" hostname="NVIDIA H200 (wgpu)">
<testcase name="attend/fused:B=4;H=16;R=256;Dr=64;q=1;kv=1024;page=64;cache=bf16" classname="attend/fused" time="0.412500">
<system-out>cold: median 50.0 µs, ± 0.30 %, 55.4 GB/s, 1.51 TFLOP/s, error budget 21.0 %&#10;hot: median 40.0 µs, ± 0.30 %, 69.2 GB/s, 1.89 TFLOP/s, error budget 21.0 %</system-out>
</testcase>
<testcase name="attend/fused:B=1;H=16;R=256;Dr=64;q=1;kv=1024;page=64;cache=bf16" classname="attend/fused" time="0.118000">
<failure message="out: 256 of 16384 elements are out of bound; all wrong elements: sequence 3 (last sequence), head 5; first at sequence 3, head 5, token 0, dim 16 (page 12, last sequence, one token past a multiple of 64): 0.25, not -0.27 ± 0.000005; worst at sequence 3, head 5, token 0, dim 17 (page 12): NaN, not -0.31 ± 0.000005; lse: 1 of 64 elements are out of bound; worst at sequence 3, head 5, token 0 (page 12): Infinity, not -Infinity ± 0.00001; smallest failing case: attend/fused:B=1;H=1;R=256;Dr=64;q=1;kv=65;page=64;cache=bf16" type="incorrect">out: 256 of 16384 elements are out of bound; all wrong elements: sequence 3 (last sequence), head 5; first at sequence 3, head 5, token 0, dim 16 (page 12, last sequence, one token past a multiple of 64): 0.25, not -0.27 ± 0.000005; worst at sequence 3, head 5, token 0, dim 17 (page 12): NaN, not -0.31 ± 0.000005&#10;lse: 1 of 64 elements are out of bound; worst at sequence 3, head 5, token 0 (page 12): Infinity, not -Infinity ± 0.00001&#10;smallest failing case: attend/fused:B=1;H=1;R=256;Dr=64;q=1;kv=65;page=64;cache=bf16&#10;Run again: deno task verify --filter &#39;attend/fused:B=1;H=16;R=256;Dr=64;q=1;kv=1024;page=64;cache=bf16&#39;&#10;In small: deno task verify --filter &#39;attend/fused:B=1;H=1;R=256;Dr=64;q=1;kv=65;page=64;cache=bf16&#39;</failure>
</testcase>
<testcase name="attend/fused:B=2;H=16;R=256;Dr=64;q=1;kv=1024;page=64;cache=bf16" classname="attend/fused" time="0.000000">
<skipped message="needs the feature &#34;chromium-experimental-subgroup-matrix&#34;, which the adapter lacks"/>
</testcase>
</testsuite>
</testsuites>
`,
  );
});

Deno.test("toJunit() says of times on a software adapter what they are", () => {
  const text = toJunit(makeReport({ software: true, results: [makeMeasured()] }));
  assertStringIncludes(text, "median 50.0 µs (software adapter)");
  assertEquals(text.includes("GB/s"), false);
});

Deno.test("toJunit() keeps an unstable time a passed case with its reason beside it", () => {
  const unstable = makeMeasured({ verdict: "unstable", reasons: ["too wide"] });
  const elements = readXml(toJunit(makeReport({ results: [unstable, makeFailed("attend/x")] })));
  assertStringIncludes(elements.find((element) => element.tag === "system-out")!.text, "unstable: too wide");
  assertEquals(elements.filter((element) => element.tag === "failure").length, 0);
});
