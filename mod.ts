/**
 * Verifies and times WGSL kernels for paged multi-head latent attention (MLA).
 *
 * The parts of a run, left to right: a {@linkcode Kernel} says how to launch WGSL; a {@linkcode Case} is one kernel on
 * one shape, named by its id; {@linkcode runCases} runs cases on the GPU of this process and yields a
 * {@linkcode Result} each; statistics of its raw samples are computed on reading ({@linkcode summarize}); a
 * {@linkcode Report} holds all results of a run and is drawn by {@linkcode renderHtml} and its siblings.
 *
 * @example Time a kernel
 * ```ts ignore
 * import { attendFused, describeResult, parseCaseId, runCases } from "@mla-bench/mla-bench";
 *
 * const cases = [parseCaseId("attend/fused:B=4;H=16;R=256;Dr=64;q=1;kv=65;page=64;cache=bf16")];
 * for await (const result of runCases(cases, { kernels: [attendFused] })) console.log(describeResult(result));
 * ```
 *
 * @module
 */

// What is right.
export * from "./reference/acceptance.ts";
export * from "./reference/cache.ts";
export * from "./reference/check.ts";
export * from "./reference/dtypes.ts";
export * from "./reference/inputs.ts";
export * from "./reference/mla.ts";
export * from "./reference/recorded.ts";
export * from "./reference/shapes.ts";

// What is tested.
export * from "./kernels/append_combined.ts";
export * from "./kernels/append_separate.ts";
export * from "./kernels/attend_fused.ts";
export * from "./kernels/attend_fused_subgroup.ts";
export * from "./kernels/attend_unfused.ts";
export * from "./kernels/fused.ts";
export * from "./kernels/kernel.ts";
export * from "./kernels/limits.ts";
export * from "./kernels/registry.ts";
export * from "./kernels/wgsl.ts";
export * from "./kernels/work.ts";

// Which cases.
export * from "./suites/axes.ts";
export * from "./suites/axis_values.ts";
export * from "./suites/case.ts";
export * from "./suites/case_id.ts";
export * from "./suites/expand.ts";
export * from "./suites/overrides.ts";
export * from "./suites/select.ts";
export * from "./suites/suite.ts";
export * from "./suites/suites.ts";

// How it runs.
export * from "./bench/clock.ts";
export * from "./bench/device.ts";
export * from "./bench/buffers.ts";
export * from "./bench/execute.ts";
export * from "./bench/guard.ts";
export * from "./bench/measure.ts";
export * from "./bench/result.ts";
export * from "./bench/statistics.ts";
export * from "./bench/sweep.ts";

// What it means.
export * from "./reports/compare.ts";
export * from "./reports/csv.ts";
export * from "./reports/describe.ts";
export * from "./reports/figures.ts";
export * from "./reports/gate.ts";
export * from "./reports/html.ts";
export * from "./reports/junit.ts";
export * from "./reports/markdown.ts";
export * from "./reports/merge.ts";
export * from "./reports/summary.ts";
export * from "./reports/validate.ts";
