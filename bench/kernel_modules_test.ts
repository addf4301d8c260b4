import { assertEquals, assertMatch, assertRejects } from "@std/assert";
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
    const message = `x is no kernel: operation must be one of ${OPERATIONS.join(", ")}`;
    await assertRejects(() => loadKernels([url]), TypeError, message);
  });
  await withModule(`export const size = 3;`, async (url) => {
    const message = "it exports no kernel (operation, variant, requires, refuses, launch)";
    await assertRejects(() => loadKernels([url]), TypeError, message);
  });
  await withModule(`export const x = { operation: "mla", ${MEMBERS.replace("own", "fused")} };`, async (url) => {
    await assertRejects(() => loadKernels([url]), TypeError, 'Cannot load kernel "mla/fused"');
  });
});

Deno.test("loadKernels() takes a kernel with a precision, and refuses one whose precision is none", async () => {
  const kernel = (precision: string) =>
    `export const x = { operation: "attend", ${MEMBERS}, precision: ${precision} };`;
  await withModule(kernel(`{ scores: "f32", values: { f16Chain: 16 } }`), async (url) => {
    assertEquals((await loadKernels([url]))[0].precision, { scores: "f32", values: { f16Chain: 16 } });
  });
  for (const wrong of [`"f16"`, `null`, `{ values: "f32" }`, `{ scores: "f32", values: { f16Chain: -1 } }`]) {
    await withModule(kernel(wrong), async (url) => {
      await assertRejects(() => loadKernels([url]), TypeError, "precision must have scores and values");
    });
  }
});

Deno.test("loadKernels() says in which line of a module a mistake stands", async () => {
  await withModule("export const a = 1;\nexport const b = [;\n", async (url) => {
    const { message } = await assertRejects(() => loadKernels([url]), TypeError);
    assertMatch(message, /^Cannot load kernels from .*: .*Expression expected.* \(file:.*\.ts:2:\d+\)$/);
  });
  await withModule('\nimport "./nothing.ts";\n', async (url) => {
    const { message } = await assertRejects(() => loadKernels([url]), TypeError);
    assertMatch(message, /Module not found .* \(file:.*\.ts:2:\d+\)$/);
  });
});
