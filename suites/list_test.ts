import { assertEquals } from "@std/assert";
import { expandSuites } from "./expand.ts";
import { formatList, summarizeSuites } from "./list.ts";
import type { Suite } from "./suite.ts";

const registry: readonly Suite[] = [
  {
    name: "small",
    summary: "one shape",
    groups: [{ operation: "attend", variants: "all", axes: {} }],
  },
  {
    name: "wide",
    summary: "a sweep",
    groups: [{ operation: "attend", variants: "all", axes: { page: [1, 2, 4], B: [1, 2] } }],
  },
];
const kernelsAvailable = [{ operation: "attend", variant: "fused" }] as const;

Deno.test("formatList() shows ids one a line, then suites with the cases an adapter would run of them", () => {
  const options = { registry, kernelsAvailable, software: true, full: false };
  const text = formatList(expandSuites({ ...options, suites: ["small"] }), summarizeSuites(options));
  assertEquals(
    text,
    `attend/fused:B=1;H=16;R=256;Dr=64;q=1;kv=65;page=64;cache=bf16

1 case selected. Suites:
  small        1 case  one shape
  wide   4 of 6 cases  a sweep
A software adapter runs a sample of what takes it hours; --full runs all.
`,
  );
});

Deno.test("formatList() says nothing of samples where none is taken", () => {
  for (const adapter of [{ software: false, full: false }, { software: true, full: true }]) {
    const suites = summarizeSuites({ registry, kernelsAvailable, ...adapter });
    assertEquals(suites.map(({ cases, of }) => [cases, of]), [[1, 1], [6, 6]]);
    assertEquals(formatList([], suites).includes("sample"), false);
  }
});
