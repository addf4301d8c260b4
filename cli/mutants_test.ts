import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { MUTANTS as SURVIVORS } from "../bench/testdata/survivors.ts";
import { kernelName } from "../kernels/kernel.ts";
import { MUTANTS } from "../kernels/mutants/mutants.ts";
import type { KillMatrix } from "../reports/kill_matrix.ts";
import { parseCaseId } from "../suites/case_id.ts";
import { parseFlags } from "./flags.ts";
import { mutantsCommand, type MutantSet, planMutants } from "./mutants.ts";
import type { Terminal } from "./terminal.ts";
import { runCli, withFolder } from "./testing.ts";

const TEST_SET: MutantSet = {
  mutants: SURVIVORS,
  module: new URL("../bench/testdata/survivors.ts", import.meta.url).href,
};

async function readMatrix(dir: string): Promise<KillMatrix> {
  return JSON.parse(await Deno.readTextFile(`${dir}/mutants.json`));
}

/** Runs the command on mutants of the test. */
async function run(argv: readonly string[], set: MutantSet = TEST_SET) {
  let out = "", err = "";
  const terminal: Terminal = {
    out: (text) => out += text,
    err: (text) => err += text,
    interactive: false,
    columns: 120,
    onInterrupt: () => () => {},
  };
  const code = await mutantsCommand(parseFlags("mutants", argv), argv, terminal, set);
  return { code, out, err };
}

const only = (...names: string[]): MutantSet => ({
  ...TEST_SET,
  mutants: SURVIVORS.filter(({ fault }) => names.includes(fault.name)),
});

/** Bad input, and what the one line says. */
const BAD: readonly (readonly [argv: string[], says: RegExp])[] = [
  [
    ["mutants", "--kernel=fusde"],
    /^Cannot select mutants of kernel "fusde": there are those of attend\/unfused, attend\/fused, /,
  ],
  [["mutants", "--filter=nothing"], /^Cannot select mutants by filter "nothing": none of \d+ matches; /],
  [["mutants", "--suite=smoke"], /^Cannot take "--suite=smoke": mutants has /],
  [["mutants", "--full=yes"], /^Cannot take --full=yes: --full takes no value\n$/],
  [["mutants", "--resume=missing"], /^Cannot resume "missing": there is no such file/],
  [["mutants", "--provider=dawm"], /^Cannot use provider "dawm"/],
];

for (const [argv, says] of BAD) {
  Deno.test(`${argv.join(" ")} is refused in one line with exit code 64`, async () => {
    const { code, out, err } = await runCli(argv);
    assertMatch(err, says);
    assertEquals([code, out, err.trimEnd().split("\n").length], [64, "", 1]);
  });
}

Deno.test("mutants --help names its flags", async () => {
  const { code, out } = await runCli(["mutants", "--help"]);
  assertEquals(code, 0);
  for (const flag of ["--kernel", "--filter", "--full", "--out", "--resume"]) assertStringIncludes(out, flag);
});

Deno.test("a survivor and a broken mutant end the command with 2, by name; one killed alone with 0", () =>
  withFolder(async (dir) => {
    const { code, out } = await run([`--out=${dir}`, "--quiet"]);
    assertEquals(code, 2, out);
    assertMatch(out, / {2}survived attend\/fused-harmless +B=1;H=2;.*kv=5.* · .*kv=6/);
    assertMatch(out, / {2}broken {3}attend\/fused-unreadable +attend\/fused-unreadable:B=1.*nothing/);
    assertMatch(out, / {2}skipped {2}attend\/fused-refused +.*no-such-feature/);
    assertMatch(out, / {2}killed {3}attend\/fused-wrong +out /);
    assertMatch(out, /\n1 of 4 mutants killed, 1 survived, 1 broken, 1 skipped; 4 faults; /);
    const matrix = await readMatrix(dir);
    assertEquals(matrix.mutants.map(({ status }) => status), ["survived", "broken", "skipped", "killed"]);
    assertEquals(matrix.mutants[0].suites, { chosen: { cases: 2, kills: 0 } });
    assertEquals(
      matrix.mutants[3].suites,
      { chosen: { cases: 1, kills: 1 } },
      "it ends at the first case that sees it",
    );
    assertStringIncludes(await Deno.readTextFile(`${dir}/mutants.md`), "| `attend/fused-harmless` | survived |");

    const alone = await run([`--out=${dir}/alone`, "--quiet"], only("wrong", "refused"));
    assertEquals(alone.code, 0, alone.out);
    const none = await run([`--out=${dir}/none`, "--quiet"], only("refused"));
    assertEquals(none.code, 4, none.out);
  }));

Deno.test("a run that was cut short goes on where it ended, and gives the same matrix", () =>
  withFolder(async (dir) => {
    await run([`--out=${dir}`, "--quiet"], only("harmless", "wrong"));
    const whole = await readMatrix(dir);
    const journal = `${dir}/cases.ndjson`;
    const lines = (await Deno.readTextFile(journal)).split("\n");
    assertEquals(lines.length, 6, "header, two cases of one, one of the other and its control, and the end");
    // A kill leaves a line that is cut short.
    await Deno.writeTextFile(journal, `${lines[0]}\n${lines[1]}\n${lines[2].slice(0, 20)}`);
    await Deno.remove(`${dir}/mutants.json`);
    const { code } = await run([`--resume=${dir}`, "--quiet"], only("harmless", "wrong"));
    assertEquals(code, 2);
    const after = (await Deno.readTextFile(journal)).split("\n");
    assertEquals([after.length, after[0], after[1]], [6, lines[0], lines[1]], "what was done is not done again");
    assertEquals((await readMatrix(dir)).mutants, whole.mutants);
  }));

Deno.test("Ctrl-C ends a run with 130, keeps what was found and says how to go on", () =>
  withFolder(async (dir) => {
    const { code, out, err } = await runCli(["mutants", "--kernel=attend/fused", `--out=${dir}`], /[1-9]\/\d+/);
    assertEquals(code, 130, err);
    assertStringIncludes(err, `deno task mutants --resume ${dir}`);
    assertMatch(out, /mutants killed.*, \d+ not run;/);
    assert((await readMatrix(dir)).counts.pending > 0);
  }));

Deno.test("--full plans every case of smoke and of the sample of boundary, the chosen ones first", () => {
  const plan = planMutants(MUTANTS, parseFlags("mutants", ["--full", "--filter=attend/fused-no_scale"]));
  assertEquals(plan.length, 1);
  const [{ cases }] = plan;
  assertEquals(cases.length, new Set(cases.map(({ id }) => id)).size);
  assertStringIncludes(cases[0].id, "kv=65;page=64;cache=bf16");
  for (const suite of ["smoke", "boundary"]) {
    assert(cases.filter(({ suites }) => suites.includes(suite)).length > 50, suite);
  }
});

Deno.test("kernels and globs choose mutants, and chosen cases are cases, nearly all of them of smoke", () => {
  const names = (...argv: string[]) => planMutants(MUTANTS, parseFlags("mutants", argv)).map(({ name }) => name);
  assertEquals(names("--kernel=mla/fused", "--filter=*-no_scale"), ["mla/fused-no_scale"]);
  assertEquals(names("--filter=append/*-tokens_reversed"), [
    "append/combined-tokens_reversed",
    "append/separate-tokens_reversed",
  ]);
  assertEquals(names("--kernel=attend/fused-no_rope"), ["attend/fused-no_rope"]);
  const all = planMutants(MUTANTS, parseFlags("mutants", []));
  assertEquals(all.map(({ name }) => name), MUTANTS.map(({ kernel }) => kernelName(kernel)));
  for (const { name, cases } of all) {
    for (const { id } of cases) assertEquals(parseCaseId(id).id, id);
    assert(cases[0].suites.includes("smoke"), `${name}: its first case is none of smoke`);
  }
});
