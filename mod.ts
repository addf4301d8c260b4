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
 * The kernels are for use, too. `mla` is the whole operator of an inference server: {@linkcode mlaShapeOf} checks the
 * call's metadata, {@linkcode resolveBackend} picks a kernel, {@linkcode prepare} makes a plan of its launch, and later
 * calls of as many new tokens only update it.
 *
 * @example Call the operator
 * ```ts ignore
 * import { findKernel, type MlaMetadata, mlaShapeOf, openGpu, prepare, resolveBackend } from "@mla-bench/mla-bench";
 *
 * const gpu = await openGpu();
 * const dims = { H: 32, R: 256, Dn: 64, Dr: 64, Dv: 128, cache: "bf16", weight: "bf16" } as const;
 * const describe = (metadata: MlaMetadata) => {
 *   const shape = mlaShapeOf(metadata, dims, { pages, page: 64, rows });
 *   const { backend, form } = resolveBackend("auto", { operation: "mla", shape }, gpu.traits);
 *   const kernel = findKernel(`mla/${backend}`);
 *   if (kernel.operation !== "mla") throw new Error("unreachable");
 *   return kernel.launch(shape, { pages, tableWidth: metadata.cacheLoc.length }, { form }, gpu.traits);
 * };
 * // Buffers by name: q_nope, q_pe, compressed_kv, kpe, kv_b_proj, cu_num_pages, cache_loc, cache; and out, if it is yours.
 * const plan = await prepare(gpu, describe(metadata), buffers, { also: [describe(longest)] });
 * const bound = plan.bind();
 * const encoder = gpu.device.createCommandEncoder();
 * const pass = encoder.beginComputePass();
 * bound.encode(pass); // the cache has the new tokens, plan.buffers.get("out") the answer, zero in rows of padding
 * pass.end();
 * gpu.device.queue.submit([encoder.finish()]);
 * plan.update(describe(nextMetadata)); // then write the new queries, keys and pages, and encode `bound` again
 * ```
 *
 * @module
 */

// What is right.
export * from "./reference/acceptance.ts";
export * from "./reference/cache.ts";
export * from "./reference/check.ts";
export * from "./reference/differential.ts";
export * from "./reference/dtypes.ts";
export * from "./reference/flow.ts";
export * from "./reference/inputs.ts";
export * from "./reference/metadata.ts";
export * from "./reference/mla.ts";
export * from "./reference/mla_flow.ts";
export * from "./reference/mla_inputs.ts";
export * from "./reference/precision.ts";
export * from "./reference/project.ts";
export * from "./reference/projected.ts";
export * from "./reference/recorded.ts";
export * from "./reference/recorded_mla.ts";
export * from "./reference/shapes.ts";
export * from "./reference/ulps.ts";

// What is tested.
export * from "./kernels/append_combined.ts";
export * from "./kernels/append_separate.ts";
export * from "./kernels/attend_fused.ts";
export * from "./kernels/attend_fused_f16.ts";
export * from "./kernels/attend_fused_matrix.ts";
export * from "./kernels/attend_fused_subgroup.ts";
export * from "./kernels/attend_unfused.ts";
export * from "./kernels/check_launch.ts";
export * from "./kernels/fused.ts";
export * from "./kernels/kernel.ts";
export * from "./kernels/limits.ts";
export * from "./kernels/mla.ts";
export * from "./kernels/mla_form.ts";
export * from "./kernels/preferences.ts";
export * from "./kernels/registry.ts";
export * from "./kernels/resolver.ts";
export * from "./kernels/shape_class.ts";
export * from "./kernels/tuning_table.ts";
export * from "./kernels/tunings.ts";
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
export { calibrate } from "./bench/calibration.ts";
export * from "./bench/clock.ts";
export type { DawnOptions } from "./bench/dawn.ts";
export * from "./bench/device.ts";
export * from "./bench/buffers.ts";
export * from "./bench/execute.ts";
export * from "./bench/guard.ts";
export * from "./bench/judge.ts";
export * from "./bench/measure.ts";
export * from "./bench/plan.ts";
export * from "./bench/result.ts";
export * from "./bench/roofline.ts";
export * from "./bench/statistics.ts";
export * from "./bench/stored_outputs.ts";
export * from "./bench/sweep.ts";

// What it means.
export * from "./reports/compare.ts";
export * from "./reports/csv.ts";
export * from "./reports/describe.ts";
export * from "./reports/differential.ts";
export * from "./reports/figures.ts";
export * from "./reports/gate.ts";
export * from "./reports/html.ts";
export * from "./reports/junit.ts";
export * from "./reports/markdown.ts";
export * from "./reports/merge.ts";
export * from "./reports/summary.ts";
export * from "./reports/validate.ts";
