/**
 * Opens the GPU and tells what it can do. Provider `wgpu` is Deno's own WebGPU; `software` is the same interface over a
 * CPU driver.
 *
 * @module
 */
import { type DeviceTraits, type Limits, SUBGROUP_MATRIX, type SubgroupMatrix } from "../kernels/kernel.ts";
import { createDawn, type DawnOptions } from "./dawn.ts";
import { PipelineCache } from "./pipeline_cache.ts";
import type { Environment } from "./result.ts";

/** Features that are asked for where the adapter can give them; kernels name what they need in `requires`. */
export const WANTED_FEATURES: readonly string[] = ["subgroups", "shader-f16", "timestamp-query"];

/** Features that only Dawn may have, and says so. */
const DAWN_FEATURES: readonly string[] = [SUBGROUP_MATRIX];

const LIMIT_NAMES = [
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupsPerDimension",
  "maxStorageBuffersPerShaderStage",
] as const satisfies readonly (keyof Limits)[];

/** An open device with what is known of it. */
export interface Gpu {
  /** The WebGPU device. */
  readonly device: GPUDevice;
  /** What kernels may know. */
  readonly traits: DeviceTraits;
  /** What the report says. */
  readonly adapter: Environment["adapter"];
  /** Set once the device is lost; it must then be opened anew. */
  lost?: string;
  /** Pipelines by shader text, so that cases which differ only in data share one; the oldest may be gone. */
  readonly pipelines: Map<string, GPUComputePipeline>;
  /** Closes the device. */
  close(): void;
}

/** Thrown by {@linkcode openGpu} where no adapter is found. */
export class NoAdapterError extends Error {
  /** For messages. */
  override name = "NoAdapterError";
}

/** Loop iterations after which llvmpipe leaves the loops of an invocation; measured, see `DeviceTraits`. */
const LLVMPIPE_LOOP_ITERATIONS = 65535;

/** CPU implementations by the name their driver gives: their times say nothing about GPUs. */
const SOFTWARE_PATTERN = /llvmpipe|lavapipe|swiftshader|softpipe|warp|basic render/i;

/**
 * Opens the best adapter with every wanted feature and the adapter's own limits.
 *
 * `subgroups` is masked from `adapter.features` in Deno although a device can be created with it, so it is probed by
 * asking for it.
 *
 * @param dawn Opens Dawn's WebGPU in place of Deno's.
 * @throws {NoAdapterError} Where WebGPU finds no adapter.
 */
export async function openGpu(dawn?: DawnOptions): Promise<Gpu> {
  const entry = dawn ? await createDawn(dawn) : navigator.gpu;
  const adapter = await entry?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new NoAdapterError("Cannot open a GPU: WebGPU found no adapter");
  const limits = Object.fromEntries(LIMIT_NAMES.map((name) => [name, adapter.limits[name]])) as unknown as Limits;
  const wanted = dawn
    ? [...WANTED_FEATURES, ...DAWN_FEATURES].filter((name) => adapter.features.has(name as GPUFeatureName))
    : WANTED_FEATURES;
  const device = await requestWithMost(adapter, limits, wanted);
  const { info } = adapter;
  const granted = new Set<string>(device.features as unknown as Iterable<string>);
  const software = (info as { isFallbackAdapter?: boolean }).isFallbackAdapter === true ||
    SOFTWARE_PATTERN.test(info.description);
  const features = wanted.filter((name) => granted.has(name));
  const subgroupMinSize = granted.has("subgroups") ? info.subgroupMinSize ?? 0 : 0;
  const subgroupMaxSize = granted.has("subgroups") ? info.subgroupMaxSize ?? 0 : 0;
  const subgroupMatrices = features.includes(SUBGROUP_MATRIX) ? matricesOf(info) : [];
  const maxLoopIterations = /llvmpipe/i.test(info.description) ? LLVMPIPE_LOOP_ITERATIONS : undefined;
  const gpu: Gpu = {
    device,
    traits: {
      features: new Set(features),
      limits,
      subgroupMinSize,
      subgroupMaxSize,
      subgroupMatrices,
      maxLoopIterations,
      adapter: { vendor: info.vendor, architecture: info.architecture, description: info.description },
    },
    adapter: {
      provider: dawn ? "dawn" : software ? "software" : "wgpu",
      ...dawn && dawn.toggles.length > 0 && { toggles: dawn.toggles },
      vendor: info.vendor,
      architecture: info.architecture,
      device: info.device,
      description: info.description,
      software,
      features,
      limits: { ...limits },
      subgroupMinSize,
      subgroupMaxSize,
    },
    pipelines: new PipelineCache(),
    close() {
      gpu.lost ??= "closed";
      device.destroy();
    },
  };
  device.lost.then((info) => gpu.lost ??= `${info.reason || "unknown"}: ${info.message}`);
  // Validation errors are caught by error scopes around each step; what arrives here has no scope and must not end the
  // process: the scope-less error shows up as a wrong result of the case in flight.
  device.addEventListener("uncapturederror", (event) => event.preventDefault());
  return gpu;
}

/** Matrices of Dawn's adapter. */
function matricesOf(info: GPUAdapterInfo): SubgroupMatrix[] {
  const { subgroupMatrixConfigs = [] } = info as { subgroupMatrixConfigs?: Iterable<DawnMatrix> };
  return Array.from(subgroupMatrixConfigs, ({ componentType, resultComponentType, M, N, K }) => ({
    factors: componentType,
    sums: resultComponentType,
    M,
    N,
    K,
  }));
}

/** A `GPUSubgroupMatrixConfig`. */
interface DawnMatrix {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** Asks for all wanted features first, then drops them one at a time from the end that adapters refuse most often. */
async function requestWithMost(
  adapter: GPUAdapter,
  limits: Limits,
  wanted: readonly string[],
): Promise<GPUDevice> {
  let refusal: unknown;
  for (const names of subsetsBySize(wanted)) {
    try {
      return await adapter.requestDevice({
        requiredFeatures: [...names] as GPUFeatureName[],
        requiredLimits: { ...limits } as unknown as Record<string, number>,
      });
    } catch (error) {
      refusal = error;
    }
  }
  throw new Error(`Cannot open a GPU: "${adapter.info.description}" refused a device`, { cause: refusal });
}

/** All subsets of `items`, largest first. */
function subsetsBySize(items: readonly string[]): string[][] {
  const subsets = Array.from(
    { length: 1 << items.length },
    (_, mask) => items.filter((_, i) => mask & (1 << i)),
  );
  return subsets.sort((a, b) => b.length - a.length);
}
