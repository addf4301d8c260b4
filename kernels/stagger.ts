/**
 * Shaders whose threads run late by turns. A missing barrier need not show: the threads of a workgroup mostly keep
 * step. Here half of the groups of threads wait at the start, so that the only barrier can be the one that is missing,
 * and after each barrier, the even ones after one and the odd ones after the next, so that who is not waited for is
 * overtaken. What a right kernel computes does not depend on it.
 *
 * @module
 */

/** Threads that wait together: no fewer than a subgroup has, as its threads run in step on hardware. */
const GROUP = 32;

/** Atomic additions that a late thread makes: some ten microseconds on a GPU, longer than a tile takes. */
const DELAY = 256;

/** What threads of a workgroup share. */
const SHARED = /\bvar\s*<\s*workgroup\b/;

/** Barriers of a workgroup. */
const BARRIER = /\bworkgroupBarrier\s*\(\s*\)\s*;/g;

/** The entry point that is compiled, up to its first parameter, and the rest of the parameters. */
const ENTRY = /(@compute[^{;]*?\bfn\s+main\s*\()([^{]*?)(\)\s*\{)/;

/** Parameter, or member of a parameter's type, that numbers the threads. */
const INDEX = /@builtin\(\s*local_invocation_index\s*,?\s*\)\s*(\w+)/;

/** Types that a parameter may have. */
const STRUCT = /\bstruct\s+(\w+)\s*\{([^}]*)\}/g;

/**
 * `shader` with a delay at the start and after each `workgroupBarrier()`, undefined where its threads share no memory or
 * its entry point is not found. It needs four more bytes of workgroup memory.
 *
 * @param shader WGSL with the entry point `main`.
 */
export function stagger(shader: string): string | undefined {
  if (!ENTRY.test(shader) || !SHARED.test(shader)) return undefined;
  let barriers = 0;
  const delayed = shader.replaceAll(BARRIER, (barrier) => `${barrier} stagger_wait(${barriers++}u);`);
  const entered = delayed.replace(ENTRY, (_, head: string, parameters: string, tail: string) => {
    const own = INDEX.exec(parameters)?.[1] ?? indexInStruct(shader, parameters);
    const index = own ?? "stagger_index";
    const added = own ? "" : `@builtin(local_invocation_index) ${index}: u32, `;
    return `${head}${added}${parameters}${tail} stagger_thread = ${index}; stagger_wait(0u);`;
  });
  return `${entered}
var<private> stagger_thread: u32;
var<workgroup> stagger_count: atomic<u32>;
fn stagger_wait(barrier: u32) {
  if ((stagger_thread / ${GROUP}u + barrier) % 2u == 0u) { return; }
  for (var i = 0u; i < ${DELAY}u; i++) { atomicAdd(&stagger_count, 1u); }
}
`;
}

/** `in.thread` where a parameter `in` has a type with that number: a second one in the same entry point is an error. */
function indexInStruct(shader: string, parameters: string): string | undefined {
  for (const [, type, members] of shader.matchAll(STRUCT)) {
    const member = INDEX.exec(members)?.[1];
    const parameter = member && new RegExp(`(\\w+)\\s*:\\s*${type}\\b`).exec(parameters)?.[1];
    if (parameter) return `${parameter}.${member}`;
  }
}

/** Bytes of workgroup memory that {@linkcode stagger} adds, with what alignment may cost. */
export const STAGGER_BYTES = 16;
