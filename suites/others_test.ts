import { assert, assertEquals } from "@std/assert";
import { total } from "../reference/shapes.ts";
import { TOLERANCES } from "../reference/tolerances.ts";
import type { Case } from "./case.ts";
import { expandSuites } from "./expand.ts";
import { SUITES } from "./suites.ts";
import type { Suite } from "./suite.ts";

/** One kernel for each operation, so that cases are shapes. */
const kernelsAvailable = [
  { operation: "attend", variant: "a" },
  { operation: "append", variant: "a" },
  { operation: "project", variant: "a" },
  { operation: "prefill", variant: "a" },
  { operation: "mla", variant: "a" },
] as const;

function suiteOf(name: string): Suite {
  return SUITES.find((suite) => suite.name === name)!;
}

/** Shapes of the groups of `suite` whose source contains `source`. */
function shapesOf(name: string, source = ""): Case[] {
  const suite = suiteOf(name);
  const groups = suite.groups.filter((group) => group.source === undefined || group.source.includes(source));
  assert(groups.length > 0, source);
  const registry = [{ ...suite, groups }];
  return expandSuites({ suites: [name], registry, kernelsAvailable, software: false, full: false });
}

Deno.test("every group of a suite of another system says which test it is, and names a tolerance that exists", () => {
  for (const name of ["seed", "flashinfer", "flashmla"]) {
    for (const { source, axes, operation, rows } of suiteOf(name).groups) {
      assert(source, name);
      const tolerances = [...axes.tol ?? [], ...(rows ?? []).flatMap(({ tol }) => tol === undefined ? [] : [tol])];
      assert(tolerances.every((tol) => Object.keys(TOLERANCES).includes(String(tol))), source);
      // Appends are exact, and two tests have no tolerance: one asserts no values, one compares two kernels.
      const untold = operation === "append" || /with_variable_seq_lengths|mla_decode_kernel/.test(source);
      assertEquals(tolerances.length > 0, !untold, source);
    }
  }
});

Deno.test("flashmla: 2304 cases, without what coincides 1800", () => {
  const cases = shapesOf("flashmla", "correctness");
  // b × s_q × s_k × pairs of heads × varlen × causal.
  assertEquals(4 * 3 * 3 * 16 * 2 * 2, 2304);
  // The causal rule at one query token is none: 384 fewer. Of 64 pairs (b·h_kv, h_q/h_kv) 60 are distinct: 120 fewer.
  assertEquals(cases.length, 2304 - 384 - 120);
  const rows = new Set(cases.map(({ axes }) => `${axes.B},${axes.H}`));
  assertEquals(rows.size, 60);
  assert(["1,1", "512,8", "512,16", "192,42", "2,63", "64,128"].every((row) => rows.has(row)));
  for (const { operation, shape, input, tolerance } of cases) {
    assert(operation === "attend");
    assertEquals([shape.R, shape.Dr, shape.page, shape.cache, input, tolerance], [
      512,
      64,
      64,
      "bf16",
      "flashmla",
      "flashmla",
    ]);
    assert(Math.abs(shape.scale - 576 ** -0.5) < 1e-15);
    assert(shape.kv.every((kv, b) => kv >= shape.q[b]), "a varlen length is at least s_q");
  }
});

Deno.test("flashmla: 32 cases with empty sequences, 12 of 16 benchmarks", () => {
  const zero = shapesOf("flashmla", "zero-length");
  assertEquals(zero.length, 32);
  for (const { operation, shape } of zero) {
    assert(operation === "attend");
    const empty = shape.kv.filter((kv) => kv === 0).length;
    assert(empty > shape.B / 4 && empty < shape.B * 3 / 4);
    assertEquals(shape.B % 128, 0);
  }
  assertEquals(shapesOf("flashmla", "among short ones").length, 4);
  // Those of one query token without the causal rule are the same as with it.
  assertEquals(shapesOf("flashmla", "performance").length, 16 - 4);
});

Deno.test("flashinfer: the matrices of the wrapper's tests, less what they skip and what is the same twice", () => {
  // b × kv_len_0 × kv_len_1 × kv_len_2 × heads; causal needs q ≤ the shortest; one query token is the same with and
  // without.
  const batches = 4 * 4 * 3 * 2;
  assertEquals(
    shapesOf("flashinfer", "varlen_page_attention").length,
    batches * (4 * 9 + (1 - 1) + (2 - 1) + (6 - 1)),
  );
  assertEquals(shapesOf("flashinfer", "batch_mla_page_attention").length, 5 * 2 * (8 * 9 + 7 * 8));
  assertEquals(shapesOf("flashinfer", "oob_kv_nan").length, 8 * 4 * 3 * 2 * 2);
  assertEquals(shapesOf("flashinfer", "single_prefill").length, 2 * 2 * 3 * 2);
  assertEquals(shapesOf("flashinfer", "ragged").length, 2 * 2 * 2 * 3 * 2);
  assertEquals(shapesOf("flashinfer", "cutlass").length, 3 * 3 * 3 * 2);
});

Deno.test("flashinfer: the matrices of its other decode kernels, and of append", () => {
  const main = shapesOf("flashinfer", "trtllm_batch_decode_mla");
  // 3 layers × b × scale × page × q_len, in bf16.
  assertEquals(main.length, 3 * 11 * 2 * 2 * 2);
  const scales = new Set<number>();
  for (const { operation, shape } of main) {
    assert(operation === "attend");
    scales.add(Math.round(shape.scale * Math.sqrt(192) * 1e9) / 1e9);
    assertEquals(shape.kv.at(-1), 1024);
  }
  assertEquals([...scales].sort(), [0.5, 1]);
  assert(main.some(({ axes }) => axes.R === 256 && axes.H === 32 && axes.Dn === 64));
  assertEquals(shapesOf("flashinfer", "head counts").length, 10 * 2);
  assertEquals(shapesOf("flashinfer", "cute_dsl_mla_decode.py: fp16").length, 3 * 4 * 2 * 2 * 2);
  assertEquals(shapesOf("flashinfer", "variable_seq_len").length, 3 * 3 * 2 * 2);
  assertEquals(shapesOf("flashinfer", "packed_q_accuracy").length, 4 * 4 * 4);
  assertEquals(shapesOf("flashinfer", "variable_q").length, 4 + 2);
  assertEquals(shapesOf("flashinfer", "mask_boundary").length, 2);
  assertEquals(shapesOf("flashinfer", "tails of tiles").length, 9);
  assertEquals(shapesOf("flashinfer", "xqa").length, 11 * 2 * 3);
  assertEquals(shapesOf("flashinfer", "attention_ts").length, 5 * 4 * 3);
  const preallocated = shapesOf("flashinfer", "preallocated");
  assertEquals(preallocated.length, 2 * 3);
  for (const { operation, shape, tolerance } of preallocated) {
    assert(operation === "attend" && Math.abs(shape.scale * 24 - 1) < 1e-15);
    assertEquals([new Set(shape.kv), tolerance], [new Set([256]), "flashinfer"]);
  }
  const [cumulative] = shapesOf("flashinfer", "cum_seq_lens_q");
  assert(cumulative.operation === "attend");
  assertEquals([cumulative.shape.q, cumulative.shape.kv[1]], [[1, 2], 1024]);
  const [width] = shapesOf("flashinfer", "odd width");
  assert(width.operation === "attend");
  assertEquals(Math.ceil(width.shape.kv[0] / width.shape.page), 33);
  assertEquals(shapesOf("flashinfer", "append").length, 6 * 3);
});

Deno.test("flashinfer: no causal row of a fixed length is without tokens, no case without rope keys is lost", () => {
  for (const { operation, shape, axes } of shapesOf("flashinfer")) {
    if (operation !== "attend" || String(axes.kv).includes("(") || axes.q === 1) continue;
    if (shape.causal) assert(shape.kv.every((kv, b) => shape.q[b] <= kv));
  }
  const [nope] = shapesOf("flashinfer", "without_kpe");
  assert(nope.operation === "attend");
  assertEquals([nope.shape.Dr, nope.shape.causal, nope.shape.lseBase, nope.shape.q], [0, false, "2", [3, 3]]);
  assert(Math.abs(nope.shape.scale - 128 ** -0.5) < 1e-15);
});

/** Tests of the seed and how many shapes each has. */
const SEED_TESTS: readonly [source: string, shapes: number][] = [
  ["trtllm_mla_op.py: decode_matches_torch_reference", 1],
  ["uses_blackwell_decode_kernel_when_available", 3],
  ["flashinfer_trtllm_mla_op.py: prefill", 2 * 8],
  ["decode_with_cache", 8 + 8 + 4],
  ["context_then_generate", 2 * 8],
  ["multi_step_decode", 1],
  ["trtllm_mla_op.py: variable_seq_lengths", 1],
  ["decode_various_cache_lengths", 3 * 7],
  ["op_context", 4],
  ["op_decode", 4],
  ["context_and_generate", 2 * 18],
  ["with_variable_seq_lengths", 3],
  ["variable_seq_multi_decode", 6],
  ["flashinfer_mla_op.py: chunked_prefill", 5],
  ["cuda_graph", 8 + 4 - 2],
  ["triton_mla_op.py: decode", 5 + 2],
  ["triton_mla_op.py: prefill", 5 + 5],
  ["torch_mla_op.py: source op", 3],
  ["torch_mla_op.py: cached op", 4],
  ["test_trtllm_mla_op.py: prefill", 8],
  ["multi_step", 1 + 4],
  ["GLM", 3],
  ["test_trtllm_mla_op.py: chunked_prefill", 2],
  ["mixed_batch", 2],
  ["session", 1],
];

for (const [source, count] of SEED_TESTS) {
  Deno.test(`seed: ${source} has the shapes of its matrix`, () => {
    assertEquals(new Set(shapesOf("seed", source).map(({ id }) => id)).size, count);
  });
}

Deno.test("seed: all of it, with its own inputs but where its test has none of its own", () => {
  const cases = shapesOf("seed");
  for (const { input, tolerance } of cases) assert(input === "seed" || tolerance === undefined);
  const inputs = cases.filter(({ operation, input }) => operation !== "append" && input !== "seed");
  assertEquals(inputs.length, 3);
});

Deno.test("seed: chunks, sessions and generation are flows whose lengths add up", () => {
  const flows = shapesOf("seed").flatMap(({ operation, shape }) => operation === "mla" && shape.steps ? [shape] : []);
  assert(flows.length > 40);
  for (const { q, kv, steps } of flows) {
    assertEquals(q, q.map((_, b) => total(steps!.map((step) => step[b]))));
    assertEquals(kv, q, "everything in the cache was written by the flow");
  }
});

Deno.test("flows: both layouts, ranks and pages; steps across a page; sequences that join, wait and leave", () => {
  const flows = shapesOf("flows").flatMap(({ operation, shape }) => operation === "mla" ? [shape] : []);
  assert(flows.every(({ steps }) => steps!.length > 1));
  for (const layout of [undefined, "separate"]) {
    for (const R of [256, 512]) {
      for (const page of [16, 61, 64]) {
        const own = flows.filter((shape) => shape.layout === layout && shape.R === R && shape.page === page);
        assert(own.length >= 4, `${layout} ${R} ${page}`);
      }
    }
  }
  const decodes = flows.filter(({ steps }) => steps!.length === 5 && steps!.flat().every((tokens) => tokens === 1));
  const crosses = decodes.filter(({ kv, page, q }) => kv[0] > page && kv[0] - q[0] < page);
  assertEquals(crosses.length, 6);
  // A sequence that joins late, and one that has left before the last step.
  assert(flows.some(({ steps }) => steps![0].includes(0) && !steps!.at(-1)!.includes(0)));
  assert(flows.some(({ steps }) => steps!.at(-1)!.some((n, b) => n === 0 && steps![0][b] > 0)));
});
