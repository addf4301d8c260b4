/**
 * Suites to cases: what `--suite`, `--axis`, `--kernel`, `--filter` and `--seed` select, in the order it runs.
 *
 * @module
 */
import { kernelName, type Operation } from "../kernels/kernel.ts";
import type { AxisValues, ParsedAxis } from "./axes.ts";
import type { Case } from "./case.ts";
import { makeCase, parseCaseId } from "./case_id.ts";
import { matchGlob } from "./glob.ts";
import { applyAxes, expandBoundary, type ShapeFields } from "./overrides.ts";
import { crossProduct, oneAtATime, SOFTWARE_SHAPES, spread, withinSoftwareBudget } from "./sample.ts";
import type { Group, Suite } from "./suite.ts";
import { SUITES } from "./suites.ts";
import { quote } from "./words.ts";

/** What names a kernel. */
export interface KernelName {
  /** Operation. */
  readonly operation: Operation;
  /** Variant. */
  readonly variant: string;
}

/** What to expand. */
export interface ExpandOptions {
  /** Names of suites; a case that several of them hold runs once. */
  readonly suites: readonly string[];
  /** Axis values that replace those of every case whose operation has the axis. */
  readonly axes?: readonly ParsedAxis[];
  /** Only cases whose id matches: a whole id, or a glob with `*`. With it nothing is sampled. */
  readonly filter?: string;
  /** Only these kernels: `attend/fused`, or `fused` for that variant of every operation. */
  readonly kernels?: readonly string[];
  /** Registered kernels. */
  readonly kernelsAvailable: readonly KernelName[];
  /** Seed of every case; absent leaves those of the suite. */
  readonly seed?: number;
  /** Whether the adapter is a software one, for which large suites are sampled. */
  readonly software: boolean;
  /** Whether a software adapter runs whole suites all the same. */
  readonly full: boolean;
  /** Suites to choose from; default {@linkcode SUITES}. */
  readonly registry?: readonly Suite[];
}

/**
 * The cases of some suites. Variants of one shape stand next to each other.
 *
 * A `filter` that is the whole id of a registered kernel's case selects that case even where no suite holds it, so an
 * id printed anywhere can be run anywhere.
 *
 * @throws {RangeError} If a suite or kernel is unknown, an axis is given twice, an axis value makes an impossible shape,
 * a suite says the same case twice, or nothing is selected.
 */
export function expandSuites(options: ExpandOptions): Case[] {
  const { filter, software, full, seed } = options;
  const axes = [...(options.axes ?? []), ...(seed === undefined ? [] : [{ name: "seed", values: [seed] } as const])];
  const twice = axes.find(({ name }, i) => axes.findIndex((axis) => axis.name === name) !== i);
  if (twice) throw new RangeError(`Cannot take axis ${twice.name} twice: give its values as one list`);
  const suites = findSuites(options.suites, options.registry ?? SUITES);
  const plan = {
    axes,
    kernels: selectKernels(options.kernelsAvailable, options.kernels),
    registered: options.kernelsAvailable,
    sampled: software && !full && filter === undefined,
  };
  const cases = mergeCases(suites.map((suite) => expandSuite(suite, plan)));
  if (filter !== undefined) return filterCases(cases, filter, plan.kernels);
  if (cases.length > 0) return cases;
  const names = plan.kernels.map(kernelName).join(", ");
  throw new RangeError(`Cannot find a case for kernel ${names} in suite ${options.suites.join(", ")}`);
}

/**
 * The suites called `names` and those they include, each once.
 *
 * @throws {RangeError} If one is unknown, or none is named.
 */
export function findSuites(names: readonly string[], registry: readonly Suite[] = SUITES): Suite[] {
  const choices = registry.map((suite) => suite.name).join(", ");
  if (names.length === 0) throw new RangeError(`Cannot expand no suite: name at least one of ${choices}`);
  const found = new Set<Suite>();
  function add(name: string) {
    const suite = registry.find((suite) => suite.name === name);
    if (!suite) throw new RangeError(`Cannot find suite ${quote(name)}: there are ${choices}`);
    if (found.has(suite)) return;
    found.add(suite);
    suite.includes?.forEach(add);
  }
  names.forEach(add);
  return [...found];
}

/**
 * The kernels that `names` ask for, or all of `available`.
 *
 * @param names `attend/fused`, or `fused` for that variant of every operation.
 * @throws {RangeError} If a name fits none.
 */
export function selectKernels(available: readonly KernelName[], names?: readonly string[]): readonly KernelName[] {
  if (names === undefined || names.length === 0) return available;
  for (const name of names) {
    if (available.some((kernel) => isNamed(kernel, name))) continue;
    const choices = available.map(kernelName).join(", ");
    throw new RangeError(`Cannot select kernel ${quote(name)}: there are ${choices}`);
  }
  return available.filter((kernel) => names.some((name) => isNamed(kernel, name)));
}

function isNamed(kernel: KernelName, name: string): boolean {
  return name === kernelName(kernel) || name === kernel.variant;
}

/**
 * The cases whose id matches `pattern`; where none does and `pattern` is itself the id of a case of one of `kernels`,
 * that case.
 *
 * @throws {RangeError} If nothing matches.
 */
export function filterCases(cases: readonly Case[], pattern: string, kernels: readonly KernelName[] = []): Case[] {
  const matching = cases.filter((testCase) => matchGlob(pattern, testCase.id));
  if (matching.length > 0) return matching;
  const named = kernels.find((kernel) => pattern.startsWith(`${kernelName(kernel)}:`));
  if (named && !pattern.includes("*") && !pattern.includes(";tensors=")) return [parseCaseId(pattern)];
  const choices =
    `none of ${cases.length} cases matches; it is a whole id or a glob, for instance "attend/fused:*;R=256;*"`;
  throw new RangeError(`Cannot select cases by filter ${quote(pattern)}: ${choices}`);
}

/**
 * Several lists as one, each case once, the variants of one shape next to each other where the shape came first.
 */
export function mergeCases(lists: readonly (readonly Case[])[]): Case[] {
  const shapes = new Map<string, Map<string, Case>>();
  for (const testCase of lists.flat()) {
    const shape = shapeKey(testCase);
    if (!shapes.has(shape)) shapes.set(shape, new Map());
    const variants = shapes.get(shape)!;
    if (!variants.has(testCase.id)) variants.set(testCase.id, testCase);
  }
  return [...shapes.values()].flatMap((variants) => [...variants.values()]);
}

/** What the variants of one shape share: the id without the variant. Their inputs and reference are the same. */
export function shapeKey({ id, operation }: Case): string {
  return `${operation}${id.slice(id.indexOf(":"))}`;
}

interface Plan {
  readonly axes: readonly ParsedAxis[];
  readonly kernels: readonly KernelName[];
  readonly registered: readonly KernelName[];
  readonly sampled: boolean;
}

/** The cases of one suite without those it includes. */
function expandSuite(suite: Suite, plan: Plan): Case[] {
  const shapes = suite.groups.flatMap((group) => {
    const rule = plan.sampled ? (group.onSoftware ?? "sample") : "all";
    const variants = variantsOf(group, suite, plan);
    return expandGroup(group, rule, plan.axes)
      .map((fields) => ({ rule, cases: variants.map((variant) => makeCase({ ...fields, variant })) }))
      .filter(({ rule, cases }) => rule === "all" || cases.every(withinSoftwareBudget));
  });
  if (plan.axes.length === 0) refuseDuplicates(suite, shapes.flatMap(({ cases }) => cases));
  const sample = new Set(spread(shapes.filter(({ rule }) => rule === "sample"), SOFTWARE_SHAPES));
  return shapes.filter((shape) => shape.rule === "all" || sample.has(shape)).flatMap(({ cases }) => cases);
}

function variantsOf(group: Group, suite: Suite, { kernels, registered }: Plan): string[] {
  const { operation, variants } = group;
  if (variants !== "all") {
    const known = registered.filter((kernel) => kernel.operation === operation).map((kernel) => kernel.variant);
    const unknown = variants.find((variant) => !known.includes(variant));
    if (unknown !== undefined) {
      throw new RangeError(`Cannot expand suite ${suite.name}: ${operation} has no ${quote(unknown)}, only ${known}`);
    }
  }
  return kernels
    .filter((kernel) => kernel.operation === operation && (variants === "all" || variants.includes(kernel.variant)))
    .map((kernel) => kernel.variant);
}

function expandGroup(group: Group, rule: "all" | "sample" | "nothing", axes: readonly ParsedAxis[]): ShapeFields[] {
  if (rule === "nothing") return [];
  const dimensions: AxisValues[][] = Object.entries(group.axes).map(([name, values]) =>
    values.map((value) => ({ [name]: value }))
  );
  if (group.rows) dimensions.push([...group.rows]);
  const combine = rule === "all" ? crossProduct : oneAtATime;
  const given = new Set(axes.map((axis) => axis.name));
  return combine(dimensions)
    .map((values): ShapeFields => Object.assign({ operation: group.operation }, ...values))
    .filter((fields) => group.where?.({ ...fields, variant: "any" }) ?? true)
    .flatMap((fields) => applyAxes(fields, axes))
    .flatMap((fields) => expandBoundary(fields, given));
}

function refuseDuplicates(suite: Suite, cases: readonly Case[]): void {
  const seen = new Set<string>();
  for (const { id } of cases) {
    if (seen.has(id)) throw new RangeError(`Cannot expand suite ${suite.name}: it says ${id} twice`);
    seen.add(id);
  }
}
