import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Report } from "../bench/result.ts";
import { readTunings } from "../kernels/tuning_entries.ts";
import type { TuningEntry } from "../kernels/tuning_table.ts";
import { runCli, withFolder } from "./testing.ts";
import { keepTunings } from "./tune.ts";

const SMALL = "attend/fused:B=1;H=2;R=32;Dr=16;q=1;kv=5;page=4;cache=f32";
const FEW = [`--filter=${SMALL}`, "--axis=rows=8,16", "--axis=tile=4", "--quiet"];

const BAD: readonly (readonly [flags: string[], says: RegExp])[] = [
  [["--kernel=unfused"], /^Cannot tune: no case of \d+ has a combination to try; .*attend\/fused has rows 8, 16, 32/],
  [["--axis=rows=7"], /^Cannot tune: no case of \d+ has a combination to try; /],
  [["--keep=missing.json"], /^Cannot read tunings "missing\.json": there is no such file\n$/],
  [["--keep=x", "--suite=smoke"], /^Cannot combine --keep with --suite: it keeps what a run has found\n$/],
  [["--fuzz=3"], /^Cannot take "--fuzz=3": tune has /],
];

for (const [flags, says] of BAD) {
  Deno.test(`tune ${flags.join(" ")} is refused in one line with exit code 64`, async () => {
    const { code, out, err } = await runCli(["tune", ...flags]);
    assertMatch(err, says);
    assertEquals([code, out, err.trimEnd().split("\n").length], [64, "", 1]);
  });
}

Deno.test("tune verifies and times every combination, prints a table and stores what it found", () =>
  withFolder(async (dir) => {
    const { code, out } = await runCli(["tune", ...FEW, `--out=${dir}`]);
    assertEquals(code, 0, out);
    const report: Report = JSON.parse(await Deno.readTextFile(`${dir}/report.json`));
    assertEquals(report.environment.command, "tune");
    assertEquals(report.results.map(({ id, status }) => [id, status]), [
      [SMALL, "measured"],
      [`${SMALL};rows=8;tile=4`, "measured"],
      [`${SMALL};rows=16;tile=4`, "measured"],
    ]);
    assertMatch(out, /^shape +default +best +gain +timed\nattend\/fused:/m);
    const entries: (TuningEntry & { software?: true })[] = JSON.parse(await Deno.readTextFile(`${dir}/tuning.json`));
    if (!report.environment.adapter.software) return;
    assertStringIncludes(out, "These times say nothing about GPUs: there is nothing to keep");
    assert(entries.every(({ software }) => software === true));
  }));

Deno.test("an interrupted tune goes on where it was", () =>
  withFolder(async (dir) => {
    const loud = [`--filter=${SMALL}`, "--kernel=attend/fused"];
    const begun = await runCli(["tune", ...loud, `--out=${dir}`], /[1-9]\/\d+/);
    assertEquals(begun.code, 130, begun.err);
    assertStringIncludes(begun.err, `deno task tune --resume ${dir}`);
    assert(!begun.out.includes("\nshape "), "half of the combinations have no best");
    const resumed = await runCli(["tune", `--resume=${dir}`]);
    assertEquals(resumed.code, 0, resumed.err);
    assertMatch(resumed.err, /of them done before/);
    assertMatch(resumed.out, /\nshape +default/);
  }));

const ENTRY: TuningEntry = {
  kernel: "attend/fused",
  device: { description: "NVIDIA H200" },
  shapes: { minR: 256, maxR: 256 },
  tuning: { rows: 32 },
  source: "a test",
};

Deno.test("--keep merges a run's entries into the table; what is no entry, or of a software adapter, changes nothing", () =>
  withFolder(async (dir) => {
    const table = `${dir}/table.json`, found = `${dir}/tuning.json`;
    await Deno.writeTextFile(table, JSON.stringify([ENTRY]));
    let out = "";
    const keep = async (...entries: object[]) => {
      await Deno.writeTextFile(found, JSON.stringify(entries));
      const terminal = { out: (text: string) => out += text, err: () => {}, interactive: false, columns: 80 };
      await keepTunings(found, { ...terminal, onInterrupt: () => () => {} }, table);
      return readTunings(await Deno.readTextFile(table), table);
    };
    const other = { ...ENTRY, shapes: { minR: 512 } };
    const faster = { ...ENTRY, tuning: { rows: 8 } };
    assertEquals(await keep(other, faster), [other, faster]);
    assertEquals(out, `2 entries kept in ${table}, 1 in place of others; it has 2\n`);
    for (const wrong of [{ ...ENTRY, software: true }, { ...ENTRY, tuning: { rows: 7 } }]) {
      const error = await keep(other, wrong).catch((error) => error);
      assert(error instanceof SyntaxError, String(error));
    }
    assertEquals(readTunings(await Deno.readTextFile(table), table), [other, faster]);
  }));
