import { assertEquals, assertMatch } from "@std/assert";
import { runCli, withFolder } from "../cli/testing.ts";

async function runExample(name: string): Promise<string> {
  const path = new URL(name, import.meta.url).pathname;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", path],
    stdout: "piped",
  }).output();
  assertEquals(success, true, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("time_kernel.ts verifies and times a kernel of one's own beside a built-in one", async () => {
  const lines = (await runExample("time_kernel.ts")).trim().split("\n");
  assertEquals(lines.length, 2);
  assertMatch(lines[0], /^measured attend\/naive:B=2;.*: \d.* [nµm]?s/);
  assertMatch(lines[1], /^measured attend\/fused:B=2;/);
});

Deno.test("a module with a kernel passes the smoke suite, its refusals with their reasons", () =>
  withFolder(async (dir) => {
    const module = new URL("naive_kernel.ts", import.meta.url).pathname;
    const { code, out } = await runCli(["verify", "--suite=smoke", `--kernel=${module}`, `--out=${dir}`, "--quiet"]);
    assertEquals(code, 0, out);
    assertMatch(out, /skipped \d+: cache=f16: only f32/);
    assertMatch(out, /\d+ verified/);
  }));
