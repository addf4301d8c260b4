import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Environment, Result } from "../bench/result.ts";
import type { Check } from "../reference/check.ts";
import {
  controlOf,
  exitCodeOf,
  isSettled,
  killMatrix,
  matrixSummary,
  type PlannedMutant,
  toMatrixMarkdown,
  toMatrixText,
} from "./kill_matrix.ts";

const environment = {
  adapter: { description: "llvmpipe", software: true },
  startedAt: "2026-01-02T03:04:05.000Z",
  wallS: 12,
} as Environment;

const SHAPE = "B=1;H=2;R=32;Dr=16;q=1;kv=5;page=4;cache=f32";

function mutant(name: string, suites: readonly string[][] = [["smoke"]]): PlannedMutant {
  const fault = { name, bugClass: "scale", what: `what ${name} is`, like: "project#1 | a bug" } as const;
  const cases = suites.map((own, i) => ({ id: `attend/fused-${name}:${SHAPE};seed=${i}`, suites: own }));
  return { name: `attend/fused-${name}`, base: "attend/fused", fault, cases };
}

function check(name: string, passed: boolean): Check {
  return { name, passed, elements: 10, mismatches: passed ? 0 : 3, ...(passed ? {} : { message: `${name} is wrong` }) };
}

function result(id: string, rest: object): [string, Result] {
  return [id, { id, axes: {}, hostMs: 1, ...rest } as Result];
}

const seen = (id: string, ...failing: string[]) =>
  result(id, {
    status: "incorrect",
    verification: {
      passed: false,
      coverage: 1,
      checks: ["out", "lse", "cache"].map((name) => check(name, !failing.includes(name))),
    },
  });
const passed = (id: string) =>
  result(id, { status: "verified", verification: { passed: true, coverage: 1, checks: [check("out", true)] } });
const failed = (id: string) => result(id, { status: "failed", stage: "compile", message: "unknown identifier" });
const skipped = (id: string) => result(id, { status: "skipped", reason: "needs the device feature subgroups" });

const idOf = ({ cases }: PlannedMutant, i = 0) => cases[i].id;

/** The case of the kernel without the fault. */
const controlId = (id: string, base = "attend/fused") => `${base}${id.slice(id.indexOf(":"))}`;

function matrixOf(mutants: readonly PlannedMutant[], ...results: [string, Result][]) {
  const controls = mutants.flatMap(({ base, cases }) => cases.map(({ id }) => passed(controlId(id, base))));
  return killMatrix({ environment, full: false, mutants, results: new Map([...controls, ...results]) });
}

Deno.test("a mutant is killed by the first case that is incorrect, under the first check that failed", () => {
  const twice = mutant("twice", [["smoke"], []]);
  const matrix = matrixOf([twice], passed(idOf(twice)), seen(idOf(twice, 1), "lse", "cache"));
  const [{ status, kill, killedBySmoke, suites }] = matrix.mutants;
  assertEquals([status, kill?.id, kill?.check, kill?.message], ["killed", idOf(twice, 1), "lse", "lse is wrong"]);
  assertEquals([killedBySmoke, suites], [false, { smoke: { cases: 1, kills: 0 }, chosen: { cases: 1, kills: 1 } }]);
  assertEquals([exitCodeOf(matrix), matrix.checks], [0, { lse: 1 }]);
});

Deno.test("a mutant that passes every case survives, and the command ends with 2", () => {
  const [good, bad] = [mutant("good"), mutant("bad", [["smoke"], ["boundary"]])];
  const matrix = matrixOf([good, bad], seen(idOf(good), "out"), passed(idOf(bad)), skipped(idOf(bad, 1)));
  assertEquals(matrix.mutants.map(({ status }) => status), ["killed", "survived"]);
  assertEquals([exitCodeOf(matrix), matrix.mutants[1].reason], [2, `${SHAPE};seed=0`]);
  assertEquals(matrixSummary(matrix), "1 of 2 mutants killed, 1 survived; 2 faults; smoke kills 1 of the cases chosen");
});

Deno.test("a mutant that does not compile is broken, even where another case saw it", () => {
  const broken = mutant("broken", [["smoke"], ["smoke"]]);
  const matrix = matrixOf([broken], seen(idOf(broken), "out"), failed(idOf(broken, 1)));
  assertEquals([matrix.mutants[0].status, exitCodeOf(matrix)], ["broken", 2]);
  assertStringIncludes(matrix.mutants[0].reason!, "unknown identifier");
});

Deno.test("a mutant that the device refuses is skipped with the reason; where all are, nothing was shown", () => {
  const none = mutant("none"), good = mutant("good");
  const alone = matrixOf([none], skipped(idOf(none)));
  assertEquals([alone.mutants[0].status, alone.mutants[0].reason], ["skipped", "needs the device feature subgroups"]);
  assertEquals([exitCodeOf(alone), alone.mutants[0].suites], [4, {}]);
  assertEquals(exitCodeOf(matrixOf([none, good], skipped(idOf(none)), seen(idOf(good), "out"))), 0);
});

Deno.test("a mutant with cases left is pending until one has seen it", () => {
  const two = mutant("two", [["smoke"], ["smoke"]]);
  assertEquals(matrixOf([two], passed(idOf(two))).mutants[0].status, "pending");
  assertEquals(matrixOf([two], seen(idOf(two), "out")).mutants[0].status, "killed");
  assertEquals(isSettled(two, new Map([passed(idOf(two))])), false);
  assertEquals(isSettled(two, new Map([seen(idOf(two), "out")])), true);
  assertEquals(isSettled(two, new Map([failed(idOf(two))])), true);
});

Deno.test("the text has a line for each mutant by class, where it was seen, and the summary last", () => {
  const [a, b] = [mutant("a"), mutant("long_name", [[]])];
  const text = toMatrixText(matrixOf([a, b], seen(idOf(a), "out"), seen(idOf(b), "cache")));
  const lines = text.trimEnd().split("\n");
  assertEquals(lines, [
    "scale: the softmax scale",
    `  killed   attend/fused-a          out    smoke  ${SHAPE};seed=0`,
    `  killed   attend/fused-long_name  cache  chosen  ${SHAPE};seed=0`,
    "",
    "2 of 2 mutants killed; 2 faults; smoke kills 1 of the cases chosen",
  ]);
});

Deno.test("where several cases ran the text counts them by suite", () => {
  const many = mutant("many", [["smoke", "boundary"], ["smoke"], ["boundary"]]);
  const [m] = [matrixOf([many], seen(idOf(many), "out"), passed(idOf(many, 1)), seen(idOf(many, 2), "out"))];
  assertStringIncludes(toMatrixText(m), "out  smoke 1/2 boundary 2/2  ");
});

Deno.test("the Markdown has a table for each class, escapes what others wrote, and names what was not killed first", () => {
  const [a, b] = [mutant("a"), mutant("b", [[]])];
  const other = {
    ...a,
    name: "attend/unfused-a",
    base: "attend/unfused",
    cases: [{ id: `attend/unfused-a:${SHAPE}`, suites: [] }],
  };
  const text = toMatrixMarkdown(
    matrixOf([a, other, b], seen(idOf(a), "out"), seen(idOf(other), "lse"), passed(idOf(b))),
  );
  assertMatch(text, /^# Planted faults: 2 of 3 mutants killed, 1 survived/);
  assertStringIncludes(text, "## Not killed");
  assertStringIncludes(text, "| `attend/fused-b` | survived |");
  assertMatch(text, /\| `a` \| what a is \| project\\#1 \\\| a bug \| out \| lse ° \|/);
  assertMatch(text, /\| `b` \| .* \| \*\*survived\*\* \| {2}\|/);
});

Deno.test("what the kernel fails without the fault as well kills nothing, and without a control nothing is said", () => {
  const twice = mutant("twice");
  const id = idOf(twice);
  const { mutants: [own], counts } = matrixOf([twice], seen(id, "lse"), seen(controlId(id), "out"));
  assertEquals([own.status, own.kill, counts.killed], ["broken", undefined, 0]);
  assertMatch(own.reason!, /^fails without the fault, too: attend\/fused:B=1;.*out is wrong/);
  const alone = killMatrix({ environment, full: false, mutants: [twice], results: new Map([seen(id, "lse")]) });
  assertEquals(alone.mutants[0].status, "pending");
  assertEquals(controlOf(twice, new Map([seen(id, "lse")])), controlId(id));
  assertEquals(controlOf(twice, new Map([passed(id)])), undefined);
});
