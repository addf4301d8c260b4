/**
 * The few words in which implementations of WebGPU want the same WGSL to begin.
 *
 * @module
 */

/** A builtin of subgroups, called or named as an attribute. */
const SUBGROUPS = /\bsubgroup_?[A-Za-z]+/;

/**
 * `shader` as an implementation takes it, on the same lines. naga takes the files of this project as they are. Tint has
 * subgroups only where they are enabled, and demands that they are called where it can prove that all lanes of a
 * subgroup come along: it follows no lane number through a branch, and kernels whose teams leave as whole subgroups are
 * refused without being wrong.
 */
export function inDialect(shader: string, provider: string): string {
  if (provider !== "dawn" || !SUBGROUPS.test(shader)) return shader;
  return `enable subgroups; diagnostic(off, subgroup_uniformity); ${shader}`;
}
