/**
 * The order of the folders, kept by reading the syntax tree of every file in them. Tests are exempt: a kernel's test
 * may open a device.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";

/** A layer may import itself and the layers before it. */
const LAYERS = ["reference", "kernels", "suites", "bench", "reports", "cli", "mod"] as const;
type Layer = typeof LAYERS[number];
/** Outside the order: all layers but the reference may import them. */
const SHARED = ["std/", "deno.json"];
/** Layers that are data or pure functions of data. */
const PURE: readonly Layer[] = ["reference", "kernels", "suites", "reports"];

const ROOT = new URL("./", import.meta.url);

/** What `path`, relative to the root, may not import or name. */
const plugin: Deno.lint.Plugin = {
  name: "layering",
  rules: {
    imports: {
      create(context) {
        const check = (node: Deno.lint.Node, specifier: Deno.lint.Node | null | undefined) => {
          if (!specifier) return;
          const message = specifier.type === "Literal" && typeof specifier.value === "string"
            ? whyNotImport(context.filename, specifier.value)
            : whyNotComputed(context.filename);
          if (message) context.report({ node, message });
        };
        return {
          ImportDeclaration: (node) => check(node, node.source),
          ExportNamedDeclaration: (node) => check(node, node.source),
          ExportAllDeclaration: (node) => check(node, node.source),
          ImportExpression: (node) => check(node, node.source),
          TSImportType: (node) =>
            check(node, node.argument.type === "TSLiteralType" ? node.argument.literal : undefined),
          // `new URL("./worker.ts", import.meta.url)` starts a Worker or a process from another file.
          NewExpression(node) {
            const [path, base] = node.arguments;
            if (node.callee.type !== "Identifier" || node.callee.name !== "URL") return;
            if (base && context.sourceCode.getText(base) === "import.meta.url") check(node, path);
          },
        };
      },
    },
    names: {
      create(context) {
        const layer = layerOf(context.filename)!;
        const report = (node: Deno.lint.Node, forbidden: boolean) => {
          const text = context.sourceCode.getText(node);
          if (forbidden) context.report({ node, message: `${context.filename} names ${text}` });
        };
        return {
          Identifier: (node) => report(node, layer !== "bench" && /^GPU[A-Z]/.test(node.name)),
          MemberExpression(node) {
            const text = context.sourceCode.getText(node);
            report(node, layer !== "bench" && text === "navigator.gpu");
            report(
              node,
              PURE.includes(layer) && /^(performance\.now|Date\.now|Deno\.(exit|stdout|stderr))$/.test(text),
            );
            report(node, layer !== "cli" && /^console\.\w+$/.test(text));
          },
        };
      },
    },
  },
};

function layerOf(path: string): Layer | undefined {
  const first = path.split("/")[0].replace(/\.ts$/, "");
  return LAYERS.find((layer) => layer === first);
}

function whyNotImport(path: string, specifier: string): string | undefined {
  const layer = layerOf(path)!;
  const local = /^\.{0,2}\//.test(specifier);
  if (!local) return layer === "reference" ? `${path} imports ${specifier}: reference/ imports nothing` : undefined;
  const target = new URL(specifier, new URL(path, ROOT)).href.slice(ROOT.href.length);
  const other = layerOf(target);
  if (layer === "reference" && other !== "reference") return `${path} imports ${target}: reference/ imports nothing`;
  if (other === undefined) {
    return SHARED.some((shared) => target.startsWith(shared)) ? undefined : `${path} imports ${target}: not a layer`;
  }
  return LAYERS.indexOf(other) > LAYERS.indexOf(layer) ? `${path} imports ${target}: ${other} is above` : undefined;
}

function whyNotComputed(path: string): string | undefined {
  return PURE.includes(layerOf(path)!) ? `${path} imports a computed specifier` : undefined;
}

function problemsOf(path: string, source: string): string[] {
  return Deno.lint.runPlugin(plugin, path, source).map((diagnostic) => diagnostic.message);
}

function* sourceFiles(directory = ""): Generator<string> {
  for (const entry of Deno.readDirSync(new URL(directory, ROOT))) {
    const path = directory + entry.name;
    if (directory === "" && layerOf(path) === undefined) continue;
    if (entry.isDirectory) yield* sourceFiles(`${path}/`);
    else if (/\.[jt]s$/.test(path) && !/(_test|\.d)\.ts$/.test(path)) yield path;
  }
}

Deno.test("every file imports only its own folder and those before it, and no GPU, clock or console out of place", () => {
  const files = [...sourceFiles()];
  const problems = files.flatMap((path) => problemsOf(path, Deno.readTextFileSync(new URL(path, ROOT))));
  assertEquals(problems, []);
  for (const layer of LAYERS) assert(files.some((path) => layerOf(path) === layer), `no file of ${layer} was read`);
});

for (
  const [path, source] of [
    ["reference/mla.ts", `import { parseTar } from "nanotar";`],
    ["reference/mla.ts", `import "../std/assert.js";`],
    ["reference/mla.ts", `import type { Kernel } from "../kernels/kernel.ts";`],
    ["kernels/fused.ts", `export { sweep } from "../bench/sweep.ts";`],
    ["kernels/fused.ts", `export * from "../suites/case.ts";`],
    ["kernels/fused.ts", `type Case = import("../suites/case.ts").Case;`],
    ["suites/smoke.ts", `await import("../bench/sweep.ts");`],
    ["suites/smoke.ts", `await import(name);`],
    ["bench/sweep.ts", `new Worker(new URL("../reports/html.ts", import.meta.url));`],
    ["bench/sweep.ts", `import "../layering_test.ts";`],
    ["reports/html.ts", `import { main } from "../cli.ts";`],
    ["reports/view/main.js", `import "../../cli/run.ts";`],
    ["cli/run.ts", `export * from "../mod.ts";`],
    ["kernels/fused.ts", `const usage = GPUBufferUsage.STORAGE;`],
    ["kernels/fused.ts", `let device: GPUDevice;`],
    ["suites/smoke.ts", `await navigator.gpu.requestAdapter();`],
    ["suites/smoke.ts", `const seed = Date.now();`],
    ["reports/html.ts", `const start = performance.now();`],
    ["reports/html.ts", `Deno.exit(1);`],
    ["bench/sweep.ts", `console.log("done");`],
  ] as const
) {
  Deno.test(`the check of the layers refuses ${source} in ${path}`, () => {
    assert(problemsOf(path, source).length > 0);
  });
}

Deno.test("the check of the layers takes imports to the left, packages, shared files, and comments that name the GPU", () => {
  for (
    const [path, source] of [
      ["reference/mla.ts", `import { f } from "./shapes.ts"; // like GPUBuffer, unlike "../bench/x.ts"`],
      ["bench/sweep.ts", `import "../kernels/kernel.ts"; import "nanotar"; import "../std/assert.js"; import(name);`],
      ["bench/device.ts", `const adapter: GPUAdapter = await navigator.gpu.requestAdapter(); performance.now();`],
      ["reports/view/detail.js", `navigator.clipboard.writeText("");`],
      ["cli.ts", `import config from "./deno.json" with { type: "json" }; console.error("x"); Deno.exit(64);`],
      ["mod.ts", `export * from "./cli/run.ts";`],
    ] as const
  ) assertEquals(problemsOf(path, source), []);
});
