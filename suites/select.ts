/**
 * Selection of kernels and cases by name.
 *
 * @module
 */
import { kernelName, type Operation } from "../kernels/kernel.ts";
import type { Dtype } from "../reference/dtypes.ts";
import type { KernelPrecision } from "../reference/precision.ts";
import type { Layout } from "../reference/shapes.ts";
import { axisDefault, type AxisValues } from "./axes.ts";
import type { Case } from "./case.ts";
import { parseCaseId } from "./case_id.ts";
import { matchGlob } from "./glob.ts";
import { quote } from "./words.ts";

/** What names a kernel. */
export interface KernelName {
  /** Operation. */
  readonly operation: Operation;
  /** Variant. */
  readonly variant: string;
  /** Layouts of the cache that it takes; absent: all. */
  readonly layouts?: readonly Layout[];
  /** Element types of the cache that it takes; absent: all. */
  readonly dtypes?: readonly Dtype[];
  /** What it computes in; absent: f32. */
  readonly precision?: KernelPrecision;
}

/** Whether a kernel takes the cache of a case: its layout and its element type. What is not given is the default. */
export function takesCache(
  { layouts, dtypes }: Pick<KernelName, "layouts" | "dtypes">,
  { layout = axisDefault("layout"), cache = axisDefault("cache") }: AxisValues,
): boolean {
  return (layouts?.includes(layout as Layout) ?? true) && (dtypes?.includes(cache as Dtype) ?? true);
}

/**
 * The kernels that `names` ask for, or all of `available`.
 *
 * @param names `attend/fused`, or `fused` for that variant of every operation.
 * @throws {RangeError} If a name fits none.
 */
export function selectKernels<K extends KernelName>(available: readonly K[], names?: readonly string[]): readonly K[] {
  if (names === undefined || names.length === 0) return available;
  const unknown = names.find((name) => !available.some((kernel) => isNamed(kernel, name)));
  if (unknown !== undefined) {
    const choices = available.map(kernelName).join(", ");
    throw new RangeError(`Cannot select kernel ${quote(unknown)}: there are ${choices}`);
  }
  return available.filter((kernel) => names.some((name) => isNamed(kernel, name)));
}

function isNamed(kernel: KernelName, name: string): boolean {
  return name === kernelName(kernel) || name === kernel.variant;
}

/**
 * The cases whose id matches `pattern`; where none does and `pattern` is itself the id of a case of one of `kernels`,
 * that case (unless it replays recorded tensors, which need their file).
 *
 * @param pattern A whole id, or a glob in which `*` stands for any text.
 * @throws {RangeError} If nothing matches.
 */
export function filterCases(cases: readonly Case[], pattern: string, kernels: readonly KernelName[] = []): Case[] {
  const matching = cases.filter((testCase) => matchGlob(pattern, testCase.id));
  if (matching.length > 0) return matching;
  const named = kernels.some((kernel) => pattern.startsWith(`${kernelName(kernel)}:`));
  if (named && !pattern.includes("*") && !pattern.includes(";tensors=")) return [parseCaseId(pattern)];
  throw new RangeError(
    `Cannot select cases by filter ${quote(pattern)}: none of ${cases.length} matches; ` +
      `it is a whole id or a glob, for instance "attend/fused:*;R=256;*"`,
  );
}

/** Several lists as one, each case once, the variants of one shape side by side where the shape came first. */
export function mergeCases(lists: readonly (readonly Case[])[]): Case[] {
  const shapes = new Map<string, Map<string, Case>>();
  for (const testCase of lists.flat()) {
    const shape = shapeKey(testCase);
    const variants = shapes.get(shape) ?? new Map<string, Case>();
    if (!variants.has(testCase.id)) variants.set(testCase.id, testCase);
    shapes.set(shape, variants);
  }
  return [...shapes.values()].flatMap((variants) => [...variants.values()]);
}

/** What the variants of one shape share: the id without the variant. Their inputs and reference are the same. */
export function shapeKey({ id, operation }: Pick<Case, "id" | "operation">): string {
  return operation + id.slice(id.indexOf(":"));
}
