/**
 * Kernels that depend on what they may not depend on, or write where they may not. Each fault shows in a check of the
 * runs of a call (`round_checks.ts`); most show in no other.
 *
 * @module
 */
import { attendFused } from "../../kernels/attend_fused.ts";
import type { AttendKernel, Launch } from "../../kernels/kernel.ts";

type Edit = readonly [find: string, replace: string];

/**
 * `attend/fused` with edits of its attention. PAST is the first element, of `width` bytes, behind the buffer `past`.
 */
function edited(
  variant: string,
  edits: readonly Edit[],
  { past, width = 4 }: { readonly past?: string; readonly width?: number } = {},
): AttendKernel {
  const plant = (launch: Launch): Launch => ({
    ...launch,
    dispatches: launch.dispatches.map((dispatch) => {
      if (dispatch.label === "merge") return dispatch;
      const shader = edits.reduce((text, [find, replace]) => {
        if (!text.includes(find)) throw new Error(`Cannot plant ${variant}: ${dispatch.label} has no "${find}"`);
        return text.replaceAll(find, replace);
      }, dispatch.shader);
      // The output of a dispatch may be that of the launch or partial.
      const name = past === "lse" ? dispatch.bindings.at(-1) : past;
      const bytes = launch.buffers.find((spec) => spec.name === name)?.bytes ?? 0;
      return { ...dispatch, shader: `${shader}\nconst PAST = ${bytes / width}u;\n` };
    }),
  });
  return { ...attendFused, variant, launch: (...args) => plant(attendFused.launch(...args)) };
}

/** The slots behind the last token, on the last page, are loaded. */
const LOADS_TAIL: Edit = ["if (token >= end) { return NOWHERE; }", ""];

/** In front of the log-sum-exp of a row. */
const LSE = "(maximum + log(sum)) * P.lse_factor";

/** What the last thread of a workgroup does at last. */
function atLast(statement: string): Edit {
  const last = "store_row(f + 7u, rows, target_row, chunk, o[14], o[15]);";
  return [last, `${last}\n  if (t == 0u) { ${statement} }`];
}

/** Weighs unused slots with 0: 0·NaN is NaN. */
export const weighsTailByZero = edited("weighs_tail_by_zero", [LOADS_TAIL]);

/** Weighs unused slots with a billionth, and NaN with nothing. */
export const weighsTailTiny = edited("weighs_tail_tiny", [
  LOADS_TAIL,
  ["select(vec4(0.0), exp(prob", "select(vec4(1e-9), exp(prob"],
  ["if (visible < end && first + T > visible) {", "if (true) {"],
]);

/** Keeps what is larger in the output. */
export const keepsLarger = edited("keeps_larger", [[
  LSE,
  `select(lse[target_row + t], ${LSE}, !(lse[target_row + t] > 1e4))`,
]]);

/** Depends on what lies behind the queries, but not where that is NaN. */
export const readsBehindQueries = edited(
  "reads_behind_queries",
  [[LSE, `${LSE} + select(0.0, 1e-6, q_latent[PAST].x > 1e4)`]],
  { past: "q_latent", width: 16 },
);

/** Depends on what follows the work list. */
export const readsBehindWork = edited(
  "reads_behind_work",
  [[LSE, `${LSE} + select(0.0, 1e-6, bitcast<f32>(work[PAST].x) > 1e4)`]],
  { past: "work", width: 16 },
);

/** Writes one element behind the log-sum-exp, or behind the partial ones. */
export const writesBehind = edited("writes_behind", [atLast("lse[PAST] = 1.0;")], { past: "lse" });

/**
 * Writes behind the log-sum-exp where its output is not poisoned, as in launches after the first. One workgroup only.
 */
export const writesBehindLater = edited("writes_behind_later", [
  ["let place = work[", "let stale = bitcast<u32>(out[0].x) != 0x7fc07e01u && out[0].x != 3e4;\n  let place = work["],
  atLast("if (stale) { lse[PAST] = 1.0; }"),
], { past: "lse" });

/** Depends on what its output held, and says that it varies. */
export const saysItVaries: AttendKernel = { ...keepsLarger, variant: "says_it_varies", deterministic: false };

/** Varies a little, and says so. */
export const variesLittle: AttendKernel = { ...readsBehindQueries, variant: "varies_little", deterministic: false };
