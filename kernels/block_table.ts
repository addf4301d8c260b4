/**
 * The page table of a call, made on the GPU from what the call is given: the counterpart of the host's gather over
 * `cache_loc`, without reading it back.
 *
 * @module
 */
import { blockTableWidth } from "../reference/metadata.ts";
import { type MlaShape, pagesOf } from "../reference/shapes.ts";
import text from "./block_table.wgsl" with { type: "text" };
import type { CacheLayout, DeviceTraits, Launch } from "./kernel.ts";
import { composeWgsl, foldWorkgroups } from "./wgsl.ts";

const THREADS = 64;

/** Entries per row of the page table of a call: {@linkcode blockTableWidth} of its longest sequence. */
export function tableWidthOf({ kv, page }: Pick<MlaShape, "kv" | "page">): number {
  return blockTableWidth(kv.reduce((most, tokens) => Math.max(most, pagesOf(tokens, page)), 1), page);
}

/**
 * `page_table` `[B, width]` from `cu_num_pages` `[B+1]` and `cache_loc` `[layout.tableWidth]`; entries past a
 * sequence's own pages are 0. Page 0 may hold anything: kernels read no token past kv.
 */
export function launchBlockTable(
  { B, kv, page }: Pick<MlaShape, "B" | "kv" | "page">,
  { tableWidth: entries }: CacheLayout,
  { limits }: DeviceTraits,
): Launch {
  const width = tableWidthOf({ kv, page });
  return {
    buffers: [
      { name: "cu_num_pages", bytes: 4 * (B + 1), role: "input" },
      { name: "cache_loc", bytes: Math.max(16, 4 * entries), role: "input" },
      { name: "page_table", bytes: 4 * B * width, role: "output" },
    ],
    dispatches: [{
      label: "block_table",
      shader: composeWgsl(text, {}),
      params: [["B", "u32", B], ["width", "u32", width], ["entries", "u32", entries]],
      bindings: ["cu_num_pages", "cache_loc", "page_table"],
      workgroups: foldWorkgroups(Math.ceil(B * width / THREADS), limits.maxComputeWorkgroupsPerDimension),
      workgroupSize: THREADS,
      workgroupBytes: 0,
    }],
    chosen: {},
  };
}
