/**
 * A kernel of one's own, in full. With `--kernel examples/naive_kernel.ts`
 *
 * - `deno task verify` runs every check on the suites of its operation, `deno task bench` times what passed, too;
 * - `deno task verify --fuzz 1000` draws cases over all that it does not refuse, and makes a failing one small;
 * - `deno task verify --against attend/fused` compares its outputs with another kernel's, in ULPs and with both errors.
 *
 * It may lie anywhere: then import the type from the `mod.ts` of this project, by path. Buffers have the names and
 * shapes that `BufferSpec` lists; `refuses` says what is skipped and why, `requires` the device features without which
 * it is.
 *
 * @module
 */
import type { AttendKernel } from "../mod.ts";
import text from "./naive_kernel.wgsl" with { type: "text" };

/** The shortest right answer: what a kernel must do, without anything that makes it fast. */
export const naive: AttendKernel = {
  operation: "attend",
  variant: "naive",
  summary: "one workgroup for each head, which reads every key for itself",
  requires: [],
  refuses({ B, H, q, cache, layout = "combined", lseBase = "e" }, { splits = 1 }) {
    if (cache !== "f32") return `cache=${cache}: only f32`;
    if (layout !== "combined") return `layout=${layout}: only combined`;
    if (lseBase !== "e") return `lse=${lseBase}: only e`;
    if (q.some((n) => n !== 1)) return "only decode, one query token per sequence";
    if (splits !== 1) return `splits=${splits}: only 1`;
    if (B * H > 65535) return `B·H=${B * H}: only up to 65535 workgroups`;
  },
  launch({ B, H, R, Dr, page, scale }, { pages, tableWidth }) {
    return {
      buffers: [
        { name: "q_latent", bytes: 4 * B * H * R, role: "input" },
        { name: "q_pe", bytes: Math.max(16, 4 * B * H * Dr), role: "input" },
        { name: "cache", bytes: 4 * pages * page * (R + Dr), role: "input" },
        { name: "page_table", bytes: 4 * B * tableWidth, role: "input" },
        { name: "kv_len", bytes: 4 * B, role: "input" },
        { name: "out", bytes: 4 * B * H * R, role: "output" },
        { name: "lse", bytes: 4 * B * H, role: "output" },
      ],
      dispatches: [{
        label: "attend",
        shader: `${text}\nconst R = ${R}u;\nconst DR = ${Dr}u;\n`,
        params: [["H", "u32", H], ["page", "u32", page], ["width", "u32", tableWidth], ["scale", "f32", scale]],
        bindings: ["q_latent", "q_pe", "cache", "page_table", "kv_len", "out", "lse"],
        workgroups: [B * H, 1, 1],
        workgroupSize: 64,
        workgroupBytes: 256,
      }],
      chosen: {},
    };
  },
};
