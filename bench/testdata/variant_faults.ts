/**
 * Kernels that are right as a case runs them first, and wrong when it runs in another guise: each relation must find
 * some.
 *
 * @module
 */
import type { BufferSpec, DispatchSpec, Kernel, KernelBase, Launch, Operation } from "../../kernels/kernel.ts";
import { findKernel } from "../../kernels/registry.ts";

/** A kernel with a fault. */
export interface VariantFault {
  /** What it does wrong. */
  readonly name: string;
  /** Relations that find it; no other one and no other check may. */
  readonly found: readonly string[];
  /** Axes of the case that does not show it when it runs first. */
  readonly axes: string;
  /** The kernel. */
  readonly kernel: Kernel;
}

/** Relative size of a dependence that every bound allows and no comparison of bits. */
const TINY = "1.2e-7";

interface Edit {
  /** Kernel that is edited. */
  readonly of: string;
  /** Edits of its shaders; each must be found in one. */
  readonly shaders?: readonly (readonly [find: string, replace: string])[];
  /** Change of each dispatch. */
  dispatch?(dispatch: DispatchSpec, buffers: readonly BufferSpec[]): DispatchSpec;
}

let count = 0;

function plant({ of, shaders = [], dispatch = (same) => same }: Edit): Kernel {
  const kernel = findKernel(of) as KernelBase<Operation, unknown>;
  const variant = `${kernel.variant}-variant-fault-${count++}`;
  return {
    ...kernel,
    variant,
    launch(...args: Parameters<typeof kernel.launch>): Launch {
      const launch = kernel.launch(...args);
      const dispatches = launch.dispatches.map((spec) => {
        const shader = shaders.reduce((text, [find, replace]) => text.replaceAll(find, replace), spec.shader);
        return dispatch({ ...spec, shader }, launch.buffers);
      });
      return { ...launch, dispatches };
    },
  } as Kernel;
}

/** Replaces a parameter. */
function setParam(dispatch: DispatchSpec, name: string, value: number): DispatchSpec {
  const params = dispatch.params.map((param) => param[0] === name ? [name, param[1], value] as const : param);
  return { ...dispatch, params };
}

/** Axes of small cases of `attend`, and of those whose queries are the model's. */
const small = (B: number, lengths: string) => `B=${B};H=2;R=32;Dr=16;${lengths};page=4;cache=f32`;
const model = (B: number, lengths: string) =>
  `B=${B};H=2;R=32;Dr=16;Dn=16;Dv=16;${lengths};page=4;cache=f32;weight=f32`;
const STORE = "out[at] = a;";

/** Every fault. */
export const VARIANT_FAULTS: readonly VariantFault[] = [
  {
    name: "the first element of a row depends a little on its sequence's place in the batch",
    found: ["batch_permuted", "alone"],
    axes: small(3, "q=1;kv=9,5,7"),
    kernel: plant({
      of: "attend/fused",
      shaders: [[STORE, `out[at] = a * (1.0 + ${TINY} * f32(target_row / P.H));`]],
    }),
  },
  {
    name: "a little of the row of a neighbour is added",
    found: ["batch_permuted", "alone"],
    axes: small(3, "q=1;kv=9,5,7"),
    kernel: plant({
      of: "attend/fused",
      shaders: [[
        STORE,
        `out[at] = a + 2e-8 * q_latent[(at + P.H * R / 4u) % arrayLength(&q_latent)];`,
      ]],
    }),
  },
  {
    name: "sums depend a little on the number of work items",
    found: ["alone"],
    axes: small(3, "q=1;kv=9,5,7"),
    kernel: plant({ of: "attend/unfused", shaders: [[STORE, `out[at] = a * (1.0 + ${TINY} * f32(P.count));`]] }),
  },
  {
    name: "scores depend a little on the physical page",
    found: ["pages_permuted"],
    axes: small(1, "q=1;kv=9"),
    kernel: plant({
      of: "attend/fused",
      shaders: [[STORE, `out[at] = a * (1.0 + ${TINY} * f32(page_table[0]));`]],
    }),
  },
  {
    name: "three splits are merged without the third",
    found: ["splits"],
    axes: small(1, "q=1;kv=70"),
    kernel: plant({
      of: "attend/fused",
      shaders: [["let splits = item.w;", "let splits = item.w - u32(item.w == 3u);"]],
    }),
  },
  {
    name: "seven splits are merged without rescale",
    found: ["splits"],
    axes: small(2, "q=1;kv=150,90") + ";splits=2",
    kernel: plant({
      of: "attend/fused",
      shaders: [["= partial_lse[source];", "= select(partial_lse[source], 0.0, splits == 7u);"]],
    }),
  },
  {
    name: "the page table is taken to be one entry wider than the longest sequence",
    found: ["padded"],
    axes: small(3, "q=1;kv=9,5,7"),
    kernel: plant({ of: "attend/fused", dispatch: (dispatch) => setParam(dispatch, "width", 4) }),
  },
  {
    name: "results depend a little on the pages of the pool",
    found: ["padded"],
    axes: small(1, "q=1;kv=9"),
    kernel: plant({ of: "attend/fused", shaders: [[STORE, `out[at] = a * (1.0 + ${TINY} * f32(P.pages));`]] }),
  },
  {
    name: "every sequence is taken to have as many pages as the first",
    found: ["batch_permuted"],
    axes: "B=3;R=32;Dr=16;q=2;kv=3,4,9;page=4;cache=f32",
    kernel: plant({
      of: "append/combined",
      shaders: [["let entry = cu_num_pages[b] + pos / P.page;", "let entry = b * cu_num_pages[1] + pos / P.page;"]],
    }),
  },
  {
    name: "the last page of the pool is never written",
    found: ["pages_permuted"],
    axes: "B=1;R=32;Dr=16;q=40;kv=40;page=4;cache=f32",
    kernel: plant({ of: "append/combined", shaders: [["page_id >= P.pages", "page_id + 1u >= P.pages"]] }),
  },
  {
    name: "the last page of the pool is never written, of a cache so large that its digest is compared first",
    found: ["pages_permuted"],
    axes: "B=1;R=512;Dr=64;q=600;kv=600;page=64;cache=f32",
    kernel: plant({ of: "append/combined", shaders: [["page_id >= P.pages", "page_id + 1u >= P.pages"]] }),
  },
  {
    name: "a token's projection depends a little on its place",
    // Alone a token has tiles of its own, and then its bits may differ.
    found: ["batch_permuted"],
    axes: "B=9;H=2;R=32;Dn=16;Dv=16;q=1;part=q;weight=f32",
    kernel: plant({
      of: "project/vector",
      shaders: [["+ quad] = sum;", `+ quad] = sum * (1.0 + 3e-8 * f32(p.token));`]],
    }),
  },
  {
    name: "rows of padding are left alone",
    found: ["padded"],
    axes: "B=3;H=2;R=32;Dn=16;Dv=16;q=1;part=v;weight=f32",
    kernel: plant({ of: "project/tiled", shaders: [["at < P.zero_end", "at < P.zero_begin"]] }),
  },
  {
    name: "a prefill depends a little on the sequences of the batch",
    found: ["alone", "padded"],
    axes: model(2, "q=5,3;kv=9,3"),
    kernel: plant({
      of: "prefill/fused",
      shaders: [["keys[at] = rows[0];", `keys[at] = rows[0] * (1.0 + ${TINY} * f32(P.B));`]],
    }),
  },
  {
    name: "a prefill depends a little on the physical page",
    found: ["pages_permuted"],
    axes: model(1, "q=5;kv=9"),
    kernel: plant({
      of: "prefill/fused",
      shaders: [["keys[at] = rows[0];", `keys[at] = rows[0] * (1.0 + ${TINY} * f32(page_table[0]));`]],
    }),
  },
  {
    name: "a call gathers the pages of every sequence as if they had as many as the first",
    found: ["batch_permuted"],
    axes: model(3, "q=1;kv=3,4,9"),
    kernel: plant({ of: "mla/fused", shaders: [["let first = cu_num_pages[b];", "let first = b * cu_num_pages[1];"]] }),
  },
  {
    name: "a flow leaves a token of its last sequence out of the cache",
    found: ["batch_permuted"],
    axes: model(2, "q=2,3>1,0;kv=3"),
    kernel: plant({
      of: "mla/fused",
      shaders: [[
        "if (token >= end ||",
        "if (b == 1u && cu_seqlen[1] == 3u ||\n    token >= end ||",
      ]],
    }),
  },
];
