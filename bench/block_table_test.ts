import { assertEquals } from "@std/assert";
import { launchBlockTable } from "../kernels/block_table.ts";
import { blockTableWidth, cumulative } from "../reference/metadata.ts";
import { pagesOf } from "../reference/shapes.ts";
import { uploadStorage } from "./buffers.ts";
import { openGpu } from "./device.ts";
import { prepare, runOnce } from "./execute.ts";
import { bytesOf } from "./inputs_buffers.ts";

/** The table that is made on the GPU of `cacheLoc`, in a launch that was told of `told` entries. */
async function tableOf(kv: readonly number[], page: number, cacheLoc: Int32Array, told = cacheLoc.length) {
  const gpu = await openGpu();
  try {
    const cuNumPages = cumulative(kv.map((tokens) => pagesOf(tokens, page)));
    const launch = launchBlockTable({ B: kv.length, kv, page }, { pages: 9, tableWidth: told }, gpu.traits);
    const inputs = new Map(
      [["cu_num_pages", cuNumPages], ["cache_loc", cacheLoc]].map(([name, data]) =>
        [name as string, uploadStorage(gpu, name as string, bytesOf(data as Int32Array))] as const
      ),
    );
    const results = await runOnce(gpu, await prepare(gpu, launch, inputs));
    return [...new Int32Array(results.get("page_table")!.slice().buffer)];
  } finally {
    gpu.close();
  }
}

Deno.test("the page table has each sequence's own pages, then 0, in rows of the aligned width", async () => {
  for (const [page, kv] of [[64, [65, 0, 64, 200]], [61, [61, 62, 1]], [1, [130, 3]], [300, [1, 301]]] as const) {
    const counts = kv.map((tokens) => pagesOf(tokens, page));
    const cacheLoc = Int32Array.from({ length: counts.reduce((a, b) => a + b) }, (_, i) => 1000 + i);
    const width = blockTableWidth(Math.max(...counts), page);
    const starts = cumulative(counts);
    const expected = counts.flatMap((count, b) =>
      Array.from({ length: width }, (_, i) => i < count ? 1000 + starts[b] + i : 0)
    );
    assertEquals(await tableOf(kv, page, cacheLoc), expected, `pages of ${page}`);
  }
});

Deno.test("pages past the end of cache_loc are gathered from its last entry", async () => {
  const cacheLoc = Int32Array.of(11, 12, 13, 14, 15);
  assertEquals(await tableOf([65, 129], 64, cacheLoc, 3), [11, 12, 0, 0, 13, 13, 13, 0]);
});
