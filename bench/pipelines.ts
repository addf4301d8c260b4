/**
 * Compiles dispatches.
 *
 * @module
 */
import type { BufferSpec, DispatchSpec } from "../kernels/kernel.ts";
import type { Gpu } from "./device.ts";
import { ExecutionError, guarded } from "./guard.ts";

/**
 * Compiles one dispatch with an explicit layout (an automatic one drops bindings that the shader does not touch for a
 * given constant, such as `q_pe` when Dr is 0) and caches the pipeline by its text.
 */
export async function compile(
  gpu: Gpu,
  dispatch: DispatchSpec,
  buffers: readonly BufferSpec[],
): Promise<GPUComputePipeline> {
  const { device } = gpu;
  let module: GPUShaderModule | undefined;
  try {
    const pipeline = await guarded(gpu, "compile", () => {
      module = device.createShaderModule({ label: dispatch.label, code: dispatch.shader });
      const bindGroupLayouts = groupsOf(dispatch).map((names, group) =>
        createLayout(device, dispatch, buffers, names, group)
      );
      const layout = device.createPipelineLayout({ bindGroupLayouts });
      return device.createComputePipeline({ label: dispatch.label, layout, compute: { module, entryPoint: "main" } });
    });
    gpu.pipelines.set(dispatch.shader, pipeline);
    return pipeline;
  } catch (error) {
    const messages = (await module?.getCompilationInfo())?.messages.filter(({ type }) => type === "error") ?? [];
    const lines = messages.map(({ lineNum, linePos, message }) => `${lineNum}:${linePos} ${message.trim()}`);
    if (lines.length === 0) throw error;
    throw new ExecutionError("compile", `${dispatch.label} does not compile: ${lines.join("; ")}`);
  }
}

/** What is bound, by group and binding: the uniform (undefined) and the buffers; the cache. */
export function groupsOf({ bindings, cacheBindings }: DispatchSpec): (readonly (string | undefined)[])[] {
  return [[undefined, ...bindings], ...(cacheBindings ? [cacheBindings] : [])];
}

/**
 * Reads the access of each storage binding off the shader text, the only place that declares it.
 *
 * @throws {ExecutionError} If the shader may write an input: the kernels after it would be fed what it left.
 */
function createLayout(
  device: GPUDevice,
  dispatch: DispatchSpec,
  buffers: readonly BufferSpec[],
  names: readonly (string | undefined)[],
  group: number,
): GPUBindGroupLayout {
  const text = dispatch.shader.replaceAll(/\/\/.*$/gm, "");
  const declared = text.matchAll(
    /@group\(\s*(\d+)u?\s*\)\s*@binding\(\s*(\d+)u?\s*\)\s*var\s*<\s*(uniform|storage)\s*(?:,\s*(read_write|read))?\s*>/g,
  );
  const own = [...declared].filter(([, declaredGroup]) => Number(declaredGroup) === group);
  const entries = own.map(([, , binding, space, access]): GPUBindGroupLayoutEntry => {
    const name = names[Number(binding)];
    const writes = access === "read_write";
    if (writes && buffers.some((spec) => spec.name === name && (spec.role === "input" || spec.role === "plan"))) {
      throw new ExecutionError(
        "compile",
        `${dispatch.label} declares the input "${name}" read_write: inputs are read only`,
      );
    }
    return {
      binding: Number(binding),
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: space === "uniform" ? "uniform" : writes ? "storage" : "read-only-storage" },
    };
  });
  return device.createBindGroupLayout({ label: dispatch.label, entries });
}
