/**
 * Faults of `append`: which token goes where, and how it is rounded.
 *
 * @module
 */
import { APPEND, type Fault, inAll, MLA } from "./fault.ts";
import { append, appendSeparate, mla } from "./shapes.ts";

const HALVES = { append: [append.one, append.f16, appendSeparate.cached, appendSeparate.f16] } as const;
const BF16 = { when: { cache: "bf16" } } as const;
const F16 = { when: { cache: "f16" } } as const;

/** Tokens in the wrong place. */
const PLACES: readonly Fault[] = [
  {
    name: "cached_tokens_overwritten",
    bugClass: "append",
    what: "new tokens are written from the first slot of their sequence on",
    like: "input_pos ignored: right for a prompt, wrong for a step",
    edits: inAll([...APPEND, ...MLA], { find: "let pos = input_pos[b] + token", replace: "let pos = token" }),
    cases: { append: [append.one, appendSeparate.cached], mla: [mla.step] },
  },
  {
    name: "tokens_reversed",
    bugClass: "append",
    what: "the new tokens of a sequence are written in reverse order",
    like: "attention without a causal rule does not tell: only the next call does",
    edits: inAll([...APPEND, ...MLA], {
      find: "input_pos[b] + token - cu_seqlen[b];",
      replace: "input_pos[b] + (cu_seqlen[b + 1u] - 1u - token);",
    }),
    cases: { append: [append.cached, appendSeparate.cached], mla: [mla.mixed] },
  },
  {
    name: "last_new_token_lost",
    bugClass: "append",
    what: "the last new token of each sequence is not written",
    like: "a range that ends at the last token, not after it",
    edits: inAll([...APPEND, ...MLA], {
      find: "min(P.tokens, cu_seqlen[b + 1u]);",
      replace: "min(P.tokens, cu_seqlen[b + 1u]) - 1u;",
    }),
    cases: { append: [append.one, appendSeparate.cached], mla: [mla.step] },
  },
  {
    name: "padded_tokens_written",
    bugClass: "append",
    what: "threads past the last token write it once more, behind the sequence",
    like: "a cache update for padded rows, which belong to nobody",
    edits: inAll(APPEND, { find: "if (token >= end || pos", replace: "if (pos" }),
    cases: { append: [append.cached, append.one, appendSeparate.cached, appendSeparate.ragged] },
  },
  {
    name: "next_slot_written_too",
    bugClass: "append",
    what: "every token is also written to the slot after its own",
    like: "a tile of two tokens stored where there is one",
    edits: inAll(APPEND, {
      find: "store_latent(slot, piece, pack(x, y));",
      replace: "store_latent(slot, piece, pack(x, y));\n    store_latent(slot + 1u, piece, pack(x, y));",
    }),
    cases: { append: [append.one, append.cached, appendSeparate.cached] },
  },
  {
    name: "rope_keys_not_written",
    bugClass: "append",
    what: "latents are written and rope keys are not",
    like: "two caches, two launches, and one of them forgotten",
    edits: inAll([...APPEND, ...MLA], {
      find: "if (rope && ROPE == 0u) { return; }",
      replace: "if (rope) { return; }",
    }),
    cases: { append: [append.one, appendSeparate.cached], mla: [mla.step] },
  },
];

/** Rounding. */
const ROUNDING: readonly Fault[] = [
  {
    name: "bf16_rounded_toward_zero",
    bugClass: "append",
    what: "values are truncated to bf16, not rounded to nearest",
    like: "a bf16 taken as the upper half of an f32",
    edits: inAll(APPEND, {
      find: "(x + 0x7fffu + ((x >> vec4(16u)) & vec4(1u))) >> vec4(16u)",
      replace: "x >> vec4(16u)",
      ...BF16,
    }),
    cases: { append: [append.one, appendSeparate.cached] },
  },
  {
    name: "f16_rounded_toward_zero",
    bugClass: "append",
    what: "the same for f16 alone",
    like: "pack2x16float, whose rounding WGSL leaves open",
    edits: inAll(APPEND, {
      find: "magnitude - 0x38000000u + 0xfffu + odd",
      replace: "magnitude - 0x38000000u",
      ...F16,
    }),
    cases: { append: [append.f16, appendSeparate.f16] },
  },
  {
    name: "ties_rounded_up",
    bugClass: "append",
    what: "a value in the middle between two is rounded up, not to even",
    like: "(x + 0x8000) >> 16, the bf16 rounding that one finds everywhere",
    edits: inAll(
      APPEND,
      { find: "x + 0x7fffu + ((x >> vec4(16u)) & vec4(1u))", replace: "x + 0x8000u", ...BF16 },
      { find: "+ 0xfffu + odd", replace: "+ 0x1000u", ...F16 },
    ),
    cases: HALVES,
  },
  {
    name: "f16_subnormals_lost",
    bugClass: "append",
    what: "values below 2⁻¹⁴ become 0",
    like: "flush to zero, which GPUs may do and a cache must not",
    edits: inAll(APPEND, {
      find: "select(normal, subnormal, magnitude < vec4(0x38800000u))",
      replace: "select(normal, vec4(0u), magnitude < vec4(0x38800000u))",
      ...F16,
    }),
    cases: { append: [append.f16, appendSeparate.f16] },
  },
  {
    name: "f16_overflow_saturates",
    bugClass: "append",
    what: "values past the range of f16 become its largest, not ∞",
    like: "a saturating conversion: an overflow that nobody notices",
    edits: inAll(APPEND, { find: "vec4(0x7c00u), magnitude >=", replace: "vec4(0x7bffu), magnitude >=", ...F16 }),
    cases: { append: [append.f16, appendSeparate.f16] },
  },
  {
    name: "nan_rounded",
    bugClass: "append",
    what: "NaN goes through the rounding: those with a small payload become ∞",
    like: "the bf16 rounding trick without its test for NaN",
    edits: inAll(
      APPEND,
      { find: "return select(rounded, nan, (x &", replace: "return select(rounded, rounded, (x &", ...BF16 },
      { find: "select(finite, nan, magnitude", replace: "select(finite, vec4(0x7c00u), magnitude", ...F16 },
    ),
    cases: HALVES,
  },
  {
    name: "negative_zero_lost",
    bugClass: "append",
    what: "−0 becomes 0",
    like: "a copy through arithmetic, x + 0, where bits are promised",
    edits: inAll(APPEND, {
      find: "  let a = narrow(x);\n  let b = narrow(y);",
      replace: "  let a = narrow(select(x, vec4(0u), x == vec4(0x80000000u)));\n" +
        "  let b = narrow(select(y, vec4(0u), y == vec4(0x80000000u)));",
    }),
    cases: HALVES,
  },
];

/** Mistakes of `append`. */
export const APPEND_FAULTS: readonly Fault[] = [...PLACES, ...ROUNDING];
