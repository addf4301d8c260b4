import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import type { Report } from "../bench/result.ts";
import { parseCaseId } from "../suites/case_id.ts";
import { runCli, withFolder } from "./testing.ts";

const FAULTY = new URL("../bench/testdata/faulty_kernels.ts", import.meta.url).pathname;
const NAIVE = new URL("../examples/naive_kernel.ts", import.meta.url).pathname;

async function readReport(dir: string): Promise<Report> {
  return JSON.parse(await Deno.readTextFile(`${dir}/report.json`));
}

async function listed(...flags: string[]): Promise<string[]> {
  const { code, out } = await runCli(["list", ...flags]);
  assertEquals(code, 0, out);
  return out.slice(0, out.indexOf("\n\n")).split("\n");
}

const BAD: readonly (readonly [flags: string[], says: RegExp])[] = [
  ...["0", "1.5", "1e3", "ten", "-3", "100001"].map((count): [string[], RegExp] => [
    [`--fuzz=${count}`],
    new RegExp(`^Cannot fuzz with "${count}" cases: give an integer from 1 to 100000\n$`),
  ]),
  [["--fuzz="], /^Cannot take --fuzz without a value: give --fuzz=N\n$/],
  [["--fuzz=1", "--suite=smoke"], /^Cannot combine --fuzz with --suite: /],
  [["--fuzz=1", "--axis=R=256"], /^Cannot combine --fuzz with --axis: /],
  [["--fuzz=1", "--full"], /^Cannot combine --fuzz with --full: /],
  [["--fuzz=5", "--filter=nothing/*"], /^Cannot select cases by filter "nothing\/\*": none of 5 matches/],
];

for (const [flags, says] of BAD) {
  Deno.test(`verify ${flags.join(" ")} is refused in one line with exit code 64`, async () => {
    const { code, out, err } = await runCli(["verify", ...flags]);
    assertMatch(err, says);
    assertEquals([code, out], [64, ""]);
  });
}

Deno.test("bench draws no cases: what is small and odd is not worth timing", async () => {
  const { code, err } = await runCli(["bench", "--fuzz=5"]);
  assertEquals(code, 64);
  assertMatch(err, /^Cannot take "--fuzz=5": bench has /);
});

Deno.test("list prints the cases of a fuzz: the same again, more for a larger N, its shards, a kernel, a glob", async () => {
  const ids = await listed("--fuzz=600", "--seed=4");
  assertEquals(new Set(ids).size, 600);
  assertEquals(await listed("--fuzz=50", "--seed=4"), ids.slice(0, 50));
  assert((await listed("--fuzz=50")).every((id) => !ids.includes(id)), "another seed");
  const shards = await Promise.all([1, 2].map((i) => listed("--fuzz=600", "--seed=4", `--shard=${i}/2`)));
  assertEquals(shards.flat().toSorted(), ids.toSorted());
  assert(shards.every((shard) => shard.length > 0));
  assertEquals(
    await listed("--fuzz=600", "--seed=4", "--filter=attend/*"),
    ids.filter((id) => id.startsWith("attend/")),
  );
  assert((await listed("--fuzz=30", "--kernel=mla/fused")).every((id) => id.startsWith("mla/fused:")));
});

Deno.test("a fuzz runs, its report says so, and a kernel of one's own is given what it takes", () =>
  withFolder(async (dir) => {
    const { code, out } = await runCli([
      "verify",
      "--fuzz=12",
      "--seed=3",
      `--kernel=${NAIVE}`,
      `--out=${dir}`,
      "--quiet",
    ]);
    assertEquals(code, 0, out);
    const { environment, results } = await readReport(dir);
    assertEquals([environment.suites, environment.seed, results.length], [["fuzz"], 3, 12]);
    assertLess(results.filter(({ status }) => status === "skipped").length, 2);
    for (const { id } of results) assertEquals([parseCaseId(id).id, parseCaseId(id).variant], [id, "naive"]);
  }));

Deno.test("a failing case of a fuzz is printed in small, with the command that runs that", () =>
  withFolder(async (dir) => {
    const { code, out } = await runCli(
      ["verify", "--fuzz=400", "--seed=5", `--kernel=${FAULTY}`, "--filter=attend/idles:B=2;*"]
        .concat(`--out=${dir}/a`, "--quiet"),
    );
    assertEquals(code, 2, out);
    const [, id] = /deno task verify --filter '(attend\/idles:B=1;H=1;R=16;Dr=0;[^']*)' --kernel/.exec(out) ?? [];
    assert(id, out);
    const again = await runCli(["verify", `--filter=${id}`, `--kernel=${FAULTY}`, `--out=${dir}/b`, "--quiet"]);
    assertEquals(again.code, 2, again.out);
  }));
