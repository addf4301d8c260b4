/**
 * One suite to cases.
 *
 * @module
 */
import type { Dtype } from "../reference/dtypes.ts";
import { axisDefault, type AxisName, type AxisValues } from "./axes.ts";
import type { ParsedAxis } from "./axis_values.ts";
import type { Case } from "./case.ts";
import { makeCase } from "./case_id.ts";
import { applyAxes, expandBoundary, type ShapeFields } from "./overrides.ts";
import { crossProduct, oneAtATime, SOFTWARE_SHAPES, spread, withinSoftwareBudget } from "./sample.ts";
import { type KernelName, mergeCases, takesCache } from "./select.ts";
import type { Group, Suite } from "./suite.ts";
import { quote } from "./words.ts";

/** Most cases that a suite and axis values make together: more is a typing error. */
export const MAX_CASES = 50_000;

/** What decides the cases of a suite. */
export interface SuitePlan {
  /** Axis values that replace those of the suite. */
  readonly axes: readonly ParsedAxis[];
  /** Kernels that were asked for. */
  readonly kernels: readonly KernelName[];
  /** Every registered kernel. */
  readonly registered: readonly KernelName[];
  /** Whether the sample for software adapters is taken. */
  readonly sampled: boolean;
}

/** One combination of the axes of a group: a case of every variant. */
interface Shape {
  readonly group: Group;
  /** With `kv=boundary` where the group says so and no edge is chosen yet. */
  readonly fields: ShapeFields;
  readonly kernels: readonly KernelName[];
}

/** Axes that decide which lengths `kv=boundary` stands for. */
const BOUNDARY_AXES: ReadonlySet<AxisName> = new Set(["kv", "page", "splits"]);

/**
 * The cases of `suite`, without those of the suites it includes. The sample is taken before axis values are replaced,
 * so every value that the user gave is run.
 *
 * @throws {RangeError} If an axis value makes an impossible shape, the suite names an unknown variant or says the same
 * case twice, or the cases are more than {@linkcode MAX_CASES}.
 */
export function expandSuite(suite: Suite, plan: SuitePlan): Case[] {
  let shapes = suite.groups.flatMap((group) => shapesOf(suite, group, plan));
  if (plan.sampled) shapes = sampleShapes(shapes, plan.axes);
  refuseTooMany(suite, shapes, plan.axes);
  const given = new Set(plan.axes.map((axis) => axis.name));
  const cases = shapes.flatMap((shape) =>
    applyAxes(shape.fields, plan.axes)
      .flatMap((fields) => expandBoundary(fields, given))
      .flatMap((fields) => casesOf(fields, shape, given))
  );
  if (suite.overlapping) return mergeCases([cases]);
  if (plan.axes.length === 0) refuseDuplicates(suite, cases);
  return cases;
}

function casesOf(fields: ShapeFields, { group, kernels }: Shape, given: ReadonlySet<AxisName>): Case[] {
  const mayChange = group.ownDtype === true && !given.has("cache");
  return kernels
    .filter(({ precision }) => !(group.exact && precision))
    .map((kernel) => ({ kernel, fields: mayChange ? inOwnDtype(fields, kernel) : fields }))
    .filter(({ kernel, fields }) => takesCache(kernel, fields))
    .map(({ kernel: { variant }, fields }) => makeCase({ ...fields, variant }));
}

function inOwnDtype(fields: ShapeFields, { dtypes }: KernelName): ShapeFields {
  const { cache = axisDefault("cache") } = fields;
  return dtypes === undefined || dtypes.includes(cache as Dtype) ? fields : { ...fields, cache: dtypes[0] };
}

function shapesOf(suite: Suite, group: Group, plan: SuitePlan): Shape[] {
  const rule = plan.sampled ? (group.onSoftware ?? "sample") : "all";
  const kernels = kernelsOf(suite, group, plan);
  if (rule === "nothing" || kernels.length === 0) return [];
  // A shape that no kernel takes is not sampled, unless its cache is still to be chosen.
  const mayChange = group.ownDtype === true || plan.axes.some(({ name }) => name === "cache" || name === "layout");
  const dimensions: AxisValues[][] = Object.entries(group.axes).map(([name, values]) =>
    values.map((value) => ({ [name]: value }))
  );
  if (group.rows) dimensions.push([...group.rows]);
  const combine = rule === "all" ? crossProduct : oneAtATime;
  return combine(dimensions)
    .map((values): ShapeFields => Object.assign({ operation: group.operation }, ...values))
    .filter((fields) => group.where?.(fields) ?? true)
    .filter((fields) => mayChange || kernels.some((kernel) => takesCache(kernel, fields)))
    .map((fields) => ({ group, fields, kernels }));
}

function kernelsOf(
  suite: Suite,
  { operation, variants }: Group,
  { kernels, registered }: SuitePlan,
): readonly KernelName[] {
  if (variants !== "all") {
    const known = registered.filter((kernel) => kernel.operation === operation).map((kernel) => kernel.variant);
    const unknown = variants.find((variant) => !known.includes(variant));
    if (unknown !== undefined) {
      const choices = `kernels of ${operation} are ${known.join(", ")}`;
      throw new RangeError(`Cannot expand suite ${suite.name} for kernel ${quote(unknown)}: ${choices}`);
    }
  }
  return kernels
    .filter((kernel) => kernel.operation === operation && (variants === "all" || variants.includes(kernel.variant)));
}

/** The sample of the rule in `sample.ts`; the combinations of its groups are already one at a time. */
function sampleShapes(shapes: readonly Shape[], axes: readonly ParsedAxis[]): Shape[] {
  const edges = shapes.flatMap((shape) =>
    expandBoundary(shape.fields, new Set()).map((fields) => ({ shape, edge: { ...shape, fields } }))
  );
  const whole = edges.filter(({ shape }) => shape.group.onSoftware === "all");
  const affordable = edges.filter(({ shape, edge }) =>
    shape.group.onSoftware !== "all" &&
    withinSoftwareBudget(makeCase({ ...edge.fields, variant: edge.kernels[0].variant }))
  );
  const firsts = [...new Map(affordable.toReversed().map((edge) => [edge.shape.group, edge])).values()].reverse();
  const others = affordable.filter((edge) => !firsts.includes(edge));
  const sample = spread(firsts, SOFTWARE_SHAPES);
  const kept = new Set([...whole, ...sample, ...spread(others, SOFTWARE_SHAPES - sample.length)]);
  const inOrder = edges.filter((edge) => kept.has(edge));
  // Where the edges themselves move, the shape is kept as a whole and its edges are found anew.
  const edgesMove = axes.some((axis) => BOUNDARY_AXES.has(axis.name));
  return edgesMove ? [...new Set(inOrder.map(({ shape }) => shape))] : inOrder.map(({ edge }) => edge);
}

function refuseTooMany(suite: Suite, shapes: readonly Shape[], axes: readonly ParsedAxis[]): void {
  const values = axes.reduce((product, axis) => product * axis.values.length, 1);
  const count = values * shapes.reduce((sum, shape) => sum + shape.kernels.length, 0);
  if (count <= MAX_CASES) return;
  throw new RangeError(
    `Cannot expand suite ${suite.name} with ${values} combinations of axis values: ` +
      `that is more than ${MAX_CASES} cases; give fewer values, or a smaller suite`,
  );
}

function refuseDuplicates(suite: Suite, cases: readonly Case[]): void {
  const seen = new Set<string>();
  for (const { id } of cases) {
    if (seen.has(id)) throw new RangeError(`Cannot expand suite ${suite.name}: it holds ${id} twice`);
    seen.add(id);
  }
}
