/**
 * The tests of TensorRT-LLM pull request 12519 and of its neighbours in the same folder, `custom_ops/mla`, with their
 * values.
 *
 * `mla` stands for the operators that are tested; their caches are as theirs: one paged cache (`flashinfer_trtllm_mla`,
 * `trtllm_mla`), two (`flashinfer_mla`), or one unpaged row a sequence (`torch_mla`, `triton_mla`), which is one page.
 * Where a test is about a part of the operator, that part has it too.
 *
 * Not here, because they are no numbers: tests of descriptors, of graph capture beyond the shapes it is run on (plans
 * have their own tests), of the size of the cache, and those that replace the kernel by a mock, but for the projection
 * after it.
 *
 * @module
 */
import type { AxisValues } from "./axes.ts";
import type { Group, GroupAxes, Suite } from "./suite.ts";

/** A group of `mla`: one test. */
function mla(source: string, axes: GroupAxes, rows?: readonly AxisValues[]): Group {
  return { operation: "mla", variants: "all", source, axes: { input: ["seed"], ...axes }, rows };
}

/** The same for a part of the operator. */
function part(operation: "attend" | "append" | "prefill" | "project", group: Group): Group {
  const { tol: _tol, Dn: _Dn, Dv: _Dv, H: _H, input: _input, ...cacheAxes } = group.axes;
  return { ...group, operation, axes: operation === "append" ? cacheAxes : group.axes };
}

/** New prompts of `lengths`, nothing cached. */
function prompts(lengths: readonly number[]): AxisValues[] {
  return lengths.map((tokens) => ({ q: tokens, kv: tokens }));
}

/** One new token behind each of `cached`. */
function behind(cached: readonly number[]): number[] {
  return cached.map((tokens) => tokens + 1);
}

/** A prompt of each of `lengths`, then `steps` decode steps. */
function generate(lengths: readonly number[], steps: number): AxisValues[] {
  return lengths.map((tokens) => ({ q: `${tokens}>1x${steps}`, kv: tokens + steps }));
}

/** Ragged prompts, then `steps` decode steps. */
function raggedGenerate(lengths: readonly number[], steps: number): AxisValues {
  return { B: lengths.length, q: `${lengths.join()}>1x${steps}`, kv: lengths.map((n) => n + steps).join() };
}

/** Prompts in chunks, `[sequences][chunks]`. */
function chunks(perSequence: readonly (readonly number[])[]): AxisValues {
  const steps = perSequence[0].map((_, i) => perSequence.map((sequence) => sequence[i]).join());
  const kv = perSequence.map((sequence) => sequence.reduce((a, b) => a + b, 0));
  return { B: perSequence.length, q: steps.join(">"), kv: kv.join() };
}

const paged = "test_flashinfer_trtllm_mla_op.py:";
const rank256 = { R: [256], H: [4] } as const;
const decodeWithCache = mla(
  `${paged} decode_with_cache`,
  { ...rank256, H: [4, 1], B: [2, 8], tol: ["seed-decode"] },
  behind([64, 128]).map((kv) => ({ kv })),
);
const prefill = mla(
  `${paged} prefill`,
  { ...rank256, H: [4, 1], B: [2, 8], tol: ["seed-prefill"] },
  prompts([32, 128]),
);
const cacheLengths = mla(`${paged} decode_various_cache_lengths`, {
  ...rank256,
  kv: behind([1, 63, 64, 127, 128, 255, 256]),
  tol: ["seed-decode"],
});

/** Rank 256, pages of 64, bf16: the operator of the pull request. */
const pullRequest: readonly Group[] = [
  mla(`${paged} decode_matches_torch_reference`, { ...rank256, B: [2], kv: [129], tol: ["seed-decode"] }),
  mla(`${paged} uses_blackwell_decode_kernel_when_available`, { ...rank256, B: [2], kv: [65], tol: ["seed-decode"] }),
  part(
    "project",
    mla(`${paged} uses_blackwell_decode_kernel_when_available`, {
      ...rank256,
      B: [2],
      part: ["v", "q"],
      tol: ["seed-projection"],
    }),
  ),
  prefill,
  part("prefill", prefill),
  decodeWithCache,
  part("attend", decodeWithCache),
  part("append", decodeWithCache),
  mla(
    `${paged} context_then_generate, the context`,
    { ...rank256, H: [4, 1], B: [2, 4], tol: ["seed-context"] },
    prompts([32, 128]),
  ),
  mla(
    `${paged} context_then_generate, the token`,
    { ...rank256, H: [4, 1], B: [2, 4], tol: ["seed-generate"] },
    generate([32, 128], 1),
  ),
  mla(`${paged} multi_step_decode`, { ...rank256, B: [4], tol: ["seed-decode"] }, generate([64], 5)),
  mla(`${paged} variable_seq_lengths`, { ...rank256, tol: ["seed-prefill"] }, [
    { B: 3, q: "16,32,64", kv: "16,32,64" },
  ]),
  mla(`${paged} mixed_batch`, { ...rank256, tol: ["seed-decode"] }, [{ B: 4, q: "32,32,1,1", kv: "32,32,65,65" }]),
  cacheLengths,
  part("attend", cacheLengths),
  part("append", cacheLengths),
];

const separate = "test_flashinfer_mla_op.py:";
const rank512 = { R: [512], layout: ["separate"] } as const;
const graphs = { ...rank512, H: [8], kv: [65], tol: ["seed-decode"] } as const;

/** Rank 512 in two caches. */
const twoCaches: readonly Group[] = [
  mla(`${separate} op_context`, { ...rank512, H: [1], B: [8, 64], tol: ["seed-prefill"] }, [
    { q: 32, kv: 32, page: 32 },
    { q: 128, kv: 128, page: 128 },
  ]),
  mla(`${separate} op_decode`, { ...rank512, H: [1], B: [4, 64], Dv: [192], kv: [65, 129], tol: ["seed-prefill"] }),
  mla(
    `${separate} context_and_generate, the context`,
    { ...rank512, H: [1, 8], B: [4, 64, 256], tol: ["seed-context"] },
    prompts([16, 128, 1024]),
  ),
  mla(
    `${separate} context_and_generate, the token`,
    { ...rank512, H: [1, 8], B: [4, 64, 256], tol: ["seed-generate"] },
    generate([16, 128, 1024], 1),
  ),
  // Its weights are not scaled and only shape and finiteness are asserted: ordinary inputs under our own bounds say
  // more.
  mla(`${separate} with_variable_seq_lengths`, { ...rank512, H: [8], page: [32], input: ["normal"] }, [
    { B: 2, q: "8,16", kv: "8,16" },
    { B: 3, q: "12,24,32", kv: "12,24,32" },
    { B: 4, q: "4,8,16,32", kv: "4,8,16,32" },
  ]),
  mla(
    `${separate} variable_seq_multi_decode`,
    { ...rank512, H: [8], tol: ["seed-generate"] },
    [3, 5].flatMap((steps) =>
      [[8, 16, 32], [12, 24, 48, 64], [16, 32, 64, 96, 128]].map((lengths) => raggedGenerate(lengths, steps))
    ),
  ),
  mla(`${separate} chunked_prefill`, { ...rank512, H: [8], page: [32], tol: ["seed-prefill"] }, [
    chunks([[32, 16], [64, 32]]),
    chunks([[32, 16, 8], [64, 32, 16]]),
    chunks([[64, 32, 16, 8]]),
    chunks([[32, 32, 32], [48, 48, 48], [64, 64, 64]]),
    chunks([[16, 16, 16, 16, 16]]),
  ]),
  mla(`${separate} cuda_graph_wrapper_creation`, { ...graphs, H: [8, 1], B: [4, 16], kv: [65, 129] }),
  mla(`${separate} cuda_graph_wrapper_caching_per_batch_size, plan_generate_only, multiple_batch_sizes`, {
    ...graphs,
    B: [1, 4, 8, 16],
  }),
];

/** Dimensions, in the order of the tests: heads, Dn, Dr, R, Dv. */
function dims(H: number, Dn: number, Dr: number, R: number, Dv: number): AxisValues {
  return { H, Dn, Dr, R, Dv };
}

const small = dims(8, 64, 32, 256, 64);
const tiny = dims(4, 32, 16, 128, 32);
const deepseek = dims(16, 128, 64, 512, 128);
const triton = "test_triton_mla_op.py:";
const torch = "test_torch_mla_op.py:";
const unpaged = { tol: ["triton-mla"] } as const;
const ragged = (q: readonly number[], cached: readonly number[]): AxisValues => ({
  B: q.length,
  q: q.join(),
  kv: q.map((tokens, b) => tokens + cached[b]).join(),
});
const cacheUpdate = mla(`${triton} decode_cache_update`, unpaged, [{ ...tiny, B: 2, kv: 6, page: 64 }]);

/** One row of the cache for each sequence: a page as long as the longest sequence may get. */
const unpagedRows: readonly Group[] = [
  mla(`${triton} decode`, unpaged, [
    { ...small, B: 2, kv: 6, page: 128 },
    { ...tiny, B: 1, kv: 4, page: 64 },
    { ...small, B: 16, kv: 21, page: 256 },
    { ...deepseek, B: 4, kv: 51, page: 512 },
    { ...tiny, B: 2, kv: 1, page: 64 },
  ]),
  cacheUpdate,
  { ...part("append", cacheUpdate), rows: [{ R: 128, Dr: 16, B: 2, kv: 6, page: 64 }] },
  mla(`${triton} prefill`, unpaged, [
    { ...small, B: 2, q: 4, kv: 4, page: 128 },
    { ...tiny, B: 1, q: 8, kv: 8, page: 64 },
    { ...small, B: 1, q: 32, kv: 32, page: 128 },
    { ...small, B: 4, q: 8, kv: 8, page: 256 },
    { ...deepseek, B: 2, q: 4, kv: 4, page: 512 },
  ]),
  // Padded there row by row; here the padding is behind the last token.
  mla(`${triton} prefill_ragged`, unpaged, [
    { ...small, ...ragged([4, 2, 5], [1, 0, 2]), page: 128, padding: 7 },
    { ...tiny, ...ragged([3, 7], [0, 0]), page: 64, padding: 6 },
    { ...small, ...ragged([4], [5]), page: 128, padding: 2 },
    { ...deepseek, ...ragged([2, 4, 1, 3], [10, 0, 5, 20]), page: 512, padding: 6 },
    { ...small, ...ragged([2, 1, 3], [0, 0, 0]), page: 128, padding: 42 },
  ]),
  mla(`${torch} source op`, { ...unpaged, B: [2], q: [4], kv: [4], page: [128] }, [
    { ...deepseek, H: 8 },
    small,
    { ...small, scale: 0.5 },
  ]),
  mla(`${torch} cached op`, { ...unpaged, B: [2], cache: ["bf16", "f16"], page: [128] }, [
    { ...small, kv: 6 },
    { ...tiny, Dn: 32, Dr: 16, R: 64, Dv: 32, kv: 4 },
  ]),
];

const trtllm = "test_trtllm_mla_op.py:";
const blocks = { R: [512], page: [32] } as const;
const glm = { H: [20], Dn: [192], Dv: [256], tol: ["trtllm-mla"] } as const;
const glmFlow = [{ q: "32>1x8", kv: 40 }];

/** Rank 512 in pages of 32. */
const pages32: readonly Group[] = [
  mla(`${trtllm} prefill`, { ...blocks, H: [4, 1], B: [1, 4], tol: ["trtllm-mla-prefill"] }, prompts([32, 64])),
  mla(`${trtllm} multi_step`, { ...blocks, H: [4, 1], B: [1, 4], tol: ["trtllm-mla"] }, generate([16], 4)),
  // One sequence is little work, so that a software adapter runs it too.
  { ...mla(`${trtllm} GLM dimensions`, { ...blocks, ...glm }, glmFlow), onSoftware: "all" },
  mla(`${trtllm} GLM dimensions`, { ...blocks, ...glm, B: [64, 128] }, glmFlow),
  mla(`${trtllm} chunked_prefill`, { ...blocks, H: [4], B: [1, 2], tol: ["trtllm-mla-chunked"] }, [
    { q: "16x2>1", kv: 33 },
  ]),
  mla(`${trtllm} mixed_batch`, { ...blocks, H: [4], tol: ["trtllm-mla"] }, [
    // Its decoding sequences were prefilled by a call of their own.
    { B: 4, q: "0,0,16,16>16,16,1,1", kv: "16,16,17,17" },
  ]),
  mla(`${trtllm} four-step session`, { ...blocks, H: [4], tol: ["trtllm-mla-session"] }, [
    { B: 2, q: "32,0>1,0>1,16>1,1", kv: "35,17" },
  ]),
];

/** The tests of the pull request, with their inputs, their values, and their tolerances as upper limits. */
export const SEED: Suite = {
  name: "seed",
  summary: "every numeric test of TensorRT-LLM PR 12519 and its folder, with their values and tolerances",
  groups: [...pullRequest, ...twoCaches, ...unpagedRows, ...pages32],
  overlapping: true,
};
