/**
 * Compares a dispatch with the declarations in its shader: what WGSL says and a launch repeats must be the same.
 *
 * @module
 */
import type { DispatchSpec, Param } from "./kernel.ts";

/** A feature that a shader shows it needs. */
const FEATURES: readonly (readonly [feature: string, sign: RegExp])[] = [
  ["shader-f16", /\benable\s+f16\b/],
  [
    "subgroups",
    /\bsubgroup(?:Add|ExclusiveAdd|InclusiveAdd|All|And|Any|Ballot|Broadcast|BroadcastFirst|Elect|ExclusiveMul|InclusiveMul|Max|Min|Mul|Or|Shuffle|ShuffleDown|ShuffleUp|ShuffleXor|Xor)\s*\(|@builtin\(\s*subgroup_/,
  ],
];

/**
 * What in `dispatch` disagrees with its shader, as the end of a sentence that begins with the dispatch; undefined where
 * nothing does: the fields of the uniform, the size of a workgroup where it is written as numbers, the features used.
 */
export function checkDeclarations(dispatch: DispatchSpec, requires: readonly string[]): string | undefined {
  const text = dispatch.shader.replaceAll(/\/\*[^]*?\*\//g, "").replaceAll(/\/\/.*$/gm, "");
  const missing = FEATURES.find(([feature, sign]) => !requires.includes(feature) && sign.test(text));
  if (missing) {
    return `uses ${
      missing[0]
    }, which the kernel does not require: where a device lacks it the case would fail instead of ` +
      `being skipped (requires: ["${missing[0]}"])`;
  }
  return checkWorkgroupSize(text, dispatch.workgroupSize) ?? checkParams(text, dispatch.params);
}

/** Only sizes in numbers, and names of constants whose value is a number, are compared. */
function checkWorkgroupSize(text: string, declared: number): string | undefined {
  const sizes = /@workgroup_size\(([^)]*)\)/.exec(text)?.[1].split(",").map((size) => size.trim()).filter(Boolean);
  const values = sizes?.map((size) => Number(/^\d+[iu]?$/.test(size) ? parseInt(size) : constantOf(text, size)));
  if (!values || values.some(Number.isNaN)) return undefined;
  const product = values.reduce((a, b) => a * b, 1);
  return product === declared
    ? undefined
    : `says workgroupSize ${declared}, its shader @workgroup_size(${sizes!.join(", ")})`;
}

function constantOf(text: string, name: string): number {
  return Number(new RegExp(`\\bconst\\s+${name}\\s*(?::\\s*\\w+\\s*)?=\\s*(\\d+)[iu]?\\s*;`).exec(text)?.[1] ?? NaN);
}

/** The uniform's fields must be the parameters, in order: they are written one after another. */
function checkParams(text: string, params: readonly Param[]): string | undefined {
  const type = /var\s*<\s*uniform\s*>\s*\w+\s*:\s*(\w+)\s*;/.exec(text)?.[1];
  const body = type && new RegExp(`\\bstruct\\s+${type}\\s*\\{([^}]*)\\}`).exec(text)?.[1];
  if (!body) return undefined;
  const declared = body.split(",").map((field) => field.replaceAll(/\s+/g, "")).filter(Boolean).join(", ");
  const given = params.map(([name, type]) => `${name}:${type}`).join(", ");
  return declared === given
    ? undefined
    : `gives the params ${given || "(none)"}, its shader has ${declared} in ${type}`;
}
