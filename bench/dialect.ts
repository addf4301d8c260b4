/**
 * The few words in which implementations of WebGPU want the same WGSL to begin.
 *
 * @module
 */

/** A builtin of subgroups, called or named as an attribute. */
const SUBGROUPS = /\bsubgroup_?[A-Za-z]+/;

/** Types and builtins of matrices that a subgroup holds together. */
const MATRICES = /\bsubgroup_matrix_|\bsubgroupMatrix[A-Z]/;

/**
 * `shader` as an implementation takes it, on the same lines. naga takes the files of this project as they are. Tint has
 * subgroups only where they are enabled, and demands that they are called where it can prove that all lanes of a
 * subgroup come along: it follows no lane number through a branch, and kernels whose teams leave as whole subgroups are
 * refused without being wrong. Around matrices it does not follow either what all threads read from workgroup memory: where
 * a branch on that has barriers in it, its analysis is switched off.
 */
export function inDialect(shader: string, provider: string): string {
  if (provider !== "dawn" || !SUBGROUPS.test(shader)) return shader;
  const [enables, diagnostics] = [["subgroups"], ["subgroup_uniformity"]];
  if (MATRICES.test(shader)) {
    enables.push("chromium_experimental_subgroup_matrix", "chromium_disable_uniformity_analysis");
    diagnostics.push("chromium.subgroup_matrix_uniformity");
  }
  const words = [
    ...enables.map((name) => `enable ${name};`),
    ...diagnostics.map((name) => `diagnostic(off, ${name});`),
  ];
  return `${words.join(" ")} ${shader}`;
}
