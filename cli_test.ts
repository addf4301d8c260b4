import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Report } from "./bench/result.ts";
import { runCli, withFolder } from "./cli/testing.ts";

const GOLDEN = new URL("./reference/goldens/sharp-h3-r256.safetensors", import.meta.url).pathname;
const FAULTY = new URL("./bench/testdata/faulty_kernels.ts", import.meta.url).pathname;
const SMALL = "attend/fused:B=1;H=2;R=32;Dr=16;q=1;kv=5;page=4;cache=f32";

async function readReport(dir: string): Promise<Report> {
  return JSON.parse(await Deno.readTextFile(`${dir}/report.json`));
}

/** Bad input by what is wrong with it, and what the one line says. */
const BAD: readonly (readonly [argv: string[], says: RegExp])[] = [
  [["bnech"], /^Cannot run "bnech": there are bench, verify, tune, mutants, gate, report, list, info\n$/],
  [["bench", "--suit=smoke"], /^Cannot take "--suit=smoke": bench has --suite, .*--help\n$/],
  [["bench", "smoke"], /^Cannot take "smoke": bench takes flags only/],
  [["bench", "--suite"], /^Cannot take --suite without a value: give --suite=NAME\n$/],
  [["bench", "--out=a", "--out=b"], /^Cannot take --out twice: "a" and "b"\n$/],
  [["bench", "--full=yes"], /^Cannot take --full=yes: --full takes no value\n$/],
  [["bench", "--suite=smok"], /^Cannot find suite "smok": there are smoke, /],
  [["bench", "--kernel=onlien"], /^Cannot select kernel "onlien": there are attend\/unfused, /],
  [["bench", "--kernel=./missing.ts"], /^Cannot load kernels from ".*missing\.ts": /],
  [["bench", "--kernel=mod.ts"], /^Cannot load kernel "attend\/unfused" from ".*mod\.ts": the name is taken\n$/],
  [["bench", "--axis=pge=16"], /^Cannot .*pge.*page/],
  [["bench", "--axis=page"], /^Cannot .*page/],
  [["bench", "--axis=page=sixteen"], /^Cannot .*sixteen/],
  [["bench", "--axis=kv=9..1:+1"], /^Cannot .*9\.\.1/],
  [["bench", "--axis=R=100"], /^Cannot .*100/],
  [["bench", "--seed=1.5"], /^Cannot take seed "1\.5": give an integer from 0 to 4294967295\n$/],
  [["bench", "--seed=-1"], /^Cannot take seed "-1"/],
  [["bench", "--shard=3/2"], /^Cannot .*3\/2/],
  [["bench", "--shard=0/2"], /^Cannot .*0\/2/],
  [["bench", "--shard=x"], /^Cannot .*"x"/],
  [["bench", "--filter=nothing/*"], /^Cannot select cases by filter "nothing\/\*": none of \d+ matches/],
  [["bench", "--provider=dawm"], /^Cannot use provider "dawm": there are wgpu, dawn, software, all\n$/],
  [["gate", "--baseline=reports/baselines/h200-wgpu.json", "--provider=all"], /^Cannot use provider "all": there are /],
  [["bench", "--dawn-toggles=disable_robustness"], /^Cannot use --dawn-toggles: they are of --provider dawn\n$/],
  [["verify", "--provider=dawn", "--dawn-toggles=a,B"], /^Cannot use the toggle "B": a name of a-z, /],
  [
    ["verify", "--provider=all", "--against=fused"],
    /^Cannot combine --provider all with --against or --save-outputs: /,
  ],
  [["bench", "--tensors=missing.safetensors"], /^Cannot read tensors "missing\.safetensors": there is no such file\n$/],
  [["bench", "--baseline=missing.json"], /^Cannot read baseline "missing\.json": there is no such file\n$/],
  [["bench", "--resume=missing"], /^Cannot resume "missing": there is no such file \(cases\.ndjson\)\n$/],
  [["bench", "--resume=x", "--suite=smoke"], /^Cannot combine --resume with --suite: /],
  [["gate"], /^Cannot gate without a baseline: give --baseline=FILE\n$/],
  [["report"], /^Cannot draw a report of nothing: /],
  [["report", "missing"], /^Cannot read report "missing": there is no such file\n$/],
];

for (const [argv, says] of BAD) {
  Deno.test(`${argv.join(" ")} is refused in one line with exit code 64`, async () => {
    const { code, out, err } = await runCli(argv);
    assertMatch(err, says);
    assertEquals([code, out, err.trimEnd().split("\n").length], [64, "", 1]);
  });
}

Deno.test("--provider all runs a case on both, compares their outputs, and shows them side by side", () =>
  withFolder(async (dir) => {
    const { code, out } = await runCli(["verify", "--provider=all", `--filter=${SMALL}`, `--out=${dir}`, "--quiet"]);
    assertEquals(code, 0, out);
    const [first, second] = await Promise.all([readReport(`${dir}/wgpu`), readReport(dir)]);
    assertEquals(first.results.map(({ status }) => status), ["verified"]);
    assertEquals(second.environment.adapter.provider, "dawn");
    assertEquals(second.results.map(({ status }) => status), ["verified"]);
    assertEquals(second.results[0].differential?.outputs.map(({ name }) => name), ["out", "lse"]);
    assertStringIncludes(await Deno.readTextFile(`${dir}/report.html`), "right on dawn");
    assertMatch(out, /beside .+: cases 1 on both, 1 right here and 1 there\n$/);
    assertEquals((await runCli(["report", dir, `${dir}/wgpu`, `--out=${dir}/again`])).code, 0);
    assertStringIncludes(await Deno.readTextFile(`${dir}/again/report.html`), "right on dawn");
    const { err } = await runCli(["verify", `--resume=${dir}/wgpu`]);
    assertMatch(err, /^Cannot resume ".+wgpu": it is half of a run; resume ".+"\n$/);
  }));

Deno.test("a folder that cannot be written is refused before anything runs", () =>
  withFolder(async (dir) => {
    await Deno.writeTextFile(`${dir}/file`, "keep");
    const { code, err } = await runCli(["verify", `--filter=${SMALL}`, `--out=${dir}/file`]);
    assertEquals(code, 64);
    assertMatch(err, /^Cannot write to --out ".*file": /);
    assertEquals(await Deno.readTextFile(`${dir}/file`), "keep");
  }));

Deno.test("files that are no report are refused in one line, and nothing is written", () =>
  withFolder(async (dir) => {
    for (const content of ["", "{", "[]", '{"schemaVersion":2}', '{"schemaVersion":1,"environment":{},"results":[]}']) {
      await Deno.writeTextFile(`${dir}/baseline.json`, content);
      const { code, err } = await runCli(["bench", `--baseline=${dir}/baseline.json`, `--out=${dir}/out`]);
      assertEquals([code, err.trimEnd().split("\n").length], [64, 1], err);
      assertStringIncludes(err, "baseline.json");
    }
    assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["baseline.json"]);
  }));

Deno.test("bench verifies, times and writes every report", () =>
  withFolder(async (dir) => {
    const { code, out } = await runCli(["bench", `--filter=${SMALL}`, `--out=${dir}`, "--quiet"]);
    assertEquals(code, 0, out);
    const names = [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
    assertEquals(names, ["cases.ndjson", "junit.xml", "report.html", "report.json", "report.md", "results.csv"]);
    const { environment, results: [result] } = await readReport(dir);
    assert(result.status === "measured" && result.measurement.runs[0].samplesNs.length >= 6);
    assertEquals([result.id, result.verification.coverage], [SMALL, 1]);
    assertEquals(environment.calibration?.doubts, []);
    const csv = await Deno.readTextFile(`${dir}/results.csv`);
    assertMatch(csv, /f32FlopsPerS|readBytesPerS/);
    // A run that is complete is not calibrated again, and keeps what it was.
    assertEquals((await runCli(["bench", `--resume=${dir}`, "--quiet"])).code, 0);
    assertEquals((await readReport(dir)).environment.calibration, environment.calibration);
    await Deno.remove(`${dir}/report.json`);
    assertEquals((await runCli(["report", dir])).code, 0);
    assertEquals((await readReport(dir)).environment.calibration, environment.calibration);
  }));

Deno.test("info names what each kernel lacks, and what the device does at best", async () => {
  const { code, out } = await runCli(["info"]);
  assertEquals(code, 0, out);
  assertMatch(out, /^memory, read +[\d.]+ [GT]B\/s/m);
  assertMatch(out, /^FMA in f32 +[\d.]+ [GT]FLOP\/s/m);
  assertMatch(out, /^attend\/fused +/m);
});

Deno.test("verify ends with 2 where a kernel is wrong, and prints the command that runs it again", () =>
  withFolder(async (dir) => {
    const { code, out } = await runCli([
      "verify",
      `--kernel=${FAULTY}`,
      `--filter=${SMALL.replace("fused", "idles")}`,
      `--out=${dir}`,
      "--quiet",
    ]);
    assertEquals(code, 2);
    assertMatch(out, /INCORRECT attend\/idles:/);
    assertMatch(out, /deno task verify --filter 'attend\/idles:B=1;H=1;R=16;.*' --kernel '.*faulty_kernels\.ts'/);
  }));

Deno.test("Ctrl-C keeps the journal, and --resume runs only the rest", () =>
  withFolder(async (dir) => {
    const selection = ["--suite=smoke", "--kernel=attend/fused"];
    const begun = await runCli(["verify", ...selection, `--out=${dir}`], /[1-9]\/\d+/);
    assertEquals(begun.code, 130);
    assertStringIncludes(begun.err, `deno task verify --resume ${dir}`);
    const before = await Deno.readTextFile(`${dir}/cases.ndjson`);
    assert(before.split("\n").length >= 3, before);
    const resumed = await runCli(["verify", `--resume=${dir}`]);
    assertEquals(resumed.code, 0, resumed.err);
    assertMatch(resumed.err, /of them done before/);
    const after = await Deno.readTextFile(`${dir}/cases.ndjson`);
    assert(after.startsWith(before) && after.length > before.length);
    const { results } = await readReport(dir);
    assertEquals(results.length, new Set(results.map(({ id }) => id)).size);
    const other = await runCli(["bench", `--resume=${dir}`]);
    assertEquals([other.code, other.err.includes("it was begun by verify")], [64, true]);
  }));

Deno.test("a command that is killed loses at most the case in flight", () =>
  withFolder(async (dir) => {
    const journal = `${dir}/cases.ndjson`;
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "--allow-read", "--allow-write", "--allow-run", "--allow-env", "--allow-sys", "cli.ts"]
        .concat(["verify", "--suite=smoke", "--kernel=attend/fused", `--out=${dir}`, "--quiet"]),
      cwd: new URL(".", import.meta.url),
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const lines = async () => (await Deno.readTextFile(journal).catch(() => "")).split("\n").length - 1;
    while (await lines() < 6) await new Promise((resolve) => setTimeout(resolve, 20));
    command.kill("SIGKILL");
    await command.status;
    const kept = await lines() - 1;
    const { code, err } = await runCli(["verify", `--resume=${dir}`]);
    assertEquals(code, 0, err);
    assertStringIncludes(err, `, ${kept} of them done before`);
    const { results } = await readReport(dir);
    assertEquals(results.filter(({ status }) => status === "verified").length, results.length);
  }));

Deno.test("recorded tensors pass through every kernel; a value of out changed by 0.5 does not", () =>
  withFolder(async (dir) => {
    const few = ["--axis=page=61", "--quiet"];
    const right = await runCli(["verify", `--tensors=${GOLDEN}`, ...few, `--out=${dir}/right`]);
    assertEquals(right.code, 0, right.out);
    const { results } = await readReport(`${dir}/right`);
    const checks = new Set(
      results.flatMap((r) =>
        // The calls of a flow have their numbers before the names.
        r.status === "verified" ? r.verification.checks.map(({ name }) => name.replace(/^call\d+_/, "")) : []
      ),
    );
    for (const name of ["cache", "guards", "inputs_unchanged", "lse", "out", "poison", "recorded_out", "repeat"]) {
      assert(checks.has(name), name);
    }
    const operations = new Set(results.map(({ id }) => id.split("/")[0]));
    assertEquals([...operations].sort(), ["append", "attend", "mla"]);

    const bytes = await Deno.readFile(GOLDEN);
    const header = JSON.parse(
      new TextDecoder().decode(bytes.subarray(8, 8 + new DataView(bytes.buffer).getUint32(0, true))),
    );
    const at = 8 + new DataView(bytes.buffer).getUint32(0, true) + header.out.data_offsets[0] + 4 * 1000;
    const view = new DataView(bytes.buffer);
    view.setFloat32(at, view.getFloat32(at, true) + 0.5, true);
    await Deno.writeFile(`${dir}/wrong.safetensors`, bytes);
    const wrong = await runCli(["verify", `--tensors=${dir}/wrong.safetensors`, ...few, `--out=${dir}/wrong`]);
    assertEquals(wrong.code, 2, wrong.out);
    assertStringIncludes(wrong.out, "recorded_out");

    await Deno.writeFile(`${dir}/cut.safetensors`, bytes.subarray(0, bytes.length - 100));
    const cut = await runCli(["verify", `--tensors=${dir}/cut.safetensors`, ...few, `--out=${dir}/cut`]);
    assertEquals([cut.code, cut.err.trimEnd().split("\n").length], [64, 1]);
  }));

Deno.test("files may have any name, and need not be in the working directory", () =>
  withFolder(async (dir) => {
    await Deno.copyFile(GOLDEN, `${dir}/100 % #1, b.safetensors`);
    const module = (await Deno.readTextFile(FAULTY)).replaceAll(
      "../../kernels/",
      new URL("./kernels/", import.meta.url).href,
    );
    await Deno.writeTextFile(`${dir}/my kernels #2.ts`, module);
    const { code, out, err } = await runCli([
      "verify",
      `--tensors=${dir}/100 % #1, b.safetensors`,
      "--axis=page=61",
      "--axis=cache=f16",
      `--kernel=${dir}/my kernels #2.ts`,
      "--kernel=fused",
      "--filter=attend/fused:*",
      `--out=${dir}`,
      "--quiet",
    ]);
    assertEquals(code, 0, out + err);
    assertMatch(out, /: 1 verified/);
  }));

Deno.test("report draws the same files from report.json, and from the journal of a killed run", () =>
  withFolder(async (dir) => {
    await runCli(["verify", `--filter=${SMALL}`, `--out=${dir}/run`, "--quiet"]);
    assertEquals((await readReport(`${dir}/run`)).environment.calibration, undefined);
    const html = await Deno.readTextFile(`${dir}/run/report.html`);
    await Deno.remove(`${dir}/run/report.html`);
    assertEquals((await runCli(["report", `${dir}/run`])).code, 0);
    assertEquals(await Deno.readTextFile(`${dir}/run/report.html`), html);
    await Deno.remove(`${dir}/run/report.json`);
    assertEquals((await runCli(["report", `${dir}/run`, `--out=${dir}/again`])).code, 0);
    assertEquals((await readReport(`${dir}/again`)).results.map(({ id }) => id), [SMALL]);
    await Deno.writeTextFile(`${dir}/file`, "keep");
    const refused = await runCli(["report", `${dir}/run`, `--out=${dir}/file`]);
    assertEquals(refused.code, 64);
    assertMatch(refused.err, /^Cannot write to --out ".*file": .*\n$/);
    assertEquals(await Deno.readTextFile(`${dir}/file`), "keep");
  }));

Deno.test("gate fails on an incorrect case, passes a right one, and names what is missing", () =>
  withFolder(async (dir) => {
    await runCli(["bench", `--filter=${SMALL}`, `--out=${dir}/run`, "--quiet"]);
    const baseline = `${dir}/run/report.json`;
    const report = await readReport(`${dir}/run`);
    const same = await runCli(["gate", `--baseline=${baseline}`, `--candidate=${baseline}`]);
    assert(same.code !== 2 && same.code !== 64, same.out + same.err);
    const [{ id, axes, hostMs }] = report.results;
    const failed = { id, axes, hostMs, status: "failed", stage: "crashed", message: "planted" };
    await Deno.writeTextFile(`${dir}/bad.json`, JSON.stringify({ ...report, results: [failed] }));
    assertEquals((await runCli(["gate", `--baseline=${baseline}`, `--candidate=${dir}/bad.json`])).code, 2);
    await Deno.writeTextFile(`${dir}/none.json`, JSON.stringify({ ...report, results: [] }));
    const none = await runCli(["gate", `--baseline=${baseline}`, `--candidate=${dir}/none.json`]);
    assertStringIncludes(none.out, SMALL);
    assertEquals(none.code, 4);
  }));

Deno.test("list prints ids without a GPU, and every command explains itself", async () => {
  const { code, out } = await runCli(["list", "--suite=smoke", "--filter=*;R=512;*"]);
  assertEquals(code, 0);
  assertMatch(out, /^attend\/unfused:B=\d+;H=\d+;R=512;/);
  for (const command of ["bench", "verify", "tune", "gate", "report", "list", "info"]) {
    const help = await runCli([command, "--help"]);
    assertEquals([help.code, help.out.includes("Exit codes")], [0, true]);
  }
});
