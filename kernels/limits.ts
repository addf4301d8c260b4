/**
 * Checks a launch against the limits of a device. wgpu does not enforce all of them: a workgroup that needs too much
 * memory is accepted and hangs.
 *
 * @module
 */
import type { DeviceTraits, DispatchSpec, Launch, Limits } from "./kernel.ts";

/** Workgroup memory that every WebGPU device has. */
export const DEFAULT_WORKGROUP_BYTES = 16384;

interface Need {
  readonly limit: keyof Limits;
  readonly unit: string;
  of(dispatch: DispatchSpec): number;
}

const NEEDS: readonly Need[] = [
  { limit: "maxComputeWorkgroupStorageSize", unit: "bytes of workgroup memory", of: (d) => d.workgroupBytes },
  { limit: "maxComputeInvocationsPerWorkgroup", unit: "invocations per workgroup", of: (d) => d.workgroupSize },
  { limit: "maxComputeWorkgroupSizeX", unit: "invocations along x", of: (d) => d.workgroupSize },
  {
    limit: "maxComputeWorkgroupsPerDimension",
    unit: "workgroups in a dimension",
    of: (d) => Math.max(...d.workgroups),
  },
  {
    limit: "maxStorageBuffersPerShaderStage",
    unit: "storage buffers",
    of: (d) => d.bindings.length + (d.cacheBindings?.length ?? 0),
  },
];

/**
 * Why `launch` does not fit a device, naming the value and the limit; undefined when it fits.
 *
 * Buffers count in bytes as they are bound; a binding smaller than 4 bytes is a fault of the launch.
 */
export function checkLimits(
  launch: Launch,
  { limits, maxLoopIterations = Infinity }: Pick<DeviceTraits, "limits" | "maxLoopIterations">,
): string | undefined {
  for (const { name, bytes } of launch.buffers) {
    if (!(bytes >= 4 && bytes % 4 === 0)) {
      return `buffer "${name}" has ${bytes} bytes: a positive multiple of 4 is needed`;
    }
    const limit = bytes <= limits.maxBufferSize ? "maxStorageBufferBindingSize" : "maxBufferSize";
    if (!(bytes <= limits[limit])) {
      return `buffer "${name}" needs ${bytes} bytes, the device's ${limit} is ${limits[limit]}`;
    }
  }
  for (const dispatch of launch.dispatches) {
    for (const { limit, unit, of } of NEEDS) {
      const needed = of(dispatch);
      if (!(needed <= limits[limit])) {
        return `dispatch "${dispatch.label}" needs ${needed} ${unit}, the device's ${limit} is ${limits[limit]}`;
      }
    }
    const { label, loopIterations = 0 } = dispatch;
    if (!(loopIterations <= maxLoopIterations)) {
      return `dispatch "${label}" needs up to ${loopIterations} loop iterations in one invocation, the driver stops at ` +
        maxLoopIterations;
    }
  }
  return undefined;
}

/** Why a device with `features` cannot run a kernel that `requires` some; undefined when it can. */
export function missingFeature(requires: readonly string[], features: ReadonlySet<string>): string | undefined {
  const missing = requires.filter((name) => !features.has(name));
  return missing.length === 0 ? undefined : `needs the device feature ${missing.join(", ")}`;
}
