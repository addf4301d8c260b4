/**
 * The cases that `deno task tune` runs: of each class of shapes every combination that a kernel takes.
 *
 * @module
 */
import { type Kernel, type KernelBase, kernelName, type Operation, TUNABLES, type Tunings } from "../kernels/kernel.ts";
import { tuningClass } from "../kernels/shape_class.ts";
import { refuseTunables, TUNED } from "../kernels/tunings.ts";
import type { AxisValue, AxisValues } from "./axes.ts";
import type { ParsedAxis } from "./axis_values.ts";
import type { AttendCase, Case } from "./case.ts";
import { makeCase } from "./case_id.ts";
import { crossProduct } from "./sample.ts";

/** What to tune. */
export interface TuningPlan {
  /** Cases of the shapes: those of a tuning of their own are left out. */
  readonly cases: readonly Case[];
  /** Kernels, those of the cases among them. */
  readonly kernels: readonly Kernel[];
  /** Values to try in place of all that a kernel declares; splits are tried only where they are given. */
  readonly axes: readonly ParsedAxis[];
}

/** Whether an axis is one whose values are tried. */
export function isTuned({ name }: Pick<ParsedAxis, "name">): boolean {
  return (TUNED as readonly string[]).includes(name);
}

/**
 * For each class of shapes and each `attend` kernel with a choice the first case of the class as it is, then with every
 * combination that the kernel does not refuse. `mla` has the tuning of the kernel by which it attends.
 *
 * @throws {RangeError} If there is no combination to try.
 */
export function tuningCases({ cases, kernels, axes }: TuningPlan): Case[] {
  const tuned: Case[] = [];
  const classes = new Set<string>();
  for (const c of cases) {
    const kernel = kernels.find((kernel) => kernelName(kernel) === kernelName(c));
    if (c.operation !== "attend" || kernel?.operation !== "attend" || Object.keys(c.tuning).length > 0) continue;
    const of = `${kernelName(c)} ${JSON.stringify(tuningClass(c.shape))}`;
    if (classes.has(of)) continue;
    const combinations = combinationsOf(c, kernel, axes);
    if (combinations.length > 0) tuned.push(c, ...combinations);
    classes.add(of);
  }
  if (tuned.length > 0) return tuned;
  throw new RangeError(`Cannot tune: no case of ${cases.length} has a combination to try; ${choicesOf(kernels)}`);
}

function combinationsOf(c: AttendCase, kernel: KernelBase<"attend", AttendCase["shape"]>, axes: readonly ParsedAxis[]) {
  const given = new Map(axes.filter(isTuned).map(({ name, values }) => [name, values]));
  const declared: Readonly<Record<string, readonly number[] | undefined>> = kernel.tunings ?? {};
  const dimensions = TUNED
    .map((name): [string, readonly AxisValue[]] => [name, given.get(name) ?? declared[name] ?? []])
    .filter(([name, values]) => values.length > 0 && (name === "splits" || declared[name] !== undefined))
    .map(([name, values]) => values.map((value): AxisValues => ({ [name]: value })));
  if (dimensions.length === 0) return [];
  return crossProduct(dimensions)
    .map((combination) =>
      makeCase({ ...c.axes, ...Object.assign({}, ...combination), operation: "attend", variant: c.variant })
    )
    .filter((other) => other.id !== c.id && other.operation === "attend")
    .filter(({ shape, tuning }) =>
      (refuseTunables(kernel, tuning) ?? kernel.refuses(shape as AttendCase["shape"], tuning)) === undefined
    );
}

/** `attend/fused has rows 8, 16, 32 and tile 4, 8`. */
function choicesOf(kernels: readonly { operation: Operation; variant: string; tunings?: Tunings }[]): string {
  const choices = kernels.flatMap(({ operation, variant, tunings = {} }) => {
    const own = TUNABLES.filter((name) => tunings[name]).map((name) => `${name} ${tunings[name]!.join(", ")}`);
    return operation === "attend" && own.length > 0
      ? [`${kernelName({ operation, variant })} has ${own.join(" and ")}`]
      : [];
  });
  return choices.length > 0 ? choices.join("; ") : "no kernel among them has a choice";
}
