/**
 * Compiles dispatches.
 *
 * @module
 */
import type { BufferSpec, DispatchSpec } from "../kernels/kernel.ts";
import type { Gpu } from "./device.ts";
import { inDialect } from "./dialect.ts";
import { ExecutionError, guarded } from "./guard.ts";

/** What is being compiled, by shader text. */
const compiling = new WeakMap<Gpu, Map<string, Promise<GPUComputePipeline>>>();

/**
 * Compiles one dispatch with explicit layouts (an automatic one drops bindings that the shader does not touch for a
 * given constant, such as `q_pe` when Dr is 0) and caches the pipeline by its text. Launches that are prepared at once,
 * such as the guises of a case, share one compilation: on a GPU that takes up to a second, of the thread that all of
 * them run on.
 */
export function compile(
  gpu: Gpu,
  dispatch: DispatchSpec,
  buffers: readonly BufferSpec[],
): Promise<GPUComputePipeline> {
  const pending = compiling.get(gpu) ?? new Map<string, Promise<GPUComputePipeline>>();
  compiling.set(gpu, pending);
  const { shader } = dispatch;
  const known = pending.get(shader);
  if (known) return known;
  const pipeline = compileAnew(gpu, dispatch, buffers).finally(() => pending.delete(shader));
  pending.set(shader, pipeline);
  return pipeline;
}

async function compileAnew(
  gpu: Gpu,
  dispatch: DispatchSpec,
  buffers: readonly BufferSpec[],
): Promise<GPUComputePipeline> {
  const { device } = gpu;
  const groups = groupsOf(dispatch);
  const declared = readDeclarations(dispatch, groups);
  let module: GPUShaderModule | undefined;
  try {
    const pipeline = await guarded(gpu, "compile", () => {
      module = device.createShaderModule({
        label: dispatch.label,
        code: inDialect(dispatch.shader, gpu.adapter.provider),
      });
      const bindGroupLayouts = groups.map((names, group) =>
        device.createBindGroupLayout({
          label: dispatch.label,
          entries: declared.filter((own) => own.group === group).map((own) =>
            layoutEntry(dispatch, own, buffers.find(({ name }) => name === names[own.binding]))
          ),
        })
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

/** A `var` of the shader that is bound. */
interface Declaration {
  readonly group: number;
  readonly binding: number;
  readonly space: "uniform" | "storage";
  readonly writes: boolean;
}

const DECLARATION =
  /((?:@(?:group|binding)\(\s*\d+[iu]?\s*,?\s*\)\s*){2})var\s*<\s*(uniform|storage)\s*(?:,\s*(read_write|read)\s*)?,?\s*>/g;

/**
 * Reads the bindings off the shader text, the only place that declares their access; `@group` and `@binding` may stand
 * in either order.
 *
 * @throws {ExecutionError} If they are not those that the launch binds.
 */
function readDeclarations(dispatch: DispatchSpec, groups: ReturnType<typeof groupsOf>): Declaration[] {
  const fail = (reason: string): never => {
    throw new ExecutionError("compile", `Cannot bind dispatch "${dispatch.label}": ${reason}`);
  };
  const text = dispatch.shader.replaceAll(/\/\*[^]*?\*\//g, "").replaceAll(/\/\/.*$/gm, "");
  const declared = [...text.matchAll(DECLARATION)].map(([, attributes, space, access]): Declaration => {
    const numberOf = (name: string) => Number(attributes.match(new RegExp(`@${name}\\(\\s*(\\d+)`))?.[1]);
    return {
      group: numberOf("group"),
      binding: numberOf("binding"),
      space: space as Declaration["space"],
      writes: access === "read_write",
    };
  });
  for (const { group, binding, space } of declared) {
    const names = groups[group];
    if (!names) {
      fail(
        group === 1
          ? "its shader declares @group(1), the launch gives no cacheBindings"
          : `its shader declares @group(${group}): only 0 and, with cacheBindings, 1`,
      );
    }
    const uniform = group === 0 && binding === 0;
    if (!(binding < names.length) || uniform !== (space === "uniform")) {
      fail(
        `its shader declares var<${space}> at @group(${group}) @binding(${binding}): ` +
          (group === 0
            ? `@binding(0) is the uniform, 1 to ${names.length - 1} are ${names.slice(1).join(", ")}`
            : `0 to ${names.length - 1} are ${names.join(", ")}`),
      );
    }
  }
  groups.forEach((names, group) =>
    names.forEach((name, binding) => {
      const isDeclared = declared.some((own) => own.group === group && own.binding === binding);
      // The uniform may be missing, and then the launch gives it no fields.
      if (!isDeclared && (name !== undefined || dispatch.params.length > 0)) {
        fail(`its shader does not declare @group(${group}) @binding(${binding}), ${name ?? "the uniform"}`);
      }
    })
  );
  return declared;
}

/** @throws {ExecutionError} If the shader may write an input: the kernels after it would be fed what it left. */
function layoutEntry(
  dispatch: DispatchSpec,
  { binding, space, writes }: Declaration,
  spec: BufferSpec | undefined,
): GPUBindGroupLayoutEntry {
  const { cacheIsWritable = false, cacheBindings = [] } = dispatch;
  const mayWrite = cacheIsWritable && spec !== undefined && cacheBindings.includes(spec.name);
  if (writes && (spec?.role === "input" || spec?.role === "plan") && !mayWrite) {
    throw new ExecutionError(
      "compile",
      `${dispatch.label} declares the input "${spec.name}" read_write: inputs are read only`,
    );
  }
  const type = space === "uniform" ? "uniform" : writes ? "storage" : "read-only-storage";
  return { binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } };
}
