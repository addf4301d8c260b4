import { assert, assertEquals } from "@std/assert";
import { MUTANTS } from "./bench/testdata/mutant_kernels.ts";
import type { Report } from "./bench/result.ts";
import { kernelName } from "./kernels/kernel.ts";
import { runCli, withFolder } from "./cli/testing.ts";

const MODULE = new URL("./bench/testdata/mutant_kernels.ts", import.meta.url).pathname;

Deno.test("verify --suite smoke ends with 2 and catches every planted fault in every kernel", async (t) => {
  await withFolder(async (dir) => {
    const { code } = await runCli(["verify", "--suite=smoke", `--kernel=${MODULE}`, `--out=${dir}`, "--quiet"]);
    assertEquals(code, 2);
    const { results } = JSON.parse(await Deno.readTextFile(`${dir}/report.json`)) as Report;
    for (const mutant of MUTANTS) {
      const name = kernelName(mutant);
      await t.step(name, () => {
        const own = results.filter(({ id }) => id.startsWith(`${name}:`));
        const failed = own.filter(({ status }) => status === "failed");
        assertEquals(failed, [], "a mutant must compile and run: only then was it judged by its numbers");
        const skipped = own.filter(({ status }) => status === "skipped").length;
        const caught = own.filter(({ status }) => status === "incorrect").length;
        assert(caught > 0 || skipped === own.length, `no case of smoke caught ${name}`);
      });
    }
  });
});
