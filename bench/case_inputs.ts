/**
 * What a case is fed and held against: buffers by tensor name, and the checks on what comes back. The same for every
 * variant of one shape.
 *
 * @module
 */
import type { CacheLayout } from "../kernels/kernel.ts";
import type { Work } from "../kernels/work.ts";
import type { Check } from "../reference/check.ts";
import type { AppendInputs, AttendInputs } from "../reference/inputs.ts";
import type { MlaCallReference } from "../reference/mla_flow.ts";
import type { PrefillInputs, ProjectInputs } from "../reference/model_inputs.ts";
import type { KernelPrecision } from "../reference/precision.ts";
import type { ReferencedOutput } from "../reference/referenced_outputs.ts";
import type { RecordedTensors } from "../reference/recorded.ts";
import type { Case } from "../suites/case.ts";
import { appendCase } from "./inputs_append.ts";
import { attendCase } from "./inputs_attend.ts";
import { mlaCase } from "./inputs_mla.ts";
import { prefillCase } from "./inputs_prefill.ts";
import { projectCase } from "./inputs_project.ts";
import type { Results } from "./inputs_buffers.ts";
import type { ReferencePool } from "./reference_pool.ts";

/** The tensors that a call was made from, before they became bytes: what variations of a case are made from. */
export type CallSource =
  | { readonly operation: "attend"; readonly inputs: AttendInputs }
  | { readonly operation: "append"; readonly inputs: AppendInputs }
  | { readonly operation: "project"; readonly inputs: ProjectInputs }
  | { readonly operation: "prefill"; readonly inputs: PrefillInputs }
  /** `prefill` is the attention of the call, on the cache as it is after appending; empty in the middle of a flow. */
  | { readonly operation: "mla"; readonly inputs: MlaCallReference["inputs"]; readonly prefill: PrefillInputs };

/** One launch of a case. */
export interface CaseCall {
  /** What it computes. */
  readonly work: Work;
  /** The tensors that {@linkcode CaseCall.buffers} hold. */
  readonly source: CallSource;
  /** Contents of the buffers with role `input`. */
  readonly buffers: ReadonlyMap<string, Uint8Array>;
  /** How the cache is allocated. */
  readonly layout: CacheLayout;
  /** Names of trivial outputs (`reference/trivial.ts`) that the checks would accept though they are not the answer. */
  readonly blind: readonly string[];
  /**
   * Compares result buffers, by name, with the reference; those that are changed in place after the last call only.
   *
   * @param tolerance Name of another system's tolerance that must be met as well (`reference/tolerances.ts`).
   */
  check(results: Results, tolerance?: string): Check[];
  /** The rows of the same buffers that have a reference, beside it: what another run of the inputs is compared with. */
  outputs(results: Results): ReferencedOutput[];
}

/** Inputs of a case with the reference's answers. */
export interface CaseInputs {
  /** The launches in order: one, or several for a flow. */
  readonly calls: readonly CaseCall[];
  /**
   * Contents, before the first call, of the buffers with role `inout`; each call finds what the one before it left. One
   * map for the same inputs in every precision.
   */
  readonly state: ReadonlyMap<string, Uint8Array>;
  /** Share of output rows that the checks compare, 0…1. */
  readonly coverage: number;
  /**
   * The same with the limits of kernels of another precision: bytes and reference are shared, only the emulation is
   * made anew. Absent where kernels of the operation have no choice.
   */
  inPrecision?(precision: KernelPrecision): Promise<CaseInputs>;
}

/** What {@linkcode makeCaseInputs} needs beside the case. */
export interface CaseInputsOptions {
  /** Where the reference is computed. */
  readonly pool: ReferencePool;
  /** Flops that the reference of one case may cost; above it rows are sampled. */
  readonly referenceBudgetFlops: number;
  /** Precision of the kernel, by which its limits go. @default all f32 */
  readonly precision?: KernelPrecision;
  /** Recorded tensors by `name@hash8`. */
  readonly recorded?: ReadonlyMap<string, RecordedTensors>;
}

/** {@linkcode CaseInputsOptions} with the recording that the case replays, if any. */
export interface MakerOptions extends Omit<CaseInputsOptions, "recorded"> {
  /** The recording. */
  readonly recorded?: RecordedTensors;
}

/** Key of the inputs of `c`: cases with equal keys get the same bytes and share their reference. */
export function inputsKey(c: Case): string {
  return JSON.stringify([c.operation, c.shape, c.input, c.seed, c.tensors ?? ""]);
}

/**
 * Makes inputs and reference of `c`.
 *
 * @throws {RangeError} If `c` replays tensors that `options.recorded` does not hold.
 */
export async function makeCaseInputs(c: Case, options: CaseInputsOptions): Promise<CaseInputs> {
  const recorded = c.tensors === undefined ? undefined : options.recorded?.get(c.tensors);
  if (c.tensors !== undefined && !recorded) {
    throw new RangeError(`Cannot replay tensors "${c.tensors}": no --tensors file of that name and content was given`);
  }
  const maker: MakerOptions = { ...options, recorded };
  switch (c.operation) {
    case "attend":
      return await attendCase(c, maker);
    case "append":
      return await appendCase(c, maker);
    case "project":
      return await projectCase(c, maker);
    case "prefill":
      return await prefillCase(c, maker);
    case "mla":
      return await mlaCase(c, maker);
    default:
      return c satisfies never;
  }
}
