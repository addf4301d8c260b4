/**
 * Axis values from the command line, put in place of those of a suite.
 *
 * @module
 */
import { axisDefault, type AxisName, type AxisValue, type AxisValues, type ParsedAxis } from "./axes.ts";
import { boundaryLengths } from "./boundary.ts";
import { axesOf, type CaseFields } from "./case_id.ts";
import { batchOf, expandLengths, resizeLengths } from "./lengths.ts";
import { crossProduct } from "./sample.ts";

/** Fields of a case whose variant is not chosen yet. */
export type ShapeFields = Omit<CaseFields, "variant">;

/**
 * `fields` with every combination of the values of `axes`. Axes the operation lacks change nothing. What was not
 * given follows what was: a ragged batch sets B, and B repeats or cuts a ragged batch of the suite.
 */
export function applyAxes(fields: ShapeFields, axes: readonly ParsedAxis[]): ShapeFields[] {
  const own = new Set(axesOf(fields.operation).map((axis) => axis.name));
  const dimensions = axes
    .filter((axis) => own.has(axis.name))
    .map(({ name, values }) => values.map((value): AxisValues => ({ [name]: value })));
  return crossProduct(dimensions).map((combination) => fitBatch(fields, Object.assign({}, ...combination)));
}

function fitBatch(fields: ShapeFields, given: AxisValues): ShapeFields {
  const B = given.B ?? batchIn(given.kv) ?? batchIn(given.q);
  if (typeof B !== "number") return { ...fields, ...given };
  const resized = (["q", "kv"] as const)
    .filter((axis) => fields[axis] !== undefined)
    .map((axis) => [axis, resizeLengths(fields[axis]!, B)]);
  return { ...fields, ...Object.fromEntries(resized), ...given, B };
}

function batchIn(lengths: AxisValue | undefined): number | undefined {
  return lengths === undefined ? undefined : batchOf(lengths);
}

/**
 * `fields` with `kv=boundary` replaced by each length it stands for, and lengths of an append made to fit: new tokens
 * are among the cached ones, so where only kv was given no sequence appends more than its kv, and where only q was
 * given none has fewer cached than its q.
 *
 * @param given Axes that the command line gave.
 */
export function expandBoundary(fields: ShapeFields, given: ReadonlySet<AxisName>): ShapeFields[] {
  if (fields.kv !== "boundary") {
    if (given.has("q") === given.has("kv")) return [fields];
    return [fitAppend(fields, given.has("q") ? "kv" : "q")];
  }
  const page = Number(fields.page ?? axisDefault("page"));
  const splits = typeof fields.splits === "number" ? fields.splits : undefined;
  return boundaryLengths({ page, splits }).map((kv) => fitAppend({ ...fields, kv }, "q"));
}

function fitAppend(fields: ShapeFields, follower: "q" | "kv"): ShapeFields {
  if (fields.operation !== "append") return fields;
  const [B, seed] = (["B", "seed"] as const).map((axis) => Number(fields[axis] ?? axisDefault(axis)));
  const [q, kv] = (["q", "kv"] as const).map((axis) =>
    expandLengths(fields[axis] ?? axisDefault(axis), { B, seed, axis })
  );
  if (q.length !== kv.length || q.every((tokens, b) => tokens <= kv[b])) return fields;
  const fitted = follower === "q" ? q.map((tokens, b) => Math.min(tokens, kv[b])) : kv.map((n, b) => Math.max(n, q[b]));
  return { ...fields, [follower]: fitted.join(",") };
}
