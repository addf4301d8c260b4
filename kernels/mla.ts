/**
 * `mla`, the whole operator, made of the kernels of its parts: page table, append, and attention in one of two forms.
 *
 * @module
 */
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import { cumulative } from "../reference/metadata.ts";
import { type MlaShape, total } from "../reference/shapes.ts";
import { appendCombined } from "./append_combined.ts";
import { appendSeparate } from "./append_separate.ts";
import { cacheBuffers, lseName } from "./attend.ts";
import { attendFused } from "./attend_fused.ts";
import { attendFusedF16 } from "./attend_fused_f16.ts";
import { attendFusedMatrix } from "./attend_fused_matrix.ts";
import { attendFusedSubgroup } from "./attend_fused_subgroup.ts";
import { attendUnfused } from "./attend_unfused.ts";
import { launchBlockTable, tableWidthOf } from "./block_table.ts";
import { composeLaunches, type Part } from "./compose.ts";
import {
  type AttendKernel,
  type BufferSpec,
  type CacheLayout,
  type DeviceTraits,
  type KernelBase,
  kernelName,
  type Launch,
  type MlaKernel,
  type Operation,
  type Tuning,
} from "./kernel.ts";
import { chooseForm } from "./mla_form.ts";
import { prefillFused } from "./prefill_fused.ts";
import { projectKernel } from "./project.ts";
import { refuseTunables, TUNED } from "./tunings.ts";

/** A kernel with the shape that it gets: the same question for every part. */
interface Step {
  readonly name: string;
  readonly rename?: Readonly<Record<string, string>>;
  refuses(device?: DeviceTraits): string | undefined;
  launch(layout: CacheLayout, device: DeviceTraits): Launch;
}

function step<S>(
  name: string,
  kernel: KernelBase<Operation, S>,
  shape: S,
  { tuning = {}, rename }: { tuning?: Tuning; rename?: Readonly<Record<string, string>> } = {},
): Step {
  return {
    name,
    ...(rename ? { rename } : {}),
    refuses(device) {
      const reason = refuseTunables(kernel, tuning) ?? kernel.refuses(shape, tuning, device);
      return reason && `${kernelName(kernel)}: ${reason}`;
    },
    launch: (layout, device) => kernel.launch(shape, layout, tuning, device),
  };
}

/**
 * Form in which a call attends: the one asked for, else the absorbed one where what only it has is, else the choice.
 */
export function formOf(shape: MlaShape, { form, ...tuned }: Tuning, device?: DeviceTraits): "absorbed" | "expanded" {
  return form ?? (TUNED.every((name) => tuned[name] === undefined) ? chooseForm(shape, device) : "absorbed");
}

/**
 * What follows the page table; with no token at all nothing to append, and the projection for the zeros of the padding.
 */
function stepsOf(attend: AttendKernel, shape: MlaShape, tuning: Tuning, device?: DeviceTraits): Step[] {
  const { q, H, R, Dn, Dv, weight, padding } = shape;
  const project = { tokens: total(q), padding, H, R, Dn, Dv, weight };
  const projection = (part: "q" | "v") =>
    step(`project ${part}`, projectKernel({ ...project, part }), { ...project, part });
  const append = step("append", shape.layout === "separate" ? appendSeparate : appendCombined, shape);
  const { form: _form, ...tuned } = tuning;
  if (project.tokens === 0) return [append, projection("v")];
  if (formOf(shape, tuning, device) === "expanded") {
    return [append, step("prefill", prefillFused, shape, { tuning: tuned })];
  }
  const attention = step("attend", attend, shape, { tuning: tuned, rename: { out: "latent" } });
  return [append, projection("q"), attention, projection("v")];
}

/** Why `mla` itself cannot run a shape, whatever its parts. */
function refuseCall({ B, q, kv, padding, steps }: MlaShape, { form }: Tuning): string | undefined {
  if (steps !== undefined) return `steps=${steps.length}: one call at a time, a flow is launched call by call`;
  if (q.length !== B || kv.length !== B) return `q and kv have ${q.length} and ${kv.length} entries, B is ${B}`;
  if (!(Number.isInteger(padding) && padding >= 0 && padding < 2 ** 31)) {
    return `padding=${padding}: only 0 to 2147483647`;
  }
  if (form !== undefined && form !== "absorbed" && form !== "expanded") return `form=${form}: only absorbed, expanded`;
  const b = q.findIndex((n, i) => !(Number.isInteger(n) && Number.isInteger(kv[i]) && n >= 0 && kv[i] >= n));
  return b < 0 ? undefined : `q=${q[b]} with kv=${kv[b]}: only integers with 0 <= q <= kv`;
}

/** The expanded form does not ask `attend`, by whose name the whole operator is called. */
function refuseDtype({ dtypes }: AttendKernel, { cache }: MlaShape): string | undefined {
  return dtypes?.includes(cache) ?? true ? undefined : `cache=${cache}: only ${dtypes!.join(", ")}`;
}

/** The buffers of a call that are the caller's, and what follows from its lengths. */
function callBuffers(shape: MlaShape, { pages, tableWidth }: CacheLayout): BufferSpec[] {
  const { B, H, R, Dn, Dr, Dv, q, kv, weight, padding } = shape;
  const tokens = total(q);
  const rows = tokens + padding;
  const input = (name: string, bytes: number): BufferSpec => ({ name, bytes: Math.max(16, bytes), role: "input" });
  const plan = (name: string, contents: Int32Array): BufferSpec => ({
    name,
    bytes: contents.byteLength,
    role: "plan",
    contents,
  });
  return [
    input("q_nope", 4 * rows * H * Dn),
    input("q_pe", 4 * rows * H * Dr),
    input("compressed_kv", 4 * rows * R),
    input("kpe", 4 * rows * Dr),
    input("kv_b_proj", H * (Dn + Dv) * R * DTYPE_BYTES[weight]),
    input("cu_num_pages", 4 * (B + 1)),
    input("cache_loc", 4 * tableWidth),
    plan("cu_seqlen", cumulative(q)),
    plan("input_pos", Int32Array.from(kv, (tokens, b) => tokens - q[b])),
    // With no token nobody writes what the projection takes, and it reads none of it.
    ...(tokens === 0 ? [{ name: "latent", bytes: 16, role: "scratch" } as const] : []),
    ...cacheBuffers(shape, { pages }, "inout"),
    { name: "out", bytes: Math.max(16, 4 * rows * H * Dv), role: "output" },
    { name: lseName(shape), bytes: 4 * tokens * H || 16, role: "output" },
  ];
}

/**
 * The operator that attends with `attend`: append first, then attend, then project.
 *
 * - **Shapes** those of {@linkcode MlaKernel}. Sequences in any order: prompts, chunks and decode steps run in one
 *   call, those without new tokens or without any are fine. Rows of `out` past the last new token are zero; they are
 *   never appended.
 * - **Page table** gathered on the GPU from `cu_num_pages` and `cache_loc`, in rows of {@linkcode tableWidthOf}; what
 *   is past a sequence's own pages is page 0, which is never read for it.
 * - **Forms** `absorbed`: q_nope·W_k, attention on latents, ·W_v. `expanded`: keys and values of every head, whatever
 *   `attend` is. {@linkcode chooseForm} decides where `form` is not given.
 * - **Tuning** that of `attend`, whose entries of the table of tunings hold here, too.
 * - **Precision** that of the parts; what passes between them is f32. It declares that of `attend`, in the expanded
 *   form too, which computes in f32 and is then held against more than it needs.
 */
export function mlaKernel(attend: AttendKernel): MlaKernel {
  const name = `mla/${attend.variant}`;
  function refuses(shape: MlaShape, tuning: Tuning, device?: DeviceTraits): string | undefined {
    const reason = refuseCall(shape, tuning) ?? refuseDtype(attend, shape);
    if (reason) return reason;
    for (const part of stepsOf(attend, shape, tuning, device)) {
      const refused = part.refuses(device);
      if (refused) return refused;
    }
    return undefined;
  }
  return {
    operation: "mla",
    variant: attend.variant,
    summary: `append, then attention: projections around attend/${attend.variant}, or expanded keys and values`,
    requires: attend.requires,
    ...(attend.dtypes && { dtypes: attend.dtypes }),
    ...(attend.largest && { largest: attend.largest }),
    ...(attend.precision ? { precision: attend.precision } : {}),
    ...(attend.tunings && { tunings: attend.tunings }),
    refuses,
    launch(shape: MlaShape, layout: CacheLayout, tuning: Tuning, device: DeviceTraits): Launch {
      const reason = refuses(shape, tuning, device);
      if (reason) throw new RangeError(`Cannot launch ${name}: ${reason}`);
      const table = { pages: layout.pages, tableWidth: tableWidthOf(shape) };
      const steps = stepsOf(attend, shape, tuning, device);
      const parts: readonly Part[] = steps.map((part) => ({
        ...part,
        launch: part.launch(part.name === "append" ? layout : table, device),
      }));
      const gathered = total(shape.q) === 0
        ? []
        : [{ name: "block_table", launch: launchBlockTable(shape, layout, device) }];
      return composeLaunches([...gathered, ...parts], {
        buffers: callBuffers(shape, layout),
        outputs: ["out", lseName(shape)],
      });
    },
  };
}

/** `mla` around `attend/unfused`. */
export const mlaUnfused: MlaKernel = mlaKernel(attendUnfused);
/** `mla` around `attend/fused`. */
export const mlaFused: MlaKernel = mlaKernel(attendFused);
/** `mla` around `attend/fused_subgroup`. */
export const mlaFusedSubgroup: MlaKernel = mlaKernel(attendFusedSubgroup);
/** `mla` around `attend/fused_f16`. */
export const mlaFusedF16: MlaKernel = mlaKernel(attendFusedF16);
/** `mla` around `attend/fused_matrix`. */
export const mlaFusedMatrix: MlaKernel = mlaKernel(attendFusedMatrix);
