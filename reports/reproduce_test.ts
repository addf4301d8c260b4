import { assertEquals } from "@std/assert";
import { hostileKernel, makeFailed, makeId, makeMeasured } from "./fixture.ts";
import { reproduceCommands, shellQuote } from "./reproduce.ts";

Deno.test("shellQuote() makes one word of anything", () => {
  assertEquals(shellQuote("a;b $(c) `d`"), "'a;b $(c) `d`'");
  assertEquals(shellQuote("it's"), `'it'\\''s'`);
});

Deno.test("reproduceCommands() quotes the id for a shell and carries what decides where and on what it runs", () => {
  assertEquals(reproduceCommands(makeFailed(), []), [`deno task verify --filter '${makeId(hostileKernel)}'`]);
  const odd = { ...makeMeasured(), id: "attend/it's:B=1" };
  assertEquals(
    reproduceCommands(odd, ["--suite", "smoke", "--provider=dawn", "--tensors", "my file.safetensors", "--out", "x"]),
    ["bench", "verify"].map((task) =>
      `deno task ${task} --filter 'attend/it'\\''s:B=1' --provider 'dawn' --tensors 'my file.safetensors'`
    ),
  );
});

Deno.test("reproduceCommands() carries the module of a user's kernel, and not the name of a built-in one", () => {
  const [command] = reproduceCommands(makeFailed(), [
    "--kernel=attend/fused",
    "--kernel",
    "my kernels/a.ts",
    "--suite=smoke",
  ]);
  assertEquals(command.slice(command.indexOf(" --kernel")), " --kernel 'my kernels/a.ts'");
});
