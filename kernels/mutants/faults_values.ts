/**
 * Faults of precision and of element types, and outputs that are no answer.
 *
 * @module
 */
import { APPEND, ATTEND, type Edit, type Fault, IN_MLA, inAll, MLA, PREFILL, PROJECT } from "./fault.ts";
import { binding, setParam, silence, writingResults } from "./launch_edits.ts";
import { append, appendSeparate, attend, mla, prefill, project } from "./shapes.ts";

/** The upper 16 bits of four f32. */
const truncated = (v: string) => `bitcast<vec4<f32>>(bitcast<vec4<u32>>(${v}) & vec4(0xffff0000u))`;

/** Less precision than is claimed, and element types misread. */
export const PRECISION_FAULTS: readonly Fault[] = [
  {
    name: "scores_in_f16",
    bugClass: "precision",
    what: "scores are summed in f16",
    like: "mixed precision that is claimed to be f32 (KernelBench: lower precision than stated)",
    edits: {
      "attend/fused": [{
        find: "return s + q1.x * b.x + q1.y * b.y + q1.z * b.z + q1.w * b.w;",
        replace: "return quantizeToF16(s + q1.x * b.x + q1.y * b.y + q1.z * b.z + q1.w * b.w);",
      }],
      "attend/fused_subgroup": [{
        find: "return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));",
        replace: "return quantizeToF16(fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum)))));",
      }],
      "attend/unfused": [{
        find: "return sum + q.x * k.x + q.y * k.y + q.z * k.z + q.w * k.w;",
        replace: "return quantizeToF16(sum + q.x * k.x + q.y * k.y + q.z * k.z + q.w * k.w);",
      }],
      ...inAll(PREFILL, {
        find: "add_product(s, d + 7u, rg, cg);",
        replace:
          "add_product(s, d + 7u, rg, cg);\n  for (var i = 0u; i < 8u; i++) { (*s)[i] = quantizeToF16((*s)[i]); }",
      }),
    },
    cases: { attend: [attend.pageAndOne, attend.monotone], prefill: [prefill.ragged] },
  },
  {
    name: "weights_in_bf16",
    bugClass: "precision",
    what: "softmax weights are truncated to bf16 before the product with the values",
    like: "tensor cores take 16-bit operands: FlashMLA rounds P, and tests with 2/128",
    edits: {
      "attend/fused": [{ find: "prob[i * ROWS + t] = p;", replace: `prob[i * ROWS + t] = ${truncated("p")};` }],
      "attend/fused_subgroup": [{
        find: "weights_0 = p;",
        replace: "weights_0 = bitcast<f32>(bitcast<u32>(p) & 0xffff0000u);",
      }],
      "attend/unfused": [{
        find: "p.x * v0 + p.y * v1 +",
        replace: `${truncated("p")}.x * v0 + ${truncated("p")}.y * v1 +`,
      }],
      ...inAll(PREFILL, {
        find: "sum.a = sum.a *",
        replace: `for (var i = 0u; i < 8u; i++) { s[i] = ${truncated("s[i]")}; }\n    sum.a = sum.a *`,
        dispatch: "attend",
      }),
    },
    cases: { attend: [attend.pageAndOne, attend.f32], prefill: [prefill.ragged] },
  },
  {
    name: "output_in_bf16",
    bugClass: "precision",
    what: "results are truncated to bf16",
    like: "an output buffer of the model's dtype where f32 is promised",
    edits: {
      ...inAll(ATTEND, { find: "out[at] = a;", replace: `out[at] = ${truncated("a")};` }),
      "project/tiled": [{ find: "{ out[at] = a; }", replace: `{ out[at] = ${truncated("a")}; }` }],
      "project/vector": [{ find: "(N / 4u) + quad] = sum;", replace: `(N / 4u) + quad] = ${truncated("sum")};` }],
      ...inAll(PREFILL, { find: "select(vec4(0.0), v, some)", replace: `select(vec4(0.0), ${truncated("v")}, some)` }),
    },
    cases: { attend: [attend.pageAndOne, attend.oneToken], project: [project.q], prefill: [prefill.ragged] },
  },
  {
    name: "halves_swapped",
    bugClass: "precision",
    what: "the two elements of a word are taken in the wrong order",
    like: "little-endian words read as big-endian pairs",
    edits: {
      ...inAll([...ATTEND.filter((name) => name !== "attend/fused_f16"), ...PREFILL, ...PROJECT], {
        find: "xy << 16u, xy & 0xffff0000u, zw << 16u, zw & 0xffff0000u",
        replace: "xy & 0xffff0000u, xy << 16u, zw & 0xffff0000u, zw << 16u",
      }),
      "attend/fused_f16": [{
        find: "= halves(latent_",
        replace: "= swapped(latent_",
      }, {
        find: "fn both(",
        replace: "fn swapped(word: u32) -> Half2 { return halves(word).yx; }\nfn both(",
      }],
      ...inAll(APPEND, {
        find: "a.x | (a.y << 16u), a.z | (a.w << 16u)",
        replace: "a.y | (a.x << 16u), a.w | (a.z << 16u)",
      }),
    },
    cases: {
      attend: [attend.pageAndOne],
      prefill: [prefill.ragged],
      project: [project.q],
      append: [append.one, appendSeparate.cached],
    },
  },
];

/** What a fused kernel, or the product of `unfused`, stores. */
const storing = (a: string, b: string): Edit => ({
  find: "out[at] = a;\n    out[at + 1u] = b;",
  replace: `out[at] = ${a};\n    out[at + 1u] = ${b};`,
});

/** Every kernel writing `value` in place of each vector of four that is its result. */
function writing(value: string): Fault["edits"] {
  return {
    ...inAll(ATTEND, storing(value, value)),
    "project/tiled": [
      { find: "{ out[at] = a; }", replace: `{ out[at] = ${value}; }` },
      { find: "{ out[at + COLUMN_GROUPS] = b; }", replace: `{ out[at + COLUMN_GROUPS] = ${value}; }` },
    ],
    "project/vector": [{ find: "(N / 4u) + quad] = sum;", replace: `(N / 4u) + quad] = ${value};` }],
    ...inAll(
      PREFILL,
      { find: "select(vec4(0.0), v, some)", replace: value },
      { find: "select(vec4(0.0), w, some)", replace: value },
    ),
    "append/combined": [{ find: "+ piece] = value;", replace: `+ piece] = bitcast<vec4<u32>>(${value});` }],
    "append/separate": [{ find: "+ piece] = value;", replace: `+ piece] = bitcast<vec4<u32>>(${value});` }],
  };
}

const EVERYWHERE = {
  attend: [attend.pageAndOne],
  append: [append.one, appendSeparate.cached],
  project: [project.q, project.v],
  prefill: [prefill.ragged],
} as const;

/** Outputs that are none. */
export const TRIVIAL_FAULTS: readonly Fault[] = [
  {
    name: "stale_output",
    bugClass: "trivial",
    what: "the last dispatch is not made: the result is what the buffer held",
    like: "KernelBench: a result that an earlier, right kernel left in memory",
    edits: {
      ...inAll([...ATTEND, ...APPEND, ...PROJECT, ...PREFILL], silence(writingResults)),
      ...inAll(MLA, silence(binding("out"))),
    },
    cases: { ...EVERYWHERE, mla: [mla.step] },
  },
  {
    name: "zero_output",
    bugClass: "trivial",
    what: "the result is all zeros",
    like: "KernelBench#165: zeros pass 4 of 60 problems",
    edits: writing("vec4<f32>(0.0)"),
    cases: EVERYWHERE,
  },
  {
    name: "constant_output",
    bugClass: "trivial",
    what: "the result is all ones",
    like: "a kernel that writes without having computed",
    edits: writing("vec4<f32>(1.0)"),
    cases: EVERYWHERE,
  },
  {
    name: "mean_of_the_values",
    bugClass: "trivial",
    what: "all tokens weigh the same",
    like: "scores that are lost: on long random sequences the mean of V is near the answer",
    edits: {
      ...inAll(ATTEND, setParam("scale", () => 2 ** -100)),
      ...inAll(PREFILL, setParam("factor", () => 2 ** -100)),
      ...IN_MLA,
    },
    cases: { attend: [attend.pageAndOne], prefill: [prefill.ragged], mla: [mla.step] },
  },
  {
    name: "output_of_the_previous_step",
    bugClass: "trivial",
    what: "a plan is not brought up to date: the answer is that of one token before",
    like: "a captured graph replayed with the lengths of its capture",
    edits: {
      ...inAll([...ATTEND, ...PREFILL], {
        shape: (shape) => ({ ...shape, kv: shape.kv.map((n) => Math.max(0, n - 1)) }),
      }),
      ...IN_MLA,
    },
    cases: { attend: [attend.pageAndOne], prefill: [prefill.ragged], mla: [mla.step] },
  },
  {
    name: "output_of_the_previous_call",
    bugClass: "trivial",
    what: "calls after the first leave the output as it was",
    like: "reference-kernels#160: an answer cached by its buffer and given again",
    edits: inAll(MLA, {
      launch: (launch, context) =>
        context.shape.kv.some((n, b) => n > context.shape.q[b])
          ? silence(binding("out")).launch(launch, context)
          : launch,
    }),
    cases: { mla: [mla.flow] },
  },
  {
    name: "added_to_the_output",
    bugClass: "trivial",
    what: "the result is added to what the output held",
    like: "an accumulation whose buffer nobody clears: right in fresh memory, wrong from the second call on",
    edits: {
      ...inAll(ATTEND, storing("out[at] + a", "out[at + 1u] + b")),
      "project/tiled": [{ find: "{ out[at] = a; }", replace: "{ out[at] += a; }" }],
      "project/vector": [{ find: "(N / 4u) + quad] = sum;", replace: "(N / 4u) + quad] += sum;" }],
      ...inAll(PREFILL, { find: "out[at + cg] = select(", replace: "out[at + cg] += select(" }),
    },
    cases: { attend: [attend.pageAndOne], project: [project.q], prefill: [prefill.ragged] },
  },
];
