import { assert, assertEquals, assertMatch } from "@std/assert";
import { readReport } from "../reports/validate.ts";
import { runCli, withFolder } from "./testing.ts";

const ID = "attend/fused:B=1;H=2;R=32;Dr=16;q=1;kv=9;page=4;cache=f32";
const NAIVE = new URL("../examples/naive_kernel.ts", import.meta.url).pathname;

async function verify(...flags: string[]) {
  return await runCli(["verify", "--quiet", ...flags]);
}

Deno.test("--against a kernel, and a user's kernel against a built-in one", () =>
  withFolder(async (dir) => {
    const { code, out } = await verify(`--filter=${ID}`, "--against=unfused", `--out=${dir}`);
    assertEquals(code, 0, out);
    assertMatch(
      out,
      /^against attend\/unfused: 1 case compared, differences of [\d.]+ ULP \(errors [\d.]+ and [\d.]+ ULP\)/m,
    );
    const report = readReport(await Deno.readTextFile(`${dir}/report.json`), dir);
    assertEquals(report.results[0].differential?.outputs.map(({ name }) => name), ["out", "lse"]);
    const own = ID.replace("fused", "naive");
    const users = await verify(`--filter=${own}`, `--kernel=${NAIVE}`, "--against=attend/fused", `--out=${dir}/own`);
    assertMatch(users.out, /^against attend\/fused: 1 case compared/m);
    const reverse = await verify(`--filter=${ID}`, `--against=${NAIVE}`, `--out=${dir}/reverse`);
    assertMatch(reverse.out, /^against attend\/naive: 1 case compared/m);
  }));

Deno.test("--save-outputs, then --against its folder: no difference; of an altered file nothing is compared", () =>
  withFolder(async (dir) => {
    const stored = `${dir}/stored`;
    const saved = await verify(`--filter=${ID}`, `--save-outputs=${stored}`, `--out=${dir}/a`);
    assertEquals(saved.code, 0, saved.out + saved.err);
    assert(saved.out.includes(`Outputs of 1 case are in ${stored}: compare with --against ${stored}`), saved.out);
    const same = await verify(`--filter=${ID}`, `--against=${stored}`, `--out=${dir}/b`);
    assertMatch(same.out, /^against the same kernels on .+: 1 case compared, differences of 0 ULP .*, none anywhere$/m);
    const data = await Deno.readFile(`${stored}/outputs.bin`);
    data[0] ^= 1;
    await Deno.writeFile(`${stored}/outputs.bin`, data);
    const altered = await verify(`--filter=${ID}`, `--against=${stored}`, `--out=${dir}/c`);
    assertEquals(altered.code, 0);
    assertMatch(altered.out, /: 0 cases compared\n {2}not compared 1: the outputs of this case in .* were altered/);
    const over = await verify(`--filter=${ID}`, `--against=${stored}`, `--save-outputs=${stored}`, `--out=${dir}/d`);
    assertEquals([over.code, over.err.split(":")[0]], [64, `Cannot save outputs in "${stored}"`]);
    await Deno.writeTextFile(`${stored}/outputs.ndjson`, "{}\n");
    const broken = await verify(`--filter=${ID}`, `--against=${stored}`, `--out=${dir}/e`);
    assertEquals([broken.code, broken.err.includes("line 1 is not the header of outputs")], [64, true]);
  }));

Deno.test("--against something that is neither, or with which nothing can be compared, is one clear line", () =>
  withFolder(async (dir) => {
    const refused = async (against: string) => {
      const { code, err } = await verify(`--filter=${ID}`, `--against=${against}`, `--out=${dir}/out`);
      assertEquals([code, err.trim().split("\n").length], [64, 1], err);
      return err;
    };
    for (const name of ["unfuzed", dir]) {
      assertMatch(await refused(name), /^Cannot compare with ".*": it is no folder with outputs .* attend\/unfused, /);
    }
    for (const name of ["attend/fused", "append/combined"]) {
      assertMatch(
        await refused(name),
        /^Cannot compare with .*: no case of another kernel of the operation is selected/,
      );
    }
  }));
