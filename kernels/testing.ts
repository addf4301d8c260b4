/**
 * Shapes and devices for the tests of this folder and of those to its right.
 *
 * @module
 */
import type { AppendShape, AttendShape, MlaShape } from "../reference/shapes.ts";
import { type DeviceTraits, type Kernel, SUBGROUP_MATRIX, type SubgroupMatrix } from "./kernel.ts";

/**
 * A decode shape: one sequence of 65 tokens, 16 heads, R 256, Dr 64, f16, pages of 64; `values` replace what they name.
 */
export function decodeShape(values: Partial<AttendShape> = {}): AttendShape {
  const kv = values.kv ?? [65];
  return {
    B: kv.length,
    H: 16,
    R: 256,
    Dr: 64,
    Dn: 128,
    Dv: 128,
    page: 64,
    cache: "f16",
    q: kv.map(() => 1),
    kv,
    scale: 1 / Math.sqrt(128 + (values.Dr ?? 64)),
    causal: true,
    ...values,
  };
}

/** An append of all tokens of one sequence of 65; `values` replace what they name. */
export function appendShape(values: Partial<AppendShape> = {}): AppendShape {
  const kv = values.kv ?? [65];
  return { B: kv.length, R: 256, Dr: 64, page: 64, cache: "f16", q: kv, kv, ...values };
}

/** A small call of `mla`: 4 heads, R 48, Dr 16, Dn 24, Dv 40, f16, pages of 16; `values` replace what they name. */
export function mlaShape(values: Partial<MlaShape> & Pick<MlaShape, "q" | "kv">): MlaShape {
  return {
    B: values.q.length,
    H: 4,
    R: 48,
    Dr: 16,
    Dn: 24,
    Dv: 40,
    page: 16,
    cache: "f16",
    weight: "f16",
    padding: 0,
    scale: 1 / Math.sqrt((values.Dn ?? 24) + (values.Dr ?? 16)),
    causal: true,
    ...values,
  };
}

/** A device with WebGPU's default limits and subgroups of `lanes`. */
export function deviceTraits(lanes = 32, limits: Partial<DeviceTraits["limits"]> = {}): DeviceTraits {
  return {
    features: new Set(lanes > 0 ? ["subgroups"] : []),
    limits: {
      maxStorageBufferBindingSize: 134217728,
      maxBufferSize: 268435456,
      maxComputeWorkgroupStorageSize: 16384,
      maxComputeInvocationsPerWorkgroup: 256,
      maxComputeWorkgroupSizeX: 256,
      maxComputeWorkgroupsPerDimension: 65535,
      maxStorageBuffersPerShaderStage: 8,
      ...limits,
    },
    subgroupMinSize: lanes,
    subgroupMaxSize: lanes,
  };
}

/** A device on which team kernels run: subgroups of `lanes`, or of `lanes` to `most`, and f16. */
export function teamDevice(lanes = 32, most = lanes): DeviceTraits {
  const traits = deviceTraits(lanes);
  return { ...traits, features: new Set([...traits.features, "shader-f16"]), subgroupMaxSize: most };
}

/** Matrices of `attend/fused_matrix`. */
export const MATRIX: SubgroupMatrix = { factors: "f16", sums: "f32", M: 16, N: 16, K: 16 };

/** A device with subgroups of 32, matrices and `bytes` of workgroup memory: an H200 under Dawn. */
export function matrixDevice(matrices: readonly SubgroupMatrix[] = [MATRIX], bytes = 49152): DeviceTraits {
  const device = teamDevice(32);
  return {
    ...device,
    features: new Set([...device.features, SUBGROUP_MATRIX]),
    limits: { ...device.limits, maxComputeWorkgroupStorageSize: bytes, maxStorageBuffersPerShaderStage: 16 },
    subgroupMatrices: matrices,
  };
}

/** `device`, or where the kernel needs matrices one that has them. */
export function deviceFor({ requires }: Pick<Kernel, "requires">, device: DeviceTraits): DeviceTraits {
  return requires.includes(SUBGROUP_MATRIX) ? matrixDevice() : device;
}
