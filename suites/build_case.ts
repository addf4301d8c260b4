/**
 * From the values of axes to the problem size of a case.
 *
 * @module
 */
import type { Operation, Tuning } from "../kernels/kernel.ts";
import { TUNED } from "../kernels/tunings.ts";
import type { Dtype } from "../reference/dtypes.ts";
import {
  type AttendShape,
  type InputKind,
  type Layout,
  type MlaShape,
  type PrefillShape,
  type ProjectShape,
  total,
} from "../reference/shapes.ts";
import { type AxisName, type AxisValues, NO_TOLERANCE } from "./axes.ts";
import type { Case } from "./case.ts";
import { expandLengths } from "./lengths.ts";
import { expandSteps } from "./steps.ts";

/** What a case is called. */
export interface CaseNames {
  /** Operation. */
  readonly operation: Operation;
  /** Variant of the kernel. */
  readonly variant: string;
  /** Id. */
  readonly id: string;
  /** Values of the axes of the operation, as reports show them. */
  readonly axes: Case["axes"];
  /** Recorded tensors. */
  readonly tensors?: string;
}

/** Values of every axis, with where they were written. */
interface Source {
  readonly values: Required<AxisValues>;
  readonly where: string;
}

/**
 * The case of `names` with `values`.
 *
 * @param values Every axis, each value one that its axis allows.
 * @param where Start of the message of an error.
 * @throws {RangeError} If the values do not fit each other.
 */
export function buildCase(names: CaseNames, values: Required<AxisValues>, where: string): Case {
  const { operation, variant, id, axes, tensors } = names;
  const source = { values, where };
  const common = {
    id,
    variant,
    input: values.input as InputKind,
    seed: number(source, "seed"),
    axes,
    ...(values.tol !== NO_TOLERANCE && { tolerance: String(values.tol) }),
    ...(tensors !== undefined && { tensors }),
  };
  switch (operation) {
    case "append": {
      const shape = cacheShape(source, singleCall(source));
      requireCached(shape, where);
      return { ...common, operation, shape, tuning: {} };
    }
    case "attend":
      return { ...common, operation, shape: attendShape(source, singleCall(source)), tuning: tuningOf(source) };
    case "project":
      return { ...common, operation, shape: projectShape(source), tuning: {} };
    case "prefill":
      return { ...common, operation, shape: prefillShape(source, singleCall(source)), tuning: {} };
    case "mla":
      return { ...common, operation, shape: mlaShape(source), tuning: mlaTuning(source) };
    default:
      return operation satisfies never;
  }
}

function number({ values }: Source, name: AxisName): number {
  return values[name] as number;
}

/** Lengths of the sequences on `axis`, B of them. */
function lengthsOf(source: Source, axis: "q" | "kv"): number[] {
  const [B, seed] = [number(source, "B"), number(source, "seed")];
  const lengths = expandLengths(source.values[axis], { B, seed, axis });
  requireBatch(source, axis, lengths);
  return lengths;
}

function requireBatch(source: Source, axis: "q" | "kv", lengths: readonly number[]): void {
  const B = number(source, "B");
  if (lengths.length === B) return;
  throw new RangeError(
    `${source.where}: ${axis} gives the lengths of ${lengths.length} sequences, B is ${B}; they must agree`,
  );
}

function singleCall(source: Source): number[] {
  return lengthsOf(source, "q");
}

function requireTokens(operation: Operation, q: readonly number[], where: string): void {
  if (q.some((tokens) => tokens > 0)) return;
  throw new RangeError(`${where}: q of ${operation} is at least 1 for one sequence`);
}

function requireCached({ q, kv }: { readonly q: readonly number[]; readonly kv: readonly number[] }, where: string) {
  if (q.every((tokens, b) => tokens <= kv[b])) return;
  throw new RangeError(`${where}: kv counts the new tokens too, so no sequence has a kv below its q`);
}

function cacheShape(source: Source, q: readonly number[]) {
  const { cache, layout } = source.values;
  return {
    B: number(source, "B"),
    R: number(source, "R"),
    Dr: number(source, "Dr"),
    q,
    kv: lengthsOf(source, "kv"),
    page: number(source, "page"),
    cache: cache as Dtype,
    ...(layout !== "combined" && { layout: layout as Layout }),
  };
}

function attendShape(source: Source, q: readonly number[], operation: Operation = "attend"): AttendShape {
  const cache = cacheShape(source, q);
  requireTokens(operation, q, source.where);
  const { scale, causal, lse } = source.values;
  const [Dn, Dv] = [number(source, "Dn"), number(source, "Dv")];
  return {
    ...cache,
    H: number(source, "H"),
    Dn,
    Dv,
    scale: scale === "auto" ? defaultScale(Dn, cache.Dr) : number(source, "scale"),
    causal: causal === 1,
    ...(lse === "2" && { lseBase: "2" }),
  };
}

function projectShape(source: Source): ProjectShape {
  const q = singleCall(source);
  requireTokens("project", q, source.where);
  const part = source.values.part as ProjectShape["part"];
  const padding = number(source, "padding");
  if (part === "q" && padding > 0) {
    throw new RangeError(`${source.where}: padding is rows of the output of part v, part q has none`);
  }
  return {
    part,
    tokens: total(q),
    padding,
    H: number(source, "H"),
    R: number(source, "R"),
    Dn: number(source, "Dn"),
    Dv: number(source, "Dv"),
    weight: source.values.weight as Dtype,
  };
}

function prefillShape(source: Source, q: readonly number[], operation: Operation = "prefill"): PrefillShape {
  const shape = attendShape(source, q, operation);
  return { ...shape, weight: source.values.weight as Dtype, padding: number(source, "padding") };
}

function mlaShape(source: Source): MlaShape {
  const [B, seed] = [number(source, "B"), number(source, "seed")];
  const steps = expandSteps(source.values.q, { B, seed });
  for (const step of steps) {
    requireBatch(source, "q", step);
    if (total(step) === 0) throw new RangeError(`${source.where}: every step of q has a sequence with new tokens`);
  }
  const q = steps[0].map((_, b) => total(steps.map((step) => step[b])));
  const shape = prefillShape(source, q, "mla");
  requireCached(shape, source.where);
  return steps.length === 1 ? shape : { ...shape, steps };
}

function tuningOf(source: Source): Tuning {
  const given = TUNED.filter((name) => source.values[name] !== "auto");
  return Object.fromEntries(given.map((name) => [name, number(source, name)]));
}

function mlaTuning(source: Source): Tuning {
  const { form } = source.values;
  const tuning = tuningOf(source);
  const [given] = Object.keys(tuning);
  if (form === "expanded" && given !== undefined) {
    const verb = given.endsWith("s") ? "are" : "is";
    throw new RangeError(`${source.where}: ${given} ${verb} of the absorbed form, the expanded one has none`);
  }
  return { ...tuning, ...(form !== "auto" && { form: form as Tuning["form"] }) };
}

/** Softmax scale of a model that names none: `1/√(Dn+Dr)`, from the head dimension before absorption. */
export function defaultScale(Dn: number, Dr: number): number {
  return 1 / Math.sqrt(Dn + Dr);
}
