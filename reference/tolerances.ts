/**
 * Tolerances of other systems' tests, by name: upper limits that a kernel meets beside our own bounds, which are
 * tighter as a rule, never instead of them.
 *
 * @module
 */
import { type AttendActual, rowsOf } from "./acceptance_rows.ts";
import type { Check } from "./check.ts";

/**
 * How near an element, and the tensor, must be to the reference. NaN and ±∞ must stand where the reference has them.
 */
export interface Closeness {
  /** Absolute tolerance. */
  readonly atol: number;
  /** Tolerance relative to the reference's magnitude. */
  readonly rtol: number;
  /** `sum`: error ≤ atol + rtol·|e|, as `torch.allclose`. `either`: error < atol, or error < rtol·(|e| + 10⁻⁶). */
  readonly rule: "sum" | "either";
  /** Largest `1 − 2Σae/Σ(a²+e²)` of the whole tensor. @default no limit */
  readonly cosine?: number;
  /** Share of the elements that must be near enough, 0…1. @default {1} */
  readonly share?: number;
}

/** A tolerance of another system's test. */
export interface Tolerance {
  /** Where it is from. */
  readonly source: string;
  /** Of the output. */
  readonly out: Closeness;
  /** Of the natural log-sum-exp, where the test looks at it. */
  readonly lse?: Closeness;
}

function allclose(atol: number, rtol: number): Closeness {
  return { atol, rtol, rule: "sum" };
}

/** Of a log-sum-exp that a test compares in base 2: here it is natural, and so is the absolute tolerance. */
function allcloseBase2(atol: number, rtol: number): Closeness {
  return allclose(atol * Math.LN2, rtol);
}

const SEED = "TensorRT-LLM pull request 12519, test_flashinfer_trtllm_mla_op.py";
const TRTLLM = "TensorRT-LLM, test_trtllm_mla_op.py";
const FLASHINFER = "FlashInfer, test_deepseek_mla.py";

/** Tolerances by name; sources and matrices of the tests are those of the suites that name them. */
export const TOLERANCES: Readonly<Record<string, Tolerance>> = {
  "seed-prefill": { source: `${SEED}: prefill, variable_seq_lengths`, out: allclose(5e-2, 2e-2) },
  "seed-decode": { source: `${SEED}: decode, multi_step_decode, mixed_batch`, out: allclose(5e-2, 5e-2) },
  "seed-context": { source: `${SEED}: context_then_generate, context`, out: allclose(1e-2, 1e-2) },
  "seed-projection": { source: `${SEED}: dispatch and projection by W_v`, out: allclose(1e-4, 1e-4) },
  "seed-generate": { source: `${SEED}: context_then_generate, generate`, out: allclose(5e-2, 2e-2) },
  "triton-mla": { source: "TensorRT-LLM, test_triton_mla_op.py and test_torch_mla_op.py", out: allclose(5e-2, 5e-2) },
  "trtllm-mla-prefill": { source: `${TRTLLM}: prefill`, out: allclose(1.5e-1, 1.5e-1) },
  "trtllm-mla": { source: `${TRTLLM}: multi_step, GLM dims, mixed batch`, out: allclose(2e-2, 2e-2) },
  "trtllm-mla-chunked": { source: `${TRTLLM}: chunked prefill`, out: allclose(5e-3, 5e-3) },
  "trtllm-mla-session": { source: `${TRTLLM}: four-step session, decode`, out: allclose(8e-2, 8e-2) },
  "flashinfer": {
    source: `${FLASHINFER}: page_attention, oob_kv_nan, prefill; test_trtllm_gen_mla.py, preallocated output`,
    out: allclose(1e-3, 1e-3),
    lse: allcloseBase2(1e-3, 1e-3),
  },
  "flashinfer-varlen": {
    source: `${FLASHINFER}: varlen_page_attention`,
    out: allclose(2e-3, 1e-3),
    lse: allcloseBase2(2e-3, 1e-3),
  },
  "flashinfer-cutlass": { source: `${FLASHINFER}: cutlass_mla`, out: allclose(1e-2, 1e-2) },
  "flashinfer-bf16": { source: "FlashInfer, test_trtllm_gen_mla.py, bf16", out: allclose(1e-2, 1e-2) },
  "flashinfer-cute": {
    source: "FlashInfer, test_cute_dsl_mla_decode.py, fp16 and bf16",
    out: allclose(1e-2, 1e-2),
    lse: allclose(1e-2, 1e-2),
  },
  "flashinfer-cute-mask": {
    source: "FlashInfer, test_cute_dsl_mla_decode.py: per_q_tile_mask_boundary",
    out: allclose(5e-3, 5e-3),
    lse: allclose(2e-3, 2e-3),
  },
  "flashinfer-ts": { source: "FlashInfer, test_attention_ts_mla_decode.py, bf16", out: allclose(5e-4, 1e-2) },
  "flashinfer-xqa": {
    source: "FlashInfer, test_xqa_mla_batch_decode.py",
    out: { atol: 0.05, rtol: 0.05, rule: "either", share: 0.95 },
  },
  "flashinfer-append": {
    source: "FlashInfer, test_mla_page.py; there isclose, here every bit of the cache",
    out: allclose(0, 0),
  },
  "flashmla": {
    source: "FlashMLA, test_flash_mla_dense_decoding.py",
    out: { atol: 8e-4, rtol: 2.01 / 128, rule: "either", cosine: 5e-6 },
    lse: { atol: 1e-6, rtol: 8.01 / 65536, rule: "either" },
  },
};

/** Rows of a reference. */
export interface ExpectedRows {
  /** The rows that follow. */
  readonly rows: Int32Array;
  /** Output `[rows, width]`. */
  readonly out: Float64Array;
  /** Natural log-sum-exp `[rows]`, where the operation has one. */
  readonly lse?: Float64Array;
}

/**
 * Checks `tolerance_out`, and `tolerance_lse` where tolerance and reference have one, on the reference's rows.
 *
 * @param name Name of the tolerance, for the message.
 * @param actual What the kernel wrote for all rows; −1e30 stands for −∞ in `lse`.
 */
export function checkTolerance(
  name: string,
  tolerance: Tolerance,
  actual: Pick<AttendActual, "out"> & Partial<AttendActual>,
  expected: ExpectedRows,
): Check[] {
  const width = expected.rows.length === 0 ? 1 : expected.out.length / expected.rows.length;
  const whole: AttendActual = { out: actual.out, lse: actual.lse ?? new Float32Array(0) };
  const rows = rowsOf(whole, expected.rows, width);
  const checks = [closeCheck({ check: "tolerance_out", name, closeness: tolerance.out }, rows.out, expected.out)];
  if (tolerance.lse && expected.lse && actual.lse) {
    checks.push(closeCheck({ check: "tolerance_lse", name, closeness: tolerance.lse }, rows.lse, expected.lse));
  }
  return checks;
}

interface Demand {
  readonly check: string;
  readonly name: string;
  readonly closeness: Closeness;
}

function closeCheck(
  { check, name, closeness }: Demand,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
): Check {
  let far = 0, wrongMask = 0, maxAbsError = 0, errors = 0, sizes = 0;
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i], e = expected[i];
    if (!Number.isFinite(a) || !Number.isFinite(e)) {
      if (a !== e) wrongMask++;
      continue;
    }
    if (!isClose(Math.abs(a - e), Math.abs(e), closeness)) far++;
    maxAbsError = Math.max(maxAbsError, Math.abs(a - e));
    errors += (a - e) ** 2;
    sizes += a * a + e * e;
  }
  const elements = expected.length;
  const allowed = Math.floor((1 - (closeness.share ?? 1)) * elements);
  // Σ(a−e)²/Σ(a²+e²) is the same as 1 − 2Σae/Σ(a²+e²), without the cancellation.
  const cosineDifference = sizes > 0 ? errors / sizes : 0;
  const reasons: string[] = [];
  if (wrongMask > 0) {
    reasons.push(`${wrongMask} of ${elements} elements are NaN or infinite where the reference is not, or the reverse`);
  }
  if (!(far <= allowed)) reasons.push(`${far} of ${elements} elements are out of the tolerance "${name}"`);
  if (closeness.cosine !== undefined && !(cosineDifference <= closeness.cosine)) {
    reasons.push(`cosine difference ${cosineDifference.toExponential(2)} exceeds ${closeness.cosine.toExponential(2)}`);
  }
  const passed = reasons.length === 0;
  return {
    name: check,
    passed,
    ...(passed ? {} : { message: reasons.join("; ") }),
    elements,
    mismatches: wrongMask + far,
    maxAbsError,
    cosineDifference,
  };
}

function isClose(error: number, size: number, { atol, rtol, rule }: Closeness): boolean {
  switch (rule) {
    case "sum":
      return error <= atol + rtol * size;
    case "either":
      return error < atol || error < rtol * (size + 1e-6);
    default:
      return rule satisfies never;
  }
}
