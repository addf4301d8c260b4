/**
 * Axis values from the command line, put in place of those of a suite.
 *
 * @module
 */
import type { Operation } from "../kernels/kernel.ts";
import { total } from "../reference/shapes.ts";
import { axisDefault, type AxisName, type AxisValue, type AxisValues } from "./axes.ts";
import { allowsValue, type ParsedAxis } from "./axis_values.ts";
import { boundaryLengths } from "./boundary.ts";
import { axesOf, type CaseFields } from "./case_id.ts";
import { expandLengths } from "./lengths.ts";
import { crossProduct } from "./sample.ts";
import { batchOfSteps, expandSteps, resizeSteps } from "./steps.ts";

/** Fields of a case whose variant is not chosen yet. */
export type ShapeFields = Omit<CaseFields, "variant">;

/** Operations whose new tokens are among the cached ones. */
const FITTED: ReadonlySet<Operation> = new Set<Operation>(["append", "prefill", "mla"]);

/**
 * `fields` with every combination of the values of `axes`. Axes, and values of them, that the operation lacks change
 * nothing. What was not given follows what was: a ragged batch sets B, and B repeats or cuts a ragged batch of the
 * suite.
 */
export function applyAxes(fields: ShapeFields, axes: readonly ParsedAxis[]): ShapeFields[] {
  const own = new Map(axesOf(fields.operation).map((axis) => [axis.name, axis]));
  const dimensions = axes
    .map(({ name, values }) =>
      values
        .filter((value) => own.has(name) && allowsValue(own.get(name)!, value, fields.operation))
        .map((value): AxisValues => ({ [name]: value }))
    )
    .filter((values) => values.length > 0);
  return crossProduct(dimensions).map((combination) => fitBatch(fields, Object.assign({}, ...combination)));
}

function fitBatch(fields: ShapeFields, given: AxisValues): ShapeFields {
  const B = given.B ?? batchIn(given.kv) ?? batchIn(given.q);
  if (typeof B !== "number") return withoutContradictions({ ...fields, ...given });
  const resized = (["q", "kv"] as const)
    .filter((axis) => fields[axis] !== undefined)
    .map((axis) => [axis, resizeSteps(fields[axis]!, B)]);
  return withoutContradictions({ ...fields, ...Object.fromEntries(resized), ...given, B });
}

function batchIn(lengths: AxisValue | undefined): number | undefined {
  return lengths === undefined ? undefined : batchOfSteps(lengths);
}

/** Leaves out what the other values give no meaning to: padding of queries, what is tuned of the expanded form. */
function withoutContradictions(fields: ShapeFields): ShapeFields {
  const { padding: _padding, ...unpadded } = fields;
  if (fields.operation === "project" && fields.part !== "v") return unpadded;
  const { splits: _splits, rows: _rows, tile: _tile, threads: _threads, ...untuned } = fields;
  return fields.form === "expanded" ? untuned : fields;
}

/**
 * `fields` with `kv=boundary` replaced by each length it stands for, and lengths made to fit where new tokens are among
 * the cached ones: where only kv was given no sequence has more new tokens than its kv, and where only q was given none
 * has fewer cached than its q. Nothing is left of an operation that then has no new token at all, unless it is an
 * append.
 *
 * @param given Axes that the command line gave.
 */
export function expandBoundary(fields: ShapeFields, given: ReadonlySet<AxisName>): ShapeFields[] {
  if (fields.kv !== "boundary") {
    if (given.has("q") === given.has("kv")) return [fields];
    return fitNew(fields, given.has("q") ? "kv" : "q");
  }
  const page = Number(fields.page ?? axisDefault("page"));
  const splits = typeof fields.splits === "number" ? fields.splits : undefined;
  return boundaryLengths({ page, splits }).flatMap((kv) => fitNew({ ...fields, kv }, "q"));
}

function fitNew(fields: ShapeFields, follower: "q" | "kv"): ShapeFields[] {
  if (!FITTED.has(fields.operation)) return [fields];
  const [B, seed] = (["B", "seed"] as const).map((axis) => Number(fields[axis] ?? axisDefault(axis)));
  const steps = expandSteps(fields.q ?? axisDefault("q"), { B, seed });
  const kv = expandLengths(fields.kv ?? axisDefault("kv"), { B, seed, axis: "kv" });
  const q = steps[0].map((_, b) => total(steps.map((step) => step[b] ?? 0)));
  if (q.length !== kv.length || q.every((tokens, b) => tokens <= kv[b])) return [fields];
  if (follower === "kv") return [{ ...fields, kv: kv.map((n, b) => Math.max(n, q[b])).join(",") }];
  const fitted = cutSteps(steps, kv);
  if (fitted.length === 0) return fields.operation === "append" ? [{ ...fields, q: q.map(() => 0).join(",") }] : [];
  return [{ ...fields, q: fitted.map((step) => step.join(",")).join(">") }];
}

/** The first `kv[b]` new tokens of each sequence; steps without any are left out. */
function cutSteps(steps: readonly (readonly number[])[], kv: readonly number[]): number[][] {
  const left = [...kv];
  const cut = steps.map((step) =>
    step.map((tokens, b) => {
      const kept = Math.min(tokens, left[b]);
      left[b] -= kept;
      return kept;
    })
  );
  return cut.filter((step) => total(step) > 0);
}
