/**
 * FlashInfer's tests of MLA (`tests/attention`), with their values.
 *
 * Its wrapper takes absorbed queries and two caches and gives a log-sum-exp of base 2, as `attend` can; unused slots
 * hold NaN in every case here, as in its `oob_kv_nan`. A row of one query token is the same with and without the causal
 * rule, so there is only one of the two; and queries that would see less than nothing are left out as there.
 *
 * The values are those of our kinds: theirs are N(0, 1), whose logits deviate by 1.7, in `attention_ts` a fifth of
 * that.
 *
 * Not here: fp8 and fp4 caches (xqa's, that take f16 ones here, apart), sparse (top-k) attention, attention sinks,
 * ALiBi, soft caps, skipped softmax and softmax in f16, which no kernel of this project has; queries with gaps between
 * tokens, batches without any query; choices of backend, PDL, workspaces, profiler and graph capture, which are CUDA's;
 * and `mla_decode_kernel`'s overflow of page offsets, whose cache of 8 GiB is more than a WebGPU binding may have.
 *
 * @module
 */
import type { AxisValue, AxisValues } from "./axes.ts";
import type { ShapeFields } from "./overrides.ts";
import type { Group, GroupAxes, Suite } from "./suite.ts";

/** A group of `attend` at rank 512: one test. */
function attend(source: string, axes: GroupAxes, rows?: readonly AxisValues[]): Group {
  return { operation: "attend", variants: "all", source, axes: { R: [512], ...axes }, rows, where: isTested };
}

/** What the tests do not skip, without what is said twice. */
function isTested({ q, kv, causal }: ShapeFields): boolean {
  const queries = numbers(q ?? 1);
  if (queries.every((n) => n === 1)) return causal !== 0;
  if (causal === 0 || String(kv).includes("(")) return true;
  return Math.max(...queries) <= Math.min(...numbers(kv));
}

function numbers(lengths: AxisValue | undefined): number[] {
  return String(lengths).split(",").map(Number);
}

/** The wrapper's two caches of f16 and its base-2 log-sum-exp. */
const wrapper = { layout: ["separate"], cache: ["f16"], lse: ["2"] } as const;
const causal = [1, 0] as const;
const odd = [1, 3, 5, 7, 9, 11, 13, 15, 17] as const;

/** Batches of `[kv_len_0, kv_len_1, kv_len_2]` repeated. */
function varlenBatches(): AxisValues[] {
  return [1, 3, 5, 7].flatMap((repeats) =>
    [1, 0, 3, 11].flatMap((first) =>
      [17, 33, 79, 114].flatMap((second) =>
        [514, 2743, 8736].map((third) => ({
          B: 3 * repeats,
          kv: new Array(repeats).fill([first, second, third]).flat().join(),
        }))
      )
    )
  );
}

const wrapped: readonly Group[] = [
  attend("test_deepseek_mla.py: batch_mla_varlen_page_attention", {
    ...wrapper,
    H: [16, 64],
    q: odd,
    causal,
    page: [1],
    tol: ["flashinfer-varlen"],
  }, varlenBatches()),
  attend("test_deepseek_mla.py: batch_mla_page_attention", {
    ...wrapper,
    B: [1, 3, 5, 7, 157],
    kv: [17, 0, 33, 96, 97, 114, 514, 1024],
    q: odd,
    causal,
    page: [1, 16],
    tol: ["flashinfer"],
  }),
  attend("test_deepseek_mla.py: batch_mla_oob_kv_nan", {
    ...wrapper,
    B: [1, 2, 3, 4, 5, 6, 7, 157],
    kv: [17, 33, 75, 197],
    q: [3, 7, 17],
    causal,
    page: [16, 32],
    tol: ["flashinfer"],
  }),
  attend("test_deepseek_mla.py: batch_mla_without_kpe", { ...wrapper, causal: [0], tol: ["flashinfer"] }, [
    { B: 2, q: 3, kv: 97, page: 16, Dr: 0 },
  ]),
  // There queries are a hundred times as large, which exposes a wrong scale; here logits of ±300 do.
  attend("test_deepseek_mla.py: cutlass_mla", {
    H: [128],
    B: [1, 2, 4],
    kv: [128, 1024, 4096],
    page: [128, 1, 16],
    cache: ["bf16", "f16"],
    input: ["large"],
    tol: ["flashinfer-cutlass"],
  }),
];

/** Keys and values of every head: here they are expanded from a latent cache. */
function prefill(source: string, axes: GroupAxes): Group {
  const shared = {
    R: [512],
    H: [4, 32, 128],
    causal,
    cache: ["f16"],
    weight: ["f16"],
    lse: ["2"],
    tol: ["flashinfer"],
  };
  return { operation: "prefill", variants: "all", source, axes: { ...shared, ...axes } };
}

const expanded: readonly Group[] = [
  prefill("test_deepseek_mla.py: single_prefill_with_kv_cache", { q: [1832, 3928], kv: [5532, 7563] }),
  prefill("test_deepseek_mla.py: batch_prefill_with_ragged_kv_cache", { B: [12, 17], q: [377, 177], kv: [544, 977] }),
  // Theirs are more than a software adapter can be asked for.
  { ...prefill("prefill in small", { H: [4], B: [1, 2], q: [77], kv: [144] }), onSoftware: "all" },
];

/** The scale of all layers: that of a head of 128+64, whatever they have. */
const SCALE = 1 / Math.sqrt(128 + 64);
const half = { scale: SCALE / 2 };
const gen = { page: [64, 32], q: [1, 2], lse: ["2"], tol: ["flashinfer-bf16"] } as const;
const lengths = "rand(1..1024)";
const batches = [1, 2, 4, 16, 32, 64, 128, 256, 512, 768, 1024];
const any = { ...gen, page: [64], B: [4], kv: [lengths] } as const;

const trtllmGen: readonly Group[] = [
  attend("test_trtllm_gen_mla.py: trtllm_batch_decode_mla", { ...gen, B: batches, kv: [lengths] }, [
    { H: 32, R: 256, Dn: 64, scale: SCALE },
    { H: 32, R: 256, Dn: 64, ...half },
    { H: 128 },
    { H: 128, ...half },
    { H: 64 },
    { H: 64, ...half },
  ]),
  attend("test_trtllm_gen_mla.py: head counts", { ...any, H: [6, 12, 24, 48, 3, 9, 17, 33, 63, 192] }),
  attend("test_trtllm_gen_mla.py: grouped heads", { ...any, H: [8, 16, 32], q: [2, 3, 4, 5, 6, 7, 8, 9, 16, 32] }),
  attend("test_trtllm_gen_mla.py: block table of odd width", { ...gen, H: [128], q: [1], page: [32], kv: [1025] }),
  attend("test_trtllm_gen_mla.py: cum_seq_lens_q", { ...any, H: [128], B: [2], q: ["1,2"] }),
  attend("test_trtllm_gen_mla.py: preallocated output", {
    ...any,
    H: [128],
    B: [1, 4],
    q: [1, 2, 4],
    kv: [256],
    scale: [1 / Math.sqrt(512 + 64)],
    tol: ["flashinfer"],
  }),
];

/** The scale of cute-dsl's tests, and its natural log-sum-exp. */
const cute = { scale: [1 / Math.sqrt(512)], tol: ["flashinfer-cute"] } as const;
const packedHeads = [12, 24, 48, 96] as const;

/** Lengths of `B` sequences, each 37 tokens shorter than the one before. */
function shrinking(B: number, longest: number): AxisValues {
  return { B, kv: Array.from({ length: B }, (_, b) => Math.max(64, longest - 37 * b)).join() };
}

const cuteDsl: readonly Group[] = [
  attend("test_cute_dsl_mla_decode.py: fp16", {
    ...cute,
    H: [128],
    B: [1, 4, 32],
    kv: [128, 512, 2048, 8192],
    page: [128, 32],
    q: [1, 2],
    cache: ["bf16", "f16"],
  }),
  attend(
    "test_cute_dsl_mla_decode.py: variable_seq_len",
    { ...cute, H: [128], B: [1, 4, 16], cache: ["bf16", "f16"] },
    [32, 128].flatMap((page) => [128, 512, 2048].map((kv) => ({ page, kv: `rand(${page}..${kv})` }))),
  ),
  attend("test_cute_dsl_mla_decode.py: packed_q_accuracy_matrix", {
    ...cute,
    H: packedHeads,
    B: [1, 4, 16, 128],
    kv: [1024],
    q: [1, 2, 4, 8],
  }),
  attend("test_cute_dsl_mla_decode.py: variable_q_packing", { ...cute, H: packedHeads }, [
    { B: 4, q: "8,1,0,3", kv: 16_384 },
  ]),
  attend("test_cute_dsl_mla_decode.py: variable_q, lengths and pages", { ...cute, H: [24] }, [
    { B: 2, q: "3,1", kv: 128, page: 128 },
    { q: "8,1,0,3", ...shrinking(4, 8192) },
  ]),
  // The row of query 21 lies in two tiles of 128, whose masks differ; there too all weights are equal.
  attend("test_cute_dsl_mla_decode.py: per_q_tile_mask_boundary", {
    ...cute,
    H: [6],
    input: ["equal"],
    tol: ["flashinfer-cute-mask"],
  }, [{ q: 32, kv: 144 }, { B: 2, q: "32,1", kv: 144 }]),
  attend("test_cute_dsl_mla_decode.py: tails of tiles, splits that are merged", { ...cute }, [
    { H: 48, q: 3, kv: 128, cache: "f16" },
    { H: 12, q: 11, kv: 1024 },
    { H: 64, q: 3, kv: 1024 },
    { H: 24, q: 6, cache: "f16", ...shrinking(3, 385) },
    { H: 48, B: 37, q: 3, kv: 128, cache: "f16" },
    { H: 24, ...shrinking(2, 4097) },
    { H: 96, kv: 4097 },
    { H: 96, kv: 8192 },
    { H: 96, q: 8, kv: 8192 },
  ]),
];

const otherBackends: readonly Group[] = [
  attend("test_attention_ts_mla_decode.py", {
    H: [8, 16, 32, 64, 128],
    B: [4],
    kv: ["rand(1..2049)"],
    page: [64, 16, 32, 128],
    q: [1, 2],
    causal,
    tol: ["flashinfer-ts"],
  }),
  attend("test_xqa_mla_batch_decode.py", {
    H: [128],
    B: batches,
    kv: [lengths],
    page: [64, 32, 128],
    tol: ["flashinfer-xqa"],
  }, [{}, half]),
];

/** What an append writes: prompts of these lengths. */
const APPENDED = ["45", "4096", "45,8,25", "45,8,25,22", "45,8,25,22,400", "45,8,25,22,100"];

const appends: readonly Group[] = [
  {
    operation: "append",
    variants: "all",
    source: "test_mla_page.py: append_mla_paged_kv_cache",
    axes: { R: [512], layout: ["separate"], cache: ["f16"], page: [64, 1, 16] },
    rows: APPENDED.map((kv) => ({ B: kv.split(",").length, q: kv, kv })),
  },
  // There both forms are compared with each other, here each with the reference.
  {
    operation: "mla",
    variants: "all",
    source: "test_mla_decode_kernel.py: mla_decode_kernel",
    axes: { R: [512], H: [128], B: [6], kv: [640], page: [16], cache: ["f16"], form: ["absorbed", "expanded"] },
  },
  {
    operation: "mla",
    variants: "all",
    source: "mla_decode_kernel in small",
    axes: { R: [512], H: [16], kv: [640], page: [16], cache: ["f16"], form: ["absorbed", "expanded"] },
    onSoftware: "all",
  },
];

/** FlashInfer's matrices. */
export const FLASHINFER: Suite = {
  name: "flashinfer",
  summary: "FlashInfer's MLA test matrices: wrapper, prefill, trtllm-gen, cute-dsl, xqa, append; its tolerances",
  groups: [...wrapped, ...expanded, ...trtllmGen, ...cuteDsl, ...otherBackends, ...appends],
  overlapping: true,
};
