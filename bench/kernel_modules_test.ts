import { assertEquals, assertRejects } from "@std/assert";
import { pathToFileURL } from "node:url";
import { kernelName, OPERATIONS } from "../kernels/kernel.ts";
import { loadKernels } from "./kernel_modules.ts";

async function withModule(text: string, work: (url: string) => Promise<void>) {
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(path, text);
    await work(pathToFileURL(path).href);
  } finally {
    await Deno.remove(path);
  }
}

const MEMBERS = `variant: "own", summary: "", requires: [], refuses() {}, launch() {}`;

Deno.test("loadKernels() takes users' kernels of every operation", () =>
  withModule(
    `export default ${JSON.stringify(OPERATIONS)}.map((operation) => ({ operation, ${MEMBERS} }));`,
    async (url) => {
      const kernels = await loadKernels([url]);
      assertEquals(kernels.map(kernelName), OPERATIONS.map((operation) => `${operation}/own`));
    },
  ));

Deno.test("loadKernels() refuses a module without a kernel, and a name that is taken", async () => {
  await withModule(`export const x = { operation: "attention", ${MEMBERS} };`, async (url) => {
    await assertRejects(() => loadKernels([url]), TypeError, "it exports no kernel");
  });
  await withModule(`export const x = { operation: "mla", ${MEMBERS.replace("own", "fused")} };`, async (url) => {
    await assertRejects(() => loadKernels([url]), TypeError, 'Cannot load kernel "mla/fused"');
  });
});
