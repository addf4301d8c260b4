/**
 * Which smaller cases to try where a case fails: pure, `bench/shrink.ts` runs them.
 *
 * A case is smaller by {@linkcode sizeOf}, a list of natural numbers compared from the left: no sequence of smaller and
 * smaller cases is endless. Ways to make a case smaller ({@linkcode REDUCTIONS}) are tried in order of what they save.
 *
 * @module
 */
import { TUNED } from "../kernels/tunings.ts";
import { pagesOf, total } from "../reference/shapes.ts";
import { AXES, axisDefault, type AxisName, type AxisValue, type AxisValues } from "./axes.ts";
import type { Case } from "./case.ts";
import { makeCase } from "./case_id.ts";
import { joinSteps } from "./steps.ts";

/** One way to make a case smaller. */
export interface Reduction {
  /** What becomes smaller. */
  readonly name: string;
  /** Smaller cases, the boldest first; each valid, of the same kernel and smaller by {@linkcode sizeOf}. */
  of(c: Case): Case[];
}

/** A case taken apart: its lengths as numbers, its other axes as an id has them. */
interface Draft {
  readonly c: Case;
  /** New tokens `[calls][B]`. */
  readonly steps: readonly (readonly number[])[];
  /** Cached tokens `[B]`; of `project`, which has none, its new ones. */
  readonly kv: readonly number[];
}

/** Axes on which a plain value explains more than another: they go there all at once, then one by one. */
const PLAIN: readonly (readonly [AxisName, AxisValue])[] = [
  ...TUNED.map((name) => [name, "auto"] as const),
  ["padding", 0],
  ["form", "auto"],
  ["scale", "auto"],
  ["lse", "e"],
  ["causal", 1],
  ["layout", "combined"],
  ["input", "normal"],
  ["tol", axisDefault("tol")],
  ["weight", "f32"],
  ["cache", "f32"],
  ["seed", 0],
];

/**
 * Size of a case, most important first: calls, sequences, cached tokens, new tokens, heads, R, Dr, pages, tokens per
 * page, Dn, Dv, then the number of axes that are not plain, and of those that are integers their values.
 */
export function sizeOf(c: Case): readonly number[] {
  const { steps, kv } = draftOf(c);
  const number = (name: AxisName) => typeof c.axes[name] === "number" ? c.axes[name] : 0;
  const pages = "page" in c.shape ? total(kv.map((n) => pagesOf(n, number("page")))) : 0;
  return [
    steps.length,
    kv.length,
    total(kv),
    total(steps.flat()),
    number("H"),
    number("R"),
    number("Dr"),
    pages,
    number("page"),
    number("Dn"),
    number("Dv"),
    PLAIN.filter(([name, plain]) => c.axes[name] !== undefined && c.axes[name] !== plain).length,
    number("splits"),
    number("padding"),
  ];
}

/** Whether `a` is smaller than `b`. */
export function isSmaller(a: Case, b: Case): boolean {
  const [left, right] = [sizeOf(a), sizeOf(b)];
  const first = left.findIndex((value, i) => value !== right[i]);
  return first >= 0 && left[first] < right[first];
}

/** Every way to make a case smaller, in the order in which they are worth trying. */
export const REDUCTIONS: readonly Reduction[] = [
  { name: "calls", of: (c) => smaller(c, fewerCalls) },
  { name: "sequences", of: (c) => smaller(c, fewerSequences) },
  { name: "heads", of: (c) => smaller(c, (draft) => lowerAxis(draft, "H")) },
  { name: "cached tokens", of: (c) => smaller(c, shorterCache) },
  { name: "new tokens", of: (c) => smaller(c, fewerTokens) },
  { name: "pages", of: (c) => smaller(c, simplerPages) },
  ...(["R", "Dr", "Dn", "Dv"] as const).map((name): Reduction => ({
    name,
    of: (c) => smaller(c, (draft) => lowerAxis(draft, name)),
  })),
  { name: "plain values", of: (c) => smaller(c, plainer) },
  { name: "splits", of: (c) => smaller(c, (draft) => lowerAxis(draft, "splits")) },
  { name: "padding", of: (c) => smaller(c, (draft) => lowerAxis(draft, "padding")) },
];

/** Every smaller case that {@linkcode REDUCTIONS} knows of. Replayed tensors have one shape: none. */
export function smallerCases(c: Case): Case[] {
  return REDUCTIONS.flatMap((reduction) => reduction.of(c));
}

function draftOf(c: Case): Draft {
  if (c.operation === "project") return { c, steps: [[c.shape.tokens]], kv: [c.shape.tokens] };
  const steps = c.operation === "mla" && c.shape.steps ? c.shape.steps : [c.shape.q];
  return { c, steps, kv: c.shape.kv };
}

/** A change of a draft: other lengths, other axes. */
type Change = Partial<Pick<Draft, "steps" | "kv">> & { readonly axes?: AxisValues };

function smaller(c: Case, changesOf: (draft: Draft) => readonly Change[]): Case[] {
  if (c.tensors !== undefined) return [];
  const draft = draftOf(c);
  const found = new Map<string, Case>();
  for (const change of changesOf(draft)) {
    const made = makeChanged(draft, change);
    if (made && !found.has(made.id) && isSmaller(made, c)) found.set(made.id, made);
  }
  return [...found.values()];
}

/** The case that a change makes; undefined where its values do not fit each other. */
function makeChanged({ c, steps, kv }: Draft, change: Change): Case | undefined {
  const lengths = fit(c, change.steps ?? steps, change.kv ?? kv);
  const { operation, variant } = c;
  const own = AXES.filter((axis) => axis.operations.includes(operation));
  const given: AxisValues = { ...c.axes, ...lengths, ...change.axes };
  const values = Object.fromEntries(own.map(({ name }) => [name, given[name]]));
  try {
    return makeCase({ ...values, operation, variant });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Lengths as axes: steps without any new token are left out. */
function fit(c: Case, steps: Draft["steps"], kv: readonly number[]): AxisValues {
  if (c.operation === "project") return { B: 1, q: steps[0][0] };
  const calls = steps.length > 1 ? steps.filter((step) => total(step) > 0) : steps;
  return { B: kv.length, q: joinSteps(calls.map((step) => step.join())), kv: kv.join() };
}

/** One call of a flow alone, then all but one; what the others appended was there before, or is not there at all. */
function fewerCalls({ steps, kv }: Draft): Change[] {
  if (steps.length === 1) return [];
  const keep = (kept: readonly number[]): Change[] => {
    const left = kept.map((i) => steps[i]);
    const dropped = kv.map((n, b) => n - total(steps.map((step) => step[b])) + total(left.map((step) => step[b])));
    return [{ steps: left, kv: dropped }, { steps: left }];
  };
  const calls = steps.map((_, i) => i);
  return [
    ...calls.toReversed().flatMap((i) => keep([i])),
    ...calls.flatMap((i) => keep(calls.filter((other) => other !== i))),
  ];
}

/** Parts of the batch, halves first; of few sequences each alone; then all but a part. */
function fewerSequences({ steps, kv }: Draft): Change[] {
  const B = kv.length;
  const keep = (kept: (b: number) => boolean): Change => ({
    steps: steps.map((step) => step.filter((_, b) => kept(b))),
    kv: kv.filter((_, b) => kept(b)),
  });
  const changes: Change[] = [];
  for (let parts = 2; parts <= Math.min(8, 2 * B - 1); parts *= 2) {
    const size = Math.ceil(B / parts);
    const inPart = (b: number, part: number) => Math.floor(b / size) === part;
    const each = Array.from({ length: Math.ceil(B / size) }, (_, part) => part);
    changes.push(...each.map((part) => keep((b) => inPart(b, part))));
    if (parts > 2) changes.push(...each.map((part) => keep((b) => !inPart(b, part))));
  }
  return changes.filter((change) => change.kv!.length > 0);
}

/**
 * Values below `value`, the boldest first: the least, those one past a power of two, then ones closer and closer. A
 * fault at an edge is found in as many tries as the value has bits.
 */
function below(value: number, least: number, unit = 1): number[] {
  const values: number[] = [];
  const push = (n: number) => {
    if (n >= least && n < value && !values.includes(n)) values.push(n);
  };
  push(least);
  push(least + unit);
  for (let power = 1; power * unit < value; power *= 2) push(unit > 1 ? power * unit : power + 1);
  for (let gap = 2 ** Math.floor(Math.log2(Math.max(1, value / 2))); gap >= unit; gap /= 2) {
    push(unit * Math.ceil((value - gap) / unit));
  }
  return values;
}

function lowerAxis({ c }: Draft, name: AxisName): Change[] {
  const axis = AXES.find((axis) => axis.name === name)!;
  const value = c.axes[name];
  if (typeof value !== "number") return [];
  if (axis.kind === "choice") {
    return axis.choices.filter((choice) => typeof choice === "number" && choice < value).map((choice) => ({
      axes: { [name]: choice },
    }));
  }
  if (axis.kind !== "integer") return [];
  return below(value, axis.min, axis.multipleOf).map((lower) => ({ axes: { [name]: lower } }));
}

/** New tokens of each sequence over all calls. */
function added({ steps }: Draft): number[] {
  return steps[0].map((_, b) => total(steps.map((step) => step[b])));
}

/** Fewer tokens that were in the cache before: of all sequences at once, then of each. */
function shorterCache(draft: Draft): Change[] {
  const { c, kv } = draft;
  if (c.operation === "project") return [];
  const q = added(draft);
  const longest = Math.max(...kv);
  const all = below(longest, 0).map((cap) => kv.map((n, b) => Math.min(n, Math.max(cap, Math.min(n, q[b])))));
  return [...all, ...eachAlone(kv, (n, b) => below(n, Math.min(n, q[b])))].map((kv) => ({ kv }));
}

/** Fewer new tokens: they and what is cached become shorter together, or the cache stays as long. */
function fewerTokens(draft: Draft): Change[] {
  const { c, steps, kv } = draft;
  const change = (next: Draft["steps"]): Change[] => {
    const cut = kv.map((n, b) =>
      Math.max(0, n - total(steps.map((step) => step[b])) + total(next.map((step) => step[b])))
    );
    return c.operation === "project" ? [{ steps: next, kv: next[0] }] : [{ steps: next, kv: cut }, { steps: next }];
  };
  const longest = Math.max(...steps.flat());
  const all = below(longest, 0).map((cap) => steps.map((step) => step.map((n) => Math.min(n, cap))));
  const each = steps.flatMap((step, i) => eachAlone(step, (n) => below(n, 0)).map((next) => steps.with(i, next)));
  return [...all, ...each].flatMap(change);
}

/** Most sequences whose lengths are made shorter one by one. */
const MOST_ALONE = 4;

function eachAlone(lengths: readonly number[], belowOf: (n: number, b: number) => number[]): number[][] {
  if (lengths.length > MOST_ALONE) return [];
  return lengths.flatMap((n, b) => belowOf(n, b).map((lower) => lengths.with(b, lower)));
}

/** Page sizes to try. */
const PAGES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/**
 * One page that holds the longest sequence; as many pages, each smaller, with lengths that end as far into the last
 * one; smaller pages with the same lengths.
 */
function simplerPages({ c, steps, kv }: Draft): Change[] {
  const { page } = c.axes;
  if (typeof page !== "number" || c.operation === "project") return [];
  const longest = Math.max(...kv);
  const single = PAGES.find((size) => size >= longest);
  const changes: Change[] = single === undefined ? [] : [{ axes: { page: single } }];
  for (const size of PAGES.filter((size) => size < page)) {
    const cut = kv.map((n) => Math.floor(n / page) * size + Math.min(n % page, size));
    changes.push({ axes: { page: size }, kv: cut, steps: steps.length > 1 ? steps : [capped(steps[0], kv, cut)] });
    changes.push({ axes: { page: size } });
  }
  return changes;
}

/** New tokens cut to what is cached, where they were that before. */
function capped(q: readonly number[], kv: readonly number[], cut: readonly number[]): number[] {
  return q.map((n, b) => n <= kv[b] ? Math.min(n, Math.max(cut[b], 0)) : n);
}

function plainer({ c }: Draft): Change[] {
  const other = PLAIN.filter(([name, plain]) => c.axes[name] !== undefined && c.axes[name] !== plain);
  if (other.length === 0) return [];
  return [{ axes: Object.fromEntries(other) }, ...other.map(([name, plain]) => ({ axes: { [name]: plain } }))];
}
